#!/usr/bin/env python3
"""Clients that break the protocol, bring the wrong things, or die: the broker answers or hangs up,
goes on serving others, and keeps nothing of them."""

import contextlib
import errno
import os
import signal
import socket
import struct
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import broker_client as wire  # noqa: E402
import report  # noqa: E402
import wrap_peers as peers  # noqa: E402
from broker_case import BrokerCase, LOOPS, REQUIRES_KTLS, WAIT_S, wait_until  # noqa: E402
from broker_client import BrokerClient, BrokerError, Gone, request  # noqa: E402
from shared_certificates import certificates  # noqa: E402
from wrap_tls_stream import TlsStream, Truncated  # noqa: E402

PAYLOAD_MAX = 16384
CHANNELS = 200 if REQUIRES_KTLS else 1000
UNREAD = 200

# (what, the datagram, how many descriptors): these end the channel, and the log says why.
NO_MESSAGES = (
    ("one byte", b"x", 2),
    ("a byte less than a request", request(wire.SERVE)[:-1], 2),
    ("a byte more than it says", request(wire.SERVE) + b"x", 2),
    ("a payload that is not there", request(wire.CONNECT, payload=b"name")[:-1], 2),
    ("another magic number", request(wire.SERVE, magic=0x12345678), 2),
    ("a payload of a byte too many", request(wire.CONTROL, payload=bytes(PAYLOAD_MAX + 1)), 2),
    ("as long as a datagram may be", request(wire.SERVE) + bytes(100_000), 2),
    ("a descriptor more than two", request(wire.SERVE), 3),
    ("many descriptors", request(wire.SERVE), 200),
)
NO_REQUESTS = (0, wire.TAKEN, wire.STOP, wire.DONE, wire.CONNECTION, wire.ERROR, 999, 65535)
REQUESTS = {"listen": wire.LISTEN, "serve": wire.SERVE, "connect": wire.CONNECT,
            "close": wire.CLOSE, "control": wire.CONTROL, "end": wire.END,
            "release": wire.RELEASE}


class Descriptor:
    """What is no socket."""

    def __init__(self, fd):
        self._fd = fd

    def fileno(self):
        return self._fd

    def close(self):
        os.close(self._fd)


def a_pipe():
    reader, writer = os.pipe()
    os.close(writer)
    return Descriptor(reader)


def bound():
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.bind(("127.0.0.1", 0))
    return sock


# (what, how it is made, the errno of kListen, kServe and kConnect; None: whatever comes of it)
WRONG_THINGS = (
    ("a file", lambda: Descriptor(os.open("/dev/null", os.O_RDWR)), errno.ENOTSOCK),
    ("a folder", lambda: Descriptor(os.open("/", os.O_RDONLY)), errno.ENOTSOCK),
    ("a path", lambda: Descriptor(os.open("/", os.O_PATH)), errno.ENOTSOCK),
    ("a pipe", a_pipe, errno.ENOTSOCK),
    ("an event", lambda: Descriptor(os.eventfd(0)), errno.ENOTSOCK),
    ("a datagram socket", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
     errno.EINVAL),
    ("a unix datagram socket", lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM),
     errno.EINVAL),
    ("a netlink socket", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
     errno.EINVAL),
    ("a socket that is not connected", lambda: socket.socket(socket.AF_INET), None),
    ("a socket that is bound", bound, None),
    ("a unix socket that is not connected", lambda: socket.socket(socket.AF_UNIX), None),
)


