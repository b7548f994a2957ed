#!/usr/bin/env python3
"""What `wrap` makes of a peer's KeyUpdates: rekey_proof.py KERNEL, inside that kernel. Where keys
cannot change in the kernel, TLS 1.3 is received in userspace, and a connection that needs more
ends with an alert; where they can, it goes on in the kernel."""

import contextlib
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, __file__.rpartition("/proofs/")[0] + "/support")

import report  # noqa: E402
import wrap_peers as peers  # noqa: E402
from drained_wrap import DrainedWrap  # noqa: E402
from s_client import NOT_REQUESTED, REQUESTED, SClient, without_messages  # noqa: E402
from shared_certificates import certificates  # noqa: E402

KERNEL = sys.argv.pop(1) if len(sys.argv) > 1 else "newest"
KERNELS_THAT_REKEY = ("newest",)
PATIENCE_S = 90  # in a guest, on a busy machine
LOOPS = ("io_uring", "epoll")
IN_KERNEL = ("kernel", None)
# More than a record; no digit is a command, where it begins a read of standard input.
DATA_SIZE = 40_000


def load_tests(loader, _tests, _pattern):
    case = WhereKeysChange if KERNEL in KERNELS_THAT_REKEY else WhereKeysCannotChange
    return unittest.TestSuite([loader.loadTestsFromTestCase(case)])


class RekeyCase(unittest.TestCase):
    def setUp(self):
        self.sent = 0
        self.backend = peers.Backend()
        self.addCleanup(self.backend.close)

    def connections(self, *flags, version="-tls1_3"):
        """For each loop a context that gives (wrap, client)."""
        return [self.connection(("--loop", loop, *flags), version) for loop in LOOPS]

    @contextlib.contextmanager
    def connection(self, flags, version):
        with self.subTest(flags=flags), \
                DrainedWrap(*certificates().server_flags, *flags, to=self.backend.address) as wrap:
            client = SClient(wrap.port, version)
            try:
                yield wrap, client
            finally:
                client.kill()

    def exchange(self, client):
        """Data of the client's, and the same from the service."""
        self.sent += 1
        data = f"{self.sent:0{DATA_SIZE}}"
        client.say(data)
        client.wait_for(lambda: data in without_messages(client.text()), "what it has sent")

    def line(self, wrap):
        line, = wrap.next_connections(1, PATIENCE_S)
        print(" ".join(f"{name}={line.get(name)}" for name in
                       ("version", "tx", "tx_reason", "rx", "rx_reason", "tx_key_updates",
                        "rx_key_updates", "ended", "reason", "detail")), flush=True)
        return line

    def assert_placed(self, line, tx, rx):
        self.assertEqual((line["tx"], line.get("tx_reason")), tx, line)
        self.assertEqual((line["rx"], line.get("rx_reason")), rx, line)

    def assert_ends_clean(self, wrap, client, tx_key_updates=None, rx_key_updates=None):
        """After what is under way; answers the line of the log."""
        client.say("Q")
        status, alerts = client.wait_for_end()
        self.assertEqual(status, 0, client.text())
        self.assertEqual([alert for alert in alerts if alert[0] == "fatal"], [])
        line = self.line(wrap)
        self.assertEqual(line["ended"], "clean", line)
        self.assertEqual((line.get("tx_key_updates"), line.get("rx_key_updates")),
                         (tx_key_updates, rx_key_updates), line)
        return line

    def assert_ends_with_an_alert(self, wrap, client):
        """Which the peer receives; answers the line of the log."""
        _status, alerts = client.wait_for_end()
        self.assertEqual(alerts, [("fatal", "internal_error")], client.text())
        self.assertIn("SSL alert number 80", client.text())
        line = self.line(wrap)
        self.assertEqual((line["ended"], line["reason"]), ("alert", "rekey_impossible"), line)
        return line

    def check_tls12(self):
        for connection in self.connections("--max-version", "1.2", version="-tls1_2"):
            with connection as (wrap, client):
                for _ in range(3):
                    self.exchange(client)
                line = self.assert_ends_clean(wrap, client)
                self.assertEqual(line["version"], "TLSv1.2")
                self.assert_placed(line, IN_KERNEL, IN_KERNEL)


class WhereKeysCannotChange(RekeyCase):
    IN_USERSPACE = ("userspace", "rekey_impossible")

    def test_tls_1_3_is_received_in_userspace_and_sent_in_the_kernel(self):
        for connection in self.connections():
            with connection as (wrap, client):
                self.exchange(client)
                line = self.assert_ends_clean(wrap, client)
                self.assert_placed(line, IN_KERNEL, self.IN_USERSPACE)

    def test_a_key_update_that_asks_for_none_is_followed(self):
        for connection in self.connections():
            with connection as (wrap, client):
                self.exchange(client)
                for _ in range(3):
                    client.update_key(NOT_REQUESTED)
                    self.exchange(client)
                line = self.assert_ends_clean(wrap, client, rx_key_updates=3)
                self.assert_placed(line, IN_KERNEL, self.IN_USERSPACE)

    def test_a_key_update_that_asks_for_ours_ends_the_connection(self):
        for connection in self.connections():
            with connection as (wrap, client):
                self.exchange(client)
                client.update_key(REQUESTED)
                line = self.assert_ends_with_an_alert(wrap, client)
                self.assert_placed(line, IN_KERNEL, self.IN_USERSPACE)
                self.assertEqual(client.key_updates_received(), 0)

    def test_any_key_update_ends_a_connection_that_is_received_in_the_kernel(self):
        for kind in (NOT_REQUESTED, REQUESTED):
            for connection in self.connections("--offload", "kernel"):
                with connection as (wrap, client):
                    self.exchange(client)
                    client.update_key(kind)
                    line = self.assert_ends_with_an_alert(wrap, client)
                    self.assert_placed(line, IN_KERNEL, IN_KERNEL)
                    self.assertEqual(client.key_updates_received(), 0)

    def test_tls_1_2_is_in_the_kernel_both_ways(self):
        self.check_tls12()


class WhereKeysChange(RekeyCase):
    def test_each_key_update_is_followed_in_the_kernel_and_answered_if_it_asks(self):
        for flags in ((), ("--offload", "kernel")):
            for connection in self.connections(*flags):
                with connection as (wrap, client):
                    self.exchange(client)
                    for kind in (NOT_REQUESTED, REQUESTED) * 2:
                        client.update_key(kind)
                        self.exchange(client)
                    line = self.assert_ends_clean(wrap, client, tx_key_updates=2, rx_key_updates=4)
                    self.assert_placed(line, IN_KERNEL, IN_KERNEL)
                    self.assertEqual(client.key_updates_received(), 2)

    def test_tls_1_2_is_in_the_kernel_both_ways(self):
        self.check_tls12()


if __name__ == "__main__":
    report.main("rekey")
