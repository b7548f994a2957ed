#!/usr/bin/env python3
"""Keys of sockets that a broker has handed out: broker_rekey_test.py KERNEL, inside that kernel.
Where the kernel changes keys, KeyUpdates of the peer, tickets and the budget of a key pass without
the program's noticing, whether it sits in read or in sendfile; where it cannot, --no-rekey says
what becomes of the connection."""

import hashlib
import json
import random
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import report  # noqa: E402
from broker_client import Broker  # noqa: E402
from s_client import (NOT_REQUESTED, PATIENCE_S, REQUESTED, SClient,  # noqa: E402
                      without_messages)
from shared_certificates import certificates  # noqa: E402
from watched import BUILD, REPOSITORY  # noqa: E402

KERNEL = sys.argv.pop(1) if len(sys.argv) > 1 else "newest"
KERNELS_THAT_REKEY = ("newest",)
PROGRAM = REPOSITORY / "tests" / "support" / "brokered_program.py"
PEER = BUILD / "tests" / "proofs" / "key_update_peer"
DATA_SIZE = 20_000
TIMES = 12
SIZE = 6 << 20
ASK_EVERY = 256 << 10  # beside what is on its way when it is asked
TLS_1_2, TLS_1_3 = 0x0303, 0x0304


def load_tests(loader, _tests, _pattern):
    case = WhereKeysChange if KERNEL in KERNELS_THAT_REKEY else WhereKeysCannotChange
    return unittest.TestSuite([loader.loadTestsFromTestCase(case)])


class Program:
    """A brokered_program, and what it says."""

    def __init__(self, broker, *arguments):
        self.process = subprocess.Popen([sys.executable, "-S", PROGRAM, broker.path, *arguments],
                                        stdout=subprocess.PIPE, text=True)

    def says(self):
        return json.loads(self.process.stdout.readline() or "{}")

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class BrokerRekeyCase(unittest.TestCase):
    def broker(self, *flags, loop="epoll"):
        broker = Broker(*certificates().server_flags, "--ca", certificates().ca, "--loop", loop,
                        "--verbose", *flags, patience=PATIENCE_S)
        self.addCleanup(broker.kill)
        return broker

    def program(self, broker, *arguments):
        program = Program(broker, *map(str, arguments))
        self.addCleanup(program.kill)
        return program

    def s_client(self, port, *flags):
        client = SClient(port, *flags)
        self.addCleanup(client.kill)
        return client

    def exchange(self, client, number):
        data = f"{number:0{DATA_SIZE}}"
        client.say(data)
        client.wait_for(lambda: data in without_messages(client.text()), "what it has sent")

    def updates_of(self, broker, count):
        return broker.wait_for_event("control", count, PATIENCE_S)[count - 1]


