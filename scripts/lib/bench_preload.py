"""scripts/bench preload: what the preload library costs who has no TLS."""

import json
import os
import platform
import socket
import statistics
import subprocess
import sys
from pathlib import Path

import bench_build

LIBRARY = "tools/preload/libktls-bridge-preload.so"
PROGRAM = "tests/bench/unwrapped_read"
# What is wanted, in nanoseconds a call.
EXTRA_MAX_NS = 10
CALLS = 1_000_000
CALLS_QUICK = 200_000
ROUNDS = 31
ROUNDS_QUICK = 11


def run(repository, build, options):
    bench_build.build_targets(repository, build, [PROGRAM, LIBRARY])
    calls, rounds = (CALLS_QUICK, ROUNDS_QUICK) if options.quick else (CALLS, ROUNDS)
    # A TCP socket that may become TLS yet: then the table of descriptors has an entry.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as fresh:
        figures = [measure(build, calls, fresh.fileno()) for _ in range(rounds)]
    plain = statistics.median(each["plain"] for each in figures)
    extra = {name: statistics.median(each[name] - each["plain"] for each in figures)
             for name in ("loaded", "in_use")}
    print(f"read of a byte of /dev/zero, {rounds} rounds of {calls} calls each in turns, "
          f"{platform.machine()}\n")
    print(f"  without the library                     {plain:7.2f} ns")
    print(f"  with it, more by (no entry in its table) {extra['loaded']:6.2f} ns")
    print(f"  with it, more by (entries beside it)     {extra['in_use']:6.2f} ns")
    verdict = "within" if max(extra.values()) <= EXTRA_MAX_NS else "above"
    print(f"\n{verdict} the {EXTRA_MAX_NS} ns that a descriptor without TLS may cost more")
    if options.json:
        text = json.dumps({"plain": plain, "extra": extra, "rounds": figures}, indent=1)
        Path(options.json).write_text(text + "\n", encoding="utf-8")
    return 0


def measure(build, calls, fresh):
    """Nanoseconds a call, one right after the other."""
    loaded = {"LD_PRELOAD": str(build / LIBRARY), "KTLS_BRIDGE_BROKER": "/nonexistent"}
    return {"plain": time_of(build, calls, {}, ()),
            "loaded": time_of(build, calls, loaded, ()),
            "in_use": time_of(build, calls, loaded, (fresh,))}


def time_of(build, calls, environment, descriptors):
    done = subprocess.run([str(build / PROGRAM), str(calls)], check=False, text=True,
                          stdout=subprocess.PIPE, pass_fds=descriptors,
                          env={**os.environ, **environment})
    if done.returncode != 0:
        sys.exit(f"scripts/bench: {PROGRAM} ended with status {done.returncode}")
    return float(done.stdout)
