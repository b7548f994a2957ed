#!/usr/bin/env python3
"""KeyUpdates and tickets that arrive while a wrapped program sits in read, poll, select or
sendfile: rekey_test.py [KERNEL], inside that kernel. The program notices nothing where keys can be
changed, and where the kernel cannot do that, --no-rekey says what becomes of the connection."""

import contextlib
import hashlib
import json
import socket
import subprocess
import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import report  # noqa: E402
from payload import Payload  # noqa: E402
from preload_case import PreloadCase, REQUIRES_KTLS, WAIT_S, free_port  # noqa: E402
from s_client import (NOT_REQUESTED, REQUESTED, SClient, SServer,  # noqa: E402
                      without_messages)
from shared_certificates import certificates  # noqa: E402
from watched import BUILD, REPOSITORY  # noqa: E402
from wrap_tls_stream import TlsStream  # noqa: E402

KERNEL = sys.argv.pop(1) if sys.argv[1:] and not sys.argv[1].startswith("test") else "newest"
KERNELS_THAT_REKEY = ("newest",)
PROGRAM = REPOSITORY / "tests" / "support" / "preload_speaker.py"
PEER = BUILD / "tests" / "proofs" / "key_update_peer"
# More than a record; no digit is a command, where it begins a read of standard input.
DATA_SIZE = 20_000
TIMES = 4
# A relay is ahead of its peer by what the buffers hold.
FILE = Payload((4 if REQUIRES_KTLS else 24) << 20, seed=7)
ASK_EVERY = 256 << 10  # beside what is on its way when it is asked
SOME = Payload(256 << 10, seed=8)  # what the buffers of one side hold
LINES = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(16_000)]
TICKETS = 2  # of openssl's, after each handshake


def load_tests(loader, _tests, _pattern):
    case = WhereKeysChange if KERNEL in KERNELS_THAT_REKEY else WhereKeysCannotChange
    return unittest.TestSuite([loader.loadTestsFromTestCase(case)])


class LateReader:
    """A socket that is not read between its first bytes and what `until` waits for."""

    def __init__(self, sock, until):
        self.sock, self.until, self.reads = sock, until, 0
        self.sendall, self.close = sock.sendall, sock.close

    def recv(self, size):
        self.reads += 1
        if self.reads == 2:
            self.until()
        return self.sock.recv(size)


class RekeyCase(PreloadCase):
    def setUp(self):
        super().setUp()
        self.port = free_port()

    def speaker(self, mode, argument, flags=()):
        words = (sys.executable, "-S", PROGRAM, mode, self.port, argument)
        options = {"flags": flags, "stdout": subprocess.PIPE}
        if mode.startswith("connect"):
            return self.run_program(*words, connect=(f"localhost:{self.port}",), **options)
        return self.serve(*words, port=self.port, **options)

    def s_client(self, *flags):
        client = SClient(self.port, *flags)
        self.addCleanup(client.kill)
        return client

    def s_server(self):
        server = SServer(self.port, "-tls1_3")
        self.addCleanup(server.kill)
        return server

    def exchange(self, peer, number):
        """Data of the peer's, and the same from the program."""
        data = f"{number:0{DATA_SIZE}}"
        peer.say(data)
        peer.wait_for(lambda: data in without_messages(peer.text()), "what it has sent")

    def told(self, run):
        return run.process.stdout.readline().decode().split()

    def end(self, run, peer):
        """By the peer, where openssl's server sends no close_notify: that is no end of a stream."""
        peer.say("Q")
        status, alerts = peer.wait_for_end()
        self.assertEqual(status, 0, peer.text())
        self.assertEqual([alert for alert in alerts if alert[0] == "fatal"], [])
        # Neither was it called to read what is for TLS alone.
        ended = "ECONNRESET" if isinstance(peer, SServer) else "closed"
        self.assertEqual(self.told(run), [ended, "0"])
        self.assertEqual(run.wait(WAIT_S), 0, run.text())
        self.assert_placed(run, 1)


    def lines(self):
        """A file of them."""
        path = self.folder / "lines"
        path.write_text("".join(f"{line}\n" for line in LINES), encoding="ascii")
        return path

    def assert_lines(self, peer, run):
        """They are what it has received."""
        received = without_messages(peer.text())
        arrived = sum(line in received for line in LINES)
        self.assertTrue("\n".join(LINES) in received,
                        f"{arrived} of {len(LINES)} lines arrived:\n{run.text()}")

    def check_client_that_never_reads(self):
        """Tickets are sent when it has gone, and most of what it has written is under way."""
        path = self.folder / "some"
        path.write_bytes(SOME.bytes())
        with socket.create_server(("127.0.0.1", self.port)) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
            listener.settimeout(WAIT_S)
            run = self.speaker("connect-deaf", path)
            sock, _ = listener.accept()
        sock.settimeout(WAIT_S)
        late = LateReader(sock, lambda: self.assertEqual(self.told(run)[0], "closed"))
        with TlsStream(late, certificates().server_context(), server_side=True) as stream:
            received = b""
            while part := stream.recv(65536):  # to close_notify
                received += part
        self.assertEqual((len(received), received == SOME.bytes()), (SOME.size, True))
        self.assertEqual(run.wait(WAIT_S), 0, run.text())
        self.assert_placed(run, 1)


