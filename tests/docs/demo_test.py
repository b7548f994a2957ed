#!/usr/bin/env python3
"""scripts/demo on this host, with a small file and the build that is tested."""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests" / "support"))

import report  # noqa: E402

BUILD = os.environ.get("KTLS_BRIDGE_BUILD", str(REPOSITORY / "build"))


class Demo(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.temporary = Path(folder.name)

    def demo(self, *arguments):
        return subprocess.run([REPOSITORY / "scripts" / "demo", *arguments], capture_output=True,
                              text=True, timeout=100, check=False,
                              env={**os.environ, "TMPDIR": str(self.temporary)})

    def test_ends_with_pass_and_leaves_nothing(self):
        done = self.demo("--build", BUILD, "--size", "8MiB", "--no-vm")
        print(done.stdout, done.stderr)
        self.assertEqual(done.returncode, 0)
        self.assertTrue(done.stdout.splitlines()[-1].startswith("PASS: 8 MiB on Linux "))
        self.assertIn(" ended=clean", done.stdout)
        self.assertEqual(list(self.temporary.iterdir()), [])

    def test_says_what_failed(self):
        done = self.demo("--build", "/nonexistent", "--size", "1MiB", "--no-vm")
        self.assertEqual(done.returncode, 1)
        self.assertIn("FAIL: /nonexistent/tools/ktls-bridge/ktls-bridge is not there", done.stdout)

    def test_says_that_the_disk_is_too_small(self):
        done = self.demo("--build", BUILD, "--size", "4096TiB", "--no-vm")
        self.assertEqual(done.returncode, 1)
        self.assertIn("MiB are free there", done.stderr)

    def test_refuses_what_is_no_size(self):
        for size in ("0", "12x", "-1", ""):
            done = self.demo("--size", size)
            self.assertEqual(done.returncode, 1, size)
            self.assertIn("--size", done.stderr)


if __name__ == "__main__":
    report.main("demo")
