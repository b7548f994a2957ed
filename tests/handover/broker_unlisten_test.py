#!/usr/bin/env python3
"""kRelease of listening sockets: the port is free when the last process that had one has closed it,
and not before."""

import socket
import subprocess
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import broker_client as wire  # noqa: E402
import report  # noqa: E402
from broker_case import BrokerCase, LOOPS, WAIT_S  # noqa: E402
from broker_listeners import bound  # noqa: E402

PROGRAM = Path(__file__).resolve().parents[1] / "support" / "broker_listeners.py"
ROUNDS = 50


class Releasing(BrokerCase):
    def test_the_port_is_free_the_moment_that_the_last_process_has_released_it(self):
        for loop in LOOPS:
            with self.subTest(loop=loop):
                broker = self.broker(loop=loop, path=self.folder / loop)
                idle = self.idle(broker)
                program = self.program(broker.path, str(ROUNDS), script=PROGRAM,
                                       stdout=subprocess.PIPE, text=True)
                output, _ = program.communicate(timeout=WAIT_S * 6)
                self.assertEqual(output.splitlines(), ["EADDRINUSE free"] * ROUNDS)
                self.assert_settles(broker, idle)

    def assert_accepts(self, listener, listening):
        stream = self.tls(listener)
        with listening.accept().sock as sock:
            sock.sendall(b"hello")
            self.assertEqual(stream.recv(5), b"hello")

    def test_who_gets_the_channel_after_it_was_released_goes_on(self):
        broker = self.broker()
        client = self.client(broker)
        listener = self.listener()
        address = listener.getsockname()
        listening = client.listen(listener)
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        with near, far:
            socket.send_fds(near, [b"x"], [listening.replies.fileno(), listener.fileno()])
            client.release(listener, listening)
            _, descriptors, _, _ = socket.recv_fds(far, 1, 2)
        replies, copy = (socket.socket(fileno=each) for each in descriptors)
        self.addCleanup(copy.close)
        self.addCleanup(replies.close)
        replies.settimeout(WAIT_S)
        listening = wire.BrokerListener(replies, is_registered=True)
        self.assert_accepts(copy, listening)
        client.release(copy, listening)
        self.assertEqual(bound(address), "free")

    def test_only_the_channel_that_is_closed_ends(self):
        """As after a restart of the broker, when each process has a channel of its own."""
        broker = self.broker()
        client = self.client(broker)
        listener = self.listener()
        address = listener.getsockname()
        copy = listener.dup()
        first, second = client.listen(listener), client.listen(copy)
        client.release(listener, first)
        self.assertEqual(bound(address), "EADDRINUSE")
        self.assert_accepts(copy, second)
        client.release(copy, second)
        self.assertEqual(bound(address), "free")

    def test_a_socket_that_the_broker_does_not_have_is_answered_at_once(self):
        broker, other = (self.broker(path=self.folder / each) for each in ("one", "other"))
        listener = self.listener()
        listening = self.client(other).listen(listener)
        for subject in (self.listener(), listener):
            # Without having closed anything.
            self.assertIsNone(self.client(broker).answer(wire.RELEASE, subject))
        self.assert_accepts(listener, listening)
        self.client(other).release(listener, listening)

    def test_who_says_it_and_does_not_do_it_is_answered_and_goes_on(self):
        broker = self.broker()
        client = self.client(broker)
        idle = self.idle(broker)
        listener = self.listener()
        address = listener.getsockname()
        listening = client.listen(listener)
        began = time.monotonic()
        self.assertIsNone(client.answer(wire.RELEASE, listener))
        self.assertGreaterEqual(time.monotonic() - began, 0.9)  # it was waited for
        self.assert_accepts(listener, listening)
        client.release(listener, listening)
        self.assertEqual(bound(address), "free")
        self.assert_settles(broker, idle)


if __name__ == "__main__":
    report.main("handover/broker-unlisten")
