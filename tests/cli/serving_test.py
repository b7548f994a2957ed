#!/usr/bin/env python3
"""`wrap` in service: addresses, limits, timeouts, draining, and peers that do not behave."""

import os
import shutil
import signal
import socket
import ssl
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import report  # noqa: E402
import wrap_peers as peers  # noqa: E402
from shared_certificates import certificates  # noqa: E402
from watched import wait_until  # noqa: E402
from watched_wrap import Wrap  # noqa: E402
from wrap_tls_stream import TlsStream  # noqa: E402

MIB = 1 << 20
LOOPS = ("io_uring", "epoll")


class ServingCase(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)

    def backend(self, serve=peers.echo, **options):
        backend = peers.Backend(serve, **options)
        self.addCleanup(backend.close)
        return backend

    def wrap(self, *arguments, **options):
        wrap = Wrap(*certificates().server_flags, *arguments, **options)
        self.addCleanup(wrap.kill)
        return wrap

    def client(self, endpoint, **options):
        client = peers.tls(certificates().client_context(options.pop("version", None)), endpoint,
                           **options)
        self.addCleanup(client.close)
        return client

    def exchange(self, client, data=b"hello"):
        client.sendall(data)
        self.assertEqual(peers.receive_exactly(client, len(data)), data)

    def assert_serves(self, endpoint):
        with self.client(endpoint) as client:
            self.exchange(client)
            client.unwrap()


