#!/usr/bin/env python3
"""No branch and no address depends on what a CBC record decrypts to, until its verdict is known.

valgrind's memcheck watches: what is secret is undefined memory to it (see constant_time.h). The
controls leak on purpose, and have to be found.
"""

import os
import subprocess
import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests" / "support"))

import report  # noqa: E402

BUILD = Path(os.environ.get("KTLS_BRIDGE_BUILD", REPOSITORY / "build-test"))
PROGRAM = BUILD / "tests" / "constant_time" / "cbc_open"
SUPPRESSIONS = REPOSITORY / "tests" / "constant_time" / "valgrind.supp"
REPORTED = 9
TIMEOUT_S = 120

SSL3, TLS10, TLS11, TLS12 = "0x0300", "0x0301", "0x0302", "0x0303"
# One suite for each MAC and for each size of block.
AES_SHA1, AES_SHA256, AES_SHA384, TRIPLE_DES = "0x002F", "0xC027", "0xC028", "0x000A"


def valgrind(*arguments):
    return subprocess.run(
        ["valgrind", f"--error-exitcode={REPORTED}", f"--suppressions={SUPPRESSIONS}",
         "--show-error-list=yes", PROGRAM, *arguments],
        capture_output=True, text=True, check=False, timeout=TIMEOUT_S)


@unittest.skipUnless(PROGRAM.exists(), "there were no valgrind headers when it was built")
class ConstantTime(unittest.TestCase):
    def assert_silent(self, version, *suites):
        for suite in suites:
            done = valgrind(version, suite)
            self.assertEqual(done.returncode, 0, f"{version} {suite}\n{done.stderr}")
            self.assertIn("ERROR SUMMARY: 0 errors", done.stderr)

    def assert_reported(self, control, message, function):
        done = valgrind(control)
        self.assertEqual(done.returncode, REPORTED, done.stderr)
        self.assertIn(message, done.stderr)
        self.assertIn(function, done.stderr)

    def test_a_branch_on_a_secret_is_reported(self):
        self.assert_reported("leak-branch", "Conditional jump or move depends", "leaks_by_branch")

    def test_an_index_by_a_secret_is_reported(self):
        self.assert_reported("leak-index", "Use of uninitialised value", "leaks_by_index")

    def test_SSLv3_keeps_what_it_decrypted_to_itself(self):
        self.assert_silent(SSL3, AES_SHA1, TRIPLE_DES)

    def test_TLS_1_0_keeps_what_it_decrypted_to_itself(self):
        self.assert_silent(TLS10, AES_SHA1, TRIPLE_DES)

    def test_TLS_1_1_keeps_what_it_decrypted_to_itself(self):
        self.assert_silent(TLS11, AES_SHA1)

    def test_TLS_1_2_keeps_what_it_decrypted_to_itself(self):
        self.assert_silent(TLS12, AES_SHA1, AES_SHA256, AES_SHA384, TRIPLE_DES)


if __name__ == "__main__":
    report.main("constant time")
