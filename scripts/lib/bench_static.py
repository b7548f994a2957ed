"""scripts/bench static: what serving files costs, beside nginx and lighttpd, as tables."""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import bench_build
import bench_records
import bench_servers

PROGRAMS = ("tests/bench/static_client", "tests/bench/sendfile_floor",
            "tools/ktls-bridge/ktls-bridge")
RUN = "scripts/lib/bench_static_run.py"
KERNEL = "newest"
OURS = "serve"
FLOOR = "bare"
# What is wanted of a bulk transfer: no more than this above the bare loop.
ABOVE_FLOOR_MAX = 1.15

# In a guest whose instructions are counted, two rounds tell the same but for what the first one
# warms; natively the least of several is the one that others disturbed least.
ROUNDS = {"native": 7, "guest": 2}
QUICK_ROUNDS = {"native": 3, "guest": 1}
SHRINK = 4  # of --quick
GUEST_S = 7200
GUEST_MEMORY_MB = 2560  # the largest file lies in it

GIB = 1 << 30
TITLES = {"1k": "1 KiB, 32 connections, client decrypts",
          "100k": "100 KiB, 16 connections, client counts records",
          "10m": "10 MiB, 1 connection, client counts records",
          "1g": "1 GiB, 1 connection, client counts records"}


def run(repository, build, options):
    missing = bench_servers.missing_packages()
    if missing:
        print(f"scripts/bench: not installed: {', '.join(missing)} (apt-get install "
              f"{' '.join(missing)})", file=sys.stderr)
        return 1
    bench_build.build_targets(repository, build, PROGRAMS)
    keys = make_keys(build / "static-keys")
    figures = []
    for where in options.where or ("native", "guest"):
        command = [RUN, "--build", str(build.relative_to(repository)),
                   "--keys", str(keys.relative_to(repository)), *chosen(where, options)]
        if where == "guest":
            command = ["scripts/vm", KERNEL, "--icount", "--timeout", str(GUEST_S),
                       "--memory", str(GUEST_MEMORY_MB), "--", *command]
        measured = measure(repository, command)
        if measured is None:
            return 1
        report(where, measured)
        figures.append({"where": where, **measured})
    if options.json:
        Path(options.json).write_text(json.dumps(figures, indent=1) + "\n")
    return 0


def chosen(where, options):
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)[where]
    words = ["--rounds", str(rounds)]
    if where == "guest":
        words.append("--counted")
    elif options.quick:
        words += ["--shrink", str(SHRINK)]
    cells = options.cell
    if where == "guest" and options.quick and not cells:
        cells = ["1k", "100k", "10m"]  # a GiB takes minutes there
    for cell in cells or ():
        words += ["--cell", cell]
    for server in options.server or ():
        words += ["--server", server]
    return words


def make_keys(folder):
    folder.mkdir(exist_ok=True)
    if not (folder / "key.pem").exists():
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-days", "3650", "-subj",
                        "/CN=localhost", "-keyout", folder / "key.pem", "-out",
                        folder / "chain.pem"], check=True, capture_output=True)
    return folder


def measure(repository, command):
    """The lines of one run; nothing if it failed."""
    lines = []
    with subprocess.Popen(command, cwd=repository, stdout=subprocess.PIPE, text=True) as process:
        for text in process.stdout:
            if not text.startswith("{"):
                continue
            lines.append(json.loads(text))
            if "cell" in lines[-1] and sys.stderr.isatty():
                print(f"\r{lines[-1]['cell']} {lines[-1]['server']:20}", end="", file=sys.stderr)
    if sys.stderr.isatty():
        print("\r" + " " * 30 + "\r", end="", file=sys.stderr)
    if process.returncode != 0:
        print(f"scripts/bench: {' '.join(command)} ended with status {process.returncode}",
              file=sys.stderr)
        return None
    measured = {"about": {}, "memory_kib": {}, "rounds": []}
    for line in lines:
        if "cell" in line:
            measured["rounds"].append(line)
        else:
            measured.update(line)
    if "cpu" not in measured["about"]:
        machine = bench_records.machine()
        measured["about"] = {**machine, **measured["about"], "load": round(os.getloadavg()[0], 2)}
    return measured


def by_cell(measured):
    """{cell: {server: [round, ...]}}, in the order in which they were measured."""
    cells = {}
    for line in measured["rounds"]:
        cells.setdefault(line["cell"], {}).setdefault(line["server"], []).append(line)
    for servers in cells.values():
        for name in (FLOOR, OURS):
            if name in servers:  # ours first, the floor last
                moved = servers.pop(name)
                rest = dict(servers)
                servers.clear()
                servers.update({**rest, name: moved} if name == FLOOR else {name: moved, **rest})
    return cells