class RobustnessCase(BrokerCase):
    def start(self, loop, *flags):
        """A broker, and how many descriptors it has when nobody asks anything of it."""
        broker = self.broker(*flags, loop=loop,
                             path=self.folder / f"{loop}.sock")
        with contextlib.closing(BrokerClient(broker.path)) as client:
            self.assert_answers(client)
        return broker, self.idle(broker)

    def assert_answers(self, client):
        """It does what it did before."""
        near, _ = self.tcp_pair()
        with self.assertRaises(BrokerError) as caught:
            client.answer(wire.LISTEN, near)
        self.assertEqual(caught.exception.number, errno.EINVAL)

    def send(self, client, datagram, *subjects):
        """With a socket for the answers in front; answers its other end."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(WAIT_S)
        self.addCleanup(ours.close)
        with theirs:
            socket.send_fds(client.channel, [datagram],
                            [theirs.fileno(), *(each.fileno() for each in subjects)])
        return ours

    def assert_gone(self, replies):
        with self.assertRaises(Gone):
            wire.receive(replies)

    def settles(self, broker, idle, *clients):
        """It lives, and has kept nothing. Ends it."""
        for client in clients:
            client.close()
        self.assert_settles(broker, idle)
        self.assertIsNone(broker.process.poll(), broker.text())
        broker.kill()


class Messages(RobustnessCase):
    def test_what_is_no_message_ends_its_channel_with_one_line_in_the_log(self):
        for loop in LOOPS:
            broker, idle = self.start(loop)
            near, _ = self.tcp_pair()
            for number, (what, datagram, descriptors) in enumerate(NO_MESSAGES):
                with self.subTest(loop=loop, what=what):
                    client = self.client(broker)
                    replies = self.send(client, datagram, *[near] * (descriptors - 1))
                    self.assert_gone(replies)
                    self.assertEqual(client.channel.recv(1), b"")
                    lines = broker.wait_for_event("channel", number + 1, WAIT_S)
                    self.assertEqual((len(lines), lines[-1]["uid"]), (number + 1, os.geteuid()))
                    client.close()
            with contextlib.closing(BrokerClient(broker.path)) as client:
                self.assert_answers(client)
            self.assertEqual(len(broker.records("channel")), len(NO_MESSAGES))
            self.settles(broker, idle)

    def test_what_is_no_request_is_refused_and_its_channel_lives(self):
        broker, idle = self.start(LOOPS[0])
        client = self.client(broker)
        near, _ = self.tcp_pair()
        for kind in NO_REQUESTS:
            with self.subTest(kind=kind):
                with self.assertRaises(BrokerError) as caught:
                    wire.receive(self.send(client, request(kind), near))
                self.assertEqual(caught.exception.number, errno.EINVAL)
        self.assert_answers(client)
        self.settles(broker, idle, client)

    def test_a_request_without_its_two_descriptors_is_refused(self):
        broker, idle = self.start(LOOPS[0])
        client = self.client(broker)
        with self.assertRaises(BrokerError) as caught:
            wire.receive(self.send(client, request(wire.SERVE)))
        self.assertEqual(caught.exception.number, errno.EINVAL)
        client.channel.send(request(wire.SERVE))  # with none there is nobody to tell
        self.assert_answers(client)
        self.settles(broker, idle, client)

    def test_another_version_is_refused(self):
        broker, idle = self.start(LOOPS[0])
        client = self.client(broker)
        near, _ = self.tcp_pair()
        for version in (0, 2, 65535):
            with self.assertRaises(BrokerError) as caught:
                wire.receive(self.send(client, request(wire.SERVE, version=version), near))
            self.assertEqual(caught.exception.number, errno.EPROTONOSUPPORT)
        self.assert_answers(client)
        self.settles(broker, idle, client)

    def test_a_name_that_is_none_is_refused(self):
        broker, idle = self.start(LOOPS[0])
        client = self.client(broker)
        for name in (b"", b"x" * 254, b"local\0host", bytes(PAYLOAD_MAX)):
            near, _ = self.tcp_pair()
            with self.assertRaises(BrokerError) as caught:
                client.answer(wire.CONNECT, near, payload=name)
            self.assertEqual(caught.exception.number, errno.EINVAL)
        self.settles(broker, idle, client)


class WrongThings(RobustnessCase):
    def test_descriptors_of_the_wrong_kind_are_refused(self):
        for loop in LOOPS:
            broker, idle = self.start(loop)
            client = self.client(broker)
            for what, make, number in WRONG_THINGS:
                for name, kind in REQUESTS.items():
                    with self.subTest(loop=loop, what=what, request=name):
                        if name == "release":
                            self.assert_unanswered(client, kind, make)
                            continue
                        error = self.refused(client, kind, make)
                        if number is not None and name in ("listen", "serve", "connect"):
                            self.assertEqual(error.number, number)
                        self.assertGreater(error.number, 0)
                        self.assertNotEqual(error.text, "")
            self.settles(broker, idle, client)

    def assert_unanswered(self, client, kind, make):
        with contextlib.closing(make()) as subject, self.assertRaises(Gone):
            client.answer(kind, subject)

    def refused(self, client, kind, make):
        payload = b"localhost" if kind == wire.CONNECT else b""
        with contextlib.closing(make()) as subject, self.assertRaises(BrokerError) as caught:
            client.answer(kind, subject, payload=payload)
        return caught.exception

    def test_a_connection_where_a_listener_belongs_and_the_reverse(self):
        broker, idle = self.start(LOOPS[0])
        client = self.client(broker)
        near, _ = self.tcp_pair()
        for kind, subject, number in ((wire.LISTEN, near, errno.EINVAL),
                                      (wire.SERVE, self.listener(), errno.ENOTCONN),
                                      (wire.CLOSE, near, errno.EINVAL),
                                      (wire.CONTROL, near, errno.EINVAL),
                                      (wire.END, near, errno.ECONNRESET)):
            with self.subTest(kind=kind), self.assertRaises(BrokerError) as caught:
                client.answer(kind, subject)
            self.assertEqual(caught.exception.number, number)
        self.assert_unanswered(client, wire.RELEASE, lambda: near)
        self.settles(broker, idle, client)

    def test_answers_to_what_cannot_take_them_are_dropped(self):
        broker, idle = self.start(LOOPS[0])
        client = self.client(broker)
        near, _ = self.tcp_pair()
        for what, make, _ in WRONG_THINGS:
            for name, kind in REQUESTS.items():
                with self.subTest(what=what, request=name):
                    with contextlib.closing(make()) as replies:
                        socket.send_fds(client.channel, [request(kind)],
                                        [replies.fileno(), near.fileno()])
        self.assert_answers(client)
        self.settles(broker, idle, client)


class SlowCloses(RobustnessCase):
    def test_a_socket_that_takes_its_time_to_close_keeps_nobody_waiting(self):
        """The broker is the last to close it, and it has been told to linger."""
        broker, idle = self.start(LOOPS[0])
        client, other = self.client(broker), self.client(broker)
        near, far = self.tcp_pair()
        near.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while near.send(bytes(1 << 20)):
                pass
        near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 60))
        broker.send_signal(signal.SIGSTOP)
        wait_until(broker.is_stopped, "the broker to stand still", WAIT_S)
        self.send(client, request(wire.END), near)
        near.close()
        broker.send_signal(signal.SIGCONT)
        started = time.monotonic()
        self.assert_answers(other)
        self.assertLess(time.monotonic() - started, 10)
        far.close()
        self.settles(broker, idle, client, other)

    def test_a_socket_that_its_program_keeps_goes_on_lingering(self):
        broker, idle = self.start(LOOPS[0])
        client = self.client(broker)
        near, _ = self.tcp_pair()
        lingers = struct.pack("ii", 1, 60)
        near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, lingers)
        self.send(client, request(wire.END), near)
        self.assert_answers(client)
        self.settles(broker, idle, client)
        self.assertEqual(near.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, len(lingers)),
                         lingers)


class Deaths(RobustnessCase):
    """The client's sockets close at every step, as they do when it is killed."""

    def test_in_a_handshake(self):
        for loop in LOOPS:
            for kind, payload in ((wire.SERVE, b""), (wire.CONNECT, b"localhost")):
                with self.subTest(loop=loop, kind=kind):
                    broker, idle = self.start(loop)
                    client = self.client(broker)
                    near, far = self.tcp_pair()
                    replies = client.ask(kind, far, payload=payload)
                    far.close()
                    replies.close()
                    self.assertIn(self.end_of(near), ("eof", "reset"))
                    self.settles(broker, idle, client)

    @staticmethod
    def end_of(sock):
        return peers.how_it_ends(sock)[0]

    def test_before_it_reads_the_answer(self):
        broker, idle = self.start(LOOPS[0])
        client = self.client(broker)
        near, far = self.tcp_pair()
        replies = client.ask(wire.SERVE, far)
        far.close()
        stream = TlsStream(near, certificates().client_context(), "localhost")
        replies.close()
        with self.assertRaises((Truncated, OSError)):  # an alert is an OSError, too
            while not stream.recv(1):
                raise AssertionError("an orderly end of what nobody had")
        self.settles(broker, idle, client)

    def test_with_connections_that_it_has_not_taken(self):
        for loop in LOOPS:
            with self.subTest(loop=loop):
                broker, idle = self.start(loop)
                client = self.client(broker)
                listener = self.listener()
                listening = client.listen(listener, backlog=2)
                streams = [self.tls(listener) for _ in range(4)]
                half = self.tcp(listener)
                wait_until(lambda: broker.descriptors() >= idle + 5, "all of them", WAIT_S)
                listener.close()
                listening.close()
                for stream in streams:
                    with self.assertRaises((Truncated, OSError)):
                        if stream.recv(1) == b"":
                            raise AssertionError("an orderly end of what nobody had")
                self.assertIn(self.end_of(half), ("eof", "reset"))
                broker.wait_for_event("unlistened", patience=WAIT_S)
                self.settles(broker, idle, client)

    def test_a_listener_that_stops_gives_back_its_port_and_what_it_had_not_taken(self):
        broker, idle = self.start(LOOPS[0])
        client = self.client(broker)
        listener = self.listener()
        listening = client.listen(listener, backlog=8)
        streams = [self.tls(listener) for _ in range(3)]
        wait_until(lambda: broker.descriptors() >= idle, "them", WAIT_S)
        self.assertLessEqual(len(listening.stop()), len(streams))
        port = listener.getsockname()[1]
        listener.close()
        socket.create_server(("127.0.0.1", port)).close()
        for stream in streams:
            stream.close()
        self.settles(broker, idle, client)


