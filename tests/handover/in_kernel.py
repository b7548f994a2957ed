#!/usr/bin/env python3
"""Runs several of the tests here one behind the other, so that they share the boot of a kernel:
in_kernel.py KERNEL NAME..., inside that kernel."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main():
    kernel, *names = sys.argv[1:]
    failed = []
    for name in names:
        arguments = [kernel] if name.endswith("rekey") else []
        command = [sys.executable, HERE / f"{name}_test.py", *arguments]
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