def per_request(line, name="server_ns"):
    return line[name] / line["requests"]


def per_gib(line, name="server_ns"):
    return line[name] / line["requests"] / line["size"] * GIB


def best(lines, figure=per_request):
    return min(figure(line) for line in lines)


def middle(lines, figure=per_request):
    return statistics.median(figure(line) for line in lines)


def spread(lines):
    figures = [per_request(line) for line in lines]
    return (max(figures) - min(figures)) / 2 / statistics.median(figures)


def report(where, measured):
    about = measured["about"]
    rounds = max((len(lines) for servers in by_cell(measured).values()
                  for lines in servers.values()), default=0)
    print(f"\n{where}: TLS 1.3, AES-128-GCM, ECDSA P-256; kernel {about['kernel']}, "
          f"{about['libcrypto']}, {about['cpus']} CPUs, load {about['load']}, congestion control "
          f"{about['congestion_control']}, {rounds} rounds in turns")
    for cell, servers in by_cell(measured).items():
        print(f"\n{TITLES[cell]}\n")
        make = native_table if where == "native" else guest_table
        bench_records.print_table(make(cell, servers))
    memory = ", ".join(f"{name} {kib / 1024:.1f} MiB"
                       for name, kib in measured["memory_kib"].items())
    print(f"\npeak resident memory after all of it: {memory}")
    verdict(measured)


def ratio_of(servers, name):
    if name == OURS or OURS not in servers:
        return ""
    return f"{best(servers[OURS]) / best(servers[name]):.2f}"


def kernel_share(lines):
    counts = {line.get("kernel_connections") for line in lines}
    if counts == {None}:
        return "no"
    return "yes" if all(line["kernel_connections"] == line["connections"] for line in lines) \
        else "in part" if any(counts) else "no"


def native_table(cell, servers):
    is_small = cell == "1k"
    unit, figure, scale = ("CPU-us/request", per_request, 1e3) if is_small else \
        ("CPU-s/GiB", per_gib, 1e9)
    rows = [("server", "kTLS", unit, "best", "spread", "serve/it", "client", "requests/s")]
    for name, lines in servers.items():
        speed = max(line["requests"] / line["elapsed_ns"] * 1e9 for line in lines)
        client = middle(lines, lambda line: figure(line, "client_ns"))
        rows.append((name, kernel_share(lines), f"{middle(lines, figure) / scale:.3f}",
                     f"{best(lines, figure) / scale:.3f}", f"{spread(lines):.0%}",
                     ratio_of(servers, name), f"{client / scale:.3f}", f"{speed:.0f}"))
    return rows


def guest_table(cell, servers):
    is_small = cell == "1k"
    unit, figure, scale = ("k-instructions/request", per_request, 1e3) if is_small else \
        ("G-instructions/GiB", per_gib, 1e9)
    rows = [("server", "kTLS", unit, "best", "spread", "serve/it", "client", "both")]
    for name, lines in servers.items():
        client = best(lines, lambda line: figure(line, "client_ns"))
        both = best(lines, lambda line: figure(line) + figure(line, "client_ns"))
        rows.append((name, kernel_share(lines), f"{middle(lines, figure) / scale:.3f}",
                     f"{best(lines, figure) / scale:.3f}", f"{spread(lines):.1%}",
                     ratio_of(servers, name), f"{client / scale:.3f}", f"{both / scale:.3f}"))
    return rows


def verdict(measured):
    dearer, above = [], []
    for cell, servers in by_cell(measured).items():
        if OURS not in servers:
            continue
        for name, lines in servers.items():
            ratio = best(servers[OURS]) / best(lines)
            if name == FLOOR and ratio > ABOVE_FLOOR_MAX:
                above.append(f"{cell} by {ratio - 1:.0%}")
            elif name not in (OURS, FLOOR) and not name.startswith(OURS) and ratio >= 1:
                dearer.append(f"{cell} than {name} ({ratio:.2f})")
    print(f"serve is dearer in: {', '.join(dearer) or 'none'}")
    if any(FLOOR in servers for servers in by_cell(measured).values()):
        print(f"more than {ABOVE_FLOOR_MAX - 1:.0%} above a bare sendfile loop: "
              f"{', '.join(above) or 'none'}")
