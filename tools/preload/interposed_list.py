#!/usr/bin/env python3
"""What is made of interposed.def: the list of what the shim stands in front of."""

import re
import sys
from pathlib import Path

USAGE = """usage: interposed_list.py --names FILE         the symbols, one a line
       interposed_list.py --wraps FILE         the linker's --wrap for each
       interposed_list.py --map FILE OUTPUT    a version script that exports them and nothing else
       interposed_list.py --table FILE         rows of a man page
       interposed_list.py --into-page FILE PAGE    puts them between the marks of the page
"""
ROW = re.compile(r'^SHIM\((\w+), "(.*)"\)$', re.MULTILINE)

# Between these the page has the table.
BEGIN = '.\\" The table of tools/preload/interposed.def, by interposed_list.py --into-page:\n'
END = '.\\" End of the table.\n'


def rows_of(path):
    """[(symbol, what the shim does)], in the order of the file."""
    return ROW.findall(Path(path).read_text(encoding="utf-8"))


def table_of(rows):
    """Rows of a man page: groff_man(7), .TP"""
    return "".join(f".TP\n.B {name}\n{text}\n".replace("-", r"\-") for name, text in rows)


def with_table(page, rows):
    """The page, with these rows between its marks, which it has."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("the page has no marks for the table")
    return f"{before}{BEGIN}{table_of(rows)}{END}{after}"


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
        print(table_of(rows), end="")
    elif what == "--into-page" and len(sys.argv) == 4:
        page = Path(sys.argv[3])
        page.write_text(with_table(page.read_text(encoding="utf-8"), rows), encoding="utf-8")
    else:
        sys.stderr.write(USAGE)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
