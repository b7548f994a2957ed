#!/usr/bin/env python3
"""tests/http/requirements.md: every test that it names exists, and every requirement has one; and
no test of the running server is left out of it."""

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
ON_THE_WIRE = REPOSITORY / "tests" / "serve" / "requirements_test.py"


def rows():
    """(requirement, what shows it) of every row of the tables."""
    for line in TEXT.splitlines():
        if line.startswith("|") and not line.startswith(("| section", "| ---")):
            _, _, requirement, shown_by, _ = (cell.strip() for cell in line.split("|"))
            yield requirement, shown_by


def unit_tests():
    return {f"{suite}.{name}" for path in TESTS.glob("*_test.cpp")
            for suite, name in re.findall(r"^TEST\((\w+), (\w+)\)", path.read_text(), re.MULTILINE)}


def tests_on_the_wire():
    methods = re.findall(r"^    def test_(\w+)\(", ON_THE_WIRE.read_text(), re.MULTILINE)
    return {f"serve.{method}" for method in methods}


def named_tests():
    return set(re.findall(r"`(\w+\.\w+)`", TEXT)) - {"serve.NAME"}


class Requirements(unittest.TestCase):
    def test_each_named_test_exists(self):
        self.assertTrue(named_tests())
        self.assertEqual(named_tests() - unit_tests() - tests_on_the_wire(), set())

    def test_each_requirement_is_shown(self):
        self.assertGreater(len(list(rows())), 70)
        for requirement, shown_by in rows():
            with self.subTest(requirement):
                self.assertRegex(shown_by, r"`\w+\.\w+`")

    def test_each_test_on_the_wire_is_named(self):
        self.assertGreater(len(tests_on_the_wire()), 40)
        self.assertEqual(tests_on_the_wire() - named_tests(), set())


if __name__ == "__main__":
    report.main("requirements")
