"""The table that stacks.py ends with: a line for each suite, a column for each stack."""

from dataclasses import dataclass

KEY = ("S: wrap is the server, C: the client; +: with a client's certificate. Each is a full "
       "handshake and a resumed one, with the data compared; -: not tried, or not in that stack.")


@dataclass(frozen=True)
class Row:
    """What came of two connections, the second resumed."""

    stack: str
    role: str  # wrap's
    suite: object
    with_certificate: bool
    passed: bool

    def __str__(self):
        mark = self.role[0].upper() + ("+" if self.with_certificate else "")
        return mark if self.passed else f"{mark} FAILED"


def show(rows, remarks, loop):
    """`remarks`: by the names of stacks."""
    stacks = list(dict.fromkeys(row.stack for row in rows))
    suites = dict.fromkeys((row.suite.version, row.suite.name) for row in rows)
    print(f"\nWith --loop {loop}. {KEY}\n\n| version | suite | {' | '.join(stacks)} |")
    print("|---" * (len(stacks) + 2) + "|")
    for suite in sorted(suites, key=lambda each: each[0], reverse=True):
        fields = (" ".join(str(row) for row in rows if row.stack == stack
                           and (row.suite.version, row.suite.name) == suite) for stack in stacks)
        print(f"| {' | '.join(suite)} | {' | '.join(field or '-' for field in fields)} |")
    for stack in stacks:
        if remarks.get(stack):
            print(f"\n{stack}: {remarks[stack]}.")
