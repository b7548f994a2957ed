#!/usr/bin/env python3
"""Session tickets under keys from files: machines that share them resume each other's sessions, and
nginx seals in the same form."""

import hashlib
import hmac
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import nginx_configuration  # noqa: E402
import report  # noqa: E402
import watched  # noqa: E402
import wrap_peers as peers  # noqa: E402
from shared_certificates import certificates  # noqa: E402
from watched import BINARY, Watched, wait_until  # noqa: E402
from watched_wrap import Wrap  # noqa: E402

TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
VERSIONS = (TLS12, TLS13)
SIZES = (48, 80)
BAD_CERTIFICATE, NO_INPUT = 65, 66
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
NGINX = """\
  ssl_certificate {chain};
  ssl_certificate_key {key};
  # The suite that ktls-bridge chooses: libssl gives who offers a session of another hash no ticket.
  ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
  ssl_protocols TLSv1.2 TLSv1.3;
  ssl_session_ticket_key {short};
  server {{ listen 127.0.0.1:{ports[0]} ssl; location / {{ return 200 fine; }} }}
  server {{ listen 127.0.0.1:{ports[1]} ssl; ssl_session_ticket_key {long};
    location / {{ return 200 fine; }} }}
"""


def visit(endpoint, context, session=None, request=b"hello"):
    """The session of a connection on which something has come back, and whether it was resumed.
    A session is one of its context."""
    with context.wrap_socket(peers.tcp(endpoint), server_hostname="localhost",
                             session=session) as client:
        client.sendall(request)
        if not client.recv(peers.CHUNK):
            raise AssertionError("nothing came back")
        return client.session, client.session_reused


def session_file(endpoint, path):
    """(ticket, master secret) of a session of TLS 1.2, whose ticket comes within the handshake."""
    peers.openssl("s_client", "-connect", f"{endpoint[0]}:{endpoint[1]}", "-servername",
                  "localhost", "-tls1_2", "-sess_out", path)
    text = subprocess.run(["openssl", "sess_id", "-in", path, "-noout", "-text"], check=True,
                          capture_output=True, text=True, timeout=60).stdout
    dump = text.split("TLS session ticket:\n")[1]
    ticket = "".join(re.findall(r"^    [0-9a-f]{4} - (.{47})", dump, re.MULTILINE))
    master = re.search(r"Master-Key: ([0-9A-F]+)", text).group(1)
    return bytes.fromhex(re.sub("[ -]", "", ticket)), bytes.fromhex(master)


def open_ticket(ticket, key):
    """What is in it, by RFC 5077 section 4 and the order in which nginx has its keys."""
    name, half = key[:16], (len(key) - 16) // 2
    first, second = key[16:16 + half], key[16 + half:]
    cipher, mac = (first, second) if half == 16 else (second, first)
    if ticket[:16] != name:
        raise AssertionError("a ticket under another name")
    if hmac.new(mac, ticket[:-32], hashlib.sha256).digest() != ticket[-32:]:
        raise AssertionError("a ticket under another HMAC")
    return subprocess.run(["openssl", "enc", "-d", f"-aes-{8 * half}-cbc", "-K", cipher.hex(),
                           "-iv", ticket[16:32].hex()], input=ticket[32:-32], check=True,
                          capture_output=True, timeout=60).stdout


class TicketCase(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)

    def key_file(self, name="ticket.key", size=80):
        """Written beside its place and renamed, for its owner alone."""
        beside = self.folder / "beside"
        beside.write_bytes(os.urandom(size))
        beside.chmod(0o600)
        os.replace(beside, self.folder / name)
        return str(self.folder / name)

    def wrap(self, *flags, **options):
        backend = peers.Backend()
        self.addCleanup(backend.close)
        wrap = Wrap(*certificates().server_flags, *flags, to=backend.address, **options)
        self.addCleanup(wrap.kill)
        return wrap

    def assert_full(self, endpoint, context, session, **options):
        renewed, resumed = visit(endpoint, context, session, **options)
        self.assertFalse(resumed)
        return renewed

    def assert_resumed(self, endpoint, context, session, **options):
        renewed, resumed = visit(endpoint, context, session, **options)
        self.assertTrue(resumed)
        return renewed


