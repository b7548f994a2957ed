#!/usr/bin/env python3
"""Clients under `ktls-bridge run` whose server is not the one that it should be: none has a
connection, each learns it as of any TCP connection that is refused, and one line says why. Programs
that the library cannot do TLS for have no connection, either."""

import contextlib
import subprocess
import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import report  # noqa: E402
import wrap_peers as peers  # noqa: E402
from preload_case import (PreloadCase, WAIT_S, free_port, is_listened_on,  # noqa: E402
                          timer_to_kill)
from shared_certificates import certificates  # noqa: E402
from watched import wait_until  # noqa: E402

PROGRAM = Path(__file__).with_name("told_program.py")
SECRET = b"-nobody-may-see-this-in-the-clear-"
WAYS = {"poll": "OUT ERR HUP", "epoll": "OUT ERR HUP", "select": "OUT"}


class RefusedCase(PreloadCase):
    def backend(self, **options):
        backend = peers.Backend(**options)
        self.addCleanup(backend.close)
        return backend

    def told(self, backend, *acts, listen=(), flags=None):
        """The program, which looks that server up as localhost, and is to be its TLS client."""
        port = backend.endpoint[1]
        trust = flags or ("--ca", certificates().ca)
        return self.run_program(sys.executable, "-B", PROGRAM, "look-up", "localhost", port, *acts,
                                listen=listen, flags=("--connect", f"localhost:{port}", *trust),
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def assert_says(self, run, *lines):
        for line in lines:
            with timer_to_kill(run.process):
                said = run.process.stdout.readline().decode().rstrip("\n")
            self.assertEqual(said, line, run.text())

    def assert_ends(self, run):
        """In order; the lines that the library has said."""
        self.assertEqual(run.wait(WAIT_S), 0, run.text())
        return [line for line in run.text().splitlines() if line.startswith("ktls-bridge: ")]

    def assert_refused(self, backend, why, flags=None):
        """By each way to connect, with one line for each connection; nothing was sent."""
        begin = f"ktls-bridge: localhost:{backend.endpoint[1]}: no TLS connection: "
        blocking = self.told(backend, "ask", SECRET.decode(), flags=flags)
        self.assert_says(blocking, "ECONNREFUSED")
        said = [self.assert_ends(blocking)]
        for way, ready in WAYS.items():
            run = self.told(backend, "start", "await", way, flags=flags)
            self.assert_says(run, "EINPROGRESS", f"{ready} ECONNREFUSED 0")
            said.append(self.assert_ends(run))
        for lines in said:
            self.assertEqual(len(lines), 1, lines)
            self.assertTrue(lines[0].startswith(begin), lines)
            self.assertIn(why, lines[0])
        self.assertEqual(backend.served, 0, backend.errors)


class Refused(RefusedCase):
    def test_a_certificate_of_another_name_is_refused(self):
        other = certificates("DNS:elsewhere.example")
        self.assert_refused(self.backend(context=other.server_context()), "localhost",
                            ("--ca", other.ca))

    def test_a_certificate_of_an_authority_that_is_not_trusted_is_refused(self):
        self.assert_refused(self.backend(context=certificates(copy=1).server_context()),
                            "certificate")

    def test_a_peer_that_ends_the_handshake_is_refused(self):
        seen = []

        def look(sock):
            seen.append(sock.recv(1 << 16))
            raise ConnectionError
        self.assert_refused(self.backend(serve=look), "")
        self.assertEqual(len(seen), 1 + len(WAYS))
        for each in seen:
            self.assertEqual(each[:2], b"\x16\x03")  # a handshake's record, and not what was sent
            self.assertNotIn(SECRET, each)


class Forbidden(RefusedCase):
    """What would get around TLS, or keeps the library from it."""

    def test_a_ring_is_not_to_be_had_and_one_line_says_so(self):
        run = self.told(self.backend(), "ring", "ring")
        self.assert_says(run, "ENOSYS", "ENOSYS")
        lines = self.assert_ends(run)
        self.assertEqual(len(lines), 1, lines)
        self.assertIn("io_uring", lines[0])

    def test_behind_a_filter_that_forbids_too_much_nothing_listens_or_connects(self):
        port = free_port()
        backend = self.backend()
        run = self.told(backend, "forbid", "ask", SECRET.decode(), "listen", port, "refused",
                        listen=(port,))
        self.assert_says(run, "ECONNREFUSED", "EACCES", "EINVAL", "waiting")
        with self.assertRaises(ConnectionRefusedError):
            peers.tcp(("127.0.0.1", port))
        run.process.stdin.close()
        lines = self.assert_ends(run)
        self.assertEqual([("(seccomp)" in line, "cannot listen" in line) for line in lines],
                         [(True, False), (False, True)], lines)
        self.assertEqual((backend.served, backend.errors), (0, []))


class Accepted(RefusedCase):
    def test_the_server_is_asked_for_the_name_that_was_looked_up(self):
        names = []
        context = certificates().server_context()
        context.sni_callback = lambda _stream, name, _context: names.append(name)
        run = self.told(self.backend(context=context), "ask", "hello")
        self.assert_says(run, "hello")
        self.assertEqual(self.assert_ends(run), [])
        self.assertEqual(names, ["localhost"])

    def test_a_silent_server_does_not_keep_a_program_from_serving_others(self):
        with contextlib.closing(peers.bound_listener()) as silent:
            silent.listen(1)
            port = free_port()
            run = self.run_program(
                sys.executable, "-B", PROGRAM, "look-up", "localhost", silent.getsockname()[1],
                "listen", port, "start", "beside", listen=(port,),
                flags=("--connect", f"localhost:{silent.getsockname()[1]}", "--ca",
                       certificates().ca, "--handshake-timeout", "600"),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            self.assert_says(run, "listening", "EINPROGRESS")
            wait_until(lambda: is_listened_on(port), "it to listen", WAIT_S)
            with peers.tls(certificates().client_context(), ("127.0.0.1", port),
                           timeout=WAIT_S) as stream:
                stream.sendall(b"meanwhile")
                stream.send_close_notify()
                self.assertEqual(peers.receive_all(stream), b"meanwhile")
            self.assert_says(run, "not ready")


def load_tests(loader, _tests, _pattern):
    cases = (Refused, Forbidden, Accepted)
    return unittest.TestSuite(loader.loadTestsFromTestCase(case) for case in cases)


if __name__ == "__main__":
    report.main("preload/refused")
