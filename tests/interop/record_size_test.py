#!/usr/bin/env python3
"""record_size_limit (RFC 8449) with GnuTLS: no record of wrap is larger than the peer said."""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import report  # noqa: E402
import wrap_peers as peers  # noqa: E402
from peers import Reservation  # noqa: E402
from record_tap import APPLICATION_DATA, RecordTap  # noqa: E402
from shared_certificates import certificates  # noqa: E402
from watched import PATIENCE_S, wait_until  # noqa: E402
from watched_wrap import Wrap  # noqa: E402

VERSIONS = ("TLSv1.2", "TLSv1.3")
# What AES-GCM adds to the content: in TLS 1.2 8 bytes of nonce and the tag, in TLS 1.3 the inner
# type and the tag.
OVERHEAD = {"TLSv1.2": 8 + 16, "TLSv1.3": 1 + 16}
# --recordsize is bytes of content; GnuTLS offers one more in TLS 1.3. Those of RFC 6066 it offers
# by max_fragment_length as well, so these are others.
CLIENT_LIMITS = (513, 1000, 4000)
MAX_FRAGMENT_LENGTHS = (512, 1024, 4096)
SERVER_LIMITS = (64, 511, 1000, 16000)
DATA_SIZE = 100_000


def priority(version):
    return (f"NORMAL:-VERS-ALL:+VERS-{version.replace('TLSv', 'TLS')}:-CIPHER-ALL:+AES-128-GCM"
            ":%ALLOW_SMALL_RECORDS")


def text():
    return os.urandom(DATA_SIZE // 2).hex().encode()


class RecordSizeCase(unittest.TestCase):
    def assert_bounded(self, version, limit, records):
        """The data filled its records to the limit, so that keeping it was no accident."""
        sizes = [record.size for record in records if record.type == APPLICATION_DATA]
        self.assertEqual(max(sizes), limit + OVERHEAD[version])

    def assert_same(self, received, sent):
        self.assertTrue(received == sent, f"{len(received)} bytes came of {len(sent)}, or others")

    def assert_line(self, line, version, **expected):
        expected["version"] = version
        self.assertEqual({key: line.get(key) for key in expected}, expected, line)


class WithAClient(RecordSizeCase):
    """wrap is the server, gnutls-cli asks for a line and reads the data."""

    def serve(self, data):
        def answer(sock):
            sock.recv(1 << 16)
            sock.sendall(data)

        backend = peers.Backend(answer)
        self.addCleanup(backend.close)
        wrap = Wrap(*certificates().server_flags, to=backend.address)
        self.addCleanup(wrap.kill)
        tap = RecordTap(wrap.endpoint)
        self.addCleanup(tap.close)
        return wrap, tap

    def ask(self, tap, version, limit, *flags):
        # With --logfile standard output has nothing but the data.
        with tempfile.NamedTemporaryFile() as log:
            client = subprocess.Popen(
                ["gnutls-cli", "--x509cafile", certificates().ca, "--priority", priority(version),
                 "--recordsize", str(limit), "--logfile", log.name, *flags,
                 "--port", str(tap.port), "localhost"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            # It ends when its standard input does, so that stays open until it has all.
            with client, client.stdin:
                self.addCleanup(client.kill)
                client.stdin.write(b"a line\n")
                client.stdin.flush()
                output = client.stdout.read()
                client.wait(PATIENCE_S)
            self.assertEqual(client.returncode, 0, log.read().decode())
        return output

    def check_limits(self, limits):
        for version in VERSIONS:
            for limit in limits:
                with self.subTest(version=version, limit=limit):
                    data = text()
                    wrap, tap = self.serve(data)
                    self.assert_same(self.ask(tap, version, limit), data)
                    self.assert_bounded(version, limit, tap.connections[0].server_records)
                    self.assert_line(wrap.connection(), version, sent=len(data))

    def test_a_client_gets_no_record_above_its_limit(self):
        self.check_limits(CLIENT_LIMITS)

    def test_a_client_that_asks_for_max_fragment_length_too_gets_that(self):
        self.check_limits(MAX_FRAGMENT_LENGTHS)

    def test_a_client_that_resumes_gets_no_record_above_its_limit(self):
        for version in VERSIONS:
            with self.subTest(version=version):
                data = text()
                wrap, tap = self.serve(data)
                flags = ("--resume", "--waitresumption")
                self.assert_same(self.ask(tap, version, 1000, *flags), data)
                self.assert_bounded(version, 1000, tap.connections[1].server_records)
                self.assert_line(wrap.connection(1), version, sent=len(data), resumed=True)


class WithAServer(RecordSizeCase):
    """wrap is the client of a gnutls-serv, whose page repeats the header of the request."""

    def gnutls_server(self, version, limit):
        reservation = Reservation()
        self.addCleanup(reservation.__exit__)
        server = subprocess.Popen(
            ["gnutls-serv", "--http", "--x509certfile", certificates().chain, "--x509keyfile",
             certificates().key, "--priority", priority(version),
             "--recordsize", str(limit), "--port", str(reservation.port)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        endpoint = ("127.0.0.1", reservation.port)
        wait_until(lambda: self.is_listening(endpoint), "gnutls-serv")
        return endpoint

    @staticmethod
    def is_listening(endpoint):
        try:
            peers.tcp(endpoint).close()
        except OSError:
            return False
        return True

    def connect(self, endpoint):
        tap = RecordTap(endpoint)
        self.addCleanup(tap.close)
        wrap = Wrap("--client", "--ca", certificates().ca, "--name", "localhost",
                    to=f"127.0.0.1:{tap.port}")
        self.addCleanup(wrap.kill)
        return wrap, tap

    def request(self, wrap):
        data = text()
        with peers.tcp(wrap.endpoint) as client:
            client.sendall(b"GET / HTTP/1.0\r\nX-Data: " + data + b"\r\n\r\n")
            page = peers.receive_all(client)
        self.assertTrue(data in page, "the request did not arrive whole")

    def test_a_server_gets_no_record_above_its_limit(self):
        for version in VERSIONS:
            for limit in SERVER_LIMITS:
                with self.subTest(version=version, limit=limit):
                    wrap, tap = self.connect(self.gnutls_server(version, limit))
                    self.request(wrap)
                    self.assert_bounded(version, limit, tap.connections[0].client_records)
                    self.assert_line(wrap.connection(), version, ended="clean")

    def test_a_server_that_resumes_gets_no_record_above_its_limit(self):
        for version in VERSIONS:
            with self.subTest(version=version):
                wrap, tap = self.connect(self.gnutls_server(version, 1000))
                for resumed in (False, True):
                    self.request(wrap)
                    self.assert_bounded(version, 1000, tap.connections[-1].client_records)
                    self.assert_line(wrap.connection(len(tap.connections) - 1), version,
                                     resumed=resumed)


if __name__ == "__main__":
    report.main("interop/record-size")
