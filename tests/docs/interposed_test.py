#!/usr/bin/env python3
"""The manual's table of interposed symbols is what the preload library exports."""

import os
import subprocess
import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY / "tests" / "support"), str(REPOSITORY / "tools" / "preload")]

import interposed_list  # noqa: E402
import report  # noqa: E402

ROWS = interposed_list.rows_of(REPOSITORY / "tools" / "preload" / "interposed.def")
PAGE = REPOSITORY / "tools" / "man" / "ktls-bridge-run.1"
BUILD = Path(os.environ.get("KTLS_BRIDGE_BUILD", REPOSITORY / "build"))
LIBRARY = BUILD / "tools" / "preload" / "libktls-bridge-preload.so"


def output_of(*command):
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout


class Interposed(unittest.TestCase):
    def test_the_table_of_the_manual_is_generated(self):
        page = PAGE.read_text(encoding="utf-8")
        self.assertIn(interposed_list.BEGIN, page)
        self.assertEqual(interposed_list.with_table(page, ROWS), page,
                         "run tools/preload/interposed_list.py --into-page "
                         "tools/preload/interposed.def tools/man/ktls-bridge-run.1")

    def test_a_page_without_marks_is_refused(self):
        for page in (".SH NAME\n", interposed_list.BEGIN, interposed_list.END):
            with self.assertRaises(ValueError):
                interposed_list.with_table(page, ROWS)

    def test_no_symbol_stands_twice(self):
        names = [name for name, _ in ROWS]
        self.assertEqual(len(set(names)), len(names))

    def test_the_library_exports_the_table_and_nothing_else(self):
        symbols = output_of("nm", "-D", "--defined-only", "--format=posix", str(LIBRARY))
        exported = {line.split()[0].split("@")[0] for line in symbols.splitlines()}
        self.assertEqual(exported, {name for name, _ in ROWS})

    def test_the_library_needs_libc_alone(self):
        lines = output_of("readelf", "--dynamic", "--wide", str(LIBRARY)).splitlines()
        needed = {line.split("[")[1].rstrip("]") for line in lines if "(NEEDED)" in line}
        self.assertLessEqual(needed, {"libc.so.6", "ld-linux-x86-64.so.2",
                                      "ld-linux-aarch64.so.1"})


if __name__ == "__main__":
    report.main("interposed")
