#!/usr/bin/env python3
"""kConnect with a socket whose TCP connection is still being made, and the names of relayed
streams."""

import contextlib
import errno
import ipaddress
import socket
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import broker_client as wire  # noqa: E402
import report  # noqa: E402
import wrap_peers as peers  # noqa: E402
from broker_case import BrokerCase, LOOPS, WAIT_S  # noqa: E402
from shared_certificates import certificates  # noqa: E402
from wrap_tls_stream import TlsStream  # noqa: E402

STREAM_PREFIX = b"\0ktls-bridge/stream/"


class Connecting(BrokerCase):
    def full_listener(self):
        """A listener that takes no more connections until somebody accepts, and what fills it."""
        listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        listener.settimeout(WAIT_S)
        self.addCleanup(listener.close)
        filler = peers.tcp(listener.getsockname(), timeout=WAIT_S)
        self.addCleanup(filler.close)
        return listener

    def begin(self, address):
        """A socket that is being connected."""
        sock = socket.socket()
        sock.setblocking(False)
        self.addCleanup(sock.close)
        self.assertIn(sock.connect_ex(address), (0, errno.EINPROGRESS))
        return sock

    def ask(self, client, sock):
        replies = client.ask(wire.CONNECT, sock, payload=b"localhost")
        replies.settimeout(WAIT_S * 3)
        self.addCleanup(replies.close)
        return replies

    def test_the_broker_waits_until_the_socket_is_connected(self):
        for loop in LOOPS:
            with self.subTest(loop=loop):
                broker = self.broker(loop=loop, path=self.folder / loop)
                listener = self.full_listener()
                sock = self.begin(listener.getsockname())
                with self.assertRaises(OSError):
                    sock.getpeername()  # otherwise this shows nothing
                replies = self.ask(self.client(broker), sock)
                listener.accept()[0].close()  # there is room for the next attempt
                accepted, _ = listener.accept()
                accepted.settimeout(WAIT_S)
                with TlsStream(accepted, certificates().server_context(), server_side=True) as far:
                    connection = wire.receive(replies)
                    near = connection.sock or sock
                    near.setblocking(True)
                    near.settimeout(WAIT_S)
                    near.sendall(b"hello")
                    self.assertEqual(peers.receive_exactly(far, 5), b"hello")
                    if connection.sock:
                        connection.sock.close()

    def assert_not_connected(self, replies, number):
        with self.assertRaises(wire.BrokerError) as caught:
            wire.receive(replies)
        self.assertEqual(caught.exception.number, number)
        self.assertFalse(caught.exception.was_connected)

    def test_a_port_where_nobody_listens_is_told_from_a_failure_of_tls(self):
        broker = self.broker()
        with peers.bound_listener() as nobody:
            address = nobody.getsockname()
        self.assert_not_connected(self.ask(self.client(broker), self.begin(address)),
                                  errno.ECONNREFUSED)

    def test_a_connection_that_takes_too_long_is_told_from_a_failure_of_tls(self):
        broker = wire.Broker(*certificates().server_flags, "--handshake-timeout", "500ms")
        self.addCleanup(broker.kill)
        sock = self.begin(self.full_listener().getsockname())
        self.assert_not_connected(self.ask(self.client(broker), sock), errno.ETIMEDOUT)

    def test_a_socket_that_nobody_connects_is_refused(self):
        broker = self.broker()
        for sock in (socket.socket(), socket.create_server(("127.0.0.1", 0))):
            with self.subTest(sock=sock), contextlib.closing(sock):
                with self.assertRaises(wire.BrokerError) as caught:
                    wire.receive(self.ask(self.client(broker), sock))
                self.assertEqual(caught.exception.number, errno.ENOTCONN)
                self.assertTrue(caught.exception.was_connected)

    def test_nothing_is_left_of_a_client_that_did_not_wait(self):
        broker = self.broker()
        client = self.client(broker)
        idle = self.idle(broker)
        sock = self.begin(self.full_listener().getsockname())
        self.ask(client, sock).close()
        sock.close()
        self.assert_settles(broker, idle)


class Names(BrokerCase):
    def test_a_relayed_stream_tells_the_addresses_of_its_connection(self):
        broker = self.broker("--offload", "never")
        listener = self.listener()
        listening = self.client(broker).listen(listener)
        self.addCleanup(listening.close)
        names = set()
        for _ in range(2):
            stream = self.tls(listener)
            connection = listening.accept()
            self.addCleanup(connection.sock.close)
            name = connection.sock.getsockname()
            self.assertEqual(len(name), 84)
            self.assertEqual(name[:20], STREAM_PREFIX)
            self.assertEqual(self.address(name[28:56]), listener.getsockname())
            self.assertEqual(self.address(name[56:84]), stream.sock.getsockname())
            names.add(name[20:28])
        self.assertEqual(len(names), 2)

    @staticmethod
    def address(raw):
        """(host, port) of a sockaddr_in in the place of a sockaddr_in6."""
        assert int.from_bytes(raw[:2], sys.byteorder) == socket.AF_INET
        return str(ipaddress.IPv4Address(raw[4:8])), int.from_bytes(raw[2:4], "big")


if __name__ == "__main__":
    report.main("handover/broker-connect")
