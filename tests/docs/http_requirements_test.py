#!/usr/bin/env python3
"""tests/http/requirements.md: every test that it names exists, and every requirement has one or is
marked as the server's."""

import re
import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests" / "support"))

import report  # noqa: E402

TEXT = (REPOSITORY / "tests" / "http" / "requirements.md").read_text()
TESTS = REPOSITORY / "tests" / "unit" / "tools" / "http"
MARK = "**server**"


def rows():
    """(requirement, what shows it) of every row of the tables."""
    for line in TEXT.splitlines():
        if line.startswith("|") and not line.startswith(("| section", "| ---")):
            _, _, requirement, shown_by, _ = (cell.strip() for cell in line.split("|"))
            yield requirement, shown_by


def existing_tests():
    return {f"{suite}.{name}" for path in TESTS.glob("*_test.cpp")
            for suite, name in re.findall(r"^TEST\((\w+), (\w+)\)", path.read_text(), re.MULTILINE)}


class Requirements(unittest.TestCase):
    def test_each_named_test_exists(self):
        named = set(re.findall(r"`(\w+\.\w+)`", TEXT))
        self.assertTrue(named)
        self.assertEqual(named - existing_tests(), set())

    def test_each_requirement_is_shown_or_marked(self):
        self.assertGreater(len(list(rows())), 50)
        for requirement, shown_by in rows():
            with self.subTest(requirement):
                self.assertTrue(MARK in shown_by or re.search(r"`\w+\.\w+`", shown_by))


if __name__ == "__main__":
    report.main("requirements")
