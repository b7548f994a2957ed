#!/usr/bin/env python3
"""Runs several tests one behind the other, so that they share the boot of a kernel:
in_kernel.py FOLDER KERNEL NAME..., inside that kernel; FOLDER is one of tests/."""

import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]


def main():
    folder, kernel, *names = sys.argv[1:]
    failed = []
    for name in names:
        arguments = [kernel] if name.endswith("rekey") else []
        command = [sys.executable, TESTS / folder / f"{name}_test.py", *arguments]
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
