#!/usr/bin/env python3
"""`serve` in service: limits, clients that are slow, draining, logs, addresses."""

import ipaddress
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import report  # noqa: E402
import wrap_peers as peers  # noqa: E402
from https_client import request  # noqa: E402
from payload import Payload  # noqa: E402
from served_case import ServedCase  # noqa: E402
from shared_certificates import certificates  # noqa: E402
from watched import BINARY, wait_until  # noqa: E402
from watched_serve import LOOPS, WAIT_S, data_paths  # noqa: E402

MIB = 1 << 20
BIG = 20 * MIB  # more than the buffers of two sockets hold
SLOW_SIZE = 4 << 20
SLOW_RATE = 1 << 20  # bytes a second
RECEIVE_BUFFER = 65536


class ServingCase(ServedCase):
    def setUp(self):
        super().setUp()
        self.write("small.txt", b"small\n")

    def write_big(self):
        self.content = Payload(BIG, seed=6).bytes()
        self.write("big.bin", self.content)

    def begin_download(self, serve):
        """A client that has the head of the big file, and reads no further."""
        client = self.client(serve, receive_buffer=RECEIVE_BUFFER)
        client.send("/big.bin")
        self.assertEqual(client.read_head().length, BIG)
        return client

    def is_refused(self, serve):
        """Whether a connection is reset before its handshake."""
        try:
            self.client(serve).close()
        except (ConnectionError, ssl.SSLError, peers.Truncated):
            return True
        return False


class Limits(ServingCase):
    def test_a_head_that_is_too_large_is_refused(self):
        serve = self.serve("--max-head", 2048)
        client = self.client(serve)
        self.assertEqual(client.ask("/small.txt", x_fill="x" * 1800).status, 200)
        response = client.ask("/small.txt", x_fill="x" * 2100)
        self.assertEqual((response.status, response.field("connection")), (431, "close"))
        self.assertEqual(client.read_to_end(), b"")
        client.end()
        self.assertEqual([line["status"] for line in serve.finish()], [200, 431])

    def test_one_address_has_so_many_connections_and_no_more(self):
        for loop in LOOPS:
            with self.subTest(loop):
                serve = self.serve("--max-per-address", 3, "--loop", loop)
                held = [self.client(serve) for _ in range(3)]
                self.assertTrue(self.is_refused(serve))
                line = serve.wait_for_event("refused")[0]
                self.assertEqual(line["reason"], "max_per_address")
                self.assertTrue(line["peer"].startswith("127.0.0.1:"))
                for client in held:
                    self.assertEqual(client.ask("/small.txt").status, 200)
                held[0].end()
                serve.wait_for_connections(1)
                again = self.client(serve)  # its place is free again
                self.assertEqual(again.ask("/small.txt").status, 200)
                # Another address has places of its own.
                other = socket.socket()
                other.settimeout(WAIT_S)
                other.bind(("127.0.0.2", 0))
                other.connect(serve.endpoint)
                stream = peers.TlsStream(other, certificates().client_context(), "localhost")
                stream.sendall(request("/small.txt"))
                self.assertIn(b"200 OK", stream.recv(100))
                stream.close()

    def test_connections_beyond_the_total_wait_for_their_turn(self):
        for loop in LOOPS:
            with self.subTest(loop):
                serve = self.serve("--max-connections", 2, "--loop", loop, threads=1)
                held = [self.client(serve) for _ in range(2)]
                for client in held:  # for what is not there: no file is open for a while
                    self.assertEqual(client.ask("/gone").status, 404)
                descriptors = serve.descriptors()
                waiting = [peers.tcp(serve.endpoint, WAIT_S) for _ in range(4)]
                for client in held:  # its thread has looked for connections since
                    self.assertEqual(client.ask("/gone").status, 404)
                self.assertEqual(serve.descriptors(), descriptors, "nobody else was let in")
                for client in held:
                    client.end()
                for raw in waiting:
                    stream = peers.TlsStream(raw, certificates().client_context(), "localhost")
                    stream.sendall(request("/small.txt"))
                    self.assertIn(b"200 OK", stream.recv(1000))
                    stream.close()



