#!/usr/bin/env python3
"""Concurrent connections of mixed load through `wrap`, in both roles: small and large exchanges,
resumed sessions, client certificates, balancers' headers, half-closes, stalls, resets, truncations,
garbage, while files are read again and metrics are asked for. Nothing may be lost, and nothing may
leak.

    plain client -> wrap --client -> wrap -> service         (route "chain")
      TLS client ------------------> wrap -> service         (route "direct")
      TLS client -> wrap --accept-proxy ---> service         (route "proxied")
    plain client -> wrap --client ---------> TLS service     (route "remote")

examples:
  tests/soak/soak.py --loop epoll --seconds 20 --connections 100
  tests/soak/soak.py --loop epoll --seconds 600 --connections 1000
  tests/soak/soak.py --loop io_uring --binary build-address/tools/ktls-bridge/ktls-bridge
  tests/soak/soak.py --seed 7 --only client-stalls,large
"""

import argparse
import collections
import itertools
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

import soak_checks  # noqa: E402
import soak_jobs  # noqa: E402
import watched  # noqa: E402
from exposition import scrape  # noqa: E402
from soak_channel import Channel, TlsCodec, send_slowly  # noqa: E402
from soak_disturbances import Reloads, Scrapes  # noqa: E402
from soak_jobs import CHAIN, DIRECT, PROXIED, REMOTE, TLS_ROUTES  # noqa: E402
from soak_site import Site  # noqa: E402

WAIT_S = 60  # for anything that should move, on a machine that is busy
PROGRESS_S = 10
SETTLE_S = 20  # for what counts to come after what is told
FAILED_S = 5  # for the other end of what has failed
PROBLEMS_SHOWN = 20
WARM_UP_S = 120  # at most, and half of the time


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


def connect(soak, job, rng):
    sock = socket.socket()
    with sock:
        sock.settimeout(soak.patience)
        if job.name == "slow":
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.connect(soak.site.wraps[job.route].endpoint)
        job.local = soak_jobs.as_text(sock.getsockname())
        if job.route == PROXIED and job.kind.ended:
            send_header(job, sock)
        if job.kind.raw:
            job.kind.client(job, sock)
        elif job.route in TLS_ROUTES:
            speak_tls(soak, job, rng, sock)
        else:
            speak(job, Channel(sock))


def send_header(job, sock):
    job.local = soak_jobs.as_text(job.source)
    send_slowly(sock, job.header(), 0, job.slow_s / 2)


def speak(job, channel):
    if job.kind.service is not None:
        channel.handshake(job.pause / 1200 if job.slow_s else 0, job.slow_s)
        channel.send(b"%d\n" % job.number)
    job.kind.client(job, channel)
    job.moved = job.size_up + job.size_down


def speak_tls(soak, job, rng, sock):
    files, sessions = soak.site.files, soak.site.sessions
    context = soak.site.context(job, rng)
    session, begun = sessions.take(context) if job.resumes else (None, 0)
    generation = files.ticket_generation
    codec = TlsCodec(context, "localhost", session)
    speak(job, Channel(sock, codec))
    if job.kind.is_honest:
        sessions.keep(context, codec.tls.session, generation)
        job.has_to_resume = session is not None and files.still_resumes(begun)


def make_connection(soak, job, rng):
    """Answers when both ends are through."""
    started = time.monotonic()
    try:
        connect(soak, job, rng)
    except Exception as error:  # whatever it is, it is the job's problem
        job.complain("the client", error)
    job.client_is_done.set()
    patience = FAILED_S if job.problems else soak.patience
    if job.kind.service is not None and not job.service_is_done.wait(patience):
        job.complain("the service", TimeoutError("it never came to its end"))
        return
    job.duration = time.monotonic() - started
    job.finish()


