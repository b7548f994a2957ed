#!/usr/bin/env python3
"""Every suite in each of its versions works or says why not: the table of suite_table.py has no
blank."""

import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import ktls_bridge as bridge  # noqa: E402
import report  # noqa: E402
import suite_table  # noqa: E402

# What OpenSSL 3.0 lacks, or Debian leaves out of it.
MAY_BE_MISSING = {"CAMELLIA-128-GCM", "CAMELLIA-256-GCM", "SM4-GCM", "SM4-CCM", "IDEA-CBC"}


class Table(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.rows = list(suite_table.rows())

    def test_every_row_is_shown_to_work_or_is_unavailable_with_its_reason(self):
        for row in self.rows:
            with self.subTest(row["suite"].name.decode(), version=row["version"]):
                self.assertEqual(bool(row["round_trips"]), not row["unavailable"])

    def test_only_what_libcrypto_lacks_is_unavailable(self):
        missing = {row["suite"].cipher.decode() for row in self.rows if row["unavailable"]}
        self.assertLessEqual(missing, MAY_BE_MISSING)

    def test_known_answers_are_of_suites_that_are_there(self):
        known = {suite.id for suite in bridge.suites()}
        self.assertLessEqual({suite for suite, _ in suite_table.count_vectors()}, known)

    def test_each_has_a_name_of_its_own(self):
        names = [suite.name for suite in bridge.suites()]
        self.assertEqual(len(names), len(set(names)))
        self.assertEqual(len(names), 314 + 7)

    def test_what_can_be_installed_is_what_linux_has_numbers_for(self):
        kernel = {row["suite"].cipher.decode() for row in self.rows if row["kernel"]}
        self.assertEqual(kernel, {"AES-128-GCM", "AES-256-GCM", "AES-128-CCM", "CHACHA20-POLY1305",
                                  "SM4-GCM", "SM4-CCM", "ARIA-128-GCM", "ARIA-256-GCM"})


if __name__ == "__main__":
    report.main("api/suites")