class SlowClients(ServingCase):
    def test_a_head_that_does_not_come_in_time_gets_a_408(self):
        for loop in LOOPS:
            with self.subTest(loop):
                serve = self.serve("--request-timeout", "1s", "--loop", loop)
                client = self.client(serve)
                self.assertEqual(client.ask("/small.txt").status, 200)
                for piece in (b"GET /small.txt HTTP/1.1\r\n", b"Host: localhost\r\n"):
                    client.stream.sendall(piece)
                response = client.read_response()
                self.assertEqual((response.status, response.field("connection")), (408, "close"))
                self.assertEqual(client.read_to_end(), b"")
                client.end()

    def test_a_body_that_does_not_come_in_time_ends_the_connection_in_order(self):
        for loop in LOOPS:
            with self.subTest(loop):
                serve = self.serve("--request-timeout", "1s", "--loop", loop)
                client = self.client(serve)
                client.send("/small.txt", fields={"Content-Length": 100})
                self.assertEqual(client.read_response().status, 200)
                client.stream.sendall(b"x")
                self.assertEqual(client.read_to_end(), b"")
                client.end()
                self.assertEqual(serve.wait_for_connections(1)[0]["ended"], "clean")

    def test_bytes_that_trickle_in_win_no_time(self):
        serve = self.serve("--request-timeout", "1s")
        client = self.client(serve)
        client.stream.sendall(b"GET /small.txt HTTP/1.1\r\nHost: localhost\r\nX: ")
        client.stream.sock.settimeout(0.05)
        deadline = time.monotonic() + WAIT_S
        received = b""
        while not received.startswith(b"HTTP/1.1 408 "):
            self.assertLess(time.monotonic(), deadline, "it was still waited for")
            client.stream.sendall(b"x")
            try:
                received += client.stream.recv(64)
            except TimeoutError:
                continue

    def test_who_takes_nothing_is_cut_off(self):
        self.write_big()
        for name, flags in data_paths():
            with self.subTest(name):
                serve = self.serve("--send-timeout", "1s", "--min-rate", MIB, *flags)
                client = self.begin_download(serve)
                line = serve.wait_for_connections(1)[0]
                self.assertEqual(line["ended"], "timeout")
                ended, received = peers.how_it_ends(client.stream)
                self.assertIn(ended, ("reset", "truncated"))
                self.assertLess(len(received), BIG)
                self.assertEqual(serve.finish()[0]["ended"], "timeout")

    def test_who_takes_less_than_the_least_rate_is_cut_off(self):
        self.write_big()
        serve = self.serve("--send-timeout", "1s", "--min-rate", 16 * MIB)
        client = self.begin_download(serve)
        stop = time.monotonic() + WAIT_S
        with self.assertRaises((ConnectionError, peers.Truncated)):
            while time.monotonic() < stop:
                client.stream.recv(16384)
                time.sleep(0.1)  # 160 KiB a second
        self.assertEqual(serve.wait_for_connections(1)[0]["ended"], "timeout")

    def assert_cut_off_at(self, serve, client, rate):
        """The client reads at `rate` bytes a second: that does not last."""
        stop = time.monotonic() + WAIT_S
        with self.assertRaises((ConnectionError, peers.Truncated)):
            while True:
                self.assertLess(time.monotonic(), stop, "it could go on")
                time.sleep(len(client.stream.recv(65536)) / rate)
        self.assertEqual(serve.wait_for_connections(1)[0]["ended"], "timeout")

    def test_so_is_who_takes_each_piece_in_time_but_all_of_it_too_slowly(self):
        self.write_big()
        for name, flags in data_paths():
            with self.subTest(name):
                serve = self.serve("--send-timeout", "2s", "--min-rate", 16 * MIB, *flags)
                client = self.begin_download(serve)
                self.assert_cut_off_at(serve, client, SLOW_RATE)  # a piece of 1 MiB in a second
                serve.finish()

    def test_so_is_who_takes_many_small_responses_too_slowly(self):
        self.write("page.bin", b"p" * 16_000)
        serve = self.serve("--send-timeout", "2s", "--min-rate", 16 * MIB)
        client = self.client(serve, receive_buffer=RECEIVE_BUFFER)
        client.stream.sendall(request("/page.bin") * 2000)
        self.assert_cut_off_at(serve, client, SLOW_RATE)
        serve.finish()

    def test_the_time_between_two_requests_counts_against_nobody(self):
        self.write("page.bin", b"p" * 16_000)
        serve = self.serve("--send-timeout", "200ms", "--min-rate", MIB)
        client = self.client(serve)
        for _ in range(8):
            self.assertEqual(len(client.ask("/page.bin").body), 16_000)
            time.sleep(0.3)
        client.end()
        self.assertEqual({line["ended"] for line in serve.finish()}, {"clean"})

    def test_who_is_slow_but_fast_enough_gets_all(self):
        self.write_big()
        serve = self.serve("--send-timeout", "1s", "--min-rate", 1024)
        client = self.begin_download(serve)
        body = bytearray()
        for part in client.body_parts(BIG):
            body += part
            if len(body) < SLOW_SIZE:  # for longer than --send-timeout, but never still
                time.sleep(len(part) / SLOW_RATE)
        self.assertTrue(bytes(body) == self.content)
        client.end()
        self.assertEqual(serve.finish()[0]["ended"], "clean")

    def test_a_handshake_that_does_not_come_is_not_waited_for(self):
        serve = self.serve("--handshake-timeout", "1s")
        with peers.tcp(serve.endpoint) as client:
            self.assertIn(peers.how_it_ends(client)[0], ("eof", "reset"))
        self.assertEqual(serve.wait_for_connections(1)[0]["ended"], "timeout")

    def test_a_plain_request_that_does_not_come_is_not_waited_for(self):
        serve = self.serve("--http", "127.0.0.1:0", "--request-timeout", "1s")
        with peers.tcp(serve.plain_endpoint) as client:
            self.assertEqual(peers.receive_all(client), b"")


