#!/usr/bin/env python3
"""wrap against OpenSSL and curl: each version and suite, both roles, full and resumed."""

import argparse
import os
import queue
import sys
import tempfile
import time
import traceback
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import matrix_table  # noqa: E402
import peers  # noqa: E402
from cells import (ALL_POLICIES, POLICIES, POLICY_SUITES, SUITES, Cell, Policy,  # noqa: E402
                   line_problems, peer_problems, row)
from certificates import Authority  # noqa: E402
from drained_wrap import DrainedWrap, WrapFailed  # noqa: E402
from payload import Payload  # noqa: E402
from plain_service import PlainService, response  # noqa: E402

KIB = 1024
BULK_KIB = 64 * KIB
# A guest on an emulated processor moves a MiB a second when the machine under it is busy.
CONNECTION_S = 60
START_S = 60
S_PER_MIB = 8

EXAMPLES = """\
examples:
  tests/interop/matrix.py                                  on this machine
  scripts/vm newest -- tests/interop/matrix.py             in a kernel that has TLS
  scripts/vm 6.1 --out /tmp/o -- tests/interop/matrix.py --json /out/6.1.json
  tests/interop/matrix.py --merge a.json b.json            one table over several runs
"""


def parse():
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLES,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true",
                        help="curl with every suite, and every pair of --offload and --loop")
    parser.add_argument("--size", type=int, default=128, metavar="KIB",
                        help="bytes each way on a connection (default %(default)s KiB)")
    parser.add_argument("--bulk", action="store_true", help="64 MiB each way")
    parser.add_argument("--suite", metavar="TEXT", default="",
                        help="only suites whose name by OpenSSL contains TEXT")
    parser.add_argument("--role", choices=("server", "client"), help="only this role of wrap")
    parser.add_argument("--json", metavar="FILE", help="write the rows there, too")
    parser.add_argument("--merge", nargs="+", metavar="FILE",
                        help="run nothing, show the table of earlier runs")
    options = parser.parse_args()
    if options.bulk:
        options.size = BULK_KIB
    return options


class Matrix:
    """One run: where it keeps files, what it sends, what came of it."""

    def __init__(self, options, folder):
        self.options = options
        self.folder = folder
        self.authority = Authority(folder)
        self.up = Payload(options.size * KIB, seed=1)
        self.down = Payload(options.size * KIB, seed=2)
        self.upload_file = folder / "upload"
        with open(self.upload_file, "wb") as file:
            file.writelines(self.up.blocks())
        self.timeout_s = CONNECTION_S + 2 * options.size * S_PER_MIB // KIB
        self.suites = [suite for suite in SUITES if options.suite in suite.openssl]
        self.policies = ALL_POLICIES if options.full else POLICIES
        self.rows = []
        self.failed = 0

    def with_curl(self, suite):
        return suite.curl or self.options.full

    def policy_suites(self, kind=None):
        return [suite for suite in POLICY_SUITES
                if suite in self.suites and kind in (None, suite.certificate)]

    def report(self, cell, problems, line=None, sizes=(0, 0)):
        if problems:
            self.failed += 1
            for problem in problems:
                print(f"{cell}: {problem}")
            if line:
                print(f"its line: {line}")
            print(f"FAIL {cell}", flush=True)
            return
        self.rows.append(row(cell, line, *sizes))
        print(f"ok {cell}", flush=True)

    def attempt(self, cells, wrap, run):
        """Runs what answers (cell, problems, line, sizes) for each cell; a cell without an answer
        has failed."""
        try:
            results = run()
        except (WrapFailed, peers.PeerFailed, OSError, queue.Empty) as error:
            traceback.print_exc(file=sys.stdout)
            print("\n".join(["the log of wrap:", *wrap.lines[-5:]]))
            wrap.skip_connections()
            results = [(cell, [f"{type(error).__name__}, see above"]) for cell in cells]
        for result in results:
            self.report(*result)

    def start(self, policy, to, *flags):
        """A wrap; or None, and said, where this machine cannot do what the policy demands."""
        try:
            return DrainedWrap(*policy.flags, *flags, to=f"127.0.0.1:{to}")
        except WrapFailed as error:
            role = "client" if "--client" in flags else "server"
            lacks = [reason for reason in ("--offload kernel: ulp_unavailable",
                                           "--loop: io_uring") if reason in str(error)]
            if not lacks or policy == Policy():
                raise
            print(f"skip {role} role{policy}: {lacks[0]}", flush=True)
            return None


