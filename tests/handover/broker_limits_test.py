#!/usr/bin/env python3
"""What one client, one peer and one user may have of a broker, and who may be its client."""

import contextlib
import errno
import os
import select
import shutil
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import report  # noqa: E402
import wrap_peers as peers  # noqa: E402
from broker_case import (BrokerCase, REQUIRES_KTLS, WAIT_S, at_once, marked,  # noqa: E402
                         wait_until)
from broker_client import (CLOSE, CONNECT, END, BrokerClient, BrokerError,  # noqa: E402
                           descriptors_of, receive)
from shared_certificates import certificates  # noqa: E402
from watched import NOBODY, as_nobody  # noqa: E402
from wrap_tls_stream import TlsStream  # noqa: E402

OPEN_FILES = 100
AT_ONCE = 50 if REQUIRES_KTLS else 400
SIZE = 20_000
GROUP = 54321
SLOW = 100  # more than a broker with 256 files has room for
RELAYED = ("--offload", "never")


@contextlib.contextmanager
def acting_as(user, groups=()):
    """Whoever connects a channel in it is that user to the broker, and stays so."""
    own_groups = os.getgroups()
    os.setgroups(list(groups))
    os.setegid(user)
    os.seteuid(user)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(own_groups)


@unittest.skipUnless(os.geteuid() == 0, "being somebody else needs root")
class DescriptorLimits(BrokerCase):
    """Broker and program as a user who may have a hundred files open."""

    def setUp(self):
        super().setUp()
        self.user = as_nobody(self.folder)
        for name in ("chain", "key"):
            shutil.copy(getattr(certificates(), name), self.folder / f"{name}.pem")
            os.chmod(self.folder / f"{name}.pem", 0o644)
        (self.folder / "run").mkdir()
        os.chown(self.folder / "run", NOBODY, NOBODY)

    def limited_broker(self, *flags):
        limit = ("sh", "-c", f'ulimit -n {OPEN_FILES}; exec "$@"', "sh")
        files = ("--cert", str(self.folder / "chain.pem"), "--key", str(self.folder / "key.pem"))
        broker = self.broker(*flags, credentials=files,
                             path=self.folder / "run" / "broker.sock", before=limit, **self.user)
        self.assertEqual(broker.records("limits")[0]["open_files"], OPEN_FILES)
        return broker

    def limited_program(self, broker, role, listener):
        fd = listener.fileno()
        environment = {**os.environ, "BROKER_STREAM_AS": f"{NOBODY}:{OPEN_FILES}"}
        return self.program(broker.path, role, str(fd), pass_fds=(fd,), env=environment,
                            stdout=subprocess.PIPE)

    def served(self, *flags):
        """(broker, program, listening socket)."""
        broker = self.limited_broker(*flags)
        listener = self.listener()
        program = self.limited_program(broker, "serve", listener)
        broker.wait_for_event("listening", patience=WAIT_S)
        return broker, program, listener

    def exchange(self, raw, number):
        data = marked(number, SIZE)
        with TlsStream(raw, certificates().client_context(), "localhost") as stream:
            self.assert_echo(stream, data)
            stream.send_close_notify()
            self.assertEqual(stream.recv(1), b"")

    def test_hundreds_at_once_are_all_served_and_nothing_leaks(self):
        broker, _, listener = self.served()
        idle = self.idle(broker)
        started = time.monotonic()
        connected = [peers.tcp(listener.getsockname(), timeout=WAIT_S) for _ in range(AT_ONCE)]
        errors = at_once([lambda each=each: self.exchange(*each)
                          for each in zip(connected, range(AT_ONCE))])
        self.assertEqual(errors, [])
        self.assert_settles(broker, idle)
        print(f"{AT_ONCE} at once in {time.monotonic() - started:.1f} s, "
              f"{idle} descriptors before and after")
        self.assertEqual(broker.records("accept"), [])

    def test_connections_wait_while_the_user_has_too_many_descriptors_in_flight(self):
        broker, program, listener = self.served()
        idle, idle_program = self.idle(broker), descriptors_of(program)
        hog = self.limited_program(broker, "fill", listener)
        self.assertEqual(hog.stdout.readline(), b"ETOOMANYREFS\n")
        streams = [self.tls(listener) for _ in range(5)]
        for number, stream in enumerate(streams):
            stream.sendall(marked(number, SIZE))
        wait_until(lambda: broker.descriptors() >= idle + len(streams), "all of them", WAIT_S)
        self.assertEqual(descriptors_of(program), idle_program)
        hog.stdin.write(b"\n")
        hog.stdin.flush()
        for number, stream in enumerate(streams):
            self.assertEqual(peers.receive_exactly(stream, SIZE), marked(number, SIZE))
            stream.send_close_notify()
            self.assertEqual(stream.recv(1), b"")
        self.assert_settles(broker, idle)


    def test_a_program_that_it_may_not_look_at_has_a_stream(self):
        """Its key could not be changed while it writes."""
        broker = self.limited_broker()
        listener = self.listener()
        listening = BrokerClient(broker.path).listen(listener)
        stream = self.tls(listener)
        connection = listening.accept()
        self.addCleanup(connection.sock.close)
        stream.sendall(b"data")
        self.assertEqual(connection.sock.recv(100), b"data")
        self.assertTrue(connection.relayed)
        self.assertEqual(connection.reason,
                         "holders_hidden" if REQUIRES_KTLS else "ulp_unavailable")


