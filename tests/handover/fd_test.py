#!/usr/bin/env python3
"""`wrap --fd`: one connection that somebody else accepted, as inetd and systemd hand it over."""

import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import unittest

from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import report  # noqa: E402
import wrap_peers as peers  # noqa: E402
from exec_case import REQUIRES_KTLS  # noqa: E402
from fd_case import FdCase  # noqa: E402
from watched import PATIENCE_S  # noqa: E402


def needs(program):
    return unittest.skipUnless(shutil.which(program), f"there is no {program}")


class Inherited(FdCase):
    def test_a_program_has_the_connection_as_the_descriptor_that_it_was(self):
        client, server = self.accepted()
        process = self.start(server, 7, "sh", "-c", "read line <&7; echo \"heard $line\" >&7")
        with self.stream(client) as stream:
            stream.sendall(b"hello\n")
            self.assertEqual(self.all_of(stream), b"heard hello\n")
        self.assertEqual(process.wait(PATIENCE_S), 0)
        line = (self.folder / "log").read_text(encoding="utf-8")
        self.assertIn("handed_out=direct" if REQUIRES_KTLS else "handed_out=relay", line)

    def test_inetd_s_three_descriptors_work_and_carry_no_message_of_ours(self):
        client, server = self.accepted()
        process = self.start(server, 0, "sh", "-c", "read line; echo \"heard $line\"; exit 5",
                             as_inetd=True)
        with self.stream(client) as stream:
            stream.sendall(b"hello\n")
            self.assertEqual(self.all_of(stream), b"heard hello\n")
            self.assertEqual(stream.sock.recv(1), b"")
        self.assertEqual(process.wait(PATIENCE_S), 5)

    def test_the_exit_code_is_the_program_s(self):
        for program, code in (("exit 9", 9), ("kill -TERM $$", 128 + signal.SIGTERM)):
            with self.subTest(program=program):
                client, server = self.accepted()
                process = self.start(server, 7, "sh", "-c", program)
                with self.stream(client) as stream:
                    try:
                        self.all_of(stream)
                    except ssl.SSLError:
                        pass  # it was killed
                self.assertEqual(process.wait(PATIENCE_S), code)

    def test_a_handshake_that_fails_has_a_code_of_its_own_and_runs_nothing(self):
        client, server = self.accepted()
        ran = self.folder / "ran"
        process = self.start(server, 7, "touch", str(ran))
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        self.assertEqual(process.wait(PATIENCE_S), 76)
        self.assertFalse(ran.exists())

    def test_one_descriptor_cannot_be_guarded(self):
        _client, server = self.accepted()
        process = self.start(server, 7, "true", flags=("--read", "guarded"))
        self.assertEqual(process.wait(PATIENCE_S), 64)
        self.assertIn("--read guarded needs two descriptors",
                      (self.folder / "log").read_text(encoding="utf-8"))

    def test_signals_reach_the_program(self):
        client, server = self.accepted()
        process = self.start(server, 7, "sh", "-c",
                             "trap 'echo stopped >&7; exit 4' TERM; echo ready >&7; "
                             "while :; do sleep 0.1; done")
        with self.stream(client) as stream:
            self.assertEqual(stream.recv(100), b"ready\n")
            process.send_signal(signal.SIGTERM)
            self.assertEqual(self.all_of(stream), b"stopped\n")
        self.assertEqual(process.wait(PATIENCE_S), 4)

    def test_what_is_no_connection_is_refused(self):
        for fd, opened, words in ((7, None, "Bad file descriptor"),
                                  (7, socket.socket(), "not a connected socket"),
                                  (7, open("/dev/null", "rb"), "not a stream socket")):
            with self.subTest(words=words):
                if opened is not None:
                    self.addCleanup(opened.close)
                    os.dup2(opened.fileno(), fd, inheritable=True)
                ended = subprocess.run(self.command(fd, "true"), capture_output=True, check=False,
                                       pass_fds=(fd,) if opened else (), timeout=PATIENCE_S)
                if opened is not None:
                    os.close(fd)
                self.assertEqual(ended.returncode, 64)
                self.assertIn(f"--fd 7: ", ended.stderr.decode())
                self.assertIn(words, ended.stderr.decode())


class Activators(FdCase):
    """Who accepts connections and starts a program for each."""

    def assert_echoes(self, port):
        with self.stream(peers.tcp(("127.0.0.1", port))) as stream:
            stream.sendall(b"hello")
            stream.end_sending()
            self.assertEqual(self.all_of(stream), b"hello")

    @needs("inetd")
    def test_openbsd_inetd_serves_tls(self):
        self.assert_echoes(self.start_inetd("cat"))

    @needs("systemd-socket-activate")
    def test_an_inetd_service_of_systemd_speaks_tls(self):
        self.assert_echoes(self.start_activator("--inetd", fd=0, program=("cat",)))

    @needs("systemd-socket-activate")
    def test_a_service_that_is_passed_descriptor_3_believes_that_it_is_meant(self):
        port = self.start_activator(fd=3, program=(
            "sh", "-c", "[ $LISTEN_PID = $$ ] && [ $LISTEN_FDS = 1 ] && echo mine >&3"))
        with self.stream(peers.tcp(("127.0.0.1", port))) as stream:
            self.assertEqual(self.all_of(stream), b"mine\n")


if __name__ == "__main__":
    report.main("handover/fd")
