#!/usr/bin/env python3
"""wrap against TLS stacks that are no OpenSSL program: Go, Java's JSSE, Node, Python's ssl, Bun
(BoringSSL) and Deno (rustls); by tools of others (stack_tools.py) GnuTLS, NSS and curl, nginx, and
lighttpd with five libraries.

Of the first six each is a small program in tests/interop/stacks, called with
    ROLE PORT VERSION SUITE-BY-IANA SUITE-BY-OPENSSL CA CERTIFICATE KEY COUNT
As a `client` (PORT is wrap's) it makes COUNT connections one after the other, each after the first
with the session of the one before; it sends 64 KiB on each, has them echoed, and ends in order. As
a `server` it prints its port, and echoes on COUNT connections; an `asking-server` lets in nobody
without a certificate. Of each connection it prints
    VERSION SUITE full|resumed [shown]
where an asking server says `shown` of a client that has shown one.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support")]

import npm_programs  # noqa: E402
import stack_tools  # noqa: E402
import stacks_table  # noqa: E402
import wrap_peers  # noqa: E402
from cells import SUITES  # noqa: E402
from certificates import Authority  # noqa: E402
from drained_wrap import DrainedWrap, WrapFailed  # noqa: E402
from stacks_list import FEW, MORE_SUITES, STACKS, Stack  # noqa: E402
from watched import BUILD  # noqa: E402

PROGRAMS = HERE / "stacks"
SIZE = 65536
BUILD_S = 300
PEER_S = 120
CONNECTIONS = 2
IANA = {suite.openssl: suite.name for suite in (*SUITES, *MORE_SUITES)}
SUBJECT = "CN=localhost"  # of the certificate that clients show


@dataclass(frozen=True)
class Cell:
    stack: Stack
    role: str  # wrap's
    suite: object
    with_certificate: bool = False  # that the client shows, because it is asked for one

    def __str__(self):
        shown = " with a certificate" if self.with_certificate else ""
        return f"{self.stack.name} {self.role} role {self.suite.version} {self.suite.name}{shown}"

    @property
    def narrowing(self):
        """Flags of wrap, where the peer does not choose."""
        if self.suite.version in self.stack.chooses and self.suite not in MORE_SUITES:
            return ()
        version = self.suite.version.removeprefix("TLSv")
        kind = "--ciphers" if version == "1.2" else "--ciphersuites"
        return ("--min-version", version, "--max-version", version, kind, self.suite.openssl)


class Failed(Exception):
    """A peer that did something else; the text has its own words."""


FAILURES = (Failed, stack_tools.Failed, WrapFailed, AssertionError, OSError,
            subprocess.TimeoutExpired)


class Programs:
    """The words before the arguments of each stack's program, built when it is first asked for."""

    def __init__(self, folder):
        self._folder = folder
        self._words = {}

    def of(self, stack):
        if stack.name not in self._words:
            self._words[stack.name] = getattr(self, f"_{stack.name}")()
        return self._words[stack.name]

    def _python(self):
        return [sys.executable, "-B", PROGRAMS / "peer.py"]

    def _node(self):
        return ["node", PROGRAMS / "peer.mjs"]

    def _bun(self):
        return npm_programs.words("bun", PROGRAMS / "peer.mjs")

    def _deno(self):
        return npm_programs.words("deno", "run", "--allow-all", "--no-config",
                                  PROGRAMS / "peer.mjs")

    def _go(self):
        program = self._folder / "peer"
        self._build("go", "build", "-o", program, PROGRAMS / "peer.go")
        return [program]

    def _java(self):
        self._build("javac", "-d", self._folder, PROGRAMS / "Peer.java")
        return ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", self._folder, "Peer"]

    def _build(self, *command):
        environment = {**os.environ, "GOCACHE": str(BUILD / "go-cache"), "GOFLAGS": "-mod=mod"}
        done = subprocess.run(command, cwd=self._folder, env=environment, timeout=BUILD_S,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              check=False)
        if done.returncode:
            raise Failed(f"{command[0]} {command[1]}: {done.stderr}")