class Handshakes(BrokerCase):
    def test_the_oldest_silent_one_makes_room_for_one_more(self):
        broker = self.broker("--max-handshakes", "3")
        service = self.service(broker)
        idle = self.idle(broker)
        silent = []
        for count in range(1, 4):
            silent.append(self.tcp(service.listener))
            wait_until(lambda wanted=idle + count: broker.descriptors() >= wanted, "its accept",
                       WAIT_S)
        self.assert_echo(self.tls(service.listener), b"served")
        self.assertIn(peers.how_it_ends(silent[0])[0], ("eof", "reset"))
        self.assertEqual(broker.connection(patience=WAIT_S)["peer"],
                         "127.0.0.1:%d" % silent[0].getsockname()[1])
        for sock in silent[1:]:
            sock.setblocking(False)
            with self.assertRaises(BlockingIOError):
                sock.recv(1)

    def test_one_address_has_no_more_of_them_than_it_may(self):
        broker = self.broker("--max-handshakes-per-address", "2")
        service = self.service(broker)
        idle = self.idle(broker)
        silent = [self.tcp(service.listener) for _ in range(2)]
        wait_until(lambda: broker.descriptors() >= idle + 2, "both", WAIT_S)
        with self.assertRaises(ConnectionResetError):  # maybe before connect() returns
            self.tcp(service.listener).recv(1)
        line = broker.connection(patience=WAIT_S)
        self.assertEqual((line["ended"], "--max-handshakes-per-address" in line["detail"]),
                         ("refused", True))
        peers.reset(silent.pop())
        wait_until(lambda: broker.descriptors() <= idle + 1, "its end", WAIT_S)
        self.assert_echo(self.tls(service.listener), b"served")


