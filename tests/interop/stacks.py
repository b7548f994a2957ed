#!/usr/bin/env python3
"""wrap against TLS stacks that are no OpenSSL program: Go, Java's JSSE, Node, Python's ssl; GnuTLS
and NSS by their own tools, and nginx as a server (stack_tools.py).

Of the first four each is a small program in tests/interop/stacks, called with
    ROLE PORT VERSION SUITE-BY-IANA SUITE-BY-OPENSSL CA CERTIFICATE KEY COUNT
As a client (PORT is wrap's) it makes COUNT connections one after the other, each after the first
with the session of the one before; it sends 64 KiB on each, has them echoed, and ends in order. As
a server it prints its port, and echoes on COUNT connections. Of each connection it prints
    VERSION SUITE full|resumed
"""

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support")]

import stack_tools  # noqa: E402
import wrap_peers  # noqa: E402
from cells import SUITES  # noqa: E402
from certificates import Authority  # noqa: E402
from drained_wrap import DrainedWrap, WrapFailed  # noqa: E402
from watched import BUILD  # noqa: E402

PROGRAMS = HERE / "stacks"
SIZE = 65536
BUILD_S = 300
PEER_S = 120
CONNECTIONS = 2
IANA = {suite.openssl: suite.name for suite in SUITES}
# The suites that say enough of a stack where not every one is tried: each version and kind of key.
FEW = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
       "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256")


@dataclass(frozen=True)
class Stack:
    """lacks: parts of the names of suites it does not have; chooses: whether it can be told which
    suite of TLS 1.3 to take; ends: how wrap may see its clients end."""

    name: str
    needs: tuple
    lacks: tuple = ()
    chooses: bool = True
    ends: tuple = ("clean",)

    def suites(self, of):
        return [suite for suite in of if not any(part in suite.name for part in self.lacks)
                and (self.chooses or suite.version == "TLSv1.2" or suite is SUITES[0])]


STACKS = (Stack("python", (), chooses=False), Stack("go", ("go",), ("CCM",), chooses=False),
          Stack("java", ("java", "javac"), ("CCM",)), Stack("node", ("node",)),
          # gnutls-cli closes without close_notify, and without reading all tickets.
          Stack("gnutls", ("gnutls-cli", "gnutls-serv"), ends=("clean", "truncated", "reset")),
          Stack("nss", ("strsclnt", "selfserv", "certutil", "pk12util"), ("CCM",)),
          Stack("nginx", ("nginx",)))


@dataclass(frozen=True)
class Cell:
    stack: Stack
    role: str  # wrap's
    suite: object
    with_certificate: bool = False  # the peer's, where it is the client

    def __str__(self):
        shown = " with a certificate" if self.with_certificate else ""
        return f"{self.stack.name} {self.role} role {self.suite.version} {self.suite.name}{shown}"


TOOLS = {stack: stack_tools.TOOLS[stack.name] for stack in STACKS
         if stack.name in stack_tools.TOOLS}


class Failed(Exception):
    """A peer that did something else; the text has its own words."""


