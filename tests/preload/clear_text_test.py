#!/usr/bin/env python3
"""Whatever way a wrapped client connects, and whatever it has looked up, its peer gets nothing of
it in the clear: each byte that comes to the peer is recorded. What the program is told and what is
said is looked at for each of them as well."""

import contextlib
import errno
import os
import socket
import ssl
import subprocess
import sys
import threading
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import report  # noqa: E402
from preload_case import PreloadCase, WAIT_S, free_port  # noqa: E402
from preload_connector import SECRET  # noqa: E402
from shared_certificates import certificates  # noqa: E402
from watched import BINARY, REPOSITORY  # noqa: E402

PROGRAM = REPOSITORY / "tests" / "support" / "preload_connector.py"
LINE = "no TLS connection"
REFUSED = "ECONNREFUSED"
REFUSED_IN_A_RACE = (REFUSED, "ECONNABORTED")
UNSUPPORTED = errno.errorcode[errno.EOPNOTSUPP]
WAYS_TO_CONNECT = ("blocking", "polled", "deferred", "race", "shared")
# A name of 127.0.0.1 that the certificate does not have, whatever /etc/hosts says: an address in a
# form that the resolver alone takes is no name, so it has to be one.
OTHER_NAME = socket.gethostname()


def is_name_of_loopback(name):
    with contextlib.suppress(OSError):
        found = socket.getaddrinfo(name, 1, socket.AF_INET, socket.SOCK_STREAM)
        return found[0][4][0] == "127.0.0.1"
    return False


class Peer:
    """Listens, and records each byte that comes. With `context` it speaks TLS, in memory: what is
    recorded is what was on the wire. `answer` is sent at once, and `closes` without reading."""

    def __init__(self, context=None, answer=b"", closes=False):
        self.context, self.answer, self.closes = context, answer, closes
        self.wire, self.data, self.names = b"", b"", []
        if context is not None:
            context.sni_callback = lambda _object, name, _context: self.names.append(name)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def end(self):
        """When all that came is recorded."""
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join(WAIT_S)
        self.listener.close()

    def _run(self):
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                sock.settimeout(WAIT_S)
                with sock, contextlib.suppress(OSError):
                    self._serve(sock)

    def _serve(self, sock):
        if self.closes:
            return
        sock.sendall(self.answer)
        into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self.context and self.context.wrap_bio(into, out, server_side=True)
        while part := sock.recv(65536):
            self.wire += part
            into.write(part)
            if tls is not None:
                self._read(tls, sock, out)

    def _read(self, tls, sock, out):
        try:
            tls.do_handshake()
            while part := tls.read(65536):
                self.data += part
        except ssl.SSLWantReadError:
            pass
        finally:
            sock.sendall(out.read())


class ClearTextCase(PreloadCase):
    def peer(self, **options):
        peer = Peer(**options)
        self.addCleanup(peer.end)
        return peer

    def told(self, how, port, pattern="localhost:{}", names=(), host="localhost", keys=None):
        """(what the program has told, the lines that were said)."""
        command = (BINARY, "run", "--connect", pattern.format(port), "--ca",
                   (keys or certificates()).ca, "--", sys.executable, "-S", PROGRAM, how, host,
                   str(port), *names)
        ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                               timeout=WAIT_S, check=False)
        self.assertEqual(ended.returncode, 0, ended.stderr)
        return ended.stdout.strip(), ended.stderr.splitlines()

    def check_refused(self, peer, reason, keys=None):
        for how in WAYS_TO_CONNECT:
            with self.subTest(how=how):
                told, lines = self.told(how, peer.port, keys=keys)
                # As of TCP, whoever asks first is told, and others that it was aborted.
                expected = REFUSED_IN_A_RACE if how == "race" else (REFUSED,)
                self.assertIn(told, expected, lines)
                self.assertEqual(len(lines), 1, lines)
                where = f"ktls-bridge: localhost:{peer.port}"
                self.assertRegex(lines[0], f"^{where}: {LINE}: .*{reason}")
        peer.end()
        self.assertNotIn(SECRET, peer.wire)
        self.assertEqual(peer.data, b"")


