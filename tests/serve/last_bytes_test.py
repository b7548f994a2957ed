#!/usr/bin/env python3
"""What `serve` has given to the socket is the client's, however slowly that takes it."""

import signal
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import report  # noqa: E402
from payload import Payload  # noqa: E402
from shared_certificates import certificates  # noqa: E402
from served_case import ServedCase  # noqa: E402
from watched_serve import WAIT_S, data_paths  # noqa: E402
from wrap_peers import how_it_ends  # noqa: E402

# More than the sockets of both sides hold, so that the end of it is sent while the client reads.
SIZE = 12 << 20
STEP = 65536
PAUSE_S = 0.05
NAP_S = 5  # longer than last words may take
# Of a client that is to be cut off: what it has not read is with the server, not in its own system.
LITTLE = 65536

content = Payload(SIZE, seed=2).bytes()


class LastBytes(ServedCase):
    def setUp(self):
        super().setUp()
        self.write("file.bin", content)
        certificates()  # before there are threads that ask for them

    def read_slowly(self, serve, client, length):
        """As little as makes the server send all; then the rest, after a nap."""
        body = bytearray()
        for part in client.body_parts(length):
            body += part
            if serve is not None and serve.responses():
                time.sleep(NAP_S)
                serve = None
            elif serve is not None and len(body) > SIZE // 3:
                time.sleep(PAUSE_S * len(part) / STEP)
        self.assertIsNone(serve, "the server was done after the client")
        self.assertTrue(bytes(body) == content)

    def read_until_all_is_sent(self, serve, client, length):
        """As little as makes the server send all."""
        size = 0
        for part in client.body_parts(length):
            size += len(part)
            if serve.responses():
                break
            if size > SIZE // 3:
                time.sleep(PAUSE_S * len(part) / STEP)
        self.assertEqual([line["ended"] for line in serve.responses()], ["clean"])
        self.assertLess(size, length, "the server was done after the client")

    def on_each_path(self, check):
        """On all at once: what takes the time is waiting."""
        paths = data_paths()
        with ThreadPoolExecutor(len(paths)) as pool:
            checks = {name: pool.submit(check, *flags) for name, flags in paths}
            for name, checked in checks.items():
                with self.subTest(name):
                    checked.result()

    def begin(self, serve, receive_buffer=0, **fields):
        client = self.client(serve, receive_buffer=receive_buffer)
        client.send("/file.bin", fields=fields)
        return client, client.read_head().length

    def test_the_last_response_of_a_connection_arrives(self):
        def check(*flags):
            serve = self.serve(*flags)
            client, length = self.begin(serve, Connection="close")
            self.read_slowly(serve, client, length)
            self.assertEqual(client.read_to_end(), b"")  # close_notify
            client.close()
            self.assertEqual([line["ended"] for line in serve.finish()], ["clean"])

        self.on_each_path(check)

    def test_so_does_one_after_which_the_connection_is_idle_for_too_long(self):
        def check(*flags):
            serve = self.serve("--keep-alive", "500ms", *flags)
            client, length = self.begin(serve)
            self.read_slowly(serve, client, length)
            self.assertEqual(client.read_to_end(), b"")
            client.close()
            serve.finish()

        self.on_each_path(check)

    def test_so_does_one_to_a_client_that_has_ended_its_own_side(self):
        def check(*flags):
            serve = self.serve(*flags)
            client, length = self.begin(serve)
            client.stream.sock.shutdown(socket.SHUT_WR)
            self.read_slowly(serve, client, length)
            client.close()
            serve.finish()

        self.on_each_path(check)

    def test_who_takes_no_more_of_it_is_reset(self):
        def check(*flags):
            serve = self.serve("--send-timeout", "2s", "--min-rate", 0, *flags)
            client, length = self.begin(serve, LITTLE, Connection="close")
            self.read_until_all_is_sent(serve, client, length)
            line, = serve.wait_for_connections(1)
            self.assertEqual(line["ended"], "timeout")
            ended, received = how_it_ends(client.stream)
            self.assertIn(ended, ("reset", "truncated"))
            self.assertLess(len(received), length)
            client.close()
            serve.finish()

        self.on_each_path(check)

    def test_so_is_who_has_not_taken_it_when_draining_is_over(self):
        def check(*flags):
            serve = self.serve("--drain-timeout", "1s", *flags)
            client, length = self.begin(serve, LITTLE, Connection="close")
            self.read_until_all_is_sent(serve, client, length)
            serve.send_signal(signal.SIGTERM)
            line, = serve.wait_for_connections(1)
            self.assertEqual(line["ended"], "cancelled")
            self.assertIn(how_it_ends(client.stream)[0], ("reset", "truncated"))
            client.close()
            self.assertEqual(serve.wait(WAIT_S), 0)

        self.on_each_path(check)


if __name__ == "__main__":
    report.main("serve/last_bytes")
