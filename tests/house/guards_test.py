#!/usr/bin/env python3
"""The tables of tests/proofs/guards.py name tests that there are, and all that inject errnos."""

import subprocess
import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "support"), str(TESTS / "proofs")]

import guards  # noqa: E402
import report  # noqa: E402

LIST_S = 60


def tests_of(program):
    listed = subprocess.run([guards.BUILD / program, "--gtest_list_tests"], check=True, text=True,
                            capture_output=True, timeout=LIST_S).stdout
    found, group = set(), ""
    for line in listed.splitlines():
        word = line.partition("#")[0].strip()
        if line.startswith(" "):
            found.add(guards.plain_name(group, word))
        else:
            group = word.rstrip(".")
    return found


class Guards(unittest.TestCase):
    def test_each_test_that_shows_a_guard_exists(self):
        for program in {row.program for row in guards.rows()}:
            there = tests_of(program)
            for row in guards.rows():
                if row.program == program:
                    self.assertLessEqual(set(row.tests), there, row.name)

    def test_each_test_that_injects_errnos_into_a_connection_is_listed(self):
        injecting = {name for name in tests_of(guards.FAULTS)
                     if name.startswith("Faults.") or "WithAnyErrno" in name}
        self.assertEqual({call.test for call in guards.CALLS}, injecting)

    def test_no_guard_is_listed_twice(self):
        names = [row.name for row in guards.rows()]
        self.assertEqual(len(names), len(set(names)))


if __name__ == "__main__":
    report.main("house/guards")