class Clients:
    """Threads that make one connection after the other until the time is over."""

    def __init__(self, soak, seconds):
        self.soak = soak
        self.threads = [threading.Thread(target=self._run, args=(index,), daemon=True)
                        for index in range(soak.arguments.connections)]
        # Once those that run compete with whoever starts the others, that takes a minute.
        self._all_there = threading.Event()
        for thread in self.threads:
            thread.start()
        self.until = time.monotonic() + seconds
        self._all_there.set()

    def _run(self, index):
        rng = random.Random(f"{self.soak.arguments.seed} {index} {len(self.soak.jobs)}")
        self._all_there.wait()
        while (now := time.monotonic()) < self.until:
            # So that the last to come are not long in leaving.
            late = now > self.until - self.soak.handshake_timeout / 2
            job = self.soak.new_job(rng, soak_jobs.WAITING if late else ())
            job.until = self.until
            if job.name == "slow-handshake":
                job.slow_s = self.soak.handshake_timeout / 4
            make_connection(self.soak, job, rng)

    def join(self):
        deadline = self.until + 4 * self.soak.patience
        for thread in self.threads:
            thread.join(max(0.1, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self.threads)


class Soak:
    def __init__(self, arguments, folder):
        self.arguments = arguments
        self.jobs = {}
        self._numbers = itertools.count()
        self.problems = []
        self.reloads = collections.Counter()
        self.scrapes = self.at_once = 0
        self.descriptors = {}  # at the start
        self.started = time.monotonic()
        # Nothing that is not meant to stall may run into these, on a machine that is busy: each
        # connection has less of it the more there are.
        self.patience = max(WAIT_S, arguments.connections / 5)
        self.handshake_timeout = min(max(20, arguments.connections / 10),
                                     max(10.0, arguments.seconds / 3))
        self.site = Site(arguments, folder, self.jobs, self.patience, self.handshake_timeout)
        self.wraps = self.site.wraps

    def close(self):
        self.site.close()

    def new_job(self, rng, but=()):
        """Without a lock: a thousand threads would queue for it instead of being connected."""
        job = soak_jobs.draw(next(self._numbers), rng, self.arguments.only, but)
        self.jobs[job.number] = job
        return job

    def complain(self, what):
        self.problems.append(what)

    def made(self, *routes):
        return [job for job in list(self.jobs.values()) if job.route in routes]

    def expected_lines(self, route):
        """Whatever comes through the chain arrives at the server role, too."""
        return len(self.made(DIRECT, CHAIN) if route == DIRECT else self.made(route))

    # Phases

    def load(self, seconds):
        disturbances = [Reloads(self, self.reloads), Scrapes(self)]
        self._load(seconds)
        for each in disturbances:
            each.stop()
        self.scrapes += disturbances[1].count
        self.at_once = max(self.at_once, disturbances[1].at_once)

    def _load(self, seconds):
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
        deadline = time.monotonic() + self.patience
        for route, wrap in self.wraps.items():
            expected = self.expected_lines(route)
            while (len(wrap.connections()) + len(wrap.records("refused")) < expected
                   and time.monotonic() < deadline):
                time.sleep(0.1)
        time.sleep(1)
        for route, wrap in self.wraps.items():
            first = self.descriptors.setdefault(route, wrap.descriptors())
            while wrap.descriptors() != first and time.monotonic() < deadline:
                time.sleep(0.1)
        return {route: (wrap.descriptors(), wrap.resident_kib())
                for route, wrap in self.wraps.items()}

    def miscounts(self):
        """What the pages of metrics still say wrong after a while: a line may come before what
        counts it."""
        deadline = time.monotonic() + SETTLE_S
        while True:
            pages = {route: scrape(wrap.records("metrics")[0]["address"], self.patience)
                     for route, wrap in self.wraps.items()}
            problems = list(soak_checks.miscounts(self, pages))
            if not problems or time.monotonic() > deadline:
                return problems
            time.sleep(1)

    def drain(self):
        """SIGTERM while data moves: it still arrives."""
        threads = []
        for route in self.wraps:
            job = soak_jobs.large(next(self._numbers), route)
            self.jobs[job.number] = job
            threads.append(threading.Thread(target=make_connection, daemon=True,
                                            args=(self, job, random.Random(1))))
            threads[-1].start()
        deadline = time.monotonic() + self.patience
        while (any(job.local is None for job in list(self.jobs.values()))
               and time.monotonic() < deadline):
            time.sleep(0.01)
        time.sleep(0.3)
        for route in (CHAIN, REMOTE, PROXIED, DIRECT):  # whoever connects to another goes first
            self.wraps[route].send_signal(signal.SIGTERM)
        statuses = {route: wrap.wait(self.patience) for route, wrap in self.wraps.items()}
        for thread in threads:
            thread.join(self.patience)
        return statuses


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


def summarize(soak, rests):
    counts = collections.Counter((job.name, job.route) for job in soak.jobs.values())
    for name in soak_jobs.KINDS:
        routes = ", ".join(f"{route} {counts[name, route]}" for route in soak.wraps
                           if counts[name, route])
        slowest = max((job.duration for job in soak.jobs.values() if job.name == name), default=0)
        print(f"  {name}: {routes or 'none'}; the slowest took {slowest:.1f} s")
    resumed = sum(job.has_to_resume for job in soak.jobs.values())
    print(f"  {resumed} sessions that had to be resumed, {soak.reloads['ok']} reloads and "
          f"{soak.reloads['failed']} of broken files, {soak.scrapes} pages of metrics, "
          f"{soak.at_once} connections at once")
    for route in soak.wraps:
        states = ", ".join(f"{rest[route][1]} KiB and {rest[route][0]} descriptors"
                           for rest in rests)
        print(f"  {route} at the start, after the warm-up and at the end: {states}")


def run(arguments, folder):
    soak = Soak(arguments, folder)
    try:
        sanitized = is_sanitized(soak.wraps[DIRECT])
        print(f"{arguments.connections} connections, {arguments.seconds:.0f} s, "
              f"--loop {arguments.loop}, seed {arguments.seed}"
              f"{', with sanitizers' if sanitized else ''}", flush=True)
        before = soak.settle()
        warm_up = min(WARM_UP_S, arguments.seconds / 2)
        soak.load(warm_up)
        between = soak.settle()
        soak.load(arguments.seconds - warm_up)
        after = soak.settle()
        counted = soak.miscounts()
        statuses = soak.drain()
        summarize(soak, (before, between, after))
    finally:
        soak.close()
    name = f"{arguments.name} {arguments.loop}"
    return all([
        report(f"{name} loses nothing", [*soak.problems, *soak_checks.lost_data(soak)]),
        report(f"{name} tells each end as it was", soak_checks.wrong_ends(soak)),
        report(f"{name} counts what it tells", counted),
        report(f"{name} leaks nothing", soak_checks.leaks(before, between, after, sanitized)),
        report(f"{name} says nothing but its log", soak_checks.foreign_lines(soak)),
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
