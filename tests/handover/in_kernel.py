#!/usr/bin/env python3
"""The tests of programs that have a connection, one after the other in one kernel: in_kernel.py
KERNEL, inside that kernel."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TESTS = ("programs", "close", "rekey", "broker_rekey")
# What is not about this kernel: on one of them is enough.
MORE_TESTS = {"newest": ("exec",)}


def main():
    kernel, = sys.argv[1:]
    failed = []
    for name in (*TESTS, *MORE_TESTS.get(kernel, ())):
        arguments = [kernel] if name.endswith("rekey") else []
        command = [sys.executable, HERE / f"{name}_test.py", *arguments]
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
