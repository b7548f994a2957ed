#!/usr/bin/env python3
"""What a peer may do in TLS besides sending data, through wrap in either role: pad its records,
keep them small or ask for small ones, change its keys, give any number of tickets, and have a chain
of certificates that takes several records. The event loop is the first argument, if that is one's
name."""

import ssl
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import report  # noqa: E402
import wrap_peers  # noqa: E402
from peers import Reservation  # noqa: E402
from record_tap import APPLICATION_DATA, RecordTap  # noqa: E402
from s_client import (NOT_REQUESTED, PATIENCE_S, REQUESTED, SClient, SServer,  # noqa: E402
                      without_messages)
from shared_certificates import certificates  # noqa: E402
from watched_wrap import Wrap  # noqa: E402

LOOP = sys.argv.pop(1) if sys.argv[1:2] and sys.argv[1] in ("auto", "io_uring", "epoll") else "auto"
VERSIONS = {"-tls1_2": "TLSv1.2", "-tls1_3": "TLSv1.3"}
# What AES-GCM adds to the content: in TLS 1.2 8 bytes of nonce and the tag, in TLS 1.3 the inner
# type and the tag.
OVERHEAD = {"-tls1_2": 8 + 16, "-tls1_3": 1 + 16}
TAG_SIZE = 16
FRAGMENT_SIZE = 512
PADDED_TO = 1024
TICKETS = (0, 1, 2, 5)
NEW_TICKET = r"{} TLS 1\.3, Handshake \[length [0-9a-f]+\], NewSessionTicket"
RECORD_MAX = 16384
COMMENT_SIZE = 6000  # of each of three authorities, as their certificates are short otherwise
# More than a record; no digit is a command, where it begins a read of standard input.
DATA_SIZE = 20_000


class FeatureCase(unittest.TestCase):
    def setUp(self):
        self.said = 0

    def wrap(self, *flags, to):
        wrap = Wrap("--loop", LOOP, "--handshake-timeout", f"{PATIENCE_S}s", *map(str, flags),
                    to=to)
        self.addCleanup(wrap.kill)
        tap = RecordTap(wrap.endpoint)
        self.addCleanup(tap.close)
        return wrap, tap

    def before_echo(self, *flags):
        """wrap as a server, and who listens to what its clients send."""
        backend = wrap_peers.Backend()
        self.addCleanup(backend.close)
        return self.wrap(*certificates().server_flags, *flags, to=backend.address)

    def s_client(self, port, *flags):
        client = SClient(port, "-servername", "localhost", *flags)
        self.addCleanup(client.kill)
        return client

    def before_s_server(self, *flags):
        """(s_server, wrap as its client, who listens to them)"""
        reserved = Reservation()
        self.addCleanup(reserved.__exit__)
        server = SServer(reserved.port, *flags)
        self.addCleanup(server.kill)
        tap = RecordTap(("127.0.0.1", reserved.port))
        self.addCleanup(tap.close)
        wrap, _ = self.wrap("--client", "--ca", certificates().ca, "--name", "localhost",
                            to=f"127.0.0.1:{tap.port}")
        return server, wrap, tap

    def say(self, peer):
        """What openssl is told to send: not the same twice."""
        self.said += 1
        data = f"{self.said:0{DATA_SIZE}}"
        peer.say(data)
        return data + "\n"

    def exchange_as_client(self, client):
        data = self.say(client)
        client.wait_for(lambda: data in without_messages(client.text()), "what it has sent")

    def exchange_as_server(self, server, plain):
        """The client begins: s_server may lose what it is told before its handshake is done."""
        self.said += 1
        data = f"{self.said:0{DATA_SIZE}}"
        plain.sendall(data.encode())
        server.wait_for(lambda: data in without_messages(server.text()), "what came to wrap")
        data = self.say(server)
        self.assertTrue(wrap_peers.receive_exactly(plain, len(data)) == data.encode())

    def end(self, client, wrap, index=0):
        """The line of the connection; ended by s_client."""
        client.say("Q")
        status, alerts = client.wait_for_end()
        self.assertEqual((status, [name for level, name in alerts if level == "fatal"]), (0, []))
        return self.line(wrap, index)

    def line(self, wrap, index=0):
        line = wrap.connection(index, PATIENCE_S)
        self.assertEqual(line["ended"], "clean", line)
        return line

    def assert_filled(self, version, records):
        """To what one was asked to keep, so that no accident kept it."""
        sizes = [record.size for record in records if record.type == APPLICATION_DATA]
        self.assertEqual(max(sizes), FRAGMENT_SIZE + OVERHEAD[version])

    def assert_padded(self, records):
        sizes = [record.size for record in records if record.type == APPLICATION_DATA
                 and record.size < RECORD_MAX]  # a full one has no room for padding
        self.assertGreater(len(sizes), 2)
        self.assertEqual({size % PADDED_TO for size in sizes}, {TAG_SIZE}, sizes)


