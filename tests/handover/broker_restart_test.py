#!/usr/bin/env python3
"""A broker ends, at once or in order, and another one takes its place while programs are served."""

import signal
import ssl
import subprocess
import sys
import threading
import time
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import report  # noqa: E402
import wrap_peers as peers  # noqa: E402
from broker_case import BrokerCase, REQUIRES_KTLS, WAIT_S, wait_until  # noqa: E402
from broker_client import BrokerClient, Gone  # noqa: E402
from loopback_capture import LoopbackCapture, enter_own_network, may_capture  # noqa: E402
from shared_certificates import certificates  # noqa: E402
from wrap_tls_stream import Truncated  # noqa: E402

# What is served by the kernel's TLS goes on; "relayed" is what the broker has to be there for.
MODES = {"relayed": ("--offload", "never"), "direct": ()}
if not REQUIRES_KTLS:
    MODES = {"relayed": ()}
SECRET = b"-plaintext-that-nobody-may-see-"
CONTROL = b"-plaintext-that-the-capture-has-to-see-"
DATA = SECRET * 200
CLIENTS = 2 if REQUIRES_KTLS else 6
# Connections between two events.
SOME = 5 if REQUIRES_KTLS else 60
# A broker looks once a second, and a while later again at what somebody had then.
UNTIL_FORGOTTEN_S = 5.0
# An emulated processor beside other guests may be slower than the promise.
NEW_ONES_S = 3.0 if REQUIRES_KTLS else 1.0


class Load:
    """Clients that connect, see their data come back, and do it again."""

    def __init__(self, case, listener):
        self.case = case
        self.listener = listener
        self.served = 0
        self.cut_off = 0
        self.wrong = []
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def _run(self):
        while not self._stopped.is_set():
            try:
                self.case.exchange(self.listener)
                self.served += 1
            except (Truncated, ConnectionError):
                self.cut_off += 1  # by the broker that was killed, and never in order
            except Exception as error:  # of any other kind
                self.wrong.append(error)

    def wait_for_more(self, count):
        target = self.served + count
        wait_until(lambda: self.served >= target or self.wrong, f"{count} connections", WAIT_S)

    def stop(self):
        self._stopped.set()
        for thread in self._threads:
            thread.join(WAIT_S)


class RestartCase(BrokerCase):
    def exchange(self, listener):
        """One connection with data that is checked, and its orderly end."""
        with self.tls(listener) as stream:
            self.assert_echo(stream, DATA)
            stream.send_close_notify()
            self.assertEqual(stream.recv(1), b"")


