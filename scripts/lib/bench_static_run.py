#!/usr/bin/env python3
"""Measures servers of static files in turns: one line of JSON for each server, cell and round.

Runs on this machine or inside scripts/vm; scripts/bench static starts it and makes the tables.
"""

import argparse
import ctypes
import fcntl
import json
import os
import platform
import socket
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

import bench_servers  # noqa: E402

CLIENT_S = 900
KIB = 1024
MIB = KIB * KIB
SERVER_CPU, CLIENT_CPU = 0, 1
CONGESTION_CONTROL = "reno"  # bbr's pacing cuts the flow into small pieces

CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1


@dataclass(frozen=True)
class Cell:
    """One file, and how it is asked for: `requests` natively, and as many as need be counted."""

    name: str
    size: int
    reading: str
    connections: int
    requests: int
    requests_counted: int


CELLS = (
    Cell("1k", KIB, "decrypt", 32, 24_000, 960),
    Cell("100k", 100 * KIB, "count", 16, 4_000, 160),
    Cell("10m", 10 * MIB, "count", 1, 60, 8),
    Cell("1g", 1024 * MIB, "count", 1, 1, 1),
)
# Servers tell a file that was written just now by another tag, of another length.
SETTLE_S = 3
FLOOR_CELL = "10m"
SERVERS = ("serve", "nginx", "lighttpd", "bare", "serve-epoll")


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, required=True, metavar="DIR")
    parser.add_argument("--keys", type=Path, required=True, metavar="DIR",
                        help="with chain.pem and key.pem")
    parser.add_argument("--cell", action="append", choices=[cell.name for cell in CELLS])
    parser.add_argument("--server", action="append", choices=SERVERS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--shrink", type=int, default=1, help="divides the requests")
    parser.add_argument("--counted", action="store_true",
                        help="a nanosecond is an instruction here: few requests are enough")
    return parser.parse_args()


def own_network():
    """A loopback of our own, where the congestion control may be set, if we are allowed to."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sH22x", b"lo", 0)
        flags = struct.unpack("16sH22x", fcntl.ioctl(any_socket, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", flags | IFF_UP))


def congestion_control():
    path = Path("/proc/sys/net/ipv4/tcp_congestion_control")
    try:
        path.write_text(CONGESTION_CONTROL)
    except OSError:
        pass
    return path.read_text().strip()


def write_site(folder, cells):
    folder.mkdir()
    for cell in cells:
        piece = os.urandom(min(cell.size, 16 * MIB))
        with open(folder / cell.name, "wb") as file:
            for _ in range(cell.size // len(piece)):
                file.write(piece)


def kernel_connections():
    """Connections whose transmission the kernel has taken over so far; nothing without kTLS."""
    try:
        lines = Path("/proc/net/tls_stat").read_text().splitlines()
    except FileNotFoundError:
        return None
    counters = dict(line.split() for line in lines)
    return int(counters["TlsTxSw"]) + int(counters["TlsTxDevice"])


def line_of(client, what):
    line = client.stdout.readline()
    if not line:
        raise RuntimeError(f"the client ended before it said {what}")
    return line


def measure(client_program, server, cell, requests, cpu):
    before_kernel = kernel_connections()
    command = [client_program, server.port, f"/{cell.name}", cell.connections, requests,
               cell.reading]
    with subprocess.Popen([str(word) for word in command], text=True, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE,
                          preexec_fn=lambda: bench_servers.pin(cpu)) as client:
        try:
            line_of(client, "ready")
            before = server.cpu_ns()
            client.stdin.write("go\n")
            client.stdin.flush()
            figures = json.loads(line_of(client, "its figures"))
            figures["server_ns"] = server.cpu_ns() - before
            client.communicate("done\n", timeout=CLIENT_S)
        finally:
            client.kill()
    if figures["body"] != cell.size:
        raise RuntimeError(f"{server.name} sends {figures['body']} bytes of {cell.size}")
    if before_kernel is not None:
        figures["kernel_connections"] = kernel_connections() - before_kernel
    return figures


def start_servers(options, cells, work):
    keys = options.keys.resolve()
    setting = {"work": work, "site": work / "site", "certificate": keys / "chain.pem",
               "key": keys / "key.pem",
               "bridge": options.build / "tools/ktls-bridge/ktls-bridge",
               "floor": options.build / "tests/bench/sendfile_floor", "floor_file": FLOOR_CELL}
    wanted = options.server or ["serve", "nginx", "lighttpd", "bare"]
    has_floor = kernel_connections() is not None and any(c.name == FLOOR_CELL for c in cells)
    cpu = None if os.cpu_count() == 1 else SERVER_CPU
    servers = []
    try:
        for name in wanted:
            if name != "bare" or has_floor:
                servers.append(bench_servers.start(name, setting, cpu))
    except BaseException:
        for server in servers:
            server.stop()
        raise
    return servers


def run_cell(options, cell, servers, number_of_round):
    requests = cell.requests_counted if options.counted else cell.requests
    # Every other round goes the other way, so that none is always the first.
    order = servers if number_of_round % 2 == 0 else servers[::-1]
    for server in order:
        if server.name == "bare" and cell.name != FLOOR_CELL:
            continue
        figures = measure(options.build / "tests/bench/static_client", server, cell,
                          max(requests // options.shrink, cell.connections),
                          None if os.cpu_count() == 1 else CLIENT_CPU)
        print(json.dumps({"cell": cell.name, "size": cell.size, "server": server.name,
                          "connections": cell.connections, **figures}), flush=True)


def main():
    options = parse()
    cells = [cell for cell in CELLS if not options.cell or cell.name in options.cell]
    own_network()
    about = {"kernel": platform.release(), "congestion_control": congestion_control(),
             "cpus": os.cpu_count()}
    print(json.dumps({"about": about}), flush=True)
    with tempfile.TemporaryDirectory(prefix="ktls-bridge-bench-") as folder:
        work = Path(folder)
        write_site(work / "site", cells)
        time.sleep(SETTLE_S)
        servers = start_servers(options, cells, work)
        try:
            for cell in cells:
                for number in range(options.rounds):
                    run_cell(options, cell, servers, number)
            memory = {server.name: server.peak_kib() for server in servers}
            print(json.dumps({"memory_kib": memory}), flush=True)
        finally:
            for server in servers:
                server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
