#!/usr/bin/env python3
"""States computed from secrets through the C interface, installed into kernel TLS, and proved by
bytes: the socket itself speaks TLS with a peer that is made of libcrypto alone."""

import hashlib
import os
import platform
import socket
import sys
import threading
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "support"))

import ktls_bridge as bridge  # noqa: E402
import report  # noqa: E402
from ktls_bridge import READ, RECEIVE, TRANSMIT, WRITE, Layer  # noqa: E402
from libcrypto_peer import SUITES, Peer  # noqa: E402

SIZE = 300_000
ALERT, HANDSHAKE, DATA = 21, 22, 23
CLOSE_NOTIFY = bytes([1, 0])
CIPHERS = {"AES-128-GCM": 51, "AES-256-GCM": 52, "AES-128-CCM": 53,
           "ChaCha20-Poly1305": 54}  # linux/tls.h
PATIENCE_S = 60


def connected():
    listener = socket.create_server(("127.0.0.1", 0))
    near = socket.create_connection(listener.getsockname())
    far, _ = listener.accept()
    listener.close()
    for sock in (near, far):
        sock.settimeout(PATIENCE_S)
    return near, far


def pattern(seed):
    return hashlib.shake_256(seed.to_bytes(4, "big")).digest(SIZE)


class Installed(unittest.TestCase):
    def set_up(self, suite_id):
        suite = SUITES[suite_id]
        near, far = connected()
        self.addCleanup(near.close)
        self.addCleanup(far.close)
        layer = Layer(version=suite["version"], is_client=1)
        if suite["version"] == 0x0304:
            layer.tls13_records = 1
            size = hashlib.new(suite["hash"]).digest_size
            secrets = os.urandom(size), os.urandom(size)
            layer.calc_tls13(suite_id, *secrets)
        else:
            secrets = os.urandom(48), os.urandom(32), os.urandom(32)
            layer.calc(suite_id, *secrets)
        layer.change_write()
        layer.change_read()
        return layer, near, far, Peer(far, suite, secrets)

    def expect_installed(self, layer, sock, direction):
        reason = layer.install(sock, direction)
        self.assertEqual(reason, "", f"on Linux {platform.release()}")

    def exchange(self, suite_id):
        layer, near, _far, peer = self.set_up(suite_id)
        # Some records go through the layer first: the kernel continues the count.
        records = bridge.RecordSocket(near, layer)
        self.assertTrue(records.send(HANDSHAKE, b"one"))
        self.assertEqual(peer.receive(), (HANDSHAKE, b"one"))
        peer.send(DATA, b"two")
        self.assertEqual(records.receive()[1], b"two")
        self.assertEqual(bridge.placement(near), ("userspace", "userspace", 0, 0, ""))
        for direction in (RECEIVE, TRANSMIT):
            self.expect_installed(layer, near, direction)
        version = SUITES[suite_id]["version"]
        self.assertEqual(bridge.placement(near),
                         ("kernel", "kernel", version, CIPHERS[SUITES[suite_id]["cipher"]], ""))
        for which in (WRITE, READ):
            with self.assertRaises(bridge.Refused):
                layer.state(which)

        up, down = pattern(suite_id), pattern(suite_id + 1)
        sender = threading.Thread(target=near.sendall, args=(up,))
        sender.start()
        received = b""
        while len(received) < SIZE:
            content_type, text = peer.receive()
            self.assertEqual(content_type, DATA)
            received += text
        sender.join()
        self.assertEqual(received, up)

        sender = threading.Thread(target=peer.send, args=(DATA, down))
        sender.start()
        received = b""
        while len(received) < SIZE:
            received += near.recv(SIZE)
        sender.join()
        self.assertEqual(received, down)

        self.assertEqual(bridge.kernel_send(near, ALERT, CLOSE_NOTIFY), 2)
        self.assertEqual(peer.receive(), (ALERT, CLOSE_NOTIFY))
        peer.send(ALERT, CLOSE_NOTIFY)
        self.assertEqual(self.receive(near), (ALERT, CLOSE_NOTIFY))
        peer.sock.shutdown(socket.SHUT_WR)
        self.assertIsNone(self.receive(near))
        print(f"    {suite_id:04X} {SUITES[suite_id]['cipher']} {SIZE} bytes each way "
              f"on Linux {platform.release()}")

    def receive(self, sock):
        """As kernel_receive(), waiting for something to come."""
        for _ in range(1000):
            try:
                return bridge.kernel_receive(sock)
            except bridge.Refused as refused:
                if refused.name != "system":
                    raise
                threading.Event().wait(0.01)
        raise AssertionError("nothing came")

    def test_tls_1_2_speaks_with_a_peer_of_libcrypto(self):
        for suite_id in (0xC02F, 0xC030, 0xC0AC, 0xCCA8):
            with self.subTest(f"{suite_id:04x}"):
                self.exchange(suite_id)

    def test_tls_1_3_speaks_with_a_peer_of_libcrypto(self):
        for suite_id in (0x1301, 0x1302, 0x1303, 0x1304):
            with self.subTest(f"{suite_id:04x}"):
                self.exchange(suite_id)

    def test_one_direction_in_the_kernel_and_one_in_the_layer(self):
        layer, near, _far, peer = self.set_up(0x1301)
        self.expect_installed(layer, near, TRANSMIT)
        self.assertEqual(bridge.placement(near)[:2], ("kernel", "userspace"))
        near.sendall(b"by the kernel")
        self.assertEqual(peer.receive(), (DATA, b"by the kernel"))
        peer.send(DATA, b"by the layer")
        layer.feed(near.recv(1000))
        self.assertEqual(layer.next()[1], b"by the layer")

    def test_what_the_kernel_cannot_have_stays_in_the_layer(self):
        near, far = connected()
        self.addCleanup(near.close)
        self.addCleanup(far.close)
        layer = Layer(version=0x0301, is_client=1)
        layer.calc(0x002F, bytes(48), bytes(32), bytes(32))
        layer.change_write()
        self.assertEqual(layer.install(near, TRANSMIT), "version_not_in_kernel")
        self.assertTrue(layer.seal(DATA, b"and goes on"))

    def test_a_record_that_does_not_open_is_told_as_one(self):
        layer, near, far, peer = self.set_up(0x1301)
        self.expect_installed(layer, near, RECEIVE)
        record = bytearray(peer.writes.seal(DATA, b"good"))
        record[-1] ^= 1
        far.sendall(record)
        with self.assertRaises(bridge.Refused) as refused:
            self.receive(near)
        self.assertEqual(refused.exception.name, "bad_record_mac")


if __name__ == "__main__":
    report.main("api/kernel")