@unittest.skipUnless(may_capture(), "needs root")
class Killed(RestartCase):
    def test_clients_under_load_see_no_plaintext_and_are_served_within_a_second(self):
        for mode, flags in MODES.items():
            with self.subTest(mode=mode):
                self.kill_two_under_load(mode, flags)

    def kill_two_under_load(self, mode, flags):
        capture = LoopbackCapture(SECRET, CONTROL)
        broker = self.broker(*flags)
        service = self.service(broker)
        load = Load(self, service.listener)
        load.wait_for_more(SOME)
        taken = []
        for registered in (2, 3):
            broker.kill()
            with self.tcp(service.listener) as plain:
                plain.sendall(CONTROL)  # waits for a broker, as others do
            broker = self.broker(*flags)
            up = time.monotonic()
            self.exchange(service.listener)
            taken.append(time.monotonic() - up)
            wait_until(lambda at=registered: service.registered >= at, "the listener", WAIT_S)
            load.wait_for_more(SOME)
        load.stop()
        lost = capture.stop()
        service.stop()
        broker.kill()
        print(f"{mode}: {load.served} connections, {load.cut_off} cut off, {capture.packets} "
              f"packets, new ones after {', '.join(f'{each * 1e3:.0f} ms' for each in taken)}")
        self.assertEqual(load.wrong, [])
        self.assertGreater(load.cut_off, 0)
        self.assertEqual((lost, capture.found[SECRET]), (0, 0))
        self.assertGreaterEqual(capture.found[CONTROL], 2)
        self.assertLessEqual(max(taken), NEW_ONES_S)

    def test_relayed_connections_end_as_truncation_on_both_sides(self):
        broker = self.broker(*MODES["relayed"])
        service = self.service(broker)
        streams = [self.tls(service.listener) for _ in range(5)]
        for stream in streams:
            self.assert_echo(stream, DATA)
        broker.kill()
        for stream in streams:
            with self.assertRaises((Truncated, ConnectionError)):
                stream.recv(1)
        # With the next broker there, which knows nothing of them, as without any.
        self.broker(*MODES["relayed"])
        wait_until(lambda: len(service.ends) == len(streams), "the program's ends", WAIT_S)
        for end in service.ends:
            self.assertTrue(end.startswith("cut off: "), end)

    def test_a_program_reads_no_orderly_end_while_no_broker_is_there(self):
        broker = self.broker(*MODES["relayed"])
        service = self.service(broker)
        stream = self.tls(service.listener)
        self.assert_echo(stream, DATA)
        broker.kill()
        wait_until(lambda: service.ends, "the program's end", WAIT_S)
        self.assertTrue(service.ends[0].startswith("cut off: "), service.ends)

    def test_handshakes_under_way_end_without_a_byte(self):
        broker = self.broker()
        service = self.service(broker)
        before = self.idle(broker)
        raw = self.tcp(service.listener)
        wait_until(lambda: broker.descriptors() > before, "its accept", WAIT_S)
        broker.kill()
        self.assertIn(peers.how_it_ends(raw), (("eof", b""), ("reset", b"")))


