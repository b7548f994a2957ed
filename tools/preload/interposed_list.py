#!/usr/bin/env python3
"""What is made of interposed.def: the list of what the shim stands in front of."""

import re
import sys
from pathlib import Path

USAGE = """usage: interposed_list.py --names FILE         the symbols, one a line
       interposed_list.py --wraps FILE         the linker's --wrap for each
       interposed_list.py --map FILE OUTPUT    a version script that exports them and nothing else
       interposed_list.py --table FILE         rows of a man page (mdoc or man: .TP)
"""
ROW = re.compile(r'^SHIM\((\w+), "(.*)"\)$', re.MULTILINE)


def rows_of(path):
    """[(symbol, what the shim does)], in the order of the file."""
    return ROW.findall(Path(path).read_text(encoding="utf-8"))


def main():
    if len(sys.argv) < 3:
        sys.stderr.write(USAGE)
        return 2
    what, path = sys.argv[1:3]
    rows = rows_of(path)
    if what == "--names":
        print("\n".join(name for name, _ in rows))
    elif what == "--wraps":
        print(" ".join(f"-Wl,--wrap={name}" for name, _ in rows))
    elif what == "--map" and len(sys.argv) == 4:
        names = "".join(f"    {name};\n" for name, _ in rows)
        Path(sys.argv[3]).write_text(f"{{\n  global:\n{names}  local:\n    *;\n}};\n",
                                     encoding="utf-8")
    elif what == "--table":
        for name, text in rows:
            print(f".TP\n.B {name}\n{text}".replace("-", r"\-"))
    else:
        sys.stderr.write(USAGE)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
