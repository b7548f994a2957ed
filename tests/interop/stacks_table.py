"""The table that stacks.py ends with: a line for each stack and role of wrap, a column for each
suite."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """What came of two connections, the second resumed."""

    stack: str
    role: str  # wrap's
    suite: object
    with_certificate: bool
    passed: bool


def _mark(rows):
    """`rows`: of one field."""
    if not rows:
        return "-"
    if not all(row.passed for row in rows):
        return "FAILED"
    kinds = {row.with_certificate for row in rows}
    return {(False,): "without", (True,): "with", (False, True): "both"}[tuple(sorted(kinds))]


def show(rows, remarks, loop):
    """`remarks`: by the names of stacks."""
    print(f"\nWith --loop {loop}. In each field a full handshake and a resumed one, with the data "
          "compared: without a client's certificate, with one, or both; -: not tried, or not in "
          "that stack.")
    for version in sorted({row.suite.version for row in rows}):
        of_version = [row for row in rows if row.suite.version == version]
        suites = list(dict.fromkeys(row.suite.name for row in of_version))
        names = [name.removeprefix("TLS_").replace("_WITH", "") for name in suites]
        print(f"\n| {version} | wrap is | " + " | ".join(names) + " |")
        print("|---" * (len(suites) + 2) + "|")
        for stack, role in dict.fromkeys((row.stack, row.role) for row in of_version):
            marks = [_mark([row for row in of_version
                            if (row.stack, row.role, row.suite.name) == (stack, role, name)])
                     for name in suites]
            print(f"| {stack} | {role} | " + " | ".join(marks) + " |")
    for stack in dict.fromkeys(row.stack for row in rows):
        if remarks.get(stack):
            print(f"\n{stack}: {remarks[stack]}.")
