"""The table of the matrix: kernel × version × suite × policy × direction, from one run or many."""

import json

_HEADINGS = ("kernel", "version", "suite", "offload", "direction", "ran in", "reason",
             "connections", "resumed", "bytes compared")
_NUMBERS = 3  # the last columns


def save(path, machine, rows):
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"machine": machine, "rows": rows}, file, indent=1)


def load(paths):
    """The rows of several files, each with its machine's kernel."""
    rows = []
    for path in paths:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
        rows += content["rows"]
    return rows


def _version_key(kernel):
    return [int(part) if part.isdigit() else 0 for part in kernel.split("-")[0].split(".")]


def _lines(rows):
    groups = {}
    for row in rows:
        for direction in ("tx", "rx"):
            key = (row["kernel"], row["version"], row["suite"], row["offload"], direction,
                   row[direction], row.get(f"{direction}_reason", ""))
            group = groups.setdefault(key, [0, 0, 0])
            group[0] += 1
            group[1] += row["resumed"]
            group[2] += row[f"{direction}_bytes"]
    order = {"auto": 0, "kernel": 1, "never": 2}
    for key in sorted(groups, key=lambda k: (_version_key(k[0]), k[0], order[k[3]], k[1], k[2],
                                             k[4] == "rx", k[5:])):
        yield (*key, *map(str, groups[key]))


def show(rows):
    table = [_HEADINGS, *_lines(rows)]
    widths = [max(len(line[i]) for line in table) for i in range(len(_HEADINGS))]
    last_text = len(_HEADINGS) - _NUMBERS
    for line in table:
        cells = [cell.ljust(width) if i < last_text else cell.rjust(width)
                 for i, (cell, width) in enumerate(zip(line, widths))]
        print("  ".join(cells).rstrip())
    for kernel in sorted({row["kernel"] for row in rows}, key=_version_key):
        mine = [row for row in rows if row["kernel"] == kernel]
        compared = sum(row["tx_bytes"] + row["rx_bytes"] for row in mine)
        print(f"{kernel}: {len(mine)} connections, {sum(row['resumed'] for row in mine)} resumed, "
              f"{compared} bytes compared")