class WhereKeysChange(RekeyCase):
    def check(self, run, peer):
        self.exchange(peer, 0)
        for number, kind in enumerate((NOT_REQUESTED, REQUESTED) * TIMES, 1):
            peer.update_key(kind)
            self.exchange(peer, number)
        self.assertEqual(peer.key_updates_received(), TIMES)
        self.end(run, peer)

    def check_server(self, how):
        run = self.speaker("serve", how)
        self.check(run, self.s_client("-tls1_3"))

    def check_client(self, how):
        server = self.s_server()
        run = self.speaker("connect", how)
        server.wait_for(lambda: server.count(">>> TLS 1.3.*NewSessionTicket") == TICKETS,
                        "its tickets")
        self.check(run, server)

    def test_a_server_that_sits_in_read_notices_nothing(self):
        self.check_server("read")

    def test_a_server_that_sits_in_poll_notices_nothing(self):
        self.check_server("poll")

    def test_a_server_that_sits_in_select_notices_nothing(self):
        self.check_server("select")

    def test_a_client_that_sits_in_read_notices_neither_tickets_nor_new_keys(self):
        self.check_client("read")

    def test_a_client_that_sits_in_poll_notices_neither_tickets_nor_new_keys(self):
        self.check_client("poll")

    def test_a_client_that_sits_in_select_notices_neither_tickets_nor_new_keys(self):
        self.check_client("select")

    def test_a_peer_that_asks_in_the_middle_of_sendfile_gets_keys(self):
        path = self.folder / "file"
        path.write_bytes(FILE.bytes())
        run = self.speaker("send", path)
        ran = subprocess.run([PEER, "ask", str(self.port), certificates().ca, str(ASK_EVERY)],
                             stdout=subprocess.PIPE, timeout=4 * WAIT_S, check=True)
        peer = json.loads(ran.stdout)
        asked, answered = peer["asked_at"], peer["answered_at"]
        print(f"asked at byte {asked}, answered at {answered}")
        self.assertEqual((peer["received"], peer["sha256"], peer["closed"]),
                         (FILE.size, FILE.sha256, True))
        self.assertLessEqual(len(asked) - len(answered), 1)
        self.assertGreaterEqual(sum(at < FILE.size for at in answered), 2)
        self.assertEqual(self.told(run)[0], "closed")
        self.assert_placed(run, 1)

    def check_sendfile(self, mode):
        run = self.speaker(mode, self.lines())
        client = self.s_client("-tls1_3")
        said = 0
        with contextlib.suppress(BrokenPipeError):  # it has all, and is gone
            while said < TIMES:
                client.update_key(NOT_REQUESTED)
                said += 1
        self.assertGreater(said, 0)
        status, alerts = client.wait_for_end()
        self.assert_lines(client, run)
        self.assertEqual([alert for alert in alerts if alert[0] == "fatal"], [])
        self.assertEqual(self.told(run)[0], "closed")
        self.assert_placed(run, 1)
        return status

    def test_a_peer_changes_its_own_key_in_the_middle_of_sendfile(self):
        self.assertEqual(self.check_sendfile("send"), 0)

    def test_a_peer_s_new_keys_do_no_harm_to_a_program_that_never_reads(self):
        self.check_sendfile("send-deaf")

    def test_tickets_do_no_harm_to_a_client_that_never_reads(self):
        self.check_client_that_never_reads()


class WhereKeysCannotChange(RekeyCase):
    def check_ended(self, kind):
        run = self.speaker("serve", "read")
        client = self.s_client("-tls1_3")
        self.exchange(client, 0)
        client.update_key(kind)
        _status, alerts = client.wait_for_end()
        self.assertEqual(alerts, [("fatal", "internal_error")], client.text())
        self.assertNotEqual(self.told(run)[0], "closed")  # which is what an orderly end looks like
        self.assertEqual(run.wait_for_event("ended", 1, WAIT_S)[0]["reason"], "rekey_impossible")

    def test_a_key_update_that_asks_for_none_ends_a_connection_with_an_error(self):
        self.check_ended(NOT_REQUESTED)

    def test_a_key_update_that_asks_for_ours_ends_a_connection_with_an_error(self):
        self.check_ended(REQUESTED)

    def test_tickets_of_a_server_pass_while_a_client_sits_in_poll(self):
        server = self.s_server()
        run = self.speaker("connect", "poll")
        server.wait_for(lambda: server.count(">>> TLS 1.3.*NewSessionTicket") == TICKETS,
                        "its tickets")
        self.exchange(server, 0)
        self.end(run, server)

    def test_tickets_do_no_harm_to_a_client_that_never_reads(self):
        self.check_client_that_never_reads()

    def test_no_rekey_relay_follows_and_answers_each(self):
        run = self.speaker("serve", "poll", flags=("--no-rekey", "relay"))
        client = self.s_client("-tls1_3")
        for number, kind in enumerate((NOT_REQUESTED, REQUESTED) * TIMES):
            client.update_key(kind)
            self.exchange(client, number)
        self.assertEqual(client.key_updates_received(), TIMES)
        client.say("Q")
        client.wait_for_end()
        self.assertEqual(self.told(run)[0], "closed")
        line = run.connection(patience=WAIT_S)
        self.assertEqual((line["tx"], line["tx_reason"]), ("userspace", "rekey_impossible"))


if __name__ == "__main__":
    report.main("preload/rekey")