class Machines(TicketCase):
    def test_machines_with_the_same_key_resume_each_others_sessions(self):
        for size in SIZES:
            flags = ("--ticket-keys", self.key_file(size=size))
            one, other = (self.wrap("--loop", loop, *flags) for loop in ("io_uring", "epoll"))
            stranger = self.wrap("--ticket-keys", self.key_file("other.key", size))
            names = [each.records("ticket_keys")[0] for each in (one, other, stranger)]
            self.assertEqual((names[0]["sealing"], names[0]["keys"]), (names[1]["sealing"], 1))
            self.assertNotEqual(names[0]["sealing"], names[2]["sealing"])
            for version in VERSIONS:
                with self.subTest(size=size, version=version.name):
                    context = certificates().client_context(version)
                    session = self.assert_full(one.endpoint, context, None)
                    session = self.assert_resumed(other.endpoint, context, session)
                    session = self.assert_resumed(one.endpoint, context, session)
                    self.assert_full(stranger.endpoint, context, session)
            lines = other.wait_for_event("connection", len(VERSIONS))
            self.assertEqual({line["resumed"] for line in lines}, {True})

    def test_servers_of_files_do_too(self):
        (self.folder / "index.html").write_text("fine\n")
        flags = (*certificates().server_flags, "--ticket-keys", self.key_file())
        serves = [Watched(("serve", str(self.folder)), *flags) for _ in range(2)]
        for serve in serves:
            self.addCleanup(serve.kill)
        for version in VERSIONS:
            context = certificates().client_context(version)
            session = self.assert_full(serves[0].endpoint, context, None, request=GET)
            self.assert_resumed(serves[1].endpoint, context, session, request=GET)

    def test_processes_of_one_connection_do_too(self):
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        words = [BINARY, "wrap", "--fd", "0", *certificates().server_flags,
                 "--ticket-keys", self.key_file(), "--", "cat"]
        context = certificates().client_context(TLS13)
        session = None
        for turn in range(2):
            raw = peers.tcp(listener.getsockname())
            accepted, _ = listener.accept()
            with accepted, subprocess.Popen(words, stdin=accepted, stdout=accepted,
                                            stderr=subprocess.DEVNULL) as process:
                accepted.close()
                with context.wrap_socket(raw, server_hostname="localhost", session=session) as tls:
                    tls.sendall(b"hello")
                    self.assertEqual(peers.receive_exactly(tls, 5), b"hello")
                    self.assertEqual(tls.session_reused, turn == 1)
                    session = tls.session
                process.wait(peers.TIMEOUT_S)

    def test_without_tickets_nothing_is_resumed(self):
        wrap = self.wrap("--tickets", "0")
        for version in VERSIONS:
            context = certificates().client_context(version)
            session, _ = visit(wrap.endpoint, context)
            self.assertFalse(session is not None and session.has_ticket)
            self.assert_full(wrap.endpoint, context, session)


class Renewal(TicketCase):
    def test_a_renewed_key_is_taken_without_a_signal(self):
        """As Kubernetes renews a secret: the link behind the links is pointed elsewhere."""
        for version, names in (("..1", ("current",)), ("..2", ("current", "previous"))):
            (self.folder / version).mkdir()
            for name in names:
                self.key_file(f"{version}/{name}")
        shutil.copy(self.folder / "..1/current", self.folder / "..2/previous")
        shutil.copy(self.folder / "..1/current", self.folder / "..1/previous")
        (self.folder / "..data").symlink_to("..1")
        for name in ("current", "previous"):
            (self.folder / name).symlink_to(f"..data/{name}")
        wrap = self.wrap("--ticket-keys", str(self.folder / "current"),
                         "--ticket-keys", str(self.folder / "previous"))
        started = wrap.records("ticket_keys")[0]
        self.assertEqual((started["level"], started["keys"]), ("warning", 2))
        self.assertIn("has the name of the one in", started["detail"])
        context = certificates().client_context(TLS12)
        old = self.assert_full(wrap.endpoint, context, None)
        (self.folder / "..data_tmp").symlink_to("..2")
        os.replace(self.folder / "..data_tmp", self.folder / "..data")
        renewed = wrap.wait_for_event("ticket_keys", 2)[1]
        self.assertEqual(renewed["level"], "info")
        self.assertNotEqual(renewed["sealing"], started["sealing"])
        self.assertEqual(renewed["sealing"].replace(":", ""),
                         (self.folder / "..2/current").read_bytes()[:16].hex())
        new = self.assert_resumed(wrap.endpoint, context, old)
        # A key that seals no more has its ticket replaced, which the next renewal goes by.
        self.key_file("..2/previous")
        wrap.send_signal(signal.SIGHUP)
        wrap.wait_for_event("ticket_keys", 3)
        self.assert_resumed(wrap.endpoint, context, new)
        self.assert_full(wrap.endpoint, context, old)

    def test_a_broken_file_changes_nothing_and_is_named_once(self):
        path = self.key_file()
        wrap = self.wrap("--ticket-keys", path)
        context = certificates().client_context(TLS12)
        session = self.assert_full(wrap.endpoint, context, None)
        steady = peers.tls(certificates().client_context(), wrap.endpoint)
        self.addCleanup(steady.close)
        self.key_file(size=47)
        self.assert_named(wrap, "not 47 ", path)
        self.assert_resumed(wrap.endpoint, context, session)
        os.unlink(path)
        wrap.send_signal(signal.SIGHUP)
        self.assert_named(wrap, "No such file", path)
        self.assert_resumed(wrap.endpoint, context, session)
        # The reload of certificates goes on beside it.
        self.assertEqual(wrap.wait_for_event("reload")[0]["level"], "info")
        self.key_file()
        wrap.send_signal(signal.SIGHUP)
        wrap.wait_for_event("ticket_keys", 2, where=lambda line: line["level"] == "info")
        self.assert_full(wrap.endpoint, context, session)
        self.assertEqual(len([line for line in wrap.records("ticket_keys")
                              if "not 47 " in line.get("error", "")]), 1)
        steady.sendall(b"hello")
        self.assertEqual(peers.receive_exactly(steady, 5), b"hello")
        steady.unwrap()
        self.assertEqual(wrap.stop(), 0)

    def assert_named(self, wrap, said, path):
        line = wrap.wait_for_event("ticket_keys",
                                   where=lambda line: said in line.get("error", ""))[0]
        self.assertEqual(line["level"], "error")
        self.assertIn(path, line["error"])


