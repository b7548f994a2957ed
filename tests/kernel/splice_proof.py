#!/usr/bin/env python3
"""No plaintext byte passes through the process once both keys are in the kernel: reads and writes
on the two sockets carry next to nothing while splice moves the data. Seen by strace, and for what
goes through io_uring by the kernel's own trace events."""

import argparse
import queue
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True
TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "support"), str(TESTS / "interop")]

from call_trace import STRACE, RingTrace, RingTraffic, Traffic, calls  # noqa: E402
from cells import SUITES  # noqa: E402
from certificates import Authority  # noqa: E402
from drained_wrap import DrainedWrap, WrapFailed  # noqa: E402
from payload import Payload  # noqa: E402
from peers import Curl, PeerFailed  # noqa: E402
from plain_service import PlainService  # noqa: E402

COPIED_MAX = 16 << 10
TCP_ULP = 31
ROUTES_UP = ("tls socket to pipe", "pipe to plain socket")
ROUTES_DOWN = ("plain socket to pipe", "pipe to tls socket")
RING_BUFFER_KIB = 64 << 10
CONNECTION_S = 120
S_PER_MIB = 12


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="example: scripts/vm newest -- tests/kernel/splice_proof.py")
    parser.add_argument("--size", type=int, default=64, metavar="MIB", help="bytes each way")
    parser.add_argument("--loop", choices=("epoll", "io_uring"), action="append",
                        help="default: one after the other")
    parser.add_argument("--suite", choices=[suite.openssl for suite in SUITES],
                        default=SUITES[0].openssl)
    return parser.parse_args()


class Proof:
    def __init__(self, options, folder):
        self.folder = folder
        self.suite = next(suite for suite in SUITES if suite.openssl == options.suite)
        self.authority = Authority(folder, (self.suite.certificate,))
        self.up = Payload(options.size << 20, seed=1)
        self.down = Payload(options.size << 20, seed=2)
        self.timeout_s = CONNECTION_S + options.size * S_PER_MIB
        self.upload_file = folder / "upload"
        with open(self.upload_file, "wb") as file:
            file.writelines(self.up.blocks())

    def transfer(self, loop, trace_file):
        """One connection through a wrap under strace. Answers its line, and what is wrong."""
        leaf = self.authority.leaf[self.suite.certificate]
        with PlainService(self.down, self.timeout_s) as service, \
                DrainedWrap("--offload", "kernel", "--loop", loop, "--cert", leaf.certificate,
                            "--key", leaf.key, to=f"127.0.0.1:{service.port}", threads=1,
                            before=(*STRACE, str(trace_file))) as wrap:
            curl = Curl(f"https://localhost:{wrap.port}/upload", self.upload_file, self.folder,
                        self.timeout_s, self.suite, self.authority, times=1)
            outcome, = curl.outcomes()
            line, = wrap.next_connections(1, self.timeout_s)
            exchange = service.exchanges.get(timeout=self.timeout_s)
        problems = [why for why in (exchange.upload.differs_from(self.up), exchange.error,
                                    outcome.download.differs_from(self.down)) if why]
        if (line["ended"], line["tx"], line["rx"]) != ("clean", "kernel", "kernel"):
            problems.append("not clean, or not in the kernel")
        if (line["received"], line["sent"]) != (exchange.received, exchange.sent):
            problems.append(f"the service received {exchange.received}, sent {exchange.sent}")
        return line, problems

    def run(self, loop):
        trace_file = self.folder / f"strace.{loop}"
        print(f"--- {loop}: {self.up.size} bytes up, {self.down.size} down, at the same time",
              flush=True)
        ring = None
        if loop == "io_uring":
            with RingTrace(RING_BUFFER_KIB) as trace:
                line, problems = self.transfer(loop, trace_file)
            ring = RingTraffic(trace.lines())
        else:
            line, problems = self.transfer(loop, trace_file)
        print(line)
        traffic = Traffic(calls(trace_file))
        show_calls(traffic)
        copied = traffic.copied()
        if ring:
            show_ring(ring, traffic)
            copied += ring.copied((traffic.tls, traffic.plain))
            if not ring.counts:
                problems.append("the trace has no request")
        for routes, size in ((ROUTES_UP, line["received"]), (ROUTES_DOWN, line["sent"])):
            for route in routes:
                missing = size - traffic.spliced(route)
                print(f"spliced {route}: {traffic.spliced(route)} of {size} bytes")
                if not 0 <= missing < COPIED_MAX:
                    problems.append(f"splice {route} moved {traffic.spliced(route)} of {size}")
        print(f"copied through the process: {copied} bytes; at most {COPIED_MAX} are allowed")
        if copied >= COPIED_MAX:
            problems.append(f"{copied} bytes were copied")
        return problems


def show_calls(traffic):
    print(f"{'system call':<14}{'descriptor':<30}{'calls':>9}{'bytes':>12}")
    for (name, route), count in sorted(traffic.counts.items()):
        print(f"{name:<14}{route:<30}{count:>9}{traffic.bytes[name, route]:>12}")


def show_ring(ring, traffic):
    print(f"{'io_uring':<14}{'descriptor':<30}{'requests':>9}{'bytes':>12}")
    for (opcode, descriptor), count in sorted(ring.counts.items(), key=str):
        if count:
            name = "none" if descriptor is None else traffic.name(descriptor)
            moved = ring.bytes[opcode, descriptor]
            print(f"{opcode:<14}{f'{name} ({descriptor})':<30}{count:>9}{moved:>12}")


def prove(proof, loop, name):
    """Whether it held."""
    started = time.monotonic()
    try:
        problems = proof.run(loop)
    except (WrapFailed, PeerFailed, ValueError, OSError, subprocess.SubprocessError,
            queue.Empty) as error:
        problems = [f"{type(error).__name__}: {error}"]
    print(f"{time.monotonic() - started:.0f} s")
    for problem in problems:
        print(problem)
    print(f"{'FAIL' if problems else 'ok'} {name}", flush=True)
    return not problems


def kernel_has_tls():
    with socket.create_server(("127.0.0.1", 0)) as listener, \
            socket.create_connection(listener.getsockname()) as client:
        try:
            client.setsockopt(socket.SOL_TCP, TCP_ULP, b"tls")
        except OSError:
            return False
    return True


def main():
    options = parse()
    if not kernel_has_tls():
        print("skip splice alone: this kernel has no TLS")
        return 0
    with tempfile.TemporaryDirectory(prefix="ktls-splice-") as folder:
        proof = Proof(options, Path(folder))
        held = [prove(proof, loop, f"{options.size} MiB each way by splice alone, {loop}, "
                                   f"{options.suite}")
                for loop in options.loop or ("epoll", "io_uring")]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
