"""Programs whose both ends of a connection are TLS: `ktls-bridge run` in front of them, and the
lines `NAME: RESULT` that they print."""

import contextlib
import os
import socket
import subprocess
import time

from shared_certificates import certificates
from watched import BINARY

REQUIRES_KTLS = os.environ.get("KTLS_BRIDGE_REQUIRE_KTLS") == "1"
# A guest runs on an emulated processor.
TIMEOUT_S = 600 if REQUIRES_KTLS else 120
# Served and connected to; the last one is only connected to.
PORTS = 4


def free_ports(count=PORTS):
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.create_server(("127.0.0.1", 0)))
                  for _ in range(count)]
        return [probe.getsockname()[1] for probe in probes]


def words(ports):
    """In front of a program that listens on all ports but the last, and connects to all."""
    patterns = [f"{host}:{port}" for port in ports for host in ("localhost", "[::1]")]
    return [BINARY, "run", "--listen", ",".join(map(str, ports[:-1])), "--connect",
            ",".join(patterns), "--ca", certificates().ca, *certificates().server_flags, "--"]


def results(command):
    """{name: result}, what it said on standard error, how long it took."""
    started = time.monotonic()
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as program:
        try:
            output, errors = program.communicate(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            program.kill()
            output, errors = program.communicate()
    lines = output.decode("utf-8", "replace").splitlines()
    found = {}
    for line in lines:
        name, colon, result = line.partition(":")
        if colon:
            found[name] = result.strip()
    return found, errors.decode("utf-8", "replace"), time.monotonic() - started
