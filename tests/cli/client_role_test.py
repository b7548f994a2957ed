#!/usr/bin/env python3
"""`wrap --client`: what it verifies, and what the plain client sees when that fails."""

import os
import shutil
import socket
import ssl
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import report  # noqa: E402
import wrap_peers as peers  # noqa: E402
from shared_certificates import certificates  # noqa: E402
from watched import wait_until  # noqa: E402
from watched_wrap import Wrap  # noqa: E402

MIB = 1 << 20
LOOPS = ("io_uring", "epoll")


class ClientRoleCase(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)

    def backend(self, serve=peers.echo, alpn=(), context=None, **options):
        context = context or certificates().server_context(alpn)
        backend = peers.Backend(serve, context=context, **options)
        self.addCleanup(backend.close)
        return backend

    def wrap(self, *arguments, **options):
        wrap = Wrap("--client", *arguments, **options)
        self.addCleanup(wrap.kill)
        return wrap

    def client(self, wrap):
        client = peers.tcp(wrap.endpoint)
        self.addCleanup(client.close)
        return client

    def assert_serves(self, wrap):
        client = self.client(wrap)
        data = os.urandom(MIB // 4)
        client.sendall(data)
        self.assertEqual(peers.receive_exactly(client, len(data)), data)
        client.shutdown(socket.SHUT_WR)
        self.assertEqual(peers.receive_all(client), b"")

    def assert_refuses(self, wrap, ended, said):
        """The plain client must not take the end for an empty answer."""
        index = len(wrap.connections())
        try:
            end = peers.how_it_ends(self.client(wrap))
        except ConnectionResetError:  # before connect() has looked
            end = ("reset", b"")
        self.assertEqual(end, ("reset", b""))
        line = wrap.connection(index)
        self.assertEqual(line["ended"], ended, line)
        self.assertRegex(line["detail"], said)


class Verification(ClientRoleCase):
    def test_a_certificate_of_the_ca_for_the_host_is_accepted(self):
        for loop in LOOPS:
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                context = certificates().server_context()
                context.minimum_version = context.maximum_version = version
                backend = self.backend(context=context)
                for to, name in ((backend.address, "127.0.0.1"),
                                 (backend.address.replace("127.0.0.1", "localhost"), "localhost")):
                    with self.subTest(loop=loop, version=version, to=to):
                        wrap = self.wrap("--loop", loop, "--ca", certificates().ca, to=to)
                        self.assert_serves(wrap)
                        line = wrap.connection()
                        self.assertEqual((line["ended"], line["name"], line["to"]),
                                         ("clean", name, to))

    def test_a_certificate_of_another_ca_is_refused(self):
        for arguments in ((), ("--ca", self.other_ca())):
            for loop in LOOPS:
                wrap = self.wrap("--loop", loop, *arguments, to=self.backend().address)
                self.assert_refuses(wrap, "handshake", "certificate|issuer")

    def other_ca(self):
        ca = str(self.folder / "other.pem")
        certificates().make_self_signed(ca, str(self.folder / "other.key"), "/CN=another CA")
        return ca

    def test_a_certificate_for_another_name_is_refused(self):
        for name in ("example.org", "127.0.0.2"):
            wrap = self.wrap("--ca", certificates().ca, "--name", name, to=self.backend().address)
            self.assert_refuses(wrap, "handshake", "(?i)name|address|mismatch")

    def test_the_name_to_verify_can_be_given(self):
        seen = []
        context = certificates().server_context()
        context.sni_callback = lambda _tls, name, _context: seen.append(name)
        wrap = self.wrap("--ca", certificates().ca, "--name", "localhost",
                         to=self.backend(context=context).address)
        self.assert_serves(wrap)
        self.assertEqual(wrap.connection()["name"], "localhost")
        self.assertEqual(seen, ["localhost"])

    def test_insecure_accepts_any_certificate(self):
        wrap = self.wrap("--insecure", to=self.backend().address)
        self.assert_serves(wrap)
        self.assertEqual(wrap.connection()["ended"], "clean")

    def test_the_trust_store_of_the_environment_is_used(self):
        wrap = self.wrap(to=self.backend().address,
                         env={**os.environ, "SSL_CERT_FILE": certificates().ca})
        self.assert_serves(wrap)


class Peers(ClientRoleCase):
    def test_alpn_is_offered(self):
        backend = self.backend(alpn=("http/1.1",))
        wrap = self.wrap("--ca", certificates().ca, "--alpn", "h2,http/1.1", to=backend.address)
        self.assert_serves(wrap)
        self.assertEqual(wrap.connection()["alpn"], "http/1.1")

    def test_the_version_can_be_capped(self):
        for newest, version in (("1.2", "TLSv1.2"), ("1.3", "TLSv1.3")):
            wrap = self.wrap("--ca", certificates().ca, "--max-version", newest,
                             to=self.backend().address)
            self.assert_serves(wrap)
            self.assertEqual(wrap.connection()["version"], version)
        context = certificates().server_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        wrap = self.wrap("--ca", certificates().ca, "--max-version", "1.2",
                         to=self.backend(context=context).address)
        self.assert_refuses(wrap, "alert", "protocol_version")

    def test_sessions_are_resumed(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = certificates().server_context()
            context.minimum_version = context.maximum_version = version
            wrap = self.wrap("--ca", certificates().ca, to=self.backend(context=context).address)
            for _ in range(3):
                self.assert_serves(wrap)
            lines = wrap.wait_for_event("connection", 3)
            self.assertEqual([line["resumed"] for line in lines], [False, True, True], version)

    def test_a_service_that_is_down_resets_its_clients_and_can_come_up(self):
        listener = peers.bound_listener()
        to = f"127.0.0.1:{listener.getsockname()[1]}"
        wraps = [self.wrap("--loop", loop, "--ca", certificates().ca, to=to) for loop in LOOPS]
        for wrap in wraps:
            self.assert_refuses(wrap, "unreachable", to)
        self.backend(listener=listener)
        for wrap in wraps:
            self.assert_serves(wrap)

    def test_a_service_that_does_not_speak_tls_is_named_so(self):
        def greet(sock):
            sock.sendall(b"220 mail.example.org ESMTP\r\n")
            sock.recv(1 << 16)

        backend = peers.Backend(greet)
        self.addCleanup(backend.close)
        for loop in LOOPS:
            wrap = self.wrap("--loop", loop, "--ca", certificates().ca, to=backend.address)
            self.assert_refuses(wrap, "handshake", ".")

    def test_a_service_that_hangs_up_within_the_handshake_resets_the_client(self):
        backend = peers.Backend(lambda sock: sock.recv(1 << 16))
        self.addCleanup(backend.close)
        wrap = self.wrap("--ca", certificates().ca, to=backend.address)
        self.assert_refuses(wrap, "handshake", "closed")

    def test_a_service_that_says_nothing_is_given_up(self):
        listener = peers.bound_listener()
        listener.listen(8)  # connections are made, and nobody answers
        self.addCleanup(listener.close)
        wrap = self.wrap("--ca", certificates().ca, "--handshake-timeout", "500ms",
                         to=f"127.0.0.1:{listener.getsockname()[1]}")
        self.assert_refuses(wrap, "timeout", ".")

    def test_a_bare_fin_of_the_service_resets_the_client(self):
        def truncate(stream):
            stream.sendall(b"half of the")
            stream.send_bare_fin()
            peers.receive_all(stream.sock)

        for loop in LOOPS:
            with self.subTest(loop=loop):
                wrap = self.wrap("--loop", loop, "--ca", certificates().ca,
                                 to=self.backend(truncate).address)
                self.assertEqual(peers.how_it_ends(self.client(wrap))[0], "reset")
                self.assertEqual(wrap.connection()["ended"], "truncated")

    def test_an_alert_of_the_service_resets_the_client(self):
        context = certificates().server_context()
        context.verify_mode = ssl.CERT_REQUIRED  # TLS 1.3: told after the handshake
        context.load_verify_locations(certificates().ca)
        wrap = self.wrap("--ca", certificates().ca, to=self.backend(context=context).address)
        self.assert_refuses(wrap, "alert", "certificate_required")

    def test_half_close_by_either_side_lets_the_other_go_on(self):
        data = os.urandom(MIB)
        asked = []

        def answer_afterwards(stream):
            stream.sendall(peers.receive_all(stream)[::-1])
            stream.end_sending()

        def ask_afterwards(stream):
            stream.sendall(data)
            stream.end_sending()
            asked.append(peers.receive_all(stream))

        for loop in LOOPS:
            with self.subTest(loop=loop):
                flags = ("--loop", loop, "--ca", certificates().ca)
                wrap = self.wrap(*flags, to=self.backend(answer_afterwards).address)
                client = self.client(wrap)
                client.sendall(data)
                client.shutdown(socket.SHUT_WR)
                self.assertEqual(peers.receive_all(client), data[::-1])
                self.assertEqual(wrap.connection()["ended"], "clean")

                wrap = self.wrap(*flags, to=self.backend(ask_afterwards).address)
                client = self.client(wrap)
                self.assertEqual(peers.receive_all(client), data)
                client.sendall(data)
                client.shutdown(socket.SHUT_WR)
                self.assertEqual(wrap.connection()["ended"], "clean")
                wait_until(lambda: asked, "the service")
                self.assertEqual(asked.pop(), data)


if __name__ == "__main__":
    report.main("cli/client-role")