@unittest.skipUnless(REQUIRES_KTLS, "needs the kernel's TLS")
class HandedOut(RestartCase):
    def test_sockets_that_were_handed_out_go_on_with_data_both_ways(self):
        broker = self.broker()
        service = self.service(broker)
        streams = [self.tls(service.listener) for _ in range(3)]
        for stream in streams:
            self.assert_echo(stream, DATA)
        self.assertEqual([each.relayed for each in service.streams], [False] * 3)
        broker.kill()
        for stream in streams:
            self.assert_echo(stream, DATA)  # with no broker at all
        self.broker()
        for stream in streams:
            self.assert_echo(stream, DATA)
            stream.send_close_notify()
            self.assertEqual(stream.recv(1), b"")
        wait_until(lambda: service.ends == ["clean"] * 3, "clean ends", WAIT_S)

    def test_a_key_update_of_the_peer_ends_one_with_an_alert_and_says_secrets_lost(self):
        broker = self.broker()
        service = self.service(broker)
        port = service.listener.getsockname()[1]
        peer = subprocess.Popen(
            ["openssl", "s_client", "-tls1_3", "-connect", f"127.0.0.1:{port}", "-CAfile",
             certificates().ca, "-verify_return_error"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.addCleanup(self.end, peer)
        self.write(peer, b"hello\n")
        self.wait_for_line(peer, b"hello\n")
        broker.kill()
        broker = self.broker()
        wait_until(lambda: service.registered == 2, "the next broker", WAIT_S)
        self.write(peer, b"k\n")  # KeyUpdate, update_not_requested
        self.write(peer, b"data under the next key\n")
        wait_until(lambda: service.ends, "the end of it", WAIT_S)
        self.assertEqual(service.ends, ["secrets_lost"])
        self.assertEqual(broker.wait_for_event("ended", patience=WAIT_S)[0]["reason"],
                         "secrets_lost")
        told = peer.stdout.read()
        self.assertIn(b"alert internal error", told)
        self.assertNotEqual(peer.wait(WAIT_S), 0)

    @staticmethod
    def write(peer, line):
        peer.stdin.write(line)
        peer.stdin.flush()

    @staticmethod
    def wait_for_line(peer, wanted):
        while (line := peer.stdout.readline()) != wanted:
            if not line:
                raise AssertionError(f"no {wanted}")


class Terminated(RestartCase):
    def test_relays_go_on_while_a_successor_has_the_path(self):
        first = self.broker(*MODES["relayed"])
        service = self.service(first)
        stream = self.tls(service.listener)
        self.assert_echo(stream, DATA)
        first.send_signal(signal.SIGTERM)
        first.wait_for_event("draining", patience=WAIT_S)
        second = self.broker(*MODES["relayed"])
        self.exchange(service.listener)  # by the second one
        self.assertEqual(len(second.wait_for_event("connection", patience=WAIT_S)), 1)
        self.assert_echo(stream, DATA)  # by the first one
        stream.send_close_notify()
        self.assertEqual(stream.recv(1), b"")
        self.assertEqual(first.wait(WAIT_S), 0)
        self.assertEqual(first.records("stopped")[0]["cut_off"], 0)
        self.assertTrue(Path(second.path).exists())
        self.exchange(service.listener)

    def test_relays_end_in_order_while_no_successor_is_there(self):
        broker = self.broker(*MODES["relayed"])
        service = self.service(broker)
        stream = self.tls(service.listener)
        self.assert_echo(stream, DATA)
        broker.send_signal(signal.SIGTERM)
        wait_until(Path(f"{broker.path}.draining").exists, "its other name", WAIT_S)
        stream.send_close_notify()
        self.assertEqual(stream.recv(1), b"")
        wait_until(lambda: service.ends, "the program's end", WAIT_S)
        self.assertEqual(service.ends, ["clean"])
        self.assertEqual(broker.wait(WAIT_S), 0)
        self.assertEqual(list(self.folder.glob("broker.sock*")), [])

    def test_a_broker_that_drains_takes_no_new_work(self):
        broker = self.broker(*MODES["relayed"])
        service = self.service(broker)
        stream = self.tls(service.listener)
        self.assert_echo(stream, DATA)
        broker.send_signal(signal.SIGTERM)
        wait_until(Path(f"{broker.path}.draining").exists, "its other name", WAIT_S)
        late = BrokerClient(f"{broker.path}.draining")
        self.addCleanup(late.close)
        with self.assertRaises(Gone):
            late.listen(self.listener())
        self.assert_echo(stream, DATA)

    def test_relays_are_cut_off_at_the_drain_timeout_and_never_in_order(self):
        broker = self.broker(*MODES["relayed"], "--drain-timeout", "1s")
        service = self.service(broker)
        stream = self.tls(service.listener)
        self.assert_echo(stream, DATA)
        broker.send_signal(signal.SIGTERM)
        with self.assertRaises((Truncated, ConnectionError, ssl.SSLError)):
            stream.recv(1)
        self.assertEqual(broker.wait(WAIT_S), 0)
        self.assertEqual(broker.records("stopped")[0]["cut_off"], 1)
        wait_until(lambda: service.ends, "the program's end", WAIT_S)
        self.assertTrue(service.ends[0].startswith("cut off: "), service.ends)

    @unittest.skipUnless(REQUIRES_KTLS, "needs the kernel's TLS")
    def test_sockets_that_were_handed_out_do_not_keep_it(self):
        broker = self.broker()
        service = self.service(broker)
        stream = self.tls(service.listener)
        self.assert_echo(stream, DATA)
        self.assertEqual(broker.stop(patience=WAIT_S), 0)
        self.assertEqual(broker.records("stopped")[0]["handed_out"], 1)
        self.assert_echo(stream, DATA)

    @unittest.skipUnless(REQUIRES_KTLS, "needs the kernel's TLS")
    def test_sockets_that_nobody_has_any_more_are_forgotten(self):
        broker = self.broker()
        service = self.service(broker)
        for _ in range(3):
            self.exchange(service.listener)
        time.sleep(UNTIL_FORGOTTEN_S)
        self.assertEqual(broker.stop(patience=WAIT_S), 0)
        self.assertEqual(broker.records("stopped")[0]["handed_out"], 0)


if __name__ == "__main__":
    if may_capture():
        enter_own_network()
    report.main("handover/broker-restart")