class Stacks:
    """One run: certificates, services, and a wrap for each kind of key and of clients."""

    def __init__(self, folder, stack, loop):
        self.authority = Authority(folder)
        for certificate in self.authority.leaf.values():
            to_pkcs12(certificate)
        stack_tools.make_dh_parameters(self.authority)
        self.programs = Programs(folder)
        self._stack = stack
        self._backends = {}
        self._wraps = {}
        # A machine that is busy may take longer than peers that are remote.
        self._flags = ("--loop", loop, "--handshake-timeout", f"{PEER_S}s")
        self.failed = 0
        self.rows = []

    def backend_for(self, tool):
        """The address of the plaintext service behind wrap."""
        if hasattr(tool, "backend"):
            if tool not in self._backends:
                self._backends[tool] = self._stack.enter_context(tool.backend())
            return self._backends[tool]
        serve = stack_tools.answer_with_page if tool else wrap_peers.echo
        if serve not in self._backends:
            backend = wrap_peers.Backend(serve)
            self._stack.callback(backend.close)
            self._backends[serve] = backend.address
        return self._backends[serve]

    def server_wrap(self, cell, tool=None):
        """In the server role; one for all cells that are served alike."""
        own = self.authority.leaf[cell.suite.certificate]
        asks = ("--client-ca", self.authority.file) if cell.with_certificate else ()
        flags = ("--cert", own.certificate, "--key", own.key, *asks, *cell.narrowing)
        to = self.backend_for(tool)
        if (flags, to) not in self._wraps:
            self._wraps[flags, to] = self._stack.enter_context(
                DrainedWrap(*self._flags, *flags, to=to))
        return self._wraps[flags, to]

    def leave(self, wrap):
        """After a failure its next lines may be those of the cell that failed."""
        self._wraps = {key: each for key, each in self._wraps.items() if each is not wrap}

    def client_wrap(self, cell, port, shows=True):
        own = self.authority.leaf["ec"]
        shown = (("--cert", own.certificate, "--key", own.key)
                 if shows and cell.with_certificate else ())
        return DrainedWrap(*self._flags, "--client", "--name", "localhost", "--ca",
                           self.authority.file, *shown, *cell.narrowing, to=f"127.0.0.1:{port}")

    def run(self, cell):
        try:
            problems = self.attempt(cell)
        except FAILURES as error:
            problems = [f"{type(error).__name__}: {error}"]
        for problem in problems:
            print(f"{cell}: {problem}")
        self.failed += bool(problems)
        self.rows.append(stacks_table.Row(cell.stack.name, cell.role, cell.suite,
                                          cell.with_certificate, not problems))
        print(f"{'FAIL' if problems else 'ok'} {cell}", flush=True)

    def attempt(self, cell):
        """What is wrong with two connections, the second resumed."""
        tool = stack_tools.TOOLS.get(cell.stack.name)
        if cell.role == "server" and hasattr(tool, "connect"):
            return line_problems(cell, self.tool_as_client(cell, tool))
        if cell.role == "client" and hasattr(tool, "serve"):
            return line_problems(cell, self.tool_as_server(cell, tool))
        lines, said = (self.as_server if cell.role == "server" else self.as_client)(cell)
        return line_problems(cell, lines, SIZE) + peer_problems(cell, lines, said)

    def tool_as_client(self, cell, tool):
        wrap = self.server_wrap(cell, tool)
        # Of the suite's kind: some tell of curves with ECDHE alone, and show ECDSA all the same.
        shown = cell.suite.certificate if cell.with_certificate else None
        try:
            tool.connect(self.authority, cell.suite, wrap.port, shown)
        except BaseException:
            self.leave(wrap)
            raise
        return self.lines_of(wrap)

    def tool_as_server(self, cell, tool):
        with tool.serve(self.authority, cell.suite, cell.with_certificate) as port:
            with self.client_wrap(cell, port) as wrap:
                for _ in range(CONNECTIONS):
                    stack_tools.ask_for_page(wrap.endpoint)
                lines = self.lines_of(wrap)
            if cell.with_certificate:
                with self.client_wrap(cell, port, shows=False) as stranger:
                    stack_tools.be_refused(stranger.endpoint)
        return lines

    @staticmethod
    def lines_of(wrap):
        """The connections may end in either order."""
        return sorted(wrap.next_connections(CONNECTIONS, PEER_S),
                      key=lambda line: line.get("resumed") or False)

    def command(self, cell, role, port, certificate):
        shown = (certificate.certificate, certificate.key) if certificate else ("-", "-")
        words = [*self.programs.of(cell.stack), role, port, cell.suite.version, cell.suite.name,
                 cell.suite.openssl, self.authority.file, *shown, CONNECTIONS]
        return [str(word) for word in words]

    def as_server(self, cell):
        wrap = self.server_wrap(cell)
        shown = self.authority.leaf[cell.suite.certificate] if cell.with_certificate else None
        done = subprocess.run(self.command(cell, "client", wrap.port, shown), timeout=PEER_S,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              check=False)
        if done.returncode:
            self.leave(wrap)
            raise Failed(f"it ended with {done.returncode}: {done.stderr}")
        return self.lines_of(wrap), done.stdout

    def as_client(self, cell):
        certificate = self.authority.leaf[cell.suite.certificate]
        role = "asking-server" if cell.with_certificate else "server"
        with subprocess.Popen(self.command(cell, role, "0", certificate),
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True) as peer:
            try:
                port = peer.stdout.readline().strip()
                if not port:
                    raise Failed(f"it does not listen: {peer.communicate()[1]}")
                with self.client_wrap(cell, port) as wrap:
                    for _ in range(CONNECTIONS):
                        converse(wrap.endpoint)
                    lines = self.lines_of(wrap)
                said, errors = peer.communicate(timeout=PEER_S)
            finally:
                peer.kill()
        if peer.returncode:
            raise Failed(f"it ended with {peer.returncode}: {errors}")
        return lines, said


