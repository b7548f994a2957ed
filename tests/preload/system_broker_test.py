#!/usr/bin/env python3
"""The library and its environment alone, without `ktls-bridge run`: programs that a broker of the
whole system serves, whatever becomes of them, and of it."""

import contextlib
import os
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import report  # noqa: E402
import wrap_peers as peers  # noqa: E402
from broker_case import BrokerCase, WAIT_S, wait_until  # noqa: E402
from preload_case import PLACE, free_port, is_listened_on, timer_to_kill  # noqa: E402
from shared_certificates import certificates  # noqa: E402
from watched import BUILD  # noqa: E402

LIBRARY = BUILD / "tools" / "preload" / "libktls-bridge-preload.so"
PROGRAM = Path(__file__).with_name("told_program.py")
IS_ROOT = os.geteuid() == 0
CONTENT = b"-nobody-may-see-this-in-the-clear-" * 3000
REQUEST = b"GET /file HTTP/1.0\r\n\r\n"
URLLIB = """\
import sys, urllib.request
sys.stdout.buffer.write(urllib.request.urlopen(sys.argv[1]).read())
"""
# How long a blocking accept waits for the next broker before it tells of the last one again.
TELLS_AGAIN_S = 1


class SystemBrokerCase(BrokerCase):
    def setUp(self):
        super().setUp()
        self.folder.chmod(0o755)  # for a program that becomes somebody else
        self.site = self.folder / "site"
        self.site.mkdir()
        (self.site / "file").write_bytes(CONTENT)
        self.port = free_port()
        self.log = self.folder / "errors"

    def plain_program(self, *words, **variables):
        """Under the library; nothing but variables says what is to be TLS."""
        environment = {**os.environ, "LD_PRELOAD": str(LIBRARY),
                       "KTLS_BRIDGE_BROKER": str(self.folder / "broker.sock"), **variables}
        with self.log.open("ab") as log:
            process = subprocess.Popen([str(word) for word in words], env=environment,
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        self.addCleanup(self.end, process)
        return process

    def told(self, *acts, **variables):
        return self.plain_program(sys.executable, "-B", PROGRAM, *acts, **variables)

    def listening(self, *acts):
        return self.told(*acts, KTLS_BRIDGE_LISTEN=str(self.port))

    def asking(self, *acts, port):
        return self.told(*acts, KTLS_BRIDGE_CONNECT=f"localhost:{port}")

    def http_server(self, *before):
        return self.plain_program(*before, sys.executable, "-m", "http.server", "--bind",
                                  "127.0.0.1", "--directory", self.site, self.port,
                                  KTLS_BRIDGE_LISTEN=str(self.port))

    def assert_listens(self):
        wait_until(lambda: is_listened_on(self.port), "the program to listen", WAIT_S)

    def assert_says(self, process, *lines):
        for line in lines:
            self.assertEqual(self.next_line(process), line, self.errors())

    @staticmethod
    def next_line(process):
        with timer_to_kill(process):
            return process.stdout.readline().decode().rstrip("\n")

    def errors(self):
        return self.log.read_text(encoding="utf-8", errors="replace")

    def lines_of_the_library(self):
        return [line for line in self.errors().splitlines() if line.startswith("ktls-bridge: ")]

    @property
    def endpoint(self):
        return "127.0.0.1", self.port

    def assert_echoes(self, text):
        with peers.tls(certificates().client_context(), self.endpoint, timeout=WAIT_S) as stream:
            stream.sendall(text)
            stream.send_close_notify()
            self.assertEqual(peers.receive_all(stream), text)

    def assert_serves_the_file(self):
        with peers.tls(certificates().client_context(), self.endpoint, timeout=WAIT_S) as stream:
            stream.sendall(REQUEST)
            received = peers.receive_all(stream)
        self.assertTrue(received.startswith(b"HTTP/1.0 200 OK\r\n"), received[:200])
        self.assertTrue(received.endswith(b"\r\n\r\n" + CONTENT), len(received))

    def plain_client(self):
        """One that knows nothing of TLS, and has asked for the file."""
        sock = peers.tcp(self.endpoint, timeout=WAIT_S)
        self.addCleanup(sock.close)
        sock.sendall(REQUEST)
        return sock

    def assert_gets_nothing(self, plain):
        """What comes instead, if anything, is an alert."""
        received = b""
        with contextlib.suppress(ConnectionError):
            while part := plain.recv(1 << 16):
                received += part
        self.assertNotIn(b"HTTP", received)
        self.assertNotIn(CONTENT[:20], received)
        self.assertLess(len(received), 100)

    def tls_peer(self):
        """A server that sends back what it gets; its port."""
        backend = peers.Backend(context=certificates().server_context())
        self.addCleanup(backend.close)
        return backend.endpoint[1]

    def assert_placed(self, broker, count):
        for line in broker.wait_for_event("connection", count, WAIT_S):
            self.assertEqual((line["tx"], line["rx"]), (PLACE, PLACE), line)


class Environment(SystemBrokerCase):
    def test_a_server_of_http_and_its_client_speak_tls_by_their_environment_alone(self):
        broker = self.broker()
        self.http_server()
        self.assert_listens()
        self.assert_serves_the_file()
        client = self.plain_program(sys.executable, "-c", URLLIB,
                                    f"http://localhost:{self.port}/file",
                                    KTLS_BRIDGE_CONNECT=f"localhost:{self.port}")
        received, _ = client.communicate(timeout=WAIT_S)
        self.assertEqual((client.returncode, received == CONTENT), (0, True), self.errors())
        self.assert_placed(broker, 3)
        self.assert_gets_nothing(self.plain_client())

    def test_programs_that_others_execute_without_an_environment_speak_tls(self):
        self.broker()
        self.http_server("sh", "-c", 'exec env -i "$@"', "sh")
        self.assert_listens()
        self.assert_serves_the_file()
        self.assert_gets_nothing(self.plain_client())

    def test_a_program_that_is_executed_again_has_its_listening_socket(self):
        self.broker()
        program = self.listening("listen", self.port, "pass", "serve")
        self.assert_says(program, "listening")
        self.assert_echoes(b"after exec")
        self.assert_says(program, "served")

    def test_a_client_asks_after_it_was_executed_again(self):
        self.broker()
        port = self.tls_peer()
        program = self.asking("exec", "look-up", "localhost", port, "ask", "by-name", port=port)
        self.assert_says(program, "by-name")

    @unittest.skipUnless(IS_ROOT, "needs root")
    def test_chroot_and_setuid_after_the_start_keep_the_broker(self):
        empty = self.folder / "empty"
        empty.mkdir()
        for acts in (("chroot", empty), ("nobody",), ("chroot", empty, "nobody")):
            with self.subTest(acts=acts):
                broker = self.broker()
                program = self.listening(*acts, "listen", self.port, "serve")
                self.assert_says(program, "listening")
                self.assert_echoes(b"in there")
                self.assert_says(program, "served")
                port = self.tls_peer()
                client = self.asking("look-up", "localhost", port, *acts, "ask", "from-there",
                                     port=port)
                self.assert_says(client, "from-there")
                self.assert_placed(broker, 2)
                self.end(program)
                broker.kill()


class Restart(SystemBrokerCase):
    def test_a_server_of_http_outlives_its_broker(self):
        broker = self.broker()
        server = self.http_server()
        self.assert_listens()
        self.assert_serves_the_file()
        for _ in range(2):
            broker.kill()
            plain = self.plain_client()
            broker = self.broker()
            self.assert_serves_the_file()
            self.assert_gets_nothing(plain)
        self.assertIsNone(server.poll(), self.errors())

    def test_accept_tells_of_a_broker_that_has_gone_and_goes_on_with_the_next(self):
        broker = self.broker()
        program = self.listening("listen", self.port, "serve")
        self.assert_says(program, "listening")
        self.assert_echoes(b"before")
        self.assert_says(program, "served")
        started = time.monotonic()
        broker.kill()
        self.assert_says(program, "ECONNABORTED")
        self.broker()
        self.assert_echoes(b"after")
        told = []
        while (line := self.next_line(program)) != "served":
            self.assertEqual(line, "ECONNABORTED", self.errors())
            told.append(line)
        self.assertLessEqual(len(told), (time.monotonic() - started) / TELLS_AGAIN_S)


class Absent(SystemBrokerCase):
    def test_without_a_broker_listen_fails_and_one_line_says_why(self):
        program = self.listening("listen", self.port, "refused")
        self.assert_says(program, "ECONNREFUSED", "EINVAL", "waiting")
        with self.assertRaises(ConnectionRefusedError):
            peers.tcp(self.endpoint)
        said = self.lines_of_the_library()
        self.assertEqual(said, ["ktls-bridge: this program cannot listen: no broker answers at "
                                f"{self.folder}/broker.sock"], self.errors())

    def test_without_a_broker_a_server_of_http_does_not_start(self):
        server = self.http_server()
        self.assertNotEqual(server.wait(WAIT_S), 0)
        self.assertEqual(len(self.lines_of_the_library()), 1, self.errors())

    def test_without_a_broker_connect_is_refused_and_one_line_says_why(self):
        with contextlib.closing(peers.Backend()) as backend:
            port = backend.endpoint[1]
            program = self.asking("look-up", "localhost", port, "ask", "anything", port=port)
            self.assert_says(program, "ECONNREFUSED")
        said = self.lines_of_the_library()
        self.assertEqual(len(said), 1, self.errors())
        self.assertIn("no TLS connection: no broker answers at ", said[0])

    def test_with_variables_that_cannot_be_read_nothing_listens_or_connects(self):
        self.broker()
        port = self.tls_peer()
        for name, value in (("LISTEN", "http"), ("LISTEN", "1,0"), ("CONNECT", "[::1"),
                            ("CONNECT", "localhost:99999")):
            with self.subTest(name=name, value=value):
                self.log.write_bytes(b"")
                program = self.told("look-up", "localhost", port, "ask", "anything", "listen",
                                    self.port, "refused", **{f"KTLS_BRIDGE_{name}": value})
                self.assert_says(program, "ECONNREFUSED", "EACCES", "EINVAL")
                said = [line for line in self.lines_of_the_library()
                        if f"KTLS_BRIDGE_{name}: cannot be read at " in line]
                self.assertEqual(len(said), 1, self.errors())
                self.end(program)

    def test_a_broker_that_comes_before_the_program_listens_is_found(self):
        program = self.listening("wait", "listen", self.port, "serve")
        self.assert_says(program, "waiting")
        self.broker()
        program.stdin.write(b"\n")
        program.stdin.flush()
        self.assert_says(program, "listening")
        self.assert_echoes(b"late")
        self.assert_says(program, "served")


if __name__ == "__main__":
    report.main("preload/system-broker")