class Refusals(ClearTextCase):
    def test_a_certificate_of_another_name_is_refused(self):
        keys = certificates("DNS:other.example")
        self.check_refused(self.peer(context=keys.server_context()), "(name|host)", keys)

    def test_a_certificate_of_an_unknown_authority_is_refused(self):
        peer = self.peer(context=certificates(copy=1).server_context())
        self.check_refused(peer, "(authority|issuer|trust)")

    def test_a_peer_that_does_not_speak_tls_is_refused(self):
        self.check_refused(self.peer(answer=b"220 ready\r\n"), "TLS.*")

    def test_a_peer_that_closes_is_refused(self):
        self.check_refused(self.peer(closes=True), "(closed|reset)")

    def test_a_port_on_which_nobody_listens_is_refused_as_by_tcp(self):
        for how in ("blocking", "polled", "deferred"):
            with self.subTest(how=how):
                self.assertEqual(self.told(how, free_port()), (REFUSED, []))

    @unittest.skipUnless(os.geteuid() == 0, "root alone may set a mark")
    def test_what_another_socket_cannot_have_is_told(self):
        peer = self.peer()
        told, lines = self.told("marked", peer.port)
        self.assertEqual(told, "EPERM", lines)
        self.assertEqual(lines, [f"ktls-bridge: localhost:{peer.port}: {LINE}: an option of its "
                                 "socket cannot be set on another one"])
        peer.end()
        self.assertEqual(peer.wire, b"")

    def test_each_attempt_with_one_socket_is_refused(self):
        peer = self.peer(answer=b"220 ready\r\n")
        told, lines = self.told("repeated", peer.port)
        self.assertEqual((told, len(lines)), (REFUSED, 3), lines)

    def test_what_is_connected_to_somebody_else_is_not_connected_again(self):
        peer = self.peer()
        for how, errors in (("connected", ("EISCONN",)), ("under-way", ("EALREADY",)),
                            ("confined", ("EISCONN", "ENOSYS"))):
            with self.subTest(how=how):
                told, lines = self.told(how, peer.port)
                self.assertIn(told, errors)
                self.assertEqual(lines, [])
        peer.end()
        self.assertEqual(peer.wire, b"")

    def test_writing_past_the_handshake_is_not_supported(self):
        peer = self.peer()
        for how in ("fast", "fast-message", "fast-messages", "fast-number"):
            with self.subTest(how=how):
                self.assertEqual(self.told(how, peer.port), (UNSUPPORTED, []))
        peer.end()
        self.assertEqual(peer.wire, b"")


class Names(ClearTextCase):
    def check_connected(self, sni, how="blocking", times=1, **options):
        peer = self.peer(context=certificates().server_context())
        told, lines = self.told(how, peer.port, **options)
        self.assertEqual(told, "connected", lines)
        peer.end()
        self.assertEqual((peer.data, peer.names), (SECRET * times, [sni]))
        self.assertNotIn(SECRET, peer.wire)

    def test_the_peer_is_asked_for_by_the_name_that_was_looked_up(self):
        for how in ("blocking", "polled", "deferred", "shared"):
            with self.subTest(how=how):
                self.check_connected("localhost", how)

    def test_localhost_is_the_name_of_the_loopback_also_where_nobody_looks_it_up(self):
        for host in ("127.0.0.1", "0.0.0.0"):
            with self.subTest(host=host):
                self.check_connected("localhost", host=host)

    def test_a_child_that_was_made_while_it_connects_has_the_connection_as_well(self):
        self.check_connected("localhost", "forked", times=2)

    def test_a_pattern_of_an_address_counts_whatever_names_the_address_has(self):
        self.check_connected(None, pattern="127.0.0.1:{}", host="127.0.0.1", names=("localhost",))

    @unittest.skipUnless(is_name_of_loopback(OTHER_NAME), "this machine has no other local name")
    def test_a_pattern_of_a_name_counts_whatever_was_looked_up_later(self):
        self.check_connected("localhost", names=(OTHER_NAME,))


if __name__ == "__main__":
    report.main("preload/clear-text")
