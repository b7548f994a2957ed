"""scripts/bench proxy: what TLS in front of a plaintext service costs, beside other proxies."""

import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import bench_build
import bench_proxies
import bench_records
import bench_servers
import bench_static
import bench_static_run

PROGRAMS = ("tests/bench/static_client", "tests/bench/proxy_client", "tests/bench/plain_sink",
            "tools/ktls-bridge/ktls-bridge")
PROXY_CPU, OTHERS_CPU = 0, 1
GIB = 1 << 30
MIB = 1 << 20
CLIENT_S = 900
# What is wanted: no more than this times what the best of the others needs.
DEARER_MAX = 1.10


@dataclass(frozen=True)
class Row:
    """One line of the table.

    words   of the client that loads the proxy, with {port} and {count}
    count   of requests, a round
    unit    in which a proxy's CPU time is told, and how many requests it is of
    """

    name: str
    client: str
    words: tuple
    count: int
    unit: str
    divisor: float


BULK = 64 * MIB
ROWS = (
    Row("down", "static_client", ("{port}", f"/{BULK}", "1", "{count}", "count"), 16,
        "CPU-s/GiB", 1e9 * BULK / GIB),
    Row("up", "proxy_client", ("{port}", "up", "1", "{count}", str(BULK)), 16,
        "CPU-s/GiB", 1e9 * BULK / GIB),
    Row("1 KiB requests", "static_client", ("{port}", "/1024", "32", "{count}", "decrypt"), 24_000,
        "CPU-us", 1e3),
    Row("full handshakes", "proxy_client", ("{port}", "full", "8", "{count}"), 1600,
        "CPU-us", 1e3),
    Row("resumed handshakes", "proxy_client", ("{port}", "resumed", "8", "{count}"), 1600,
        "CPU-us", 1e3),
)
IDLE = (1000, 5000)
ROUNDS, QUICK_ROUNDS = 5, 2
SHRINK = 4  # of --quick


def add_to(commands):
    proxy = commands.add_parser("proxy", help="the cost of TLS in front of a plaintext service")
    proxy.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    proxy.add_argument("--rounds", type=int, metavar="N", help="how often each is measured")
    proxy.add_argument("--only", dest="row", action="append", metavar="ROW",
                       choices=[*(row.name for row in ROWS), "idle"],
                       help="one of: " + ", ".join([*(row.name for row in ROWS), "idle"]))
    proxy.add_argument("--proxy", action="append", choices=list(bench_proxies.PROXIES),
                       help="one of %(choices)s (repeatable; default: all)")
    proxy.add_argument("--json", metavar="FILE", help="write the figures there as well")


def run(repository, build, options):
    missing = bench_proxies.missing_packages()
    if missing:
        print(f"scripts/bench: not installed: {', '.join(missing)} (apt-get install "
              f"{' '.join(missing)})", file=sys.stderr)
        return 1
    if (os.cpu_count() or 1) < 2:
        print("scripts/bench: proxy needs two processors: one is the proxy's alone",
              file=sys.stderr)
        return 1
    bench_build.build_targets(repository, build, PROGRAMS)
    raise_descriptor_limit()
    bench_static_run.own_network()
    measured = {"about": {**bench_records.machine(),
                          "congestion_control": bench_static_run.congestion_control(),
                          "cpus": os.cpu_count()}, "rounds": [], "idle": []}
    with tempfile.TemporaryDirectory(prefix="ktls-bridge-bench-") as folder:
        os.chmod(folder, 0o755)  # hitch gives root up before it reads its certificate again
        measure_all(build, Path(folder), options, measured)
    measured["about"]["load"] = round(os.getloadavg()[0], 2)
    report(measured)
    if options.json:
        Path(options.json).write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    return 0