def to_pkcs12(certificate):
    subprocess.run(["openssl", "pkcs12", "-export", "-in", certificate.certificate, "-inkey",
                    certificate.key, "-name", certificate.certificate.stem, "-passout",
                    f"pass:{stack_tools.PASSPHRASE}", "-out", f"{certificate.certificate}.p12"],
                   check=True, capture_output=True)


def converse(endpoint):
    """A plaintext client of wrap's client role."""
    data = os.urandom(SIZE)
    with wrap_peers.tcp(endpoint) as plain:
        plain.sendall(data)
        got = b""
        while len(got) < SIZE:
            piece = plain.recv(SIZE)
            if not piece:
                raise Failed("the plaintext client saw an early end")
            got += piece
        if got != data:
            raise Failed("the plaintext client got other bytes back")


def line_problems(cell, lines, size=None):
    """What wrap's lines say that they should not. `size`: of what went either way."""
    problems = []
    for number, line in enumerate(lines):
        wanted = {"version": cell.suite.version, "suite": cell.suite.name, "resumed": number != 0}
        if cell.role == "server":
            wanted["client"] = SUBJECT if cell.with_certificate else None
        if size is not None:
            wanted |= {"sent": size, "received": size}
        problems += [f"connection {number}: {key} is {line.get(key)}, not {value}"
                     for key, value in wanted.items() if line.get(key) != value]
        ends = cell.stack.ends if cell.role == "server" else ("clean",)
        if line.get("ended") not in ends:
            problems.append(f"connection {number}: not ended as it should: {line}")
    return problems


def peer_problems(cell, lines, said):
    shown = ("shown",) if cell.role == "client" and cell.with_certificate else ()
    seen = [(line.get("version"), line.get("suite"),
             "resumed" if line.get("resumed") else "full", *shown) for line in lines]
    told = [tuple(words.split()) for words in said.splitlines()]
    told = [(version, IANA.get(suite, suite), *rest) for version, suite, *rest in told]
    return [] if told == seen else [f"the peer says {told}, wrap {seen}"]


def cells_of(stack, is_full):
    """Where not everything is tried, clients show a certificate to wrap with the first suite, and
    wrap shows one with the second."""
    for suite in stack.suites(is_full):
        if "server" in stack.roles:
            yield Cell(stack, "server", suite)
            if is_full or suite.name == FEW[0]:
                yield Cell(stack, "server", suite, with_certificate=True)
        if "client" in stack.roles:
            shows = stack.asks and suite.name == FEW[1]
            if is_full or not shows:
                yield Cell(stack, "client", suite)
            if stack.asks and (is_full or shows):
                yield Cell(stack, "client", suite, with_certificate=True)


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true",
                        help="every stack and suite, with and without a client's certificate")
    parser.add_argument("--loop", choices=("auto", "io_uring", "epoll"), default="auto",
                        help="wrap's event loop (default %(default)s)")
    parser.add_argument("--stack", choices=[stack.name for stack in STACKS], action="append",
                        help="only this one; may be repeated")
    parser.add_argument("--features", action="store_true",
                        help="instead: what a peer may do besides sending (features_test.py)")
    return parser.parse_args()


def main():
    options = parse()
    if options.features:
        return subprocess.run([sys.executable, "-B", HERE / "features_test.py", options.loop],
                              check=False).returncode
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ktls-stacks-")))
        stacks = Stacks(folder, stack, options.loop)
        for each in STACKS:
            cells = list(cells_of(each, options.full))
            if not cells or options.stack and each.name not in options.stack:
                continue
            if why := each.absence():
                print(f"skip {each.name}: {why}", flush=True)
                continue
            for cell in cells:
                stacks.run(cell)
    stacks_table.show(stacks.rows, {stack.name: stack.why for stack in STACKS}, options.loop)
    return 1 if stacks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
