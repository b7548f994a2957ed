#!/usr/bin/env python3
"""`serve --http` in service: an address has its limit there, too, and draining cuts no answer."""

import signal
import socket
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import report  # noqa: E402
import wrap_peers as peers  # noqa: E402
from served_case import ServedCase  # noqa: E402
from watched import wait_until  # noqa: E402
from watched_serve import LOOPS, WAIT_S  # noqa: E402

REQUEST = b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n"
ANSWER = b"HTTP/1.1 308 "
LAST_WORDS_S = 2  # so long is a client waited for that does not close
TALKS_S = LAST_WORDS_S / 2
TRIES_MAX = 10


class Redirects(ServedCase):
    def serve_both(self, *flags):
        return self.serve("--http", "127.0.0.1:0", *flags)

    def connect(self, serve):
        client = peers.tcp(serve.plain_endpoint, WAIT_S)
        self.addCleanup(client.close)
        return client

    def is_answered(self, serve):
        try:
            client = self.connect(serve)
            client.sendall(REQUEST)
            return peers.receive_all(client).startswith(ANSWER)
        except ConnectionError:
            return False

    def test_one_connection_too_many_of_an_address_is_reset_and_logged(self):
        for loop in LOOPS:
            with self.subTest(loop):
                serve = self.serve_both("--max-per-address", 2, "--loop", loop)
                held = [self.client(serve) for _ in range(2)]
                for client in held:
                    self.assertEqual(client.ask("/gone").status, 404)
                with socket.socket() as plain:
                    plain.settimeout(WAIT_S)
                    plain.bind(("127.0.0.1", 0))
                    peer = f"127.0.0.1:{plain.getsockname()[1]}"
                    with self.assertRaises(ConnectionResetError):
                        plain.connect(serve.plain_endpoint)
                        plain.recv(1)
                line = serve.wait_for_event("refused")[0]
                self.assertEqual((line["peer"], line["reason"]), (peer, "max_per_address"))
                held[0].end()
                wait_until(lambda: self.is_answered(serve), "a free place", WAIT_S)

    def test_draining_does_not_wait_for_a_request(self):
        serve = self.serve_both("--request-timeout", "1h", "--drain-timeout", "1h")
        client = self.connect(serve)
        client.sendall(REQUEST[:-2])
        serve.send_signal(signal.SIGTERM)
        self.assertEqual(serve.wait(WAIT_S), 0)
        self.assertIn(peers.how_it_ends(client), (("eof", b""), ("reset", b"")))

    def test_draining_leaves_a_client_that_still_sends_its_answer(self):
        for _ in range(TRIES_MAX):  # on a machine that is too busy nothing can be seen
            serve = self.serve_both()
            client = self.connect(serve)
            begun = time.monotonic()
            client.sendall(REQUEST)
            self.assertTrue(peers.receive_all(client).startswith(ANSWER))
            serve.send_signal(signal.SIGTERM)
            serve.wait_for_event("draining")
            flaw = ""
            while not flaw and time.monotonic() - begun < TALKS_S:
                try:
                    client.sendall(b"x")  # to a socket that is closed: a reset
                except ConnectionError as error:
                    flaw = str(error)
                time.sleep(0.02)
            if time.monotonic() - begun < LAST_WORDS_S - 0.2:
                self.assertEqual(flaw, "")
                client.close()
                self.assertEqual(serve.wait(WAIT_S), 0)
                return
        self.fail("the machine is too busy for this test")


if __name__ == "__main__":
    report.main("serve/redirects")
