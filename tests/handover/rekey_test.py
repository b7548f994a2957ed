#!/usr/bin/env python3
"""KeyUpdates while a program has the connection: rekey_test.py KERNEL, inside that kernel. Where
the kernel changes keys the guard follows and answers, whether the program reads or never pauses
writing; where it cannot, --no-rekey says what becomes of the connection."""

import hashlib
import json
import random
import subprocess
import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import report  # noqa: E402
from exec_case import ExecCase  # noqa: E402
from s_client import (NOT_REQUESTED, PATIENCE_S, REQUESTED, SClient,  # noqa: E402
                      without_messages)
from shared_certificates import certificates  # noqa: E402
from watched import BUILD  # noqa: E402

KERNEL = sys.argv.pop(1) if len(sys.argv) > 1 else "newest"
KERNELS_THAT_REKEY = ("newest",)
PEER = BUILD / "tests" / "proofs" / "key_update_peer"
IN_KERNEL, IN_USERSPACE = ("kernel", None), ("userspace", "rekey_impossible")
# More than a record; no digit is a command, where it begins a read of standard input.
DATA_SIZE = 20_000
TIMES = 12
SIZE = 6 << 20
ASK_EVERY = 256 << 10  # beside what is on its way when it is asked
RECORDS_A_KEY = 96
# Sits in sendfile(2) from its first byte to its last, with little on the way to the peer.
WRITER = """\
import os, socket, sys
socket.socket(fileno=os.dup(1)).setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
with open(sys.argv[1], 'rb') as file:
    size, at = os.fstat(file.fileno()).st_size, 0
    while at < size:
        at += os.sendfile(1, file.fileno(), at, size - at)
"""


def load_tests(loader, _tests, _pattern):
    case = WhereKeysChange if KERNEL in KERNELS_THAT_REKEY else WhereKeysCannotChange
    return unittest.TestSuite([loader.loadTestsFromTestCase(case)])


class RekeyCase(ExecCase):
    def setUp(self):
        super().setUp()
        self.sent = 0

    def s_client(self, wrap, version="-tls1_3"):
        client = SClient(wrap.port, version)
        self.addCleanup(client.kill)
        return client

    def exchange(self, client):
        """Data of the client's, and the same from the program."""
        self.sent += 1
        data = f"{self.sent:0{DATA_SIZE}}"
        client.say(data)
        client.wait_for(lambda: data in without_messages(client.text()), "what it has sent")

    def line(self, wrap, count=1):
        line = wrap.wait_for_event("connection", count, PATIENCE_S)[count - 1]
        print(" ".join(f"{name}={line.get(name)}" for name in
                       ("version", "tx", "tx_reason", "rx", "rx_reason", "handed_out",
                        "tx_key_updates", "tx_key_waits", "rx_key_updates", "ended", "reason",
                        "detail")), flush=True)
        return line

    def end(self, wrap, client):
        client.say("Q")
        status, alerts = client.wait_for_end()
        self.assertEqual(status, 0, client.text())
        self.assertEqual([alert for alert in alerts if alert[0] == "fatal"], [])
        line = self.line(wrap)
        self.assert_clean(line)
        return line

    def assert_ran(self, line, handed_out, tx, rx):
        self.assertEqual((line["handed_out"], (line["tx"], line.get("tx_reason")),
                          (line["rx"], line.get("rx_reason"))), (handed_out, tx, rx), line)


