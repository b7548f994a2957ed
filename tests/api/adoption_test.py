#!/usr/bin/env python3
"""A connection that Python's ssl module established is taken over by the C interface, from its key
log and its counts: into the kernel where there is kernel TLS, in userspace elsewhere (nowhere else,
with KTLS_BRIDGE_REQUIRE_KTLS=1). Its peer goes on with libssl and notices nothing."""

import os
import platform
import re
import socket
import ssl
import sys
import threading
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "support"))

import ktls_bridge as bridge  # noqa: E402
import report  # noqa: E402
from ktls_bridge import PENDING_READ, PENDING_WRITE, RECEIVE, TRANSMIT, Layer  # noqa: E402
from shared_certificates import certificates, scratch_folder  # noqa: E402

DATA = 23
SIZE = 200_000
PATIENCE_S = 60
SUITES_13 = {"TLS_AES_128_GCM_SHA256": 0x1301, "TLS_AES_256_GCM_SHA384": 0x1302,
             "TLS_CHACHA20_POLY1305_SHA256": 0x1303}
SUITES_12 = {"ECDHE-RSA-AES128-GCM-SHA256": 0xC02F, "ECDHE-ECDSA-AES128-GCM-SHA256": 0xC02B,
             "ECDHE-RSA-CHACHA20-POLY1305": 0xCCA8, "ECDHE-ECDSA-CHACHA20-POLY1305": 0xCCA9}
REQUIRES_KERNEL = "KTLS_BRIDGE_REQUIRE_KTLS" in os.environ
TICKETS = 2  # that libssl's server sends by default, in a record each


def records_of(stream):
    position = 0
    while position < len(stream):
        end = position + 5 + int.from_bytes(stream[position + 3:position + 5], "big")
        yield stream[position:end]
        position = end


class Handshake:
    """A server's handshake by Python's ssl, whose bytes pass before our eyes."""

    def __init__(self, sock, context, key_log):
        self.sock, self.sent, self.key_log = sock, b"", key_log
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.ssl = context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        while True:
            try:
                self.ssl.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.flush()
                self.incoming.write(self.record())
        self.flush()

    def record(self):
        header = self.sock.recv(5, socket.MSG_WAITALL)
        return header + self.sock.recv(int.from_bytes(header[3:], "big"), socket.MSG_WAITALL)

    def flush(self):
        data = self.outgoing.read()
        self.sent += data
        self.sock.sendall(data)

    def secret(self, label):
        (found,) = re.findall(rf"^{label} \w+ (\w+)$", self.key_log.read_text(), re.MULTILINE)
        return bytes.fromhex(found)

    def layer(self):
        """The record layer that goes on where libssl stopped."""
        name, version, _ = self.ssl.cipher()
        if self.ssl.version() == "TLSv1.3":
            layer = Layer(version=0x0304, tls13_records=1, is_client=0)
            layer.calc_tls13(SUITES_13[name], self.secret("CLIENT_TRAFFIC_SECRET_0"),
                             self.secret("SERVER_TRAFFIC_SECRET_0"))
            layer.set_sequence(PENDING_WRITE, TICKETS)
        else:
            hello = next(records_of(self.sent))
            server_random = hello[11:43]
            (randoms,) = re.findall(r"^CLIENT_RANDOM (\w+) (\w+)$", self.key_log.read_text(),
                                    re.MULTILINE)
            layer = Layer(version=0x0303, is_client=0)
            layer.calc(SUITES_12[name], bytes.fromhex(randoms[1]), bytes.fromhex(randoms[0]),
                       server_random)
            # Each side's Finished went under these keys.
            layer.set_sequence(PENDING_WRITE, 1)
            layer.set_sequence(PENDING_READ, 1)
            if "GCM" in name:
                finished = list(records_of(self.sent))[-1]
                nonce = int.from_bytes(finished[5:13], "big")
                layer.set_explicit_nonce(PENDING_WRITE, nonce + 1)
        layer.change_write()
        layer.change_read()
        return layer


class Adopted(unittest.TestCase):
    def adopt(self, version, cipher=None):
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        key_log = scratch_folder() / "keys"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates().chain, certificates().key)
        context.keylog_filename = str(key_log)
        context.minimum_version = context.maximum_version = version
        if cipher:
            context.set_ciphers(cipher)
        data = os.urandom(SIZE)
        outcome = {}

        def client():
            trusting = certificates().client_context(None)
            with socket.create_connection(listener.getsockname(), PATIENCE_S) as raw, \
                    trusting.wrap_socket(raw, server_hostname="localhost") as tls:
                received = b""
                while len(received) < SIZE:
                    piece = tls.recv(SIZE)
                    if not piece:
                        break
                    received += piece
                tls.sendall(received)
                outcome["end"] = tls.recv(1)

        thread = threading.Thread(target=client)
        thread.start()
        self.addCleanup(thread.join)
        sock, _ = listener.accept()
        self.addCleanup(sock.close)
        sock.settimeout(PATIENCE_S)
        layer = Handshake(sock, context, key_log).layer()
        sock.settimeout(None)
        self.go_on(layer, sock, data)
        sock.close()
        thread.join(PATIENCE_S)
        self.assertEqual(outcome, {"end": b""})

    def go_on(self, layer, sock, data):
        places = {layer.install(sock, direction) for direction in (RECEIVE, TRANSMIT)}
        self.assertEqual(len(places), 1)
        (reason,) = places
        if REQUIRES_KERNEL:
            self.assertEqual(reason, "", f"on Linux {platform.release()}")
        print(f"    {'in the kernel' if not reason else 'in userspace: ' + reason}")
        if reason:
            records = bridge.RecordSocket(sock, layer)
            sender = threading.Thread(target=records.send, args=(DATA, data))
            sender.start()
            sender.join()
            received = b""
            while len(received) < SIZE:
                received += records.receive()[1]
            records.send(21, bytes([1, 0]))
        else:
            sock.sendall(data)
            received = b""
            while len(received) < SIZE:
                received += sock.recv(SIZE)
            bridge.kernel_send(sock, 21, bytes([1, 0]))
        self.assertEqual(received, data)

    def test_of_tls_1_3(self):
        self.adopt(ssl.TLSVersion.TLSv1_3)

    def test_of_tls_1_2_with_aes_gcm(self):
        self.adopt(ssl.TLSVersion.TLSv1_2, "AESGCM+AES128")

    def test_of_tls_1_2_with_chacha20(self):
        self.adopt(ssl.TLSVersion.TLSv1_2, "CHACHA20")


if __name__ == "__main__":
    report.main("api/adoption")
