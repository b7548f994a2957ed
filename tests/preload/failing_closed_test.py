#!/usr/bin/env python3
"""Where a program under `ktls-bridge run` could have no TLS it has no connection, however it waits
for one, and one line says why."""

import contextlib
import select
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
# For what is not to come.
LISTENS_S = 1
WAYS = {"poll": "OUT ERR HUP", "epoll": "OUT ERR HUP", "select": "OUT"}


class FailingCase(PreloadCase):
    def backend(self, **options):
        backend = peers.Backend(**options)
        self.addCleanup(backend.close)
        return backend

    def told(self, backend, *acts, listen=()):
        """The program, which looks that server up as localhost, and is to be its TLS client."""
        port = backend.endpoint[1]
        return self.run_program(sys.executable, "-B", PROGRAM, "look-up", "localhost", port, *acts,
                                listen=listen, connect=(f"localhost:{port}",),
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


class Refused(FailingCase):
    def test_each_way_to_wait_for_a_connection_tells_of_a_refusal_once(self):
        """What for is no matter here; clear_text_test.py has each reason."""
        backend = self.backend(context=certificates(copy=1).server_context())
        begin = f"ktls-bridge: localhost:{backend.endpoint[1]}: no TLS connection: "
        for way, ready in WAYS.items():
            with self.subTest(way=way):
                run = self.told(backend, "start", "await", way)
                self.assert_says(run, "EINPROGRESS", f"{ready} ECONNREFUSED 0")
                (line,) = self.assert_ends(run)
                self.assertTrue(line.startswith(begin), line)
        self.assertEqual(backend.served, 0, backend.errors)


class Forbidden(FailingCase):
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

    def test_a_server_whose_run_is_killed_hears_of_it_once_and_serves_nobody_in_the_clear(self):
        port = free_port()
        run = self.run_program(sys.executable, "-B", PROGRAM, "listen", port, "serve",
                               listen=(port,), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.assert_says(run, "listening")
        run.process.kill()
        self.assert_says(run, "ECONNABORTED")
        with contextlib.closing(peers.tcp(("127.0.0.1", port))) as plain:
            plain.sendall(SECRET)  # which the program would send back
            heard, _, _ = select.select([plain, run.process.stdout], [], [], LISTENS_S)
        self.assertEqual(heard, [])


class Silent(FailingCase):
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
    cases = (Refused, Forbidden, Silent)
    return unittest.TestSuite(loader.loadTestsFromTestCase(case) for case in cases)


if __name__ == "__main__":
    report.main("preload/failing-closed")