class WhereKeysChange(RekeyCase):
    def setUp(self):
        super().setUp()
        self.file = self.folder / "file"
        self.file.write_bytes(random.Random(SIZE).randbytes(SIZE))
        self.digest = hashlib.sha256(self.file.read_bytes()).hexdigest()

    def writer(self, *flags, loop):
        return self.wrap(sys.executable, "-S", "-c", WRITER, str(self.file), flags=flags, loop=loop)

    def check_reading(self, loop):
        wrap = self.wrap("cat", loop=loop)
        client = self.s_client(wrap)
        self.exchange(client)
        for kind in (NOT_REQUESTED, REQUESTED) * TIMES:
            client.update_key(kind)
            self.exchange(client)
        line = self.end(wrap, client)
        self.assert_ran(line, "guarded", IN_KERNEL, IN_KERNEL)
        self.assertEqual((line["tx_key_updates"], line["rx_key_updates"]), (TIMES, 2 * TIMES))
        self.assertEqual(client.key_updates_received(), TIMES)

    def test_a_program_that_sits_in_read_notices_nothing_by_epoll(self):
        self.check_reading("epoll")

    def test_a_program_that_sits_in_read_notices_nothing_by_io_uring(self):
        self.check_reading("io_uring")

    def test_a_peer_that_asks_in_the_middle_of_sendfile_gets_keys(self):
        wrap = self.writer(loop="epoll")
        ran = subprocess.run([PEER, "ask", str(wrap.port), certificates().ca, str(ASK_EVERY)],
                             stdout=subprocess.PIPE, timeout=4 * PATIENCE_S, check=True)
        peer = json.loads(ran.stdout)
        line = self.line(wrap)
        asked, answered = peer["asked_at"], peer["answered_at"]
        print(f"asked at byte {asked}, answered at {answered}")
        self.assertEqual((peer["received"], peer["sha256"], peer["closed"]),
                         (SIZE, self.digest, True))
        self.assertLessEqual(len(asked) - len(answered), 1)
        self.assertEqual(line["tx_key_updates"], len(answered))
        self.assertGreaterEqual(sum(at < SIZE for at in answered), 4)
        self.assert_clean(line)

    def digest_of_all(self, wrap):
        command = ["openssl", "s_client", "-quiet", "-tls1_3", "-CAfile", certificates().ca,
                   "-verify_return_error", "-connect", f"127.0.0.1:{wrap.port}"]
        received = hashlib.sha256()
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL) as client:
            while part := client.stdout.read1(1 << 16):
                received.update(part)
            client.stdin.close()
            client.wait(PATIENCE_S)
        return received.hexdigest()

    def test_the_budget_of_a_writer_that_never_pauses_changes_its_key(self):
        wrap = self.writer("--key-records", str(RECORDS_A_KEY), "--key-interval", "0ms",
                           loop="io_uring")
        digest = self.digest_of_all(wrap)
        line = self.line(wrap)
        self.assert_clean(line)
        self.assertEqual(digest, self.digest)
        self.assertGreaterEqual(line["tx_key_updates"], SIZE // 16384 // RECORDS_A_KEY)

    def test_a_peer_changes_its_own_key_in_the_middle_of_sendfile(self):
        text = self.file.read_bytes().hex()[:2 << 20]
        self.file.write_text("\n".join(text[at:at + 64] for at in range(0, len(text), 64)) + "\n",
                             encoding="ascii")
        wrap = self.writer(loop="epoll")
        client = self.s_client(wrap)
        for _ in range(TIMES):
            client.update_key(NOT_REQUESTED)
        client.wait_for_end()
        line = self.line(wrap)
        self.assert_clean(line)
        self.assertEqual(line["rx_key_updates"], TIMES)
        self.assertIn(self.file.read_text(encoding="ascii"), without_messages(client.text()))


class WhereKeysCannotChange(RekeyCase):
    def connection(self, value, version="-tls1_3"):
        wrap = self.wrap("cat", flags=("--no-rekey", value) if value else ())
        client = self.s_client(wrap, version)
        self.exchange(client)
        return wrap, client

    def check_kernel(self, value, kind):
        wrap, client = self.connection(value)
        client.update_key(kind)
        _status, alerts = client.wait_for_end()
        self.assertEqual(alerts, [("fatal", "internal_error")], client.text())
        line = self.line(wrap)
        self.assertEqual((line["ended"], line["reason"]), ("alert", "rekey_impossible"), line)
        self.assert_ran(line, "guarded", IN_KERNEL, IN_KERNEL)

    def test_no_rekey_kernel_ends_a_connection_at_a_key_update_that_asks_for_none(self):
        self.check_kernel("kernel", NOT_REQUESTED)

    def test_no_rekey_kernel_is_the_default_and_ends_it_at_one_that_asks_for_ours(self):
        self.check_kernel(None, REQUESTED)

    def test_no_rekey_relay_follows_and_answers_each(self):
        wrap, client = self.connection("relay")
        for kind in (NOT_REQUESTED, REQUESTED) * 3:
            client.update_key(kind)
            self.exchange(client)
        line = self.end(wrap, client)
        self.assert_ran(line, "relay", IN_USERSPACE, IN_USERSPACE)
        self.assertEqual((line["tx_key_updates"], line["rx_key_updates"]), (3, 6))

    def test_no_rekey_relay_leaves_tls_1_2_to_the_kernel(self):
        wrap, client = self.connection("relay", "-tls1_2")
        self.assert_ran(self.end(wrap, client), "guarded", IN_KERNEL, IN_KERNEL)

    def test_no_rekey_tls12_agrees_on_tls_1_2(self):
        wrap = self.wrap("cat", flags=("--no-rekey", "tls12"))
        with self.connect(wrap) as client:
            client.sendall(b"data")
            self.assertEqual(client.recv(100), b"data")
            client.end_sending()
            self.assertEqual(self.all_of(client), b"")
        line = self.line(wrap)
        self.assert_clean(line)
        self.assertEqual(line["version"], "TLSv1.2")
        self.assert_ran(line, "guarded", IN_KERNEL, IN_KERNEL)


if __name__ == "__main__":
    report.main("handover/rekey")