class Quotas(BrokerCase):
    def established(self, client):
        """(the program's end, the peer's) of one connection."""
        near, far = self.tcp_pair()
        result = []
        errors = []

        def serve():
            result.append(client.serve(far).sock)

        errors = at_once([serve, lambda: result.append(
            TlsStream(near, certificates().client_context(), "localhost"))])
        for error in errors:
            raise error
        for each in result:
            self.addCleanup(each.close)
        return result

    def refused(self, client):
        _, far = self.tcp_pair()
        with self.assertRaises(BrokerError) as caught:
            client.serve(far)
        return caught.exception

    def test_a_client_has_no_more_connections_than_it_may(self):
        broker = self.broker(*RELAYED, "--max-per-client", "2")
        client = self.client(broker)
        idle = self.idle(broker)
        held = [self.established(client) for _ in range(2)]
        error = self.refused(client)
        self.assertEqual((error.number, "--max-per-client" in error.text), (errno.EAGAIN, True))
        for sock in held.pop():
            sock.close()
        wait_until(lambda: len(broker.connections()) == 1, "its end", WAIT_S)
        self.established(client)
        self.assertEqual(self.refused(client).number, errno.EAGAIN)
        for _ in range(50):
            self.assertEqual(self.refused(client).number, errno.EAGAIN)
        self.assertLessEqual(broker.descriptors(), idle + 2 * 3)  # what is refused is not kept

    def test_those_of_a_listener_wait_for_their_turn(self):
        broker = self.broker(*RELAYED, "--max-per-client", "2")
        service = self.service(broker)
        held = [self.tls(service.listener) for _ in range(2)]
        for stream in held:
            self.assert_echo(stream, b"held")
        waiting = self.tcp(service.listener)
        waiting.setblocking(False)
        for stream in held:
            self.assert_echo(stream, b"still held")
        self.assertEqual(len(broker.connections()), 0)
        held[0].send_close_notify()
        waiting.settimeout(WAIT_S)
        self.assert_echo(TlsStream(waiting, certificates().client_context(), "localhost"), b"next")

    def test_slow_handshakes_keep_no_ends_waiting_and_those_without_room_are_refused(self):
        """None of these handshakes ends before the answers are waited for in vain."""
        few = ("sh", "-c", 'ulimit -n 256; exec "$@"', "sh")
        client = self.client(self.broker(*RELAYED, before=few))
        stream, peer = self.established(client)
        if not isinstance(peer, TlsStream):
            stream, peer = peer, stream
        peer.send_close_notify()
        self.assertEqual(stream.recv(1), b"")
        silent = self.listener()
        asked = []
        for _ in range(SLOW):
            replies = client.ask(CONNECT, self.tcp(silent), payload=b"localhost")
            self.addCleanup(replies.close)
            asked.append(replies)
        started = time.monotonic()
        self.assertIsNone(client.answer(END, stream))
        self.assertIsNone(client.answer(CLOSE, stream))
        print(f"ends are answered after {time.monotonic() - started:.2f} s")
        answered, _, _ = select.select(asked, [], [], 0)
        self.assertGreater(len(answered), 0)
        self.assertLess(len(answered), SLOW)
        for replies in answered:
            with self.assertRaises(BrokerError) as caught:
                receive(replies)
            self.assertEqual(caught.exception.number, errno.EAGAIN)

    @unittest.skipUnless(os.geteuid() == 0, "being somebody else needs root")
    def test_one_client_uses_up_nothing_of_another(self):
        os.chmod(self.folder, 0o755)
        broker = self.broker(*RELAYED, "--max-per-client", "1", "--allow-user", str(NOBODY))
        with acting_as(NOBODY):
            other = self.client(broker)
        self.established(other)
        self.assertEqual(self.refused(other).number, errno.EAGAIN)
        ours = self.client(broker)
        self.established(ours)
        self.assertEqual(self.refused(ours).number, errno.EAGAIN)


@unittest.skipUnless(os.geteuid() == 0, "being somebody else needs root")
class Credentials(BrokerCase):
    def setUp(self):
        super().setUp()
        os.chmod(self.folder, 0o755)

    def assert_refused(self, broker, user, groups=()):
        with acting_as(user, groups):
            client = self.client(broker)
        with self.assertRaises(BrokerError) as caught:
            client.listen(self.listener())
        self.assertEqual(caught.exception.number, errno.EACCES)
        line = broker.wait_for_event("refused", patience=WAIT_S)[-1]
        self.assertEqual((line["uid"], line["pid"]), (user, os.getpid()))
        self.assertIn("--allow-user", line["hint"])

    def assert_served(self, broker, user, groups=()):
        with acting_as(user, groups):
            client = self.client(broker)
        client.listen(self.listener()).close()
        self.assertEqual(broker.wait_for_event("listening", patience=WAIT_S)[-1]["uid"], user)

    def test_a_path_that_nobody_was_let_in_to_is_closed(self):
        broker = self.broker()
        with acting_as(NOBODY), self.assertRaises(PermissionError):
            BrokerClient(broker.path)

    def test_a_user_who_is_not_named_is_refused_and_told_why(self):
        broker = self.broker("--allow-user", str(NOBODY - 1))
        self.assert_refused(broker, NOBODY)
        self.assert_served(broker, NOBODY - 1)

    def test_a_user_who_is_named_is_let_in_by_number_and_by_name(self):
        self.assert_served(self.broker("--allow-user", f"daemon,{NOBODY}"), NOBODY)
        self.assert_served(self.broker("--allow-user", "nobody", path=self.folder / "2"), NOBODY)

    def test_the_members_of_a_group_are_let_in(self):
        broker = self.broker("--allow-group", str(GROUP))
        self.assert_refused(broker, NOBODY)
        self.assert_refused(broker, NOBODY, groups=(GROUP + 1,))
        self.assert_served(broker, NOBODY, groups=(GROUP + 1, GROUP))

    def test_a_channel_that_is_handed_on_keeps_the_identity_of_who_connected_it(self):
        broker = self.broker("--allow-user", str(NOBODY - 1))
        with acting_as(NOBODY):
            theirs = self.client(broker)
        with self.assertRaises(BrokerError) as caught:  # though we are root by now
            theirs.listen(self.listener())
        self.assertEqual(caught.exception.number, errno.EACCES)


if __name__ == "__main__":
    report.main("handover/broker-limits")