class Addresses(ServingCase):
    def unix_client(self, path):
        raw = socket.socket(socket.AF_UNIX)
        raw.settimeout(peers.TIMEOUT_S)
        raw.connect(str(path))
        client = TlsStream(raw, certificates().client_context(), "localhost")
        self.addCleanup(client.close)
        return client

    def unix_listener(self, path):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        return listener

    def test_unix_sockets_on_both_sides(self):
        backend = self.backend(listener=self.unix_listener(self.folder / "backend"))
        path = self.folder / "front"
        for loop in LOOPS:
            with self.subTest(loop=loop):
                wrap = self.wrap("--loop", loop, to=backend.address, listen=f"unix:{path}")
                self.assertEqual(wrap.addresses, [f"unix:{path}"])
                for _ in range(4):  # whichever thread accepts
                    with self.unix_client(path) as client:
                        self.exchange(client, os.urandom(300_000))
                        client.unwrap()
                lines = wrap.wait_for_event("connection", 4)
                self.assertEqual({(line["ended"], line["to"], line["peer"]) for line in lines},
                                 {("clean", backend.address, "unix:")})
                self.assertEqual(wrap.stop(), 0)
                self.assertFalse(path.exists(), "the socket file is still there")

    def test_a_stale_socket_file_is_replaced(self):
        path = self.folder / "front"
        self.unix_listener(path).close()
        self.assertTrue(path.exists())
        wrap = self.wrap(to=self.backend().address, listen=f"unix:{path}")
        with self.unix_client(path) as client:
            self.exchange(client)
        self.assertEqual(wrap.stop(), 0)

    def test_a_socket_file_in_use_is_refused_and_left_alone(self):
        for backlog in (8, 0):
            path = self.folder / f"front{backlog}"
            with self.unix_listener(path) as listener, socket.socket(socket.AF_UNIX) as waiting:
                listener.listen(backlog)
                if backlog == 0:
                    waiting.connect(str(path))  # and now the queue is full
                wrap = self.wrap(to="127.0.0.1:9", listen=f"unix:{path}", ready=False)
                self.assertEqual(wrap.wait(), 71)
                self.assertIn(f"unix:{path}: bind: Address already in use", wrap.text())
                self.assertTrue(path.exists())

    def test_a_file_that_is_no_socket_is_left_alone(self):
        path = self.folder / "front"
        path.write_text("precious")
        wrap = self.wrap(to="127.0.0.1:9", listen=f"unix:{path}", ready=False)
        self.assertEqual(wrap.wait(), 71)
        self.assertEqual(path.read_text(), "precious")

    def test_a_successor_on_the_same_path_keeps_its_socket_file(self):
        path = self.folder / "front"
        backend = self.backend()
        first = self.wrap(to=backend.address, listen=f"unix:{path}")
        lingering = self.unix_client(path)
        self.exchange(lingering)
        first.send_signal(signal.SIGTERM)
        wait_until(lambda: not path.exists(), "the path to be free")
        second = self.wrap(to=backend.address, listen=f"unix:{path}")
        lingering.unwrap()
        lingering.close()
        self.assertEqual(first.wait(), 0)
        with self.unix_client(path) as client:
            self.exchange(client)
        self.assertEqual(second.stop(), 0)

    @unittest.skipUnless(socket.has_ipv6 and os.path.exists("/proc/net/if_inet6"), "no IPv6")
    def test_a_socket_file_that_a_successor_has_put_in_its_place_is_left_alone(self):
        path = self.folder / "listen"
        backend = self.backend()
        first = self.wrap(to=backend.address, listen=f"unix:{path}")
        path.rename(self.folder / "first")  # as though it had been deleted
        second = self.wrap(to=backend.address, listen=f"unix:{path}")
        self.assertEqual(first.stop(), 0)
        with self.unix_client(path) as client:
            self.exchange(client)
            client.unwrap()
        self.assertEqual(second.stop(), 0)
        self.assertFalse(path.exists())

    def test_ipv6_on_both_sides(self):
        backend = self.backend(listener=socket.create_server(("::1", 0), family=socket.AF_INET6))
        wrap = self.wrap(to=backend.address, listen="[::1]:0")
        self.assertRegex(wrap.addresses[0], r"\A\[::1\]:\d+\Z")
        self.assert_serves(("::1", wrap.port))
        line = wrap.connection()
        self.assertRegex(line["peer"], r"\A\[::1\]:\d+\Z")
        self.assertEqual(line["to"], backend.address)

    @unittest.skipUnless(socket.has_ipv6 and os.path.exists("/proc/net/if_inet6"), "no IPv6")
    def test_an_empty_host_listens_on_the_addresses_of_both_families(self):
        free = peers.bound_listener()
        port = free.getsockname()[1]
        free.close()
        for threads in (1, 2):
            with self.subTest(threads=threads):
                wrap = self.wrap(to=self.backend().address, listen=f":{port}", threads=threads)
                self.assertEqual(sorted(wrap.addresses), [f"0.0.0.0:{port}", f"[::]:{port}"])
                self.assert_serves(("127.0.0.1", port))
                self.assert_serves(("::1", port))
                self.assertEqual(wrap.stop(), 0)

    def test_several_addresses_to_listen_on(self):
        wrap = self.wrap(to=self.backend().address, listen=["127.0.0.1:0", "127.0.0.1:0"])
        self.assertEqual(len(set(wrap.addresses)), 2)
        for address in wrap.addresses:
            self.assert_serves(("127.0.0.1", int(address.rsplit(":", 1)[1])))