class WhereKeysChange(BrokerRekeyCase):
    def check_reading(self, loop):
        broker = self.broker(loop=loop)
        program = self.program(broker, "echo")
        client = self.s_client(program.says()["port"], "-tls1_3")
        self.exchange(client, 0)
        for number, kind in enumerate((NOT_REQUESTED, REQUESTED) * TIMES, 1):
            client.update_key(kind)
            self.exchange(client, number)
        client.say("Q")
        status, alerts = client.wait_for_end()
        self.assertEqual((status, [each for each in alerts if each[0] == "fatal"]), (0, []))
        end = program.says()
        self.assertEqual((end["ended"], end["controls"], end["relayed"]),
                         ("closed", 2 * TIMES, False))
        last = self.updates_of(broker, 2 * TIMES)
        self.assertEqual((last["rx_key_updates"], last["tx_key_updates"]), (2 * TIMES, TIMES))
        self.assertEqual(client.key_updates_received(), TIMES)

    def test_a_program_that_sits_in_read_goes_on_by_epoll(self):
        self.check_reading("epoll")

    def test_a_program_that_sits_in_read_goes_on_by_io_uring(self):
        self.check_reading("io_uring")

    def test_a_peer_that_asks_in_the_middle_of_sendfile_gets_keys(self):
        data = random.Random(SIZE).randbytes(SIZE)
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            broker = self.broker()
            program = self.program(broker, "send", file.name)
            port = program.says()["port"]
            ran = subprocess.run([PEER, "ask", str(port), certificates().ca, str(ASK_EVERY)],
                                 stdout=subprocess.PIPE, timeout=4 * PATIENCE_S, check=True)
        peer = json.loads(ran.stdout)
        asked, answered = peer["asked_at"], peer["answered_at"]
        print(f"asked at byte {asked}, answered at {answered}")
        self.assertEqual((peer["received"], peer["sha256"], peer["closed"]),
                         (SIZE, hashlib.sha256(data).hexdigest(), True))
        self.assertLessEqual(len(asked) - len(answered), 1)
        self.assertGreaterEqual(sum(at < SIZE for at in answered), 4)
        self.assertEqual(program.says()["ended"], "closed")

    def test_tickets_and_key_updates_of_a_server_pass_and_its_sessions_are_resumed(self):
        server = subprocess.Popen(
            ["openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", certificates().chain,
             "-key", certificates().key, "-tls1_3", "-naccept", "2"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.addCleanup(server.stdout.close)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        while not (line := server.stdout.readline()).startswith(b"ACCEPT "):
            self.assertTrue(line)
        port = int(line.rsplit(b":", 1)[1])
        broker = self.broker()
        resumed = []
        for attempt in range(2):
            program = self.program(broker, "connect", port, len(b"data\n"))
            broker.wait_for_event("connection", attempt + 1, PATIENCE_S)
            for count, line in enumerate((b"k\n", b"K\n", b"k\n", b"K\n", b"data\n"), 1):
                server.stdin.write(line)
                server.stdin.flush()
                # s_server takes a command where a read of its input begins.
                if line != b"data\n":
                    broker.wait_for_event(
                        "control", attempt + 1, PATIENCE_S,
                        lambda record, count=count: record["rx_key_updates"] == count)
            said, end = program.says(), program.says()
            self.assertEqual(said["received"], "data\n")
            self.assertEqual((end["ended"], end["relayed"]), ("closed", False))
            resumed.append(end["resumed"])
        self.assertEqual(resumed, [False, True])
        server.stdin.close()

    def test_the_budget_of_a_key_has_it_changed(self):
        broker = self.broker("--key-records", "1000", "--key-interval", "0ms")
        program = self.program(broker, "drip", 2000, 300)
        client = self.s_client(program.says()["port"], "-tls1_3")
        _, alerts = client.wait_for_end()
        self.assertEqual([each for each in alerts if each[0] == "fatal"], [])
        self.assertEqual(program.says()["ended"], "closed")
        self.assertIn(f"\n{1999:099}\n", without_messages(client.text()))
        self.assertGreaterEqual(client.key_updates_received(), 2)


class WhereKeysCannotChange(BrokerRekeyCase):
    def connection(self, *flags, version="-tls1_3"):
        broker = self.broker(*flags)
        program = self.program(broker, "echo")
        client = self.s_client(program.says()["port"], *([version] if version else []))
        self.exchange(client, 0)
        return broker, program, client

    def check_kernel(self, flags, kind):
        broker, program, client = self.connection(*flags)
        client.update_key(kind)
        _, alerts = client.wait_for_end()
        self.assertEqual(alerts, [("fatal", "internal_error")], client.text())
        end = program.says()
        self.assertEqual((end["ended"], end["reason"]), ("refused", "rekey_impossible"))
        self.assertEqual(broker.wait_for_event("ended")[0]["reason"], "rekey_impossible")

    def test_no_rekey_kernel_ends_a_connection_at_a_key_update_that_asks_for_none(self):
        self.check_kernel(("--no-rekey", "kernel"), NOT_REQUESTED)

    def test_no_rekey_kernel_is_the_default_and_ends_it_at_one_that_asks_for_ours(self):
        self.check_kernel((), REQUESTED)

    def test_no_rekey_relay_follows_and_answers_each(self):
        broker, program, client = self.connection("--no-rekey", "relay")
        for number, kind in enumerate((NOT_REQUESTED, REQUESTED) * 3, 1):
            client.update_key(kind)
            self.exchange(client, number)
        client.say("Q")
        client.wait_for_end()
        end = program.says()
        self.assertEqual((end["ended"], end["relayed"]), ("closed", True))
        line = broker.connection(patience=PATIENCE_S)
        self.assertEqual((line["tx_reason"], line["rx_key_updates"], line["tx_key_updates"]),
                         ("rekey_impossible", 6, 3))

    def test_no_rekey_tls12_agrees_on_tls_1_2(self):
        _, program, client = self.connection("--no-rekey", "tls12", version=None)
        client.say("Q")
        client.wait_for_end()
        end = program.says()
        self.assertEqual((end["ended"], end["relayed"], end["version"]),
                         ("closed", False, TLS_1_2))

    def test_the_budget_of_a_key_ends_the_connection_before_its_limit(self):
        # It is looked at once a second, and ended with an eighth left.
        broker = self.broker("--key-records", "1000")
        program = self.program(broker, "drip", 1200, 100)
        client = self.s_client(program.says()["port"], "-tls1_3")
        _, alerts = client.wait_for_end()
        self.assertEqual(alerts, [("fatal", "internal_error")])
        self.assertEqual(broker.wait_for_event("ended")[0]["reason"], "key_budget_spent")
        self.assertEqual(program.says()["ended"], "error")
        self.assertNotIn(f"\n{1000:099}\n", without_messages(client.text()))


if __name__ == "__main__":
    report.main("handover/broker-rekey")