FAILURES = (Failed, stack_tools.Failed, WrapFailed, OSError, subprocess.TimeoutExpired)


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
    """One run: certificates, a service, and a wrap for each kind of key and of clients."""

    def __init__(self, folder, stack):
        self.folder = folder
        self.authority = Authority(folder)
        for certificate in self.authority.leaf.values():
            to_pkcs12(certificate)
        self.programs = Programs(folder)
        self.backend = wrap_peers.Backend(wrap_peers.echo)
        self.page = wrap_peers.Backend(stack_tools.answer_with_page)
        for backend in (self.backend, self.page):
            stack.callback(backend.close)
        self._stack = stack
        self._wraps = {}
        self.failed = 0
        self.rows = []

    def wrap_for(self, kind, with_certificate, to):
        """In the server role."""
        if (kind, with_certificate, to) not in self._wraps:
            own = self.authority.leaf[kind]
            asks = ("--client-ca", self.authority.file) if with_certificate else ()
            self._wraps[kind, with_certificate, to] = self._stack.enter_context(
                DrainedWrap("--cert", own.certificate, "--key", own.key, *asks, to=to))
        return self._wraps[kind, with_certificate, to]

    def run(self, cell):
        try:
            lines, problems = self.attempt(cell)
        except FAILURES as error:
            problems = [f"{type(error).__name__}: {error}"]
        for problem in problems:
            print(f"{cell}: {problem}")
        self.failed += bool(problems)
        if not problems:
            self.rows.append((cell, lines))
        print(f"{'FAIL' if problems else 'ok'} {cell}", flush=True)

    def attempt(self, cell):
        """(the lines of wrap, the full connection first; what is wrong with them)"""
        if cell.stack in TOOLS:
            lines = (self.tool_as_client if cell.role == "server" else self.tool_as_server)(cell)
            return lines, line_problems(cell, lines)
        lines, said = (self.as_server if cell.role == "server" else self.as_client)(cell)
        return lines, line_problems(cell, lines, SIZE) + peer_problems(lines, said)

    def tool_as_client(self, cell):
        wrap = self.wrap_for(cell.suite.certificate, cell.with_certificate, self.page.address)
        shown = "ec" if cell.with_certificate else None
        try:
            TOOLS[cell.stack].connect(self.authority, cell.suite, wrap.port, shown)
        except BaseException:
            wrap.skip_connections()
            raise
        return self.lines_of(wrap)

    def tool_as_server(self, cell):
        with TOOLS[cell.stack].serve(self.authority, cell.suite) as port:
            with self.client_wrap(port) as wrap:
                for _ in range(CONNECTIONS):
                    stack_tools.ask_for_page(wrap.endpoint)
                return self.lines_of(wrap)

    def client_wrap(self, port):
        return DrainedWrap("--client", "--name", "localhost", "--ca", self.authority.file,
                           to=f"127.0.0.1:{port}")

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
        wrap = self.wrap_for(cell.suite.certificate, cell.with_certificate, self.backend.address)
        shown = self.authority.leaf["ec"] if cell.with_certificate else None
        done = subprocess.run(self.command(cell, "client", wrap.port, shown), timeout=PEER_S,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              check=False)
        if done.returncode:
            wrap.skip_connections()
            raise Failed(f"it ended with {done.returncode}: {done.stderr}")
        return self.lines_of(wrap), done.stdout

    def as_client(self, cell):
        certificate = self.authority.leaf[cell.suite.certificate]
        with subprocess.Popen(self.command(cell, "server", "0", certificate),
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True) as peer:
            try:
                port = peer.stdout.readline().strip()
                if not port:
                    raise Failed(f"it does not listen: {peer.communicate()[1]}")
                with self.client_wrap(port) as wrap:
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
        wanted = {"version": cell.suite.version, "resumed": number != 0}
        if cell.stack.chooses or cell.suite.version == "TLSv1.2":
            wanted["suite"] = cell.suite.name
        if size is not None:
            wanted |= {"sent": size, "received": size}
        problems += [f"connection {number}: {key} is {line.get(key)}, not {value}"
                     for key, value in wanted.items() if line.get(key) != value]
        ends = cell.stack.ends if cell.role == "server" else ("clean",)
        if line.get("ended") not in ends:
            problems.append(f"connection {number}: ended is {line.get('ended')}")
    return problems


def peer_problems(lines, said):
    seen = [(line.get("version"), line.get("suite"),
             "resumed" if line.get("resumed") else "full") for line in lines]
    told = [tuple(words.split()) for words in said.splitlines()]
    told = [(version, IANA.get(suite, suite), *rest) for version, suite, *rest in told]
    return [] if told == seen else [f"the peer says {told}, wrap {seen}"]


def cells(is_full):
    for stack in STACKS:
        few = [suite for suite in SUITES if is_full or suite.name in FEW]
        for suite in stack.suites(few):
            if stack.name != "nginx":
                yield Cell(stack, "server", suite)
                if is_full or suite.name == FEW[0]:
                    yield Cell(stack, "server", suite, with_certificate=True)
            yield Cell(stack, "client", suite)


def show(rows):
    """One table: a line for each suite, a column for each stack and role."""
    columns = [(stack.name, role) for stack in STACKS for role in ("server", "client")]
    print("\n| version | suite | " + " | ".join(f"{name}, {role}" for name, role in columns) + " |")
    print("|---" * (len(columns) + 2) + "|")
    marks = {}
    for cell, lines in rows:
        mark = "full, resumed" + (" (certificate)" if cell.with_certificate else "")
        marks.setdefault((lines[0]["suite"], lines[0]["version"]), {}).setdefault(
            (cell.stack.name, cell.role), []).append(mark)
    for (suite, version), found in sorted(marks.items(), key=lambda item: item[0][::-1]):
        told = " | ".join("; ".join(found.get(column, ["-"])) for column in columns)
        print(f"| {version} | {suite} | {told} |")


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true",
                        help="every suite, with and without a client's certificate")
    parser.add_argument("--stack", choices=[stack.name for stack in STACKS], help="only this one")
    return parser.parse_args()


def main():
    options = parse()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ktls-stacks-")))
        stacks = Stacks(folder, stack)
        for cell in cells(options.full):
            if options.stack not in (None, cell.stack.name):
                continue
            missing = [program for program in cell.stack.needs if not shutil.which(program)]
            if missing:
                print(f"skip {cell}: {missing[0]} is not installed", flush=True)
                continue
            stacks.run(cell)
    show(stacks.rows)
    return 1 if stacks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