class Listeners(RobustnessCase):
    def test_more_than_was_sent_is_taken_and_the_listener_is_closed(self):
        broker, idle = self.start(LOOPS[0])
        client = self.client(broker)
        listening = client.listen(self.listener())
        listening.taken(1)
        self.assert_gone(listening.replies)
        self.settles(broker, idle, client)

    def test_nonsense_on_its_socket_closes_it(self):
        for what, datagram in (("bytes", b"nonsense"), ("a request", request(wire.SERVE)),
                               ("another magic number", request(wire.TAKEN, magic=1))):
            with self.subTest(what=what):
                broker, idle = self.start(LOOPS[0])
                client = self.client(broker)
                listening = client.listen(self.listener())
                listening.replies.send(datagram)
                self.assert_gone(listening.replies)
                self.settles(broker, idle, client)

    def test_two_may_have_the_same_socket(self):
        broker, idle = self.start(LOOPS[0])
        first, second = self.client(broker), self.client(broker)
        listener = self.listener()
        both = [each.listen(listener) for each in (first, second)]
        for listening in both:
            listening.replies.setblocking(False)
        served = set()
        for attempt in range(20):
            stream = self.tls(listener)
            index, connection = wait_until(lambda: self.any_accepted(both), "either", WAIT_S)
            served.add(index)
            connection.sock.settimeout(WAIT_S)
            connection.sock.sendall(b"%d" % attempt)
            self.assertEqual(stream.recv(10), b"%d" % attempt)
            stream.close()
            connection.sock.close()
        both[0].replies.settimeout(WAIT_S)
        both[0].stop()
        stream = self.tls(listener)
        index, connection = wait_until(lambda: self.any_accepted(both[1:]), "the other", WAIT_S)
        connection.sock.close()
        stream.close()
        both[1].close()
        self.settles(broker, idle, first, second)

    @staticmethod
    def any_accepted(listeners):
        for index, listening in enumerate(listeners):
            with contextlib.suppress(BlockingIOError):
                return index, listening.accept()
        return None

    def test_a_socket_that_is_shut_down_meanwhile_is_told_of_once(self):
        broker, idle = self.start(LOOPS[0])
        client = self.client(broker)
        listener = self.listener()
        listening = client.listen(listener)
        listener.shutdown(socket.SHUT_RDWR)
        line = broker.wait_for_event("accept", patience=WAIT_S)[0]
        self.assertIn("error", line)
        listening.stop()
        self.assertEqual(len(broker.records("accept")), 1)
        self.settles(broker, idle, client)


class Channels(RobustnessCase):
    def test_a_thousand_channels_come_and_go_and_nothing_stays(self):
        for loop in LOOPS:
            with self.subTest(loop=loop):
                broker, idle = self.start(loop)
                near, _ = self.tcp_pair()
                for number in range(CHANNELS):
                    with contextlib.closing(BrokerClient(broker.path)) as client:
                        if number % 3 == 0:
                            client.ask(wire.END, near).close()
                self.settles(broker, idle)
                self.assertEqual(broker.records("channel"), [])


    def test_answers_for_which_the_client_leaves_no_room_are_dropped_at_once(self):
        broker, idle = self.start(LOOPS[0])
        client = self.client(broker)
        near, _ = self.tcp_pair()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.addCleanup(ours.close)
        self.addCleanup(theirs.close)
        theirs.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                theirs.send(bytes(1024))
        for _ in range(UNREAD):
            socket.send_fds(client.channel, [request(wire.END)], [theirs.fileno(), near.fileno()])
        self.assert_answers(client)  # after all of them, which were asked before
        self.assertLess(broker.descriptors(), idle + UNREAD // 2)
        self.settles(broker, idle, client)


if __name__ == "__main__":
    report.main("handover/broker-robustness")
