#!/usr/bin/env python3
"""Each symbol that the shim stands in front of has a test, which calls that very symbol on a
listener, on both ends of a connection, and on what is no business of the shim.

The same program runs without the shim first: what it expects is what the system does."""

import os
import subprocess
import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
sys.path[:0] = [str(HERE), str(HERE.parent / "support"), str(REPOSITORY / "tools" / "preload")]

import interposed_list  # noqa: E402
import report  # noqa: E402
import under_run  # noqa: E402
from watched import BUILD  # noqa: E402

PROGRAM = str(BUILD / "tests" / "preload" / "preload_symbols")
NAMES = [name for name, _ in
         interposed_list.rows_of(REPOSITORY / "tools" / "preload" / "interposed.def")]
# The shim's names that are not the program's own words, as the report needs them.
_RESULTS = {}


def results(wrapped):
    """{symbol: what was wrong with it}, of one run for all."""
    if wrapped not in _RESULTS:
        ports = under_run.free_ports()
        words = under_run.words(ports) if wrapped else []
        found, errors, _ = under_run.results([*words, PROGRAM, ",".join(map(str, ports))])
        if errors:
            print(errors)
        _RESULTS[wrapped] = found
    return _RESULTS[wrapped]


class Symbols(unittest.TestCase):
    def test_every_symbol_of_the_table_has_a_test_and_no_other(self):
        listed = subprocess.run([PROGRAM, "--list"], check=True, text=True,
                                stdout=subprocess.PIPE).stdout.split()
        self.assertEqual(sorted(listed), sorted(NAMES))

    def test_the_expectations_are_those_of_the_system(self):
        self.assertEqual({name: text for name, text in results(False).items() if text}, {})


def add_row(name):
    def test(self):
        self.assertEqual(results(True).get(name, "no result"), "")
    setattr(Symbols, f"test_under_run_{name}_is_right", test)


for each in NAMES:
    add_row(each)


if __name__ == "__main__":
    assert os.access(PROGRAM, os.X_OK), PROGRAM
    report.main("preload/symbols")
