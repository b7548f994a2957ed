"""scripts/bench records: runs record_bench and prints its figures as tables."""

import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

# What is wanted: the share of libcrypto's own speed at full records, and less time than libssl
# needs for small ones.
SHARE_MIN = 0.95
FULL_SIZE_MIN = 16000  # SSLv2 has no room for 2^14
SMALL_SIZE = 64

# What libcrypto needs for a record depends on where its memory lies, up to four times as much in
# CBC, and a process keeps its places: so there are several, and medians over them.
PROCESSES = 5
FULL = ("--rounds", "5", "--slice-us", "2000")
QUICK = ("--rounds", "3", "--slice-us", "500")

PEERS = {"bridge", "evp", "libssl"}

HEADER = ("cipher", "version", "seal GB/s", "open GB/s", "seal/EVP", "open/EVP",
          "seal ns", "SSL_write ns", "ratio", "open ns", "SSL_read ns", "ratio")


def run(program, options):
    command = [str(program), "--only", options.only, *(QUICK if options.quick else FULL)]
    about = {**machine(), "load_before": round(os.getloadavg()[0], 2)}
    lines = middle([measure(command) for _ in range(PROCESSES)])
    about["load_after"] = round(os.getloadavg()[0], 2)
    if not lines:
        print(f"scripts/bench: no row has {options.only!r} in it", file=sys.stderr)
        return 1
    print(f"{about['cpu']}, {about['libcrypto']}, load {about['load_before']} before and "
          f"{about['load_after']} after")
    for title, rows in tables(lines):
        print(f"\n{title}\n")
        print_table([HEADER, *rows])
    print_verdict(lines)
    if options.json:
        figures = {"about": about, "figures": lines}
        Path(options.json).write_text(json.dumps(figures, indent=1) + "\n")
    return 0


def measure(command):
    lines = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            lines.append(json.loads(line))
            if sys.stderr.isatty():
                print(f"\r{lines[-1]['cipher']:40}", end="", file=sys.stderr)
    if sys.stderr.isatty():
        print("\r" + " " * 40 + "\r", end="", file=sys.stderr)
    if process.returncode != 0:
        sys.exit(f"scripts/bench: {command[0]} ended with status {process.returncode}")
    return lines


def middle(runs):
    """One run's lines, with the median of all runs for each figure."""
    lines = runs[0]
    for number, line in enumerate(lines):
        for peer in PEERS.intersection(line):
            for name in line[peer]:
                line[peer][name] = statistics.median(run[number][peer][name] for run in runs)
    return lines


def machine():
    cpu = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.split(":", 1)[1].strip()
            break
    version = subprocess.run(["openssl", "version"], capture_output=True, text=True, check=False)
    return {"cpu": cpu, "cores": os.cpu_count(), "kernel": platform.release(),
            "libcrypto": " ".join(version.stdout.split()[:2])}


def tables(lines):
    """(title, rows) by size. SSLv2's largest records stand with the others' largest."""
    sizes = sorted({table_size(line) for line in lines})
    for size in sizes:
        yield (f"{size} bytes of content a record",
               [row(line) for line in lines if table_size(line) == size])


def table_size(line):
    return 16384 if line["size"] >= FULL_SIZE_MIN else line["size"]


def row(line):
    bridge, evp, libssl = line["bridge"], line.get("evp"), line.get("libssl")
    cells = [line["cipher"], line["version"]]
    cells += [f"{line['size'] / bridge[f'{act}_ns']:.2f}" for act in ("seal", "open")]
    cells += [f"{share(evp, act):.1%}" if evp else "" for act in ("seal", "open")]
    for act in ("seal", "open"):
        cells.append(f"{bridge[f'{act}_ns']:.0f}")
        cells.append(f"{libssl[f'{act}_ns']:.0f}" if libssl else "")
        cells.append(f"{libssl[f'{act}_time_ratio']:.2f}" if libssl else "")
    return tuple(cells)


def share(peer, act):
    """Our speed as a share of the peer's."""
    return 1 / peer[f"{act}_time_ratio"]


def print_table(rows):
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for number, cells in enumerate(rows):
        left = [cell.ljust(width) for cell, width in zip(cells[:2], widths[:2])]
        right = [cell.rjust(width) for cell, width in zip(cells[2:], widths[2:])]
        print(f"| {' | '.join(left + right)} |")
        if number == 0:
            dashes = ["-" * width for width in widths[:2]]
            dashes += ["-" * (width - 1) + ":" for width in widths[2:]]
            print(f"| {' | '.join(dashes)} |")


def print_verdict(lines):
    wants = (
        (f"below {SHARE_MIN:.0%} of libcrypto's speed at full records", "evp",
         lambda line: line["size"] >= FULL_SIZE_MIN, lambda peer, act: share(peer, act) < SHARE_MIN,
         lambda peer, act: f"{share(peer, act):.1%}"),
        (f"more time than libssl at {SMALL_SIZE} bytes", "libssl",
         lambda line: line["size"] == SMALL_SIZE,
         lambda peer, act: peer[f"{act}_time_ratio"] > 1,
         lambda peer, act: f"{peer[f'{act}_time_ratio']:.2f}"),
    )
    print()
    for title, peer, concerns, is_missed, figure in wants:
        missed = [f"{line['cipher']} {line['version']} {act} {figure(line[peer], act)}"
                  for line in lines if peer in line and concerns(line)
                  for act in ("seal", "open") if is_missed(line[peer], act)]
        print(f"{title}: {', '.join(missed) or 'none'}")