class Limits(ServingCase):
    def waiting_clients(self, wrap, count):
        """TLS clients that connect and shake hands as soon as somebody answers."""
        served = []

        def visit():
            with self.client(wrap.endpoint) as client:
                self.exchange(client)
                served.append(client)
                client.unwrap()

        threads = [threading.Thread(target=visit, daemon=True) for _ in range(count)]
        for thread in threads:
            thread.start()
        return threads, served

    def test_max_connections_lets_more_wait_and_serves_them_later(self):
        for loop in LOOPS:
            with self.subTest(loop=loop):
                wrap = self.wrap("--loop", loop, "--max-connections", "2", "--verbose",
                                 to=self.backend().address, threads=1)
                first = [self.client(wrap.endpoint) for _ in range(2)]
                threads, served = self.waiting_clients(wrap, 6)
                time.sleep(0.5)
                self.assertEqual((len(wrap.records("accepted")), served), (2, []))
                for client in first:
                    self.exchange(client)
                    client.unwrap()
                    client.close()
                for thread in threads:
                    thread.join(peers.TIMEOUT_S)
                self.assertEqual(len(served), 6)
                self.assert_never_more_than(wrap, 2)

    def assert_never_more_than(self, wrap, most):
        wait_until(lambda: len(wrap.connections()) == len(wrap.records("accepted")), "all to end")
        now = 0
        for record in wrap.records():
            now += {"accepted": 1, "connection": -1}.get(record["event"], 0)
            self.assertLessEqual(now, most)

    def test_a_burst_does_not_get_past_max_connections(self):
        for loop in LOOPS:
            with self.subTest(loop=loop):
                wrap = self.wrap("--loop", loop, "--max-connections", "2", "--verbose",
                                 to=self.backend().address, threads=1)
                wrap.send_signal(signal.SIGSTOP)  # so that the burst is in the queue at once
                held = [peers.tcp(wrap.endpoint) for _ in range(8)]
                wrap.send_signal(signal.SIGCONT)
                wrap.wait_for_event("accepted", 2)
                time.sleep(0.3)
                self.assertEqual(len(wrap.records("accepted")), 2)
                for client in held:
                    client.close()
                wrap.wait_for_event("connection", 8)
                self.assert_never_more_than(wrap, 2)

    def test_each_listener_gets_its_turn_when_there_is_room(self):
        wrap = self.wrap("--max-connections", "2", to=self.backend().address, threads=1,
                         listen=["127.0.0.1:0", "127.0.0.1:0"])
        ends = [("127.0.0.1", int(address.rsplit(":", 1)[1])) for address in wrap.addresses]
        held = [self.client(ends[0]), self.client(ends[1])]
        for client in held:
            self.exchange(client)
        for first, other in ((0, 1), (1, 0)):
            held[first].unwrap()
            held[first].close()
            held[first] = self.client(ends[other])  # room for one, wherever it comes
            self.exchange(held[first])
            held[first].unwrap()
            held[first].close()
            held[first] = self.client(ends[first])
            self.exchange(held[first])

    def test_few_descriptors_are_warned_of_and_recovered_from(self):
        for loop in LOOPS:
            with self.subTest(loop=loop):
                wrap = self.wrap("--loop", loop, "--verbose", to=self.backend().address,
                                 threads=1, before=("sh", "-c", 'ulimit -n 40; exec "$0" "$@"'))
                self.assertEqual(wrap.wait_for_event("limits")[0]["open_files"], 40)
                steady = self.client(wrap.endpoint)
                self.exchange(steady)
                crowd = [peers.tcp(wrap.endpoint) for _ in range(60)]
                warning = wrap.wait_for_event("accept")[0]
                self.assertIn("Too many open files", warning["error"])
                self.exchange(steady, os.urandom(MIB))
                for client in crowd:
                    client.close()
                self.assert_serves(wrap.endpoint)
                self.exchange(steady, os.urandom(MIB))
                steady.close()
                self.assertEqual(wrap.stop(), 0)

    def test_a_slow_handshake_ends_by_its_timeout(self):
        for loop in LOOPS:
            wrap = self.wrap("--loop", loop, "--handshake-timeout", "500ms",
                             to=self.backend().address)
            silent = peers.tcp(wrap.endpoint)
            self.addCleanup(silent.close)
            slow = peers.tcp(wrap.endpoint)
            self.addCleanup(slow.close)
            slow.sendall(b"\x16\x03\x01\x02\x00\x01")  # the start of a ClientHello
            lines = wrap.wait_for_event("connection", 2)
            self.assertEqual([line["ended"] for line in lines], ["timeout"] * 2)
            self.assertTrue(all(0.4 < line["duration"] < 15 for line in lines), lines)
            self.assert_serves(wrap.endpoint)

    def test_an_idle_connection_ends_by_its_timeout_and_a_slow_one_does_not(self):
        backend = self.backend()
        wrap = self.wrap("--idle-timeout", "1500ms", to=backend.address)
        idle, slow = self.client(wrap.endpoint), self.client(wrap.endpoint)
        self.exchange(idle)
        for _ in range(12):
            self.exchange(slow, b"x")
            time.sleep(0.25)
        line = wrap.connection()
        self.assertEqual((line["ended"], line["received"]), ("timeout", 5))
        self.assertEqual(peers.how_it_ends(idle)[0], "reset")
        self.exchange(slow)
        wait_until(lambda: backend.errors, "the backend to see its connection end")
        self.assertIsInstance(backend.errors[0], ConnectionResetError)


