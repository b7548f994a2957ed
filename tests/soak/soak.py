#!/usr/bin/env python3
"""Concurrent connections of mixed load through `wrap`, in both roles: small and large exchanges,
half-closes, stalls, resets, truncations, garbage. Nothing may be lost, and nothing may leak.

    plain client -> wrap --client -> wrap -> service         (route "chain")
      TLS client ------------------> wrap -> service         (route "direct")
    plain client -> wrap --client ---------> TLS service     (route "remote")

examples:
  tests/soak/soak.py --loop epoll --seconds 20 --connections 100
  tests/soak/soak.py --loop io_uring --binary build-address/tools/ktls-bridge/ktls-bridge
  tests/soak/soak.py --seed 7 --only client-stalls,large
"""

import argparse
import collections
import os
import random
import resource
import shutil
import signal
import socket
import ssl
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "support"),
                str(Path(__file__).resolve().parent)]

import soak_jobs  # noqa: E402
import watched  # noqa: E402
import wrap_peers as peers  # noqa: E402
from soak_channel import Channel, TlsCodec  # noqa: E402
from soak_jobs import CHAIN, DIRECT, REMOTE  # noqa: E402
from watched_wrap import Wrap  # noqa: E402

WAIT_S = 60  # for anything that should move, on a machine that is busy
PROGRESS_S = 10
VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
PROBLEMS_SHOWN = 20
# What the process may have grown by between the first and the second half: the allocator keeps
# what the moment of the highest load needed, and that is chance.
GROWTH_KIB = 16 * 1024


def parse():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=200, metavar="N", help="at once")
    parser.add_argument("--seconds", type=float, default=180)
    parser.add_argument("--loop", choices=("io_uring", "epoll"), default="io_uring")
    parser.add_argument("--offload", choices=("auto", "never", "kernel"), default="auto")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--binary", default=watched.BINARY)
    parser.add_argument("--seed", type=int, default=None, help="of all that is random")
    parser.add_argument("--only", type=lambda text: text.split(","), default=(),
                        metavar="KIND,...", help="kinds of connection")
    parser.add_argument("--name", default="soak", help="in front of the lines ok and FAIL")
    arguments = parser.parse_args()
    if arguments.seed is None:
        arguments.seed = random.SystemRandom().randrange(1 << 32)
    return arguments


class Service:
    """Serves jobs by their numbers, in plain or, with certificates, in TLS."""

    def __init__(self, jobs, certificates=None):
        self.jobs = jobs
        self.contexts = [certificates.server_context() for _ in VERSIONS] if certificates else []
        for context, version in zip(self.contexts, VERSIONS):
            context.minimum_version = context.maximum_version = version
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._run, args=(sock,), daemon=True).start()

    def _run(self, sock):
        sock.settimeout(WAIT_S)
        job = None
        with sock:
            try:
                codec = TlsCodec(random.choice(self.contexts)) if self.contexts else None
                channel = Channel(sock, codec)
                channel.handshake()
                line = channel.receive_line()
                job = self.jobs[int(line)]
                job.kind.service(job, channel)
            except Exception as error:  # whatever it is, it is the job's problem
                if job is not None:
                    job.complain("the service", error)
        if job is not None:
            job.service_is_done = True

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def connect(soak, job, rng):
    sock = socket.socket()
    with sock:
        sock.settimeout(WAIT_S)
        if job.name == "slow":
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.connect(soak.wraps[job.route].endpoint)
        job.local = "%s:%d" % sock.getsockname()
        if job.kind.raw:
            job.kind.client(job, sock)
            return
        codec = None
        if job.route == DIRECT:
            codec = TlsCodec(rng.choice(soak.contexts), "localhost")
        channel = Channel(sock, codec)
        channel.handshake(job.pause / 1200 if job.name == "slow-handshake" else 0)
        channel.send(b"%d\n" % job.number)
        job.kind.client(job, channel)
        job.moved = job.size_up + job.size_down


def make_connection(soak, job, rng):
    """Answers when both ends are through."""
    started = time.monotonic()
    try:
        connect(soak, job, rng)
    except Exception as error:  # whatever it is, it is the job's problem
        job.complain("the client", error)
    job.client_is_done = True
    deadline = time.monotonic() + WAIT_S
    while not job.has_both_ends():
        if time.monotonic() > deadline:
            job.complain("the service", TimeoutError("it never came to its end"))
            return
        time.sleep(0.002)
    job.duration = time.monotonic() - started