def by_resumption(lines):
    """Two connections of one program, the full one first, in whatever order they were logged."""
    return sorted(lines, key=lambda line: line["resumed"])


class ServerRole:
    """wrap --cert --key, before a plaintext service."""

    def __init__(self, matrix, service):
        self.matrix = matrix
        self.service = service

    def run(self):
        for kind, certificate in self.matrix.authority.leaf.items():
            suites = [suite for suite in self.matrix.suites if suite.certificate == kind]
            if not suites:
                continue
            with self.start(Policy(), certificate) as wrap:
                for suite in suites:
                    self.with_s_client(wrap, suite)
                    if self.matrix.with_curl(suite):
                        self.with_curl(wrap, suite, Policy())
        suites = self.matrix.policy_suites("ec")
        for policy in self.matrix.policies if suites else ():
            if wrap := self.start(policy, self.matrix.authority.leaf["ec"]):
                with wrap:
                    for suite in suites:
                        self.with_curl(wrap, suite, policy)

    def start(self, policy, certificate):
        return self.matrix.start(policy, self.service.port, "--cert", certificate.certificate,
                                 "--key", certificate.key)

    def result(self, cell, wrap, line, outcome):
        """Compares what the peer, the service and wrap say of one connection."""
        matrix = self.matrix
        exchange = self.service.exchanges.get(timeout=matrix.timeout_s)
        problems = line_problems(cell, wrap.ready, line, exchange.received, exchange.sent)
        problems += peer_problems(cell, outcome)
        problems += [f"upload: {why}" for why in [exchange.upload.differs_from(matrix.up)] if why]
        problems += [f"download: {why}" for why in [outcome.download.differs_from(matrix.down)]
                     if why]
        problems += [exchange.error] if exchange.error else []
        return cell, problems, line, (matrix.down.size, matrix.up.size)

    def with_s_client(self, wrap, suite):
        matrix = self.matrix
        session = matrix.folder / "session"
        for cell, sessions in ((Cell("server", "s_client", suite, False), {"session_out": session}),
                               (Cell("server", "s_client", suite, True), {"session_in": session})):
            def connect(cell=cell, sessions=sessions):
                outcome = peers.s_client(suite, wrap.port, matrix.authority, matrix.up,
                                         matrix.timeout_s, **sessions)
                line, = wrap.next_connections(1, matrix.timeout_s)
                return [self.result(cell, wrap, line, outcome)]

            matrix.attempt([cell], wrap, connect)
        session.unlink(missing_ok=True)

    def with_curl(self, wrap, suite, policy):
        matrix = self.matrix
        cells = [Cell("server", "curl", suite, resumed, policy) for resumed in (False, True)]

        def upload():
            curl = peers.Curl(f"https://localhost:{wrap.port}/upload", matrix.upload_file,
                              matrix.folder, matrix.timeout_s, suite, matrix.authority)
            outcomes = curl.outcomes()
            lines = by_resumption(wrap.next_connections(2, matrix.timeout_s))
            return [self.result(cell, wrap, line, outcome)
                    for cell, line, outcome in zip(cells, lines, outcomes)]

        matrix.attempt(cells, wrap, upload)


