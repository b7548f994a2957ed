#!/usr/bin/env python3
"""SIGHUP: `wrap` takes new certificates, and no connection notices."""

import errno
import hashlib
import os
import shutil
import signal
import socket
import ssl
import sys
import tempfile
import threading
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import report  # noqa: E402
import wrap_peers as peers  # noqa: E402
from shared_certificates import certificates  # noqa: E402
from watched import wait_until  # noqa: E402
from watched_wrap import Wrap  # noqa: E402

LOOPS = ("io_uring", "epoll")
VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
# While connections come and go; each of so many has a file that cannot be used.
RELOADS = 100
BROKEN_EVERY = 5
STEADY = 3  # connections of each kind that are there all the time


def fingerprint(chain):
    leaf = ssl.PEM_cert_to_DER_cert(Path(chain).read_text(encoding="ascii"))
    return hashlib.sha256(leaf).hexdigest()


class ReloadCase(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.chain, self.key, self.ca = (self.folder / name for name in ("chain", "key", "ca"))
        self.old, self.new = certificates(copy=1), certificates(copy=2)
        self.install(self.old)

    def install(self, credentials):
        for source, target in ((credentials.chain, self.chain), (credentials.key, self.key),
                               (credentials.ca, self.ca)):
            self.replace(target, Path(source).read_bytes())

    def replace(self, target, content):
        beside = self.folder / "beside"
        beside.write_bytes(content)
        os.replace(beside, target)

    def backend(self, serve=peers.echo, **options):
        backend = peers.Backend(serve, **options)
        self.addCleanup(backend.close)
        return backend

    def wrap(self, *arguments, **options):
        wrap = Wrap(*arguments, **options)
        self.addCleanup(wrap.kill)
        return wrap

    def server(self, *arguments, **options):
        return self.wrap("--cert", str(self.chain), "--key", str(self.key), *arguments,
                         to=self.backend().address, **options)

    def client(self, wrap, credentials, version=None):
        client = peers.tls(credentials.client_context(version), wrap.endpoint)
        self.addCleanup(client.close)
        return client

    def exchange(self, client, data=b"hello"):
        client.sendall(data)
        self.assertEqual(peers.receive_exactly(client, len(data)), data)

    def assert_shows(self, wrap, credentials):
        with self.client(wrap, credentials) as client:
            self.exchange(client)
            client.unwrap()
        other = self.new if credentials is self.old else self.old
        with self.assertRaisesRegex(ssl.SSLError, "certificate verify failed"):
            self.client(wrap, other)

    def reload(self, wrap):
        """The line that answers one SIGHUP."""
        before = len(wrap.records("reload"))
        wrap.send_signal(signal.SIGHUP)
        return wrap.wait_for_event("reload", before + 1)[before]


class Certificate(ReloadCase):
    def test_new_connections_see_the_new_certificate_and_old_ones_go_on(self):
        for loop in LOOPS:
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                with self.subTest(loop=loop, version=version.name):
                    self.install(self.old)
                    wrap = self.server("--loop", loop)
                    steady = self.client(wrap, self.old, version)
                    self.exchange(steady)
                    self.install(self.new)
                    line = self.reload(wrap)
                    self.assertEqual((line["level"], line["sha256"].replace(":", "")),
                                     ("info", fingerprint(self.new.chain)))
                    self.assert_shows(wrap, self.new)
                    self.exchange(steady, os.urandom(1 << 20))
                    steady.unwrap()
                    lines = wrap.wait_for_event("connection", 3)
                    self.assertEqual(sorted(line["ended"] for line in lines),
                                     ["alert", "clean", "clean"])  # of who trusts the old one
                    self.assertEqual(wrap.stop(), 0)

    def test_a_handshake_that_has_begun_ends_with_the_certificate_it_began_with(self):
        wrap = self.server("--verbose")
        context = self.old.client_context()
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
        with self.assertRaises(ssl.SSLWantReadError):
            tls.do_handshake()
        hello = outgoing.read()
        raw = peers.tcp(wrap.endpoint)
        self.addCleanup(raw.close)
        raw.sendall(hello[:50])
        wrap.wait_for_event("handshake")
        self.install(self.new)
        self.reload(wrap)
        raw.sendall(hello[50:])
        while True:
            incoming.write(raw.recv(peers.CHUNK))
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                raw.sendall(outgoing.read())
        self.assertEqual(hashlib.sha256(tls.getpeercert(binary_form=True)).hexdigest(),
                         fingerprint(self.old.chain))

    def test_every_thread_shows_the_new_certificate(self):
        wrap = self.server(threads=4)
        self.install(self.new)
        self.reload(wrap)
        for _ in range(16):
            with self.client(wrap, self.new) as client:
                self.exchange(client)
                client.unwrap()

    def test_files_that_cannot_be_used_change_nothing(self):
        wrap = self.server()
        steady = self.client(wrap, self.old)
        breakages = (
            ("the key does not belong", lambda: self.replace(
                self.key, Path(self.new.key).read_bytes())),
            ("holds no PEM certificate", lambda: self.replace(self.chain, b"nothing\n")),
            ("No such file or directory", self.chain.unlink),
            ("Is a directory", self.chain.mkdir),
        )
        for said, damage in breakages:
            with self.subTest(said):
                damage()
                line = self.reload(wrap)
                self.assertEqual(line["level"], "error")
                self.assertIn(said, line["error"])
                self.assertNotIn("sha256", line)
                self.assert_shows(wrap, self.old)
                self.exchange(steady)
        self.chain.rmdir()
        self.install(self.new)
        self.assertEqual(self.reload(wrap)["level"], "info")
        self.assert_shows(wrap, self.new)
        self.exchange(steady)

    def test_a_fifo_that_nobody_writes_to_stops_neither_reloads_nor_the_end(self):
        wrap = self.server()
        self.chain.unlink()
        os.mkfifo(self.chain)
        line = self.reload(wrap)
        self.assertEqual(line["level"], "error")
        self.assertIn("timed out", line["error"])
        self.assert_shows(wrap, self.old)
        self.assertEqual(wrap.stop(), 0)

    def test_a_file_without_end_is_not_read_to_its_end(self):
        wrap = self.server("--no-sandbox")  # which lets no device be read
        self.chain.unlink()
        self.chain.symlink_to("/dev/zero")
        self.assertIn("File too large", self.reload(wrap)["error"])
        self.assert_shows(wrap, self.old)

    def test_a_certificate_with_faults_is_taken_with_a_warning(self):
        wrap = self.server()
        peers.openssl("req", "-new", "-key", self.old.key, "-subj", "/CN=localhost", "-out",
                      str(self.folder / "request"))
        peers.openssl("x509", "-req", "-in", str(self.folder / "request"), "-signkey", self.old.key,
                      "-days", "-1", "-out", str(self.chain))
        line = self.reload(wrap)
        self.assertEqual((line["level"], line["sha256"].replace(":", "")),
                         ("warning", fingerprint(self.chain)))
        self.assertIn("has expired", line["detail"])

    def test_what_clients_are_asked_for_is_read_again_beside_a_self_signed_certificate(self):
        wrap = self.wrap("--client-ca", str(self.ca), to=self.backend().address)
        announced = wrap.wait_for_event("self_signed")[0]["sha256"]
        for _ in range(2):
            line = self.reload(wrap)
            self.assertEqual((line["level"], line["sha256"]), ("info", announced))
        self.replace(self.ca, b"nothing\n")
        line = self.reload(wrap)
        self.assertEqual(line["level"], "error")
        self.assertIn("holds no PEM certificate to trust", line["error"])


class UnderLoad(ReloadCase):
    """A server, and the client role in front of it; all files of both are replaced and broken."""

    def setUp(self):
        super().setUp()
        self.trusted = self.folder / "trusted"
        self.both = "".join(Path(each.ca).read_text(encoding="ascii")
                            for each in (self.old, self.new))
        self.stop = threading.Event()
        self.addCleanup(self.stop.set)
        self.served, self.failures = [], []

    def start(self, loop):
        self.install(self.old)
        self.replace(self.trusted, self.both.encode())
        self.stop.clear()
        self.served.clear()
        server = self.server("--loop", loop)
        front = self.wrap("--client", "--ca", str(self.trusted), "--name", "localhost", "--loop",
                          loop, to=server.addresses[0])
        return server, front

    def connect(self, wrap, version=None):
        """By TLS, or in plain where no version is given."""
        if version is None:
            return peers.tcp(wrap.endpoint)
        context = ssl.create_default_context(cadata=self.both)
        context.minimum_version = context.maximum_version = version
        return peers.tls(context, wrap.endpoint)

    def end(self, client):
        if isinstance(client, socket.socket):
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(client.recv(1), b"")
        else:
            client.unwrap()

    def visit(self, *where):
        """One connection after the other."""
        try:
            while not self.stop.is_set():
                with self.connect(*where) as client:
                    self.exchange(client)
                    self.end(client)
                self.served.append(1)
        except Exception as error:  # the test reads it
            self.failures.append(error)

    def reload_both(self, index, wraps):
        self.install((self.new, self.old)[index % 2])
        self.replace(self.trusted, self.both.encode())
        is_broken = index % BROKEN_EVERY == BROKEN_EVERY - 1
        if is_broken:
            for path in ((self.chain, self.key)[index % 2], self.trusted):
                self.replace(path, b"nothing\n")
        for wrap in wraps:
            self.assertEqual(self.reload(wrap)["level"], "error" if is_broken else "info")

    def test_no_connection_fails_however_often_files_are_read_again(self):
        for loop in LOOPS:
            with self.subTest(loop=loop):
                server, front = self.start(loop)
                ways = [(server, version) for version in VERSIONS] + [(front,)]
                steady = [self.connect(*way) for way in ways * STEADY]
                for client in steady:
                    self.addCleanup(client.close)
                visitors = [threading.Thread(target=self.visit, args=way, daemon=True)
                            for way in ways + [(front,)]]
                for visitor in visitors:
                    visitor.start()
                for index in range(RELOADS):
                    said = os.urandom(1000)  # on its way while the files are read
                    for client in steady:
                        client.sendall(said)
                    self.reload_both(index, (server, front))
                    for client in steady:
                        self.assertEqual(peers.receive_exactly(client, len(said)), said)
                self.stop.set()
                for visitor in visitors:
                    visitor.join(peers.TIMEOUT_S)
                for client in steady:
                    self.exchange(client, os.urandom(1 << 20))
                    self.end(client)
                self.assertEqual(self.failures, [])
                self.assert_all_ended_well(server, front, len(visitors), len(steady))

    def assert_all_ended_well(self, server, front, visitors, steady):
        self.assertGreaterEqual(len(self.served), visitors)
        lines = server.wait_for_event("connection", len(self.served) + steady)
        self.assertEqual({line["ended"] for line in lines}, {"clean"})
        self.assertEqual(len([line for line in lines if line["received"] > 1 << 20]), steady)
        self.assertEqual([wrap.stop() for wrap in (front, server)], [0, 0])
        for wrap in (front, server):
            self.assertEqual({line["ended"] for line in wrap.connections()}, {"clean"})


class Trust(ReloadCase):
    def test_a_client_takes_a_new_ca(self):
        backend = self.backend(context=self.new.server_context())
        wrap = self.wrap("--client", "--ca", str(self.ca), "--name", "localhost",
                         to=backend.address)
        refused = peers.tcp(wrap.endpoint)
        self.addCleanup(refused.close)
        self.assertEqual(peers.how_it_ends(refused)[0], "reset")
        self.assertEqual(wrap.connection()["ended"], "handshake")
        self.install(self.new)
        line = self.reload(wrap)
        self.assertEqual((line["level"], line["ca"]), ("info", str(self.ca)))
        client = peers.tcp(wrap.endpoint)
        self.addCleanup(client.close)
        self.exchange(client)
        self.replace(self.ca, b"nothing\n")
        line = self.reload(wrap)
        self.assertEqual(line["level"], "error")
        self.assertIn("holds no PEM certificate to trust", line["error"])
        self.exchange(client)


class Signal(ReloadCase):
    def test_where_nothing_was_read_there_is_nothing_to_reload(self):
        for arguments, why in (((), "self-signed"), (("--client", "--insecure"), "no --ca")):
            wrap = self.wrap(*arguments, to=self.backend().address)
            line = self.reload(wrap)
            self.assertEqual(line["level"], "info")
            self.assertIn("nothing to reload", line["detail"])
            self.assertIn(why, line["detail"])
            self.assertEqual(wrap.stop(), 0)

    def test_it_is_not_lost_while_the_program_starts(self):
        """Held up where it reads its certificate, from a FIFO."""
        renewed = self.folder / "renewed"
        peers.openssl("req", "-x509", "-key", self.old.key, "-subj", "/CN=localhost", "-out",
                      str(renewed))
        self.chain.unlink()
        os.mkfifo(self.chain)
        wrap = self.server(ready=False)
        writing = wait_until(self.opened_for_reading, "the program to read its certificate")
        with os.fdopen(writing, "wb") as fifo:
            wrap.send_signal(signal.SIGHUP)
            os.replace(renewed, self.chain)
            fifo.write(Path(self.old.chain).read_bytes())
        line = wrap.wait_for_event("reload")[0]
        self.assertEqual(line["sha256"].replace(":", ""), fingerprint(self.chain))
        self.assertEqual([record["event"] for record in wrap.records()],
                         ["sandbox", "listening", "ready", "reload"])
        self.assertEqual(wrap.stop(), 0)

    def opened_for_reading(self):
        try:
            return os.open(self.chain, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:  # nobody reads it yet
                raise
            return None

    def test_it_is_ignored_while_connections_are_drained(self):
        wrap = self.server()
        client = self.client(wrap, self.old)
        self.exchange(client)
        wrap.send_signal(signal.SIGTERM)
        wrap.wait_for_event("draining")
        wrap.send_signal(signal.SIGHUP)
        self.exchange(client, os.urandom(1 << 20))
        client.unwrap()
        self.assertEqual(wrap.wait(), 0)
        self.assertEqual(wrap.records("reload"), [])


if __name__ == "__main__":
    report.main("cli/reload")