class Clients:
    """Threads that make one connection after the other until the time is over."""

    def __init__(self, soak, seconds):
        self.soak = soak
        self.until = time.monotonic() + seconds
        self.threads = [threading.Thread(target=self._run, args=(index,), daemon=True)
                        for index in range(soak.arguments.connections)]
        for thread in self.threads:
            thread.start()

    def _run(self, index):
        rng = random.Random(f"{self.soak.arguments.seed} {index} {len(self.soak.jobs)}")
        while time.monotonic() < self.until:
            make_connection(self.soak, self.soak.new_job(rng), rng)

    def join(self):
        deadline = self.until + 4 * WAIT_S
        for thread in self.threads:
            thread.join(max(0.1, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self.threads)


class Soak:
    def __init__(self, arguments, folder):
        self.arguments = arguments
        self.jobs = {}
        self._lock = threading.Lock()
        self.problems = []
        self.started = time.monotonic()
        certificates = peers.Certificates(folder)
        self.contexts = [certificates.client_context(version) for version in VERSIONS]
        self.services = [Service(self.jobs), Service(self.jobs, certificates)]
        plain, secure = (service.address for service in self.services)
        # Nothing that is not meant to stall may run into it, on a machine that is busy.
        self.handshake_timeout = min(20.0, max(10.0, arguments.seconds / 3))
        client = ("--client", "--ca", certificates.ca)
        self.wraps = {DIRECT: self._start(*certificates.server_flags, to=plain)}
        server = self.wraps[DIRECT].addresses[0]
        self.wraps[CHAIN] = self._start(*client, "--name", "localhost", to=server)
        self.wraps[REMOTE] = self._start(*client, to=secure)

    def _start(self, *flags, to):
        seconds = f"{int(self.handshake_timeout * 1000)}ms"
        return Wrap(*flags, "--loop", self.arguments.loop, "--offload", self.arguments.offload,
                    "--handshake-timeout", seconds, to=to, threads=self.arguments.threads,
                    binary=self.arguments.binary)

    def close(self):
        for wrap in self.wraps.values():
            wrap.kill()
        for service in self.services:
            service.close()

    def new_job(self, rng):
        with self._lock:
            job = soak_jobs.draw(len(self.jobs), rng, self.arguments.only)
            self.jobs[job.number] = job
        return job

    def complain(self, what):
        self.problems.append(what)

    def made(self, *routes):
        return [job for job in list(self.jobs.values()) if job.route in routes]

    def expected_connections(self, route):
        """Whatever comes through the chain arrives at the server role, too."""
        return len(self.made(DIRECT, CHAIN) if route == DIRECT else self.made(route))

    # Phases

    def load(self, seconds):
        clients = Clients(self, seconds)
        next_line = time.monotonic() + PROGRESS_S
        while time.monotonic() < clients.until:
            time.sleep(0.2)
            if time.monotonic() > next_line:
                next_line += PROGRESS_S
                self.tell()
            for route, wrap in self.wraps.items():
                if wrap.process.poll() is not None:
                    self.complain(f"the wrap of {route} ended: {wrap.process.returncode}")
                    return
        if not clients.join():
            self.complain("clients are stuck")
        self.tell()

    def tell(self):
        jobs = list(self.jobs.values())
        moved = sum(job.moved for job in jobs) / soak_jobs.MIB
        done = sum(job.has_both_ends() for job in jobs)
        memory = "/".join(str(wrap.resident_kib() // 1024) for wrap in self.wraps.values())
        print(f"{time.monotonic() - self.started:4.0f} s: {done} connections done, "
              f"{len(jobs) - done} open, {moved:.0f} MiB, {self.count_problems()} problems, "
              f"RSS {memory} MiB", flush=True)

    def count_problems(self):
        return len(self.problems) + sum(len(job.problems) for job in list(self.jobs.values()))

    def settle(self):
        """Waits until each connection has its line; then measures what is left."""
        deadline = time.monotonic() + WAIT_S
        for route, wrap in self.wraps.items():
            expected = self.expected_connections(route)
            while len(wrap.connections()) < expected and time.monotonic() < deadline:
                time.sleep(0.1)
        time.sleep(1)
        return {route: (wrap.descriptors(), wrap.resident_kib())
                for route, wrap in self.wraps.items()}

    def drain(self):
        """SIGTERM while data moves: it still arrives."""
        threads = []
        for route in self.wraps:
            with self._lock:
                job = soak_jobs.large(len(self.jobs), route)
                self.jobs[job.number] = job
            threads.append(threading.Thread(target=make_connection, daemon=True,
                                            args=(self, job, random.Random(1))))
            threads[-1].start()
        deadline = time.monotonic() + WAIT_S
        while (any(job.local is None for job in list(self.jobs.values()))
               and time.monotonic() < deadline):
            time.sleep(0.01)
        time.sleep(0.3)
        for route in (CHAIN, REMOTE, DIRECT):  # whoever connects to another goes first
            self.wraps[route].send_signal(signal.SIGTERM)
        statuses = {route: wrap.wait(WAIT_S) for route, wrap in self.wraps.items()}
        for thread in threads:
            thread.join(WAIT_S)
        return statuses


# What is found in the end: each yields problems in words.

def lost_data(soak):
    for job in soak.jobs.values():
        yield from job.problems
        if not job.has_both_ends():
            yield f"{job.name}/{job.route} #{job.number} did not come to its end"


def wrong_ends(soak):
    for route, wrap in soak.wraps.items():
        lines = collections.defaultdict(list)
        for line in wrap.connections():
            lines[line["peer"]].append(line)
        for job in soak.made(route):
            if not lines[job.local]:
                yield f"{job.name}/{job.route} #{job.number} has no line in the log"
                continue
            # A port can come more than once, also from the client role in front.
            line = soak_jobs.line_of(job, lines[job.local])
            lines[job.local].remove(line)
            problem = soak_jobs.check_end(job, line)
            if problem:
                yield problem
        left = [line for each in lines.values() for line in each]
        if route == DIRECT:
            # Nothing says whose they are; so many have to be clean, the others must not be.
            expected = sum("clean" in job.kind.ended for job in soak.made(CHAIN))
            found = collections.Counter(line["ended"] for line in left)
            if (len(left), found["clean"]) != (len(soak.made(CHAIN)), expected):
                yield f"behind the chain {dict(found)} instead of {expected} clean"
        elif left:
            yield f"{len(left)} lines of connections that nobody made: {left[:3]}"


def foreign_lines(soak):
    """A sanitizer's report, a failed assertion, errors of the loop."""
    for route, wrap in soak.wraps.items():
        foreign = [line for line in wrap.lines if not line.startswith("{")]
        if foreign:
            path = Path(tempfile.gettempdir()) / f"soak-{os.getpid()}-{route}.txt"
            path.write_text("\n".join(foreign), encoding="utf-8")
            yield f"{route} wrote, in {path}: " + " | ".join(foreign[:4])
        for record in wrap.records():
            if record["level"] in ("warning", "error"):
                yield f"{route} logged {record}"


def leaks(before, between, after, with_memory):
    for route, (descriptors, memory) in after.items():
        if descriptors != before[route][0]:
            yield f"{route}: {descriptors} descriptors at the end, {before[route][0]} at the start"
        if with_memory and memory > between[route][1] + GROWTH_KIB:
            yield f"{route}: {memory} KiB at the end, {between[route][1]} KiB in the middle"


def is_sanitized(wrap):
    return "libasan" in Path(f"/proc/{wrap.pid}/maps").read_text(encoding="utf-8")


def report(name, problems):
    problems = list(problems)
    for problem in problems[:PROBLEMS_SHOWN]:
        print(f"  {problem}")
    if len(problems) > PROBLEMS_SHOWN:
        print(f"  and {len(problems) - PROBLEMS_SHOWN} more")
    print(f"{'FAIL' if problems else 'ok'} {name}", flush=True)
    return not problems


def summarize(soak):
    counts = collections.Counter((job.name, job.route) for job in soak.jobs.values())
    for name in soak_jobs.KINDS:
        routes = ", ".join(f"{route} {counts[name, route]}" for route in soak.wraps
                           if counts[name, route])
        slowest = max((job.duration for job in soak.jobs.values() if job.name == name), default=0)
        print(f"  {name}: {routes or 'none'}; the slowest took {slowest:.1f} s")


def run(arguments, folder):
    soak = Soak(arguments, folder)
    try:
        sanitized = is_sanitized(soak.wraps[DIRECT])
        print(f"{arguments.connections} connections, {arguments.seconds:.0f} s, "
              f"--loop {arguments.loop}, seed {arguments.seed}"
              f"{', with sanitizers' if sanitized else ''}", flush=True)
        before = soak.settle()
        soak.load(arguments.seconds / 2)
        between = soak.settle()
        soak.load(arguments.seconds / 2)
        after = soak.settle()
        statuses = soak.drain()
        summarize(soak)
    finally:
        soak.close()
    name = f"{arguments.name} {arguments.loop}"
    return all([
        report(f"{name} loses nothing", [*soak.problems, *lost_data(soak)]),
        report(f"{name} tells each end as it was", wrong_ends(soak)),
        report(f"{name} leaks nothing", leaks(before, between, after, not sanitized)),
        report(f"{name} says nothing but its log", foreign_lines(soak)),
        report(f"{name} drains and exits with 0",
               [f"{route}: {status}" for route, status in statuses.items() if status != 0])])


def main():
    arguments = parse()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    folder = tempfile.mkdtemp()
    try:
        sys.exit(0 if run(arguments, folder) else 1)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