class Draining(ServingCase):
    def test_a_transfer_completes_after_sigterm(self):
        data = os.urandom(8 * MIB)
        for loop in LOOPS:
            with self.subTest(loop=loop):
                wrap = self.wrap("--loop", loop, to=self.backend(self.sending(data)).address)
                client = self.client(wrap.endpoint, receive_buffer=16384)
                received = peers.receive_exactly(client, 100_000)
                wrap.send_signal(signal.SIGTERM)
                self.assertEqual(wrap.wait_for_event("draining")[0]["signal"], "SIGTERM")
                wait_until(lambda: self.is_refused(wrap.endpoint), "the listener to be closed")
                received += peers.receive_all(client)
                self.assertEqual(received, data)
                client.unwrap()
                self.assertEqual(wrap.wait(), 0)
                # Who asked whether the listener was closed may have been served, too.
                lines = [line for line in wrap.connections() if line["sent"] != 0]
                self.assertEqual([(line["ended"], line["sent"]) for line in lines],
                                 [("clean", len(data))])
                self.assertEqual(wrap.records("stopped")[0]["cut_off"], 0)

    @staticmethod
    def sending(data):
        def serve(sock):
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            peers.receive_all(sock)
        return serve

    @staticmethod
    def is_refused(endpoint):
        try:
            peers.tcp(endpoint).close()
        except ConnectionRefusedError:
            return True
        except ConnectionResetError:
            pass  # it was closed with this connection in its queue
        return False

    def test_what_is_left_at_the_deadline_is_cut_off(self):
        for loop in LOOPS:
            with self.subTest(loop=loop):
                backend = self.backend(self.sending(os.urandom(64 * MIB)))
                wrap = self.wrap("--loop", loop, "--drain-timeout", "500ms", "--verbose",
                                 to=backend.address)
                stalled = self.client(wrap.endpoint, receive_buffer=16384)
                peers.receive_exactly(stalled, 100_000)
                silent = peers.tcp(wrap.endpoint)  # within its handshake
                self.addCleanup(silent.close)
                idle = self.client(wrap.endpoint, version=ssl.TLSVersion.TLSv1_2)
                wrap.wait_for_event("accepted", 3)
                before = time.monotonic()
                self.assertEqual(wrap.stop(signal.SIGINT), 0)
                self.assertLess(0.4, time.monotonic() - before)
                self.assertEqual([line["ended"] for line in wrap.connections()],
                                 ["cancelled"] * 3)
                self.assertEqual(wrap.records("stopped")[0]["cut_off"], 3)
                self.assertEqual(peers.how_it_ends(stalled)[0], "reset")
                self.assertEqual(peers.how_it_ends(idle)[0], "reset")
                wait_until(lambda: backend.errors, "the backend to see its connection end")

    def test_a_second_signal_ends_it_at_once(self):
        for number, status in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
            wrap = self.wrap(to=self.backend().address)
            client = self.client(wrap.endpoint)
            self.exchange(client)
            wrap.send_signal(signal.SIGTERM)
            wrap.wait_for_event("draining")
            before = time.monotonic()
            self.assertEqual(wrap.stop(number), status)
            self.assertLess(time.monotonic() - before, 5)
            self.assertEqual(wrap.records("exit")[0]["signal"], number.name)

    def test_without_connections_it_stops_at_once(self):
        for loop in LOOPS:
            wrap = self.wrap("--loop", loop, to="127.0.0.1:9", threads=4)
            before = time.monotonic()
            self.assertEqual(wrap.stop(), 0)
            self.assertLess(time.monotonic() - before, 5)