class Start(TicketCase):
    def test_a_file_that_others_may_read_is_warned_of(self):
        path = self.key_file()
        os.chmod(path, 0o644)
        line = self.wrap("--ticket-keys", path).records("ticket_keys")[0]
        self.assertEqual(line["level"], "warning")
        self.assertIn(f"{path}: a session ticket key that others may read", line["detail"])

    def test_a_file_that_cannot_be_used_ends_it_with_its_name(self):
        short = self.key_file("short.key", 64)
        for path, status, said in ((short, BAD_CERTIFICATE, "48 or 80 random bytes, not 64"),
                                   (str(self.folder / "none"), NO_INPUT, "No such file")):
            code, output, errors = watched.run(
                "wrap", "--listen", "127.0.0.1:0", "--to", "127.0.0.1:9", "--ticket-keys", path)
            self.assertEqual((code, output, errors.count("\n")), (status, "", 1), errors)
            self.assertIn(f"--ticket-keys {path}: ", errors)
            self.assertIn(said, errors)


class BesideNginx(TicketCase):
    """Both seal in one form. Neither resumes what the other began: to OpenSSL a session is one of a
    session id context, which nginx makes of its certificates, and this of what a session is bound
    to."""

    def setUp(self):
        super().setUp()
        self.keys = {size: self.key_file(f"{size}.key", size) for size in SIZES}
        holders = [peers.bound_listener() for _ in SIZES]
        self.endpoints = {size: each.getsockname() for size, each in zip(SIZES, holders)}
        for each in holders:
            each.close()
        words = nginx_configuration.start_words(self.folder, NGINX.format(
            chain=certificates().chain, key=certificates().key, short=self.keys[48],
            long=self.keys[80], ports=[self.endpoints[size][1] for size in SIZES]))
        nginx = subprocess.Popen(words, stderr=subprocess.DEVNULL)
        self.addCleanup(nginx.wait)
        self.addCleanup(nginx.terminate)
        wait_until(lambda: all(map(self.is_reached, self.endpoints.values())), "nginx")

    @staticmethod
    def is_reached(endpoint):
        try:
            peers.tcp(endpoint).close()
        except ConnectionRefusedError:
            return False
        return True

    def test_the_bytes_of_a_file_open_the_tickets_of_both(self):
        for size, endpoint in self.endpoints.items():
            ours = self.wrap("--ticket-keys", self.keys[size])
            key = Path(self.keys[size]).read_bytes()
            for who, where in (("nginx", endpoint), ("ktls-bridge", ours.endpoint)):
                with self.subTest(size=size, who=who):
                    ticket, master = session_file(where, str(self.folder / "session"))
                    self.assertIn(master, open_ticket(ticket, key))

    def test_a_session_of_the_other_is_a_full_handshake(self):
        for size, endpoint in self.endpoints.items():
            ours = self.wrap("--ticket-keys", self.keys[size])
            for version in VERSIONS:
                with self.subTest(size=size, version=version.name):
                    context = certificates().client_context(version)
                    theirs = self.assert_full(endpoint, context, None, request=GET)
                    theirs = self.assert_resumed(endpoint, context, theirs, request=GET)
                    session = self.assert_full(ours.endpoint, context, theirs)
                    session = self.assert_resumed(ours.endpoint, context, session)
                    self.assert_full(endpoint, context, session, request=GET)


if __name__ == "__main__":
    report.main("tickets")
