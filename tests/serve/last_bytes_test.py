#!/usr/bin/env python3
"""What `serve` has given to the socket is the client's, however slowly that takes it."""

import socket
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import report  # noqa: E402
from payload import Payload  # noqa: E402
from served_case import ServedCase  # noqa: E402
from watched_serve import data_paths  # noqa: E402

# More than the sockets of both sides hold, so that the end of it is sent while the client reads.
SIZE = 12 << 20
STEP = 65536
PAUSE_S = 0.05
NAP_S = 5  # longer than last words may take

content = Payload(SIZE, seed=2).bytes()


class LastBytes(ServedCase):
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

    def begin(self, serve, **fields):
        (self.root / "file.bin").write_bytes(content)
        client = self.client(serve)
        client.send("/file.bin", fields=fields)
        return client, client.read_head().length

    def test_the_last_response_of_a_connection_arrives(self):
        for name, flags in data_paths():
            with self.subTest(name):
                serve = self.serve(*flags)
                client, length = self.begin(serve, Connection="close")
                self.read_slowly(serve, client, length)
                self.assertEqual(client.read_to_end(), b"")  # close_notify
                client.close()
                self.assertEqual([line["ended"] for line in serve.finish()], ["clean"])

    def test_so_does_one_after_which_the_connection_is_idle_for_too_long(self):
        for name, flags in data_paths():
            with self.subTest(name):
                serve = self.serve("--keep-alive", "500ms", *flags)
                client, length = self.begin(serve)
                self.read_slowly(serve, client, length)
                self.assertEqual(client.read_to_end(), b"")
                client.close()
                serve.finish()

    def test_so_does_one_to_a_client_that_has_ended_its_own_side(self):
        for name, flags in data_paths():
            with self.subTest(name):
                serve = self.serve(*flags)
                client, length = self.begin(serve)
                client.stream.sock.shutdown(socket.SHUT_WR)
                self.read_slowly(serve, client, length)
                client.close()
                serve.finish()


if __name__ == "__main__":
    report.main("serve/last_bytes")
