#!/usr/bin/env python3
"""Each symbol that the shim stands in front of has a test, which calls that very symbol on a
listener, on both ends of a connection, and on what is no business of the shim.

The same program runs without the shim first: what it expects is what the system does."""

import subprocess
import sys
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
sys.path[:0] = [str(HERE), str(HERE.parent / "support"), str(REPOSITORY / "tools" / "preload")]

import interposed_list  # noqa: E402
import under_run  # noqa: E402
from watched import BUILD  # noqa: E402

PROGRAM = str(BUILD / "tests" / "preload" / "preload_symbols")
TABLE = REPOSITORY / "tools" / "preload" / "interposed.def"


def report(name, good):
    print(f"{'ok' if good else 'FAIL'} {name}", flush=True)
    return good


def tested():
    return subprocess.run([PROGRAM, "--list"], check=True, text=True,
                          stdout=subprocess.PIPE).stdout.split()


def run_all(wrapped):
    """{symbol: what was wrong with it}"""
    ports = under_run.free_ports()
    words = under_run.words(ports) if wrapped else []
    found, errors, took = under_run.results([*words, PROGRAM, ",".join(map(str, ports))])
    print(f"{'wrapped' if wrapped else 'plain'}: {len(found)} symbols in {took:.1f} s\n{errors}")
    return found


def main():
    names = [name for name, _ in interposed_list.rows_of(TABLE)]
    missing, idle = set(names) - set(tested()), set(tested()) - set(names)
    print(f"without a test: {sorted(missing)}, not in the table: {sorted(idle)}")
    well = report("every symbol of the table has a test, and there is no other",
                  not missing and not idle)
    for wrapped in (False, True):
        found = run_all(wrapped)
        for name in names:
            wrong = found.get(name, "no result")
            if wrong:
                print(f"{name}: {wrong}")
            where = "under run" if wrapped else "without it, as expected"
            well = report(f"{name} {where}", not wrong) and well
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