def raise_descriptor_limit():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextlib.contextmanager
def plain_sink(build):
    """Its port."""
    with subprocess.Popen([build / "tests/bench/plain_sink"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True,
                          preexec_fn=lambda: bench_servers.pin(OTHERS_CPU)) as sink:
        try:
            yield int(sink.stdout.readline())
        finally:
            sink.stdin.close()


def measure_all(build, work, options, measured):
    keys = bench_static.make_keys(build / "static-keys").resolve()
    names = options.proxy or list(bench_proxies.PROXIES)
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    rows = [row for row in ROWS if not options.row or row.name in options.row]
    with plain_sink(build) as sink, contextlib.ExitStack() as stack:
        setting = {"work": work, "sink": sink, "certificate": keys / "chain.pem",
                   "key": keys / "key.pem", "bridge": build / "tools/ktls-bridge/ktls-bridge"}

        def started(name):
            proxy = bench_proxies.start(name, setting, PROXY_CPU)
            stack.callback(proxy.stop)
            return proxy

        proxies = [started(name) for name in names]
        for row in rows:
            count = row.count // (SHRINK if options.quick else 1)
            for number in range(rounds):
                # Every other round goes the other way, so that none is always the first.
                for proxy in proxies if number % 2 == 0 else proxies[::-1]:
                    say(f"{row.name}: {proxy.name}")
                    figures = measure(build, proxy, row, count)
                    measured["rounds"].append({"row": row.name, "proxy": proxy.name, **figures})
    if not options.row or "idle" in options.row:
        measure_idle(build, work / "idle", options, measured)
    say("")


def measure_idle(build, work, options, measured):
    """Each proxy fresh, so that nothing is left of what others were loaded with."""
    work.mkdir()
    keys = bench_static.make_keys(build / "static-keys").resolve()
    for count in IDLE[:1] if options.quick else IDLE:
        folder = work / str(count)
        folder.mkdir()
        with plain_sink(build) as sink:
            setting = {"work": folder, "sink": sink, "certificate": keys / "chain.pem",
                       "key": keys / "key.pem",
                       "bridge": build / "tools/ktls-bridge/ktls-bridge"}
            for name in options.proxy or bench_proxies.PROXIES:
                say(f"{count} idle: {name}")
                proxy = bench_proxies.start(name, setting, PROXY_CPU)
                try:
                    kib = idle_kib(build, proxy, count)
                finally:
                    proxy.stop()
                measured["idle"].append({"proxy": name, "connections": count, "kib": kib})


def say(text):
    if sys.stderr.isatty():
        print(f"\r{text:50}\r", end="", file=sys.stderr, flush=True)


@contextlib.contextmanager
def client_of(build, name, words):
    """When it is ready; it goes on when it is told to."""
    command = [build / "tests/bench" / name, *words]
    with subprocess.Popen([str(word) for word in command], text=True, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE,
                          preexec_fn=lambda: bench_servers.pin(OTHERS_CPU)) as client:
        try:
            bench_static_run.line_of(client, "ready")
            yield client
        finally:
            client.kill()


def measure(build, proxy, row, count):
    words = [word.format(port=proxy.port, count=count) for word in row.words]
    with client_of(build, row.client, words) as client:
        before = proxy.cpu_ns()
        client.stdin.write("go\n")
        client.stdin.flush()
        figures = json.loads(bench_static_run.line_of(client, "its figures"))
        figures["proxy_ns"] = proxy.cpu_ns() - before
        client.communicate("done\n", timeout=CLIENT_S)
    return figures


def idle_kib(build, proxy, count):
    """What one idle connection takes of the proxy's own memory, in KiB."""
    words = [proxy.port, "idle", 1, count]
    before = proxy.proportional_kib()
    with client_of(build, "proxy_client", words):
        return (proxy.proportional_kib() - before) / count


def cost(row, line):
    return line["proxy_ns"] / line["requests"] / row.divisor


def costs(measured, row):
    """{proxy: [cost, ...]}"""
    found = {}
    for line in measured["rounds"]:
        if line["row"] == row.name:
            found.setdefault(line["proxy"], []).append(cost(row, line))
    return found


def report(measured):
    about = measured["about"]
    rounds = max((len(each) for row in ROWS for each in costs(measured, row).values()), default=0)
    print(f"\nTLS 1.3, AES-128-GCM, ECDSA P-256, in userspace; kernel {about['kernel']}, "
          f"{about['libcrypto']}, {about['cpus']} CPUs, one of them the proxy's, load "
          f"{about['load']}, congestion control {about['congestion_control']}, {rounds} rounds in "
          "turns\n")
    names = list(dict.fromkeys([line["proxy"] for line in measured["rounds"] + measured["idle"]]))
    table = [("median, and least of the rounds", "", *names, "ours/best", "least")]
    for row in ROWS:
        found = costs(measured, row)
        if found:
            table.append((row.name, row.unit, *(told(found[name]) for name in names),
                          *ratios(found)))
    for count in IDLE:
        found = {line["proxy"]: [line["kib"]] for line in measured["idle"]
                 if line["connections"] == count}
        if found:
            table.append((f"idle, {count}", "KiB", *(f"{found[name][0]:.1f}" for name in names),
                          *ratios(found)))
    bench_records.print_table(table)
    dear = [f"{row[0]} ({row[-1]})" for row in table[1:] if row[-1] and float(row[-1]) > DEARER_MAX]
    print(f"\nthe cheaper of our loops is dearer than the best of the others by more than "
          f"{DEARER_MAX - 1:.0%} in: {', '.join(dear) or 'none'}")


def told(figures):
    return " ".join(f"{of(figures):.0f}" if of(figures) >= 100 else f"{of(figures):.3g}"
                    for of in (statistics.median, min))


def ratios(found):
    """Of the cheaper of our loops to the best of the others: of medians, and of the least."""
    ours = [found[name] for name in bench_proxies.OURS if name in found]
    others = [found[name] for name in found if name not in bench_proxies.OURS]
    if not ours or not others:
        return ("", "")
    return tuple(f"{min(map(of, ours)) / min(map(of, others)):.2f}"
                 for of in (statistics.median, min))
