"""The tables of the conformance matrix, over one run or many."""

import errno
import json

import selection


def save(path, rows, ciphers):
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"rows": rows, "ciphers": ciphers}, file, indent=1)


def load(paths):
    rows, ciphers = [], []
    for path in paths:
        with open(path, encoding="utf-8") as file:
            read = json.load(file)
        rows += read["rows"]
        ciphers += read["ciphers"]
    return rows, ciphers


def _passed(row):
    return not row.get("problems") and "skipped" not in row


def _score(rows):
    """"29 ok", or how many of those that ran."""
    ran = [row for row in rows if "skipped" not in row]
    passed = sum(map(_passed, ran))
    if not ran:
        return "skipped" if rows else "-"
    return f"{passed} ok" if passed == len(ran) else f"{passed} of {len(ran)}"


def _kernels(rows):
    return list(dict.fromkeys(row["kernel"] for row in rows))


def _total(rows, *names):
    """The sum of what the wire carried, both ways."""
    return sum(row.get(way, {}).get(name, 0) for row in rows for way in ("sent", "received")
               for name in names)


def _suites(rows):
    yield ("kernel", "version", "cipher", *selection.PEERS, "64 MiB TX", "64 MiB RX",
           "records opened", "MiB compared")
    for kernel in _kernels(rows):
        for version in selection.VERSIONS:
            for cipher in selection.CIPHERS:
                mine = [row for row in rows if (row["kernel"], row["version"], row["cipher"])
                        == (kernel, version, cipher)]
                if not mine:
                    continue
                bulk = [row for row in mine if row["size"] == selection.BULK_SIZE]
                small = [row for row in mine if row not in bulk]
                yield (kernel, version, cipher,
                       *(_score([row for row in small if row["peer"] == peer])
                         for peer in selection.PEERS),
                       _score([row for row in bulk if row["tx"]]),
                       _score([row for row in bulk if row["rx"]]),
                       str(_total(mine, "records")), str(_total(mine, "content") >> 20))


def _calls(rows):
    """By what the endpoint sends with, and receives with."""
    sends = list(dict.fromkeys(["", *selection.TX, *(row["tx"] for row in rows)]))
    receives = list(dict.fromkeys(["", *selection.RX, *(row["rx"] for row in rows)]))
    yield ("kernel", "TX \\ RX", *(rx or "none" for rx in receives))
    for kernel in _kernels(rows):
        for tx in sends:
            mine = [row for row in rows if row["kernel"] == kernel and row["tx"] == tx]
            if mine:
                yield (kernel, tx or "none",
                       *(_score([row for row in mine if row["rx"] == rx]) for rx in receives))


def _ciphers(ciphers):
    """What each kernel said to the keys of each cipher, over versions and directions."""
    names = list(dict.fromkeys(trial["cipher"] for trial in ciphers))
    yield ("kernel", *names)
    for kernel in _kernels(ciphers):
        answers = [{trial["errno"] for trial in ciphers
                    if (trial["kernel"], trial["cipher"]) == (kernel, name)} for name in names]
        yield (kernel, *(" or ".join(errno.errorcode.get(number, "taken")
                                     for number in sorted(mine)) for mine in answers))


def _print(table):
    table = list(table)
    widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())
    print()


def show(rows, ciphers):
    print()
    if ciphers:
        _print(_ciphers(ciphers))
    _print(_suites(rows))
    _print(_calls(rows))
    for why in selection.NOT_SHARED.values():
        print(f"-: not in this run; {why}")
    for kernel in _kernels(rows):
        mine = [row for row in rows if row["kernel"] == kernel]
        print(f"{kernel}: {sum(map(_passed, mine))} of {len(mine)} cells passed, "
              f"{_total(mine, 'records')} records opened at their numbers, "
              f"{_total(mine, 'content') >> 20} MiB compared")
