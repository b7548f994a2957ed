#!/usr/bin/env python3
"""libktls-bridge-client with a broker: what a program and its peer see of a connection."""

import contextlib
import errno
import os
import select
import signal
import ssl
import subprocess
import sys
import threading
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import report  # noqa: E402
from broker_case import REQUIRES_KTLS, WAIT_S, BrokerCase, marked  # noqa: E402
from client_library import RELAYED, ClientError, ClientLibrary, Info  # noqa: E402
from shared_certificates import certificates  # noqa: E402
from wrap_tls_stream import Truncated  # noqa: E402

# From 6.14 on the kernel can change a key.
CHANGES_KEYS = tuple(map(int, os.uname().release.split(".")[:2])) >= (6, 14)
VERSIONS = ((ssl.TLSVersion.TLSv1_2, 0x0303), (ssl.TLSVersion.TLSv1_3, 0x0304))


class OpensslClient:
    """`openssl s_client`, which changes its key where a line K is written to it."""

    def __init__(self, port):
        self.process = subprocess.Popen(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", certificates().ca],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.output = b""

    def write(self, line):
        self.process.stdin.write(line)
        self.process.stdin.flush()

    def wait_for(self, text):
        while text not in self.output:
            ready, _, _ = select.select([self.process.stdout], [], [], WAIT_S)
            data = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            if not data:
                raise AssertionError(f"no {text} in {self.output}")
            self.output += data

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class ClientTest(BrokerCase):
    def setUp(self):
        super().setUp()
        self.started = self.broker()
        self.library = ClientLibrary(self.started.path)
        self.socket = self.listener()
        self.listening = self.library.listen(self.socket)
        self.addCleanup(self.close_listening)

    def close_listening(self):
        with contextlib.suppress(OSError):
            self.library.close_listener(self.listening)

    def accept(self):
        fd, info = self.library.accept(self.listening)
        self.addCleanup(self.close_quietly, fd)
        return fd, info

    @staticmethod
    def close_quietly(fd):
        with contextlib.suppress(OSError):
            os.close(fd)

    def connected(self, version=None):
        """(descriptor, Info, the peer's TlsStream)"""
        peer = self.tls(self.socket, version)
        fd, info = self.accept()
        return fd, info, peer

    @staticmethod
    def all_of(peer):
        parts = []
        while data := peer.recv(65536):
            parts.append(data)
        return b"".join(parts)

    def test_a_connection_is_described(self):
        for version, number in VERSIONS:
            _, info, peer = self.connected(version)
            self.assertEqual(info.tls_version, number)
            self.assertEqual(info.name, b"localhost")
            self.assertEqual(bool(info.flags & RELAYED), not REQUIRES_KTLS)
            self.assertEqual(info.reason == b"", REQUIRES_KTLS, info.reason)
            self.assertEqual(Info.address_of(info.local), self.socket.getsockname())
            self.assertEqual(Info.address_of(info.remote), peer.sock.getsockname())
            self.assertNotEqual(info.cipher_suite, 0)

    def test_two_programs_talk_to_the_end(self):
        near, far = (sock.detach() for sock in self.tcp_pair())
        self.addCleanup(self.close_quietly, near)
        self.addCleanup(self.close_quietly, far)
        os.set_blocking(near, True)
        os.set_blocking(far, True)
        thread = threading.Thread(target=self.library.serve, args=(far,))
        thread.start()
        info = self.library.connect(near, "localhost")
        thread.join(WAIT_S)
        self.assertEqual(info.name, b"localhost")
        question, reply = marked(1, 3000), marked(2, 200_000)
        os.write(near, question)
        self.library.shutdown_write(near)
        self.assertEqual(self.library.read_all(far), question)
        writer = threading.Thread(target=self.write_all_and_close, args=(far, reply))
        writer.start()
        self.assertEqual(self.library.read_all(near), reply)
        self.assertEqual(self.library.read(near), b"")
        writer.join(WAIT_S)

    def write_all_and_close(self, fd, data):
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view):]
        self.library.close(fd)

    def test_a_full_socket_is_finished_by_the_broker(self):
        for version, _ in VERSIONS:
            fd, _, peer = self.connected(version)
            os.set_blocking(fd, False)
            sent = 0
            with contextlib.suppress(BlockingIOError):
                while True:
                    sent += os.write(fd, marked(3, 16384))
            self.library.close(fd)
            self.assertEqual(len(self.all_of(peer)), sent)

    def test_a_program_that_is_killed_leaves_no_orderly_end(self):
        peer = self.tls(self.socket)
        program = os.fork()
        if program == 0:
            fd, _ = self.library.accept(self.listening)
            os.write(fd, b"half")
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(program, 0)
        with self.assertRaises((Truncated, ssl.SSLError, ConnectionError)):
            self.all_of(peer)

    def test_an_end_without_close_notify_is_told(self):
        fd, _, peer = self.connected()
        peer.sendall(b"half")
        peer.close()
        with self.assertRaises(ClientError) as told:
            self.library.read_all(fd)
        self.assertEqual(told.exception.errno, errno.ECONNRESET)

    def openssl_client(self):
        client = OpensslClient(self.socket.getsockname()[1])
        self.addCleanup(client.close)
        fd, _ = self.accept()
        os.write(fd, b"ready\n")
        client.wait_for(b"ready\n")
        client.write(b"old\n")
        self.assertEqual(self.library.read(fd), b"old\n")
        return fd, client

    def test_a_key_update_of_the_peer_is_followed_or_refused_with_a_reason(self):
        fd, client = self.openssl_client()
        client.write(b"K\n")
        client.wait_for(b"KEYUPDATE")
        client.write(b"new\n")
        if REQUIRES_KTLS and not CHANGES_KEYS:
            with self.assertRaises(ClientError) as told:
                self.library.read(fd)
            self.assertEqual(told.exception.reason, "rekey_impossible")
            return
        self.assertEqual(self.library.read(fd), b"new\n")
        os.write(fd, b"under a new key\n")
        client.wait_for(b"under a new key\n")

    def test_a_connection_outlives_its_broker_where_the_kernel_has_it(self):
        fd, client = self.openssl_client()
        self.started.kill()
        if not REQUIRES_KTLS:
            with self.assertRaises(ClientError) as told:
                self.library.read(fd)
            self.assertEqual((told.exception.errno, told.exception.reason),
                             (errno.ECONNRESET, "broker_gone"))
            return
        self.started = self.broker(path=self.started.path)
        client.write(b"on\n")
        self.assertEqual(self.library.read(fd), b"on\n")
        os.write(fd, b"and on\n")
        client.wait_for(b"and on\n")
        client.write(b"K\n")
        with self.assertRaises(ClientError) as told:
            self.library.read(fd)
        self.assertEqual(told.exception.reason, "secrets_lost")

    def test_the_port_is_free_when_the_listener_is_closed(self):
        address = self.socket.getsockname()
        self.library.close_listener(self.listening)
        self.listening = None
        self.socket.close()
        self.assertNotIn(f":{address[1]:04X} ", self.listening_ports())

    @staticmethod
    def listening_ports():
        lines = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
        return " ".join(line.split()[1] for line in lines if line.split()[3] == "0A") + " "


if __name__ == "__main__":
    report.main("handover/client")