class Draining(ServingCase):
    def test_a_transfer_under_way_is_completed(self):
        self.write_big()
        for name, flags in data_paths():
            with self.subTest(name):
                serve = self.serve(*flags)
                client = self.begin_download(serve)
                idle = self.client(serve)
                self.assertEqual(idle.ask("/small.txt").status, 200)
                serve.send_signal(signal.SIGTERM)
                serve.wait_for_event("draining")
                self.assertEqual(idle.read_to_end(), b"", "an idle connection ends at once")
                idle.end()
                wait_until(lambda: self.is_refused(serve), "nobody to accept any more", WAIT_S)
                self.assertTrue(b"".join(client.body_parts(BIG)) == self.content)
                self.assertEqual(client.read_to_end(), b"", "close_notify behind the last byte")
                client.end()
                self.assertEqual(serve.wait(WAIT_S), 0)
                self.assertEqual(serve.records("stopped")[0]["cut_off"], 0)
                self.assertEqual({line["ended"] for line in serve.responses()}, {"clean"})

    def test_a_request_that_was_sent_before_is_answered_as_the_last(self):
        self.write_big()
        serve = self.serve()
        client = self.client(serve, receive_buffer=RECEIVE_BUFFER)
        client.stream.sendall(request("/big.bin") + request("/small.txt") * 2)
        head = client.read_head()
        serve.send_signal(signal.SIGTERM)
        serve.wait_for_event("draining")
        for _ in client.body_parts(head.length):
            pass
        last = client.read_response()
        self.assertEqual((last.status, last.field("connection")), (200, "close"))
        self.assertEqual(client.read_to_end(), b"")
        client.end()
        self.assertEqual(serve.wait(WAIT_S), 0)

    def test_what_takes_too_long_is_cut_off_and_does_not_look_complete(self):
        self.write_big()
        serve = self.serve("--drain-timeout", "1s")
        client = self.begin_download(serve)
        serve.send_signal(signal.SIGTERM)
        self.assertEqual(serve.wait(WAIT_S), 0)
        self.assertEqual(serve.records("stopped")[0]["cut_off"], 1)
        ended, received = peers.how_it_ends(client.stream)
        self.assertIn(ended, ("reset", "truncated"))
        self.assertLess(len(received), BIG)
        self.assertEqual(serve.responses()[0]["ended"], "cancelled")

    def test_a_second_signal_ends_it_at_once(self):
        self.write_big()
        serve = self.serve("--drain-timeout", "1h")
        self.begin_download(serve)
        serve.send_signal(signal.SIGTERM)
        serve.wait_for_event("draining")
        serve.send_signal(signal.SIGTERM)
        self.assertEqual(serve.wait(WAIT_S), 128 + signal.SIGTERM)