class Records(FeatureCase):
    def test_records_that_a_client_pads_are_read(self):
        wrap, tap = self.before_echo()
        client = self.s_client(tap.port, "-tls1_3", "-record_padding", str(PADDED_TO))
        self.exchange_as_client(client)
        self.assertEqual(self.end(client, wrap)["received"], DATA_SIZE + 1)
        self.assert_padded(tap.connections[0].client_records)

    def test_records_that_a_server_pads_are_read(self):
        server, wrap, tap = self.before_s_server("-tls1_3", "-record_padding", str(PADDED_TO))
        with wrap_peers.tcp(wrap.endpoint) as plain:
            self.exchange_as_server(server, plain)
        self.assertEqual(self.line(wrap)["received"], DATA_SIZE + 1)
        self.assert_padded(tap.connections[0].server_records)

    def test_fragments_of_512_bytes_go_both_ways_where_a_client_asks_for_them(self):
        for version in VERSIONS:
            with self.subTest(version=version):
                wrap, tap = self.before_echo("--ciphers", "ECDHE-ECDSA-AES128-GCM-SHA256")
                client = self.s_client(tap.port, version, "-maxfraglen", str(FRAGMENT_SIZE))
                self.exchange_as_client(client)
                self.assertEqual(self.end(client, wrap)["version"], VERSIONS[version])
                self.assert_filled(version, tap.connections[0].client_records)
                self.assert_filled(version, tap.connections[0].server_records)

    def test_fragments_of_512_bytes_of_a_client_are_read(self):
        for version in VERSIONS:
            with self.subTest(version=version):
                wrap, tap = self.before_echo("--ciphers", "ECDHE-ECDSA-AES128-GCM-SHA256")
                client = self.s_client(tap.port, version, "-max_send_frag", str(FRAGMENT_SIZE))
                self.exchange_as_client(client)
                self.assertEqual(self.end(client, wrap)["received"], DATA_SIZE + 1)
                self.assert_filled(version, tap.connections[0].client_records)

    def test_fragments_of_512_bytes_of_a_server_are_read(self):
        for version in VERSIONS:
            with self.subTest(version=version):
                server, wrap, tap = self.before_s_server(
                    version, "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256", "-max_send_frag",
                    str(FRAGMENT_SIZE))
                with wrap_peers.tcp(wrap.endpoint) as plain:
                    self.exchange_as_server(server, plain)
                self.assertEqual(self.line(wrap)["received"], DATA_SIZE + 1)
                self.assert_filled(version, tap.connections[0].server_records)


class Keys(FeatureCase):
    def assert_counted(self, line, peer):
        """Of two changes one wanted an answer."""
        self.assertEqual((line["rx_key_updates"], line["tx_key_updates"]), (2, 1), line)
        self.assertEqual(peer.key_updates_received(), 1)

    def test_a_client_changes_its_keys_and_asks_for_ours(self):
        wrap, tap = self.before_echo()
        client = self.s_client(tap.port, "-tls1_3")
        self.exchange_as_client(client)
        for kind in (NOT_REQUESTED, REQUESTED):
            client.update_key(kind)
            self.exchange_as_client(client)
        self.assert_counted(self.end(client, wrap), client)

    def test_a_server_changes_its_keys_and_asks_for_ours(self):
        server, wrap, _ = self.before_s_server("-tls1_3")
        with wrap_peers.tcp(wrap.endpoint) as plain:
            self.exchange_as_server(server, plain)
            for kind in (NOT_REQUESTED, REQUESTED):
                server.update_key(kind)
                self.exchange_as_server(server, plain)
        self.assert_counted(self.line(wrap), server)