class Endings(ServingCase):
    def assert_aborted(self, backend):
        wait_until(lambda: backend.errors, "the backend to see its connection end")
        self.assertIsInstance(backend.errors[0], ConnectionResetError)

    def test_a_backend_that_is_down_costs_its_connections_and_no_more(self):
        listener = peers.bound_listener()
        to = f"127.0.0.1:{listener.getsockname()[1]}"
        for loop in LOOPS:
            with self.subTest(loop=loop):
                wrap = self.wrap("--loop", loop, to=to)
                for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                    client = self.client(wrap.endpoint, version=version)
                    self.assertIn("INTERNAL_ERROR", peers.how_it_ends(client)[0])
                lines = wrap.wait_for_event("connection", 2)
                self.assertEqual([line["ended"] for line in lines], ["unreachable"] * 2)
                self.assertIn(to, lines[0]["detail"])
        self.backend(listener=listener)
        self.assert_serves(wrap.endpoint)
        self.assertEqual(wrap.connection(2)["ended"], "clean")

    def test_a_close_of_the_tls_peer_lets_the_answer_come(self):
        data = os.urandom(MIB)

        def answer_afterwards(sock):
            sock.sendall(peers.receive_all(sock)[::-1])

        for loop in LOOPS:
            for end in (TlsStream.send_close_notify, TlsStream.end_sending):
                with self.subTest(loop=loop, end=end.__name__):
                    wrap = self.wrap("--loop", loop, to=self.backend(answer_afterwards).address)
                    client = self.client(wrap.endpoint)
                    client.sendall(data)
                    end(client)
                    self.assertEqual(peers.receive_all(client), data[::-1])
                    line = wrap.connection()
                    self.assertEqual((line["ended"], line["received"], line["sent"]),
                                     ("clean", MIB, MIB))

    def test_a_close_of_the_backend_lets_the_rest_come(self):
        data = os.urandom(MIB)
        asked = []

        def ask_afterwards(sock):
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            asked.append(peers.receive_all(sock))

        for loop in LOOPS:
            with self.subTest(loop=loop):
                wrap = self.wrap("--loop", loop, to=self.backend(ask_afterwards).address)
                client = self.client(wrap.endpoint)
                self.assertEqual(peers.receive_all(client), data)
                client.sendall(data)
                client.send_close_notify()
                self.assertEqual(wrap.connection()["ended"], "clean")
                wait_until(lambda: asked, "the backend")
                self.assertEqual(asked.pop(), data)

    def test_a_bare_fin_is_a_truncation_and_no_end_of_file(self):
        for loop in LOOPS:
            with self.subTest(loop=loop):
                backend = self.backend()
                wrap = self.wrap("--loop", loop, to=backend.address)
                client = self.client(wrap.endpoint)
                self.exchange(client)
                client.send_bare_fin()
                self.assertEqual(wrap.connection()["ended"], "truncated")
                self.assert_aborted(backend)
                self.assertEqual(peers.how_it_ends(client)[0], "reset")

    def test_a_reset_of_either_side_reaches_the_other(self):
        for loop in LOOPS:
            with self.subTest(loop=loop):
                backend = self.backend()
                wrap = self.wrap("--loop", loop, to=backend.address)
                client = self.client(wrap.endpoint)
                self.exchange(client)
                peers.reset(client.sock)
                self.assertEqual(wrap.connection()["ended"], "reset")
                self.assert_aborted(backend)

                wrap = self.wrap("--loop", loop, to=self.backend(self.reset_when_asked).address)
                client = self.client(wrap.endpoint)
                client.sendall(b"?")
                self.assertEqual(peers.how_it_ends(client), ("reset", b""))
                self.assertEqual(wrap.connection()["ended"], "reset")

    @staticmethod
    def reset_when_asked(sock):
        sock.recv(1)
        peers.reset(sock)

    def test_a_reset_while_data_waits_for_the_backend_is_no_end_of_file(self):
        """Stopped, so that the loop finds the failed send and the end of the receive at once: of
        these two only one hears of the reset from the kernel."""
        for loop in LOOPS:
            with self.subTest(loop=loop):
                go = threading.Event()

                def reset_unread(sock, go=go):
                    sock.recv(1)
                    go.wait(peers.TIMEOUT_S)
                    peers.reset(sock)

                backend = self.backend(reset_unread)
                wrap = self.wrap("--loop", loop, to=backend.address)
                client = self.client(wrap.endpoint)
                client.sock.settimeout(0.5)
                with self.assertRaises(TimeoutError):  # until every buffer is full
                    while True:
                        client.sendall(bytes(65536))
                wrap.send_signal(signal.SIGSTOP)
                wait_until(wrap.is_stopped, "every thread to stop")
                go.set()
                wait_until(lambda: backend.served, "the backend to reset")
                wrap.send_signal(signal.SIGCONT)
                client.sock.settimeout(peers.TIMEOUT_S)
                self.assertEqual(peers.how_it_ends(client)[0], "reset")
                self.assertEqual(wrap.connection()["ended"], "reset")

    def test_a_backend_that_went_away_raises_no_sigpipe(self):
        def hang_up(sock):
            sock.recv(1)  # and what follows is answered by a reset

        for loop in LOOPS:
            wrap = self.wrap("--loop", loop, to=self.backend(hang_up).address)
            client = self.client(wrap.endpoint)
            with self.assertRaises(OSError):
                for _ in range(1000):
                    client.sendall(bytes(65536))
            self.assertEqual(wrap.connection()["ended"], "reset")
            self.assertEqual(wrap.stop(), 0)

    def test_who_does_not_speak_tls_fails_cleanly(self):
        for loop in LOOPS:
            wrap = self.wrap("--loop", loop, to=self.backend().address)
            for asked in (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n",
                          bytes(100), os.urandom(100)):
                client = peers.tcp(wrap.endpoint)
                self.addCleanup(client.close)
                client.sendall(asked)
                self.assertIn(peers.how_it_ends(client)[0], ("eof", "reset"))
            lines = wrap.wait_for_event("connection", 4)
            self.assertEqual([line["ended"] for line in lines], ["handshake"] * 4)
            self.assertIn("http", lines[0]["detail"].lower())
            peers.tcp(wrap.endpoint).close()  # a port scan
            self.assertEqual(wrap.connection(4)["ended"], "handshake")
            self.assert_serves(wrap.endpoint)

    def test_the_version_can_be_capped(self):
        for newest, version in (("1.2", "TLSv1.2"), ("1.3", "TLSv1.3")):
            wrap = self.wrap("--max-version", newest, to=self.backend().address)
            self.assert_serves(wrap.endpoint)
            self.assertEqual(wrap.connection()["version"], version)
        wrap = self.wrap("--max-version", "1.2", to=self.backend().address)
        with self.assertRaisesRegex(ssl.SSLError, "protocol version"):
            self.client(wrap.endpoint, version=ssl.TLSVersion.TLSv1_3)
        self.assertEqual(wrap.connection()["ended"], "handshake")

    def test_keys_are_changed_when_they_have_sealed_enough(self):
        data = bytes(range(256)) * 4096
        for version, updates in ((ssl.TLSVersion.TLSv1_3, 1), (ssl.TLSVersion.TLSv1_2, 0)):
            backend = self.backend(lambda connection: connection.sendall(data))
            wrap = self.wrap("--key-records", "40", "--key-interval", "0", to=backend.address)
            with self.client(wrap.endpoint, version=version) as client:
                if updates:
                    self.assertEqual(peers.receive_exactly(client, len(data)), data)
                    client.unwrap()
                else:
                    with self.assertRaisesRegex(ssl.SSLError, "internal error"):
                        peers.receive_exactly(client, len(data))
            line = wrap.connection()
            self.assertEqual(line["ended"], "clean" if updates else "alert")
            self.assertEqual(line.get("reason"), None if updates else "key_budget_spent")
            self.assertEqual("tx_key_updates" in line, bool(updates))

    def test_alpn_is_agreed_on_or_refused(self):
        wrap = self.wrap("--alpn", "h2,http/1.1", to=self.backend().address)
        for offered, agreed in ((("http/1.1", "h2"), "h2"), (("http/1.1",), "http/1.1"),
                                ((), None)):
            context = certificates().client_context(alpn=offered)
            with peers.tls(context, wrap.endpoint) as client:
                self.assertEqual(client.tls.selected_alpn_protocol(), agreed)
                self.exchange(client)
                client.unwrap()
        lines = wrap.wait_for_event("connection", 3)
        self.assertEqual([line.get("alpn") for line in lines], ["h2", "http/1.1", None])
        with self.assertRaisesRegex(ssl.SSLError, "no application protocol"):
            peers.tls(certificates().client_context(alpn=["spdy/3"]), wrap.endpoint)
        self.assertEqual(wrap.connection(3)["ended"], "handshake")


if __name__ == "__main__":
    report.main("cli/serving")