class AccessLog(ServingCase):
    TIME = r"\[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000\]"

    def lines(self, name):
        serve = self.serve(access_log_format=name)
        client = self.client(serve)
        client.ask("/small.txt", referer="https://a.example/", user_agent='a "test"\t')
        client.ask("/gone", method="HEAD")
        client.end()
        self.assertEqual(serve.stop(), 0)
        tx = "userspace" if not serve.records("ready")[0]["kernel_tls"] else "kernel"
        return serve.log_file.read_text().splitlines(), tx

    def test_common_and_combined_are_those_of_other_servers(self):
        common = r'127\.0\.0\.1 - - ' + self.TIME + r' "GET /small\.txt HTTP/1\.1" 200 6'
        combined = common + r' "https://a\.example/" "a \\"test\\"(\\t)?"'
        for name, expected in (("common", common), ("combined", combined),
                               ("common+tx", common + ' "TX"'),
                               ("combined+tx", combined + ' "TX"')):
            with self.subTest(name):
                (first, second), tx = self.lines(name)
                self.assertRegex(first, r"\A" + expected.replace("TX", tx) + r"\Z")
                self.assertIn('"HEAD /gone HTTP/1.1" 404 -', second)

    def test_json_has_every_field_in_every_line(self):
        (first, second), tx = self.lines("json")
        first, second = json.loads(first), json.loads(second)
        self.assertEqual(list(first), list(second))
        self.assertEqual(
            {name: first[name] for name in ("peer", "host", "method", "target", "protocol",
                                            "status", "sent", "referer", "version", "tx",
                                            "ranges", "ended")},
            {"peer": "127.0.0.1", "host": "localhost", "method": "GET", "target": "/small.txt",
             "protocol": "HTTP/1.1", "status": 200, "sent": 6, "referer": "https://a.example/",
             "version": "TLSv1.3", "tx": tx, "ranges": 0, "ended": "clean"})
        self.assertEqual(bool(first["tx_reason"]), tx == "userspace")
        self.assertEqual((second["status"], second["sent"]), (404, 0))

    def test_it_is_opened_anew_on_sighup_and_no_line_is_lost(self):
        serve = self.serve()
        client = self.client(serve)
        rotated = serve.log_file.with_suffix(".1")
        client.ask("/small.txt?first")
        serve.wait_for_responses(1)
        serve.log_file.rename(rotated)
        client.ask("/small.txt?second")
        serve.send_signal(signal.SIGHUP)
        wait_until(serve.log_file.exists, "the new file", WAIT_S)
        client.ask("/small.txt?third")
        client.end()
        self.assertEqual(serve.stop(), 0)
        old, new = (re.findall(r"\?(\w+)", file.read_text()) for file in
                    (rotated, serve.log_file))
        self.assertEqual((old + new, new[-1:]), (["first", "second", "third"], ["third"]))

    def test_a_line_of_a_peer_cannot_forge_another(self):
        serve = self.serve(access_log_format="combined")
        client = self.client(serve)
        client.ask("/%0a127.0.0.1%20-", user_agent='x" 200 "\\')
        client.stream.sendall(b"G\x01T \x1b[31m\xff / HTTP/1.1\r\n\r\n")
        client.read_response()
        client.close()
        self.assertEqual(serve.stop(), 0)
        text = serve.log_file.read_bytes()
        self.assertEqual(text.count(b"\n"), 2)
        self.assertTrue(all(byte == 10 or 32 <= byte < 127 for byte in text), text)

    def test_what_is_no_request_leaves_a_short_line_however_long_it_is(self):
        serve = self.serve()
        client = self.client(serve)
        client.stream.sendall(b"\x80" * 70_000)
        client.read_response()
        client.close()
        (line,) = serve.finish()
        self.assertRegex(line["target"], "\\A\ufffd{1000,}\\.\\.\\.\\Z")
        self.assertLess(len(serve.log_file.read_bytes()), 10_000)

    def test_standard_output_can_be_the_log(self):
        command = [BINARY, "serve", str(self.root), "--listen", "127.0.0.1:0",
                   "--access-log", "-", "--access-log-format", "common"]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        listening = next(line for line in process.stderr if " listening " in line)
        port = int(re.search(r"127\.0\.0\.1:(\d+)", listening).group(1))
        client = self.client(None, endpoint=("127.0.0.1", port), context=peers.accepts_anything())
        client.ask("/small.txt")
        self.assertIn('"GET /small.txt HTTP/1.1" 200 6', process.stdout.readline())
        client.end()


