#!/usr/bin/env python3
"""Runs several of the broker's tests one behind the other, so that they share the boot of a kernel:

tests/handover/broker_tests.py broker_restart secrets
"""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main():
    names = sys.argv[1:]
    if not names or names[0].startswith("-"):
        print(__doc__)
        sys.exit(0 if names else 64)
    failed = [name for name in names
              if subprocess.run([sys.executable, "-u", str(HERE / f"{name}_test.py")],
                                check=False).returncode != 0]
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