class ClientRole:
    """wrap --client, to an s_server for each suite on the same port, one after the other."""

    def __init__(self, matrix, reservation):
        self.matrix = matrix
        self.port = reservation.port

    def run(self):
        """A wrap for each plaintext client, so that the first connection of each is a full one."""
        wraps = [("s_server", Policy(), self.start(Policy())),
                 ("s_server and curl", Policy(), self.start(Policy()))]
        if self.matrix.policy_suites():
            wraps += [("s_server", policy, self.start(policy)) for policy in self.matrix.policies]
        wraps = [each for each in wraps if each[2]]
        try:
            for suite in self.matrix.suites:
                self.with_suite(suite, [
                    (peer, policy, wrap) for peer, policy, wrap in wraps
                    if (suite in POLICY_SUITES if policy != Policy() else
                        peer == "s_server" or self.matrix.with_curl(suite))])
        finally:
            for _, _, wrap in wraps:
                wrap.drain()

    def start(self, policy):
        return self.matrix.start(policy, self.port, "--client", "--name", "localhost", "--ca",
                                 self.matrix.authority.file)

    def with_suite(self, suite, wraps):
        matrix = self.matrix
        certificate = matrix.authority.leaf[suite.certificate]
        before = matrix.failed
        with peers.Server(suite, self.port, certificate, 2 * len(wraps)) as server:
            try:
                server.wait_until_listening(START_S)
            except peers.PeerFailed as error:
                print(error)
            for peer, policy, wrap in wraps:
                cells = [Cell("client", peer, suite, resumed, policy) for resumed in (False, True)]
                converse = self.with_curl if "curl" in peer else self.with_plain_client
                matrix.attempt(cells, wrap, lambda: converse(server, wrap, cells))
            if matrix.failed == before:
                self.check_server(server, suite, len(wraps))

    def check_server(self, server, suite, count):
        """s_server's own word on what was negotiated and reused."""
        name = f"{suite.version} {suite.openssl} s_server agrees"
        suites, reused = server.finish(START_S)
        if suites == [suite.openssl] * 2 * count and reused == count:
            print(f"ok {name}")
            return
        self.matrix.failed += 1
        print(f"s_server saw {suites}, of which {reused} reused\nFAIL {name}")

    def result(self, cell, wrap, line, outcome, upload):
        matrix = self.matrix
        problems = line_problems(cell, wrap.ready, line, outcome.received, outcome.sent)
        problems += peer_problems(cell, outcome)
        problems += [f"upload: {why}" for why in [upload.differs_from(matrix.up)] if why]
        problems += [f"download: {why}" for why in [outcome.download.differs_from(matrix.down)]
                     if why]
        return cell, problems, line, (matrix.up.size, matrix.down.size)

    def with_plain_client(self, server, wrap, cells):
        matrix = self.matrix
        results = []
        for cell in cells:
            # The client's own thread: it sends and receives while s_server is spoken to.
            client = peers.Background(peers.plain_client, wrap.port, matrix.up, matrix.down.size,
                                      matrix.timeout_s)
            upload = server.converse(b"", matrix.down, matrix.up.size, matrix.timeout_s)
            outcome = client.result(matrix.timeout_s)
            line, = wrap.next_connections(1, matrix.timeout_s)
            results.append(self.result(cell, wrap, line, outcome, upload))
        return results

    def with_curl(self, server, wrap, cells):
        matrix = self.matrix
        with peers.Curl(f"http://localhost:{wrap.port}/upload", matrix.upload_file,
                        matrix.folder, matrix.timeout_s) as curl:
            uploads = [server.converse(response(matrix.down), matrix.down, matrix.up.size,
                                       matrix.timeout_s) for _ in cells]
            outcomes = curl.outcomes()
        lines = by_resumption(wrap.next_connections(2, matrix.timeout_s))
        return [self.result(cell, wrap, line, outcome, upload)
                for cell, line, outcome, upload in zip(cells, lines, outcomes, uploads)]


def run(options):
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ktls-matrix-") as folder:
        matrix = Matrix(options, Path(folder))
        if options.role != "client":
            with PlainService(matrix.down, matrix.timeout_s) as service:
                ServerRole(matrix, service).run()
        if options.role != "server":
            with peers.Reservation() as reservation:
                ClientRole(matrix, reservation).run()
    matrix_table.show(matrix.rows)
    if options.json:
        matrix_table.save(options.json, os.uname().release, matrix.rows)
    print(f"{time.monotonic() - started:.0f} s, {matrix.failed} failed")
    return 1 if matrix.failed else 0


def main():
    options = parse()
    if options.merge:
        matrix_table.show(matrix_table.load(options.merge))
        return 0
    return run(options)


if __name__ == "__main__":
    sys.exit(main())