class Addresses(ServingCase):
    @unittest.skipUnless(socket.has_ipv6 and os.path.exists("/proc/net/if_inet6"), "no IPv6")
    def test_ipv6(self):
        serve = self.serve(listen="[::1]:0")
        self.assertRegex(serve.addresses[0], r"\A\[::1\]:\d+\Z")
        client = self.client(serve, endpoint=("::1", serve.port), name="::1")
        self.assertEqual(client.ask("/small.txt", host=f"[::1]:{serve.port}").body, b"small\n")
        client.end()
        line, = serve.finish()
        self.assertEqual(ipaddress.ip_address(line["peer"]), ipaddress.ip_address("::1"))
        self.assertEqual(line["host"], f"[::1]:{serve.port}")

    def test_several_listeners(self):
        serve = self.serve(listen=["127.0.0.1:0", "127.0.0.1:0"])
        for address in serve.addresses:
            client = self.client(serve, endpoint=("127.0.0.1", int(address.rsplit(":", 1)[1])))
            self.assertEqual(client.ask("/small.txt").status, 200)
            client.end()

    def test_tls_on_the_plain_port_and_plain_text_on_the_other_are_refused(self):
        serve = self.serve("--http", "127.0.0.1:0")
        with self.assertRaises((ssl.SSLError, OSError)):
            self.client(serve, endpoint=serve.plain_endpoint)
        with peers.tcp(serve.endpoint) as client:
            client.sendall(request("/small.txt"))
            ended, received = peers.how_it_ends(client)
            self.assertIn(ended, ("eof", "reset"))
            self.assertNotIn(b"HTTP/", received)
        serve.finish()

    def test_a_unix_socket(self):
        path = self.folder / "front"
        serve = self.serve(listen=f"unix:{path}")
        raw = socket.socket(socket.AF_UNIX)
        raw.settimeout(WAIT_S)
        raw.connect(str(path))
        stream = peers.TlsStream(raw, certificates().client_context(), "localhost")
        stream.sendall(request("/small.txt"))
        self.assertIn(b"200 OK", stream.recv(1000))
        stream.close()
        self.assertEqual(serve.stop(), 0)
        self.assertFalse(path.exists())


if __name__ == "__main__":
    report.main("serve/serving")