class Tickets(FeatureCase):
    def test_a_client_gets_as_many_tickets_as_are_asked_for_and_resumes_with_them(self):
        for count in TICKETS:
            with self.subTest(tickets=count), tempfile.TemporaryDirectory() as folder:
                wrap, tap = self.before_echo("--tickets", count)
                session = f"{folder}/session"
                client = self.s_client(tap.port, "-tls1_3", "-sess_out", session)
                self.exchange_as_client(client)
                self.assertFalse(self.end(client, wrap)["resumed"])
                self.assertEqual(client.count(NEW_TICKET.format("<<<")), count)
                self.assertEqual(Path(session).exists(), count > 0)
                if count:
                    client = self.s_client(tap.port, "-tls1_3", "-sess_in", session)
                    self.exchange_as_client(client)
                    self.assertTrue(self.end(client, wrap, 1)["resumed"])

    def test_any_number_of_tickets_of_a_server_is_taken_and_one_of_them_used(self):
        for count in TICKETS:
            with self.subTest(tickets=count):
                server, wrap, _ = self.before_s_server("-tls1_3", "-num_tickets", str(count),
                                                       "-naccept", "2")
                for index in range(2):
                    with wrap_peers.tcp(wrap.endpoint) as plain:
                        self.exchange_as_server(server, plain)
                    self.assertEqual(self.line(wrap, index)["resumed"], index > 0 and count > 0)
                    if index == 0:
                        self.assertEqual(server.count(NEW_TICKET.format(">>>")), count)


class LongChains(FeatureCase):
    """Each side shows one."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = Path(folder.name)
        comment = f"nsComment={'x' * COMMENT_SIZE}"
        authority = "basicConstraints=critical,CA:TRUE"
        names = ["root", "first", "second", "third", "leaf"]
        cls.make("root", None, authority)
        for above, name in zip(names, names[1:-1]):
            cls.make(name, above, authority, comment)
        cls.make("leaf", "third", "subjectAltName=DNS:localhost")
        cls.chain, cls.root = str(cls.folder / "chain"), str(cls.folder / "root")
        Path(cls.chain).write_text("".join((cls.folder / name).read_text()
                                           for name in reversed(names[1:])), encoding="ascii")
        cls.key = str(cls.folder / "leaf.key")

    @classmethod
    def make(cls, name, above, *extensions):
        signed = ("-CA", cls.folder / above, "-CAkey", cls.folder / f"{above}.key") if above else ()
        added = [word for extension in extensions for word in ("-addext", extension)]
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                        "-keyout", cls.folder / f"{name}.key", "-out", cls.folder / name, *signed,
                        *added], check=True, capture_output=True, timeout=PATIENCE_S)

    def context(self, kind, version):
        context = ssl.SSLContext(kind)
        context.minimum_version = context.maximum_version = version
        context.load_cert_chain(self.chain, self.key)
        context.load_verify_locations(self.root)
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def assert_long(self, tapped):
        """What went by is the handshakes and five bytes each way."""
        for records in (tapped.client_records, tapped.server_records):
            sizes = [record.size for record in records]
            self.assertGreater(sum(sizes), RECORD_MAX + 1000)
            self.assertLessEqual(max(sizes), RECORD_MAX + 256)

    def test_a_client_and_wrap_show_each_other_chains_over_one_record(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with self.subTest(version=version.name):
                backend = wrap_peers.Backend()
                self.addCleanup(backend.close)
                wrap, tap = self.wrap("--cert", self.chain, "--key", self.key, "--client-ca",
                                      self.root, to=backend.address)
                with wrap_peers.tls(self.context(ssl.PROTOCOL_TLS_CLIENT, version),
                                    ("127.0.0.1", tap.port)) as client:
                    client.sendall(b"hello")
                    self.assertEqual(wrap_peers.receive_exactly(client, 5), b"hello")
                    client.unwrap()
                self.assertEqual(self.line(wrap)["client"], "CN=leaf")
                self.assert_long(tap.connections[0])

    def test_wrap_and_a_server_show_each_other_chains_over_one_record(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with self.subTest(version=version.name):
                backend = wrap_peers.Backend(
                    context=self.context(ssl.PROTOCOL_TLS_SERVER, version))
                self.addCleanup(backend.close)
                tap = RecordTap(backend.endpoint)
                self.addCleanup(tap.close)
                wrap, _ = self.wrap("--client", "--ca", self.root, "--name", "localhost", "--cert",
                                    self.chain, "--key", self.key, to=f"127.0.0.1:{tap.port}")
                with wrap_peers.tcp(wrap.endpoint) as plain:
                    plain.sendall(b"hello")
                    self.assertEqual(wrap_peers.receive_exactly(plain, 5), b"hello")
                self.line(wrap)
                self.assert_long(tap.connections[0])
                self.assertEqual(backend.errors, [])


if __name__ == "__main__":
    report.main("features")
