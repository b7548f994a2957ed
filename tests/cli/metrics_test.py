#!/usr/bin/env python3
"""--metrics: what is counted is what happened, and who asks is told in time."""

import contextlib
import http.client
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import report  # noqa: E402
import wrap_peers as peers  # noqa: E402
from broker_client import SERVE, Broker  # noqa: E402
from error_case import NO_HOST, OS_ERROR, USAGE, ErrorCase  # noqa: E402
from exposition import Malformed, parse, scrape  # noqa: E402
from s_client import REQUESTED, SClient  # noqa: E402
from shared_certificates import certificates  # noqa: E402
from watched import PATIENCE_S, Watched, wait_until  # noqa: E402
from watched_serve import Serve  # noqa: E402
from watched_wrap import Wrap  # noqa: E402

LOOPS = ("io_uring", "epoll")
ANYWHERE = ("--metrics", "127.0.0.1:0")
SILENT = 40  # connections, more than --metrics has at once
SILENT_S = 3  # before it gives one of them up


class MetricsCase(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)

    def started(self, program):
        self.addCleanup(program.kill)
        return program

    def backend(self, serve=peers.echo):
        backend = peers.Backend(serve)
        self.addCleanup(backend.close)
        return backend

    def wrap(self, *arguments, **options):
        options.setdefault("to", self.backend().address)
        return self.started(Wrap(*certificates().server_flags, *ANYWHERE, *arguments, **options))

    def client(self, program, version=None):
        client = peers.tls(certificates().client_context(version), program.endpoint)
        self.addCleanup(client.close)
        return client

    @staticmethod
    def address(program):
        return program.records("metrics")[0]["address"]

    def page(self, program):
        return scrape(self.address(program), PATIENCE_S)

    def exchange(self, client, data=b"hello"):
        client.sendall(data)
        self.assertEqual(peers.receive_exactly(client, len(data)), data)

    def wait_for(self, program, name, count, **labels):
        """The first page with `count`."""
        pages = []

        def arrived():
            pages.append(self.page(program))
            return pages[-1].of(name, **labels) == count
        try:
            wait_until(arrived, f"{count} {name} {labels}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{pages[-1].text}") from None
        return pages[-1]

    def ask(self, program, method, target):
        """(status, headers, body)."""
        host, port = self.address(program).rsplit(":", 1)
        connection = http.client.HTTPConnection(host, int(port), timeout=PATIENCE_S)
        self.addCleanup(connection.close)
        connection.request(method, target)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()


class Counts(MetricsCase):
    def test_the_counts_are_those_of_the_connection_lines(self):
        for loop in LOOPS:
            with self.subTest(loop=loop):
                wrap = self.wrap("--loop", loop, "--handshake-timeout", "500ms")
                for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                    with self.client(wrap, version) as client:
                        self.exchange(client, os.urandom(100_000))
                        client.unwrap()
                with contextlib.closing(self.client(wrap)) as client:
                    self.exchange(client)  # and no close_notify
                with self.assertRaises(ssl.SSLError):
                    peers.tls(ssl.create_default_context(), wrap.endpoint)
                peers.tcp(wrap.endpoint).close()
                silent = peers.tcp(wrap.endpoint)
                self.addCleanup(silent.close)
                lines = wrap.wait_for_event("connection", 6)
                self.wait_for(wrap, "connections_ended_total", 6)
                self.assert_counts(self.wait_for(wrap, "connections", 0), lines)
                self.assertEqual(wrap.stop(), 0)

    def assert_counts(self, page, lines):
        self.assertEqual(page.of("connections_accepted_total"), len(lines))
        for ended in {line["ended"] for line in lines}:
            self.assertEqual(page.of("connections_ended_total", ended=ended),
                             sum(line["ended"] == ended for line in lines), ended)
        shaken = [line for line in lines if "version" in line]
        self.assertEqual(len(shaken), 3)
        for version in ("TLSv1.2", "TLSv1.3"):
            self.assertEqual(page.of("handshakes_total", role="server", version=version),
                             sum(line["version"] == version for line in shaken), version)
        for suite in {line["suite"] for line in shaken}:
            self.assertEqual(page.of("handshakes_by_suite_total", suite=suite),
                             sum(line["suite"] == suite for line in shaken), suite)
        self.assertEqual(page.of("handshake_duration_seconds", "_count"), len(shaken))
        self.assertGreater(page.of("handshake_duration_seconds", "_sum"), 0)
        for direction in ("rx", "tx"):
            for placement in ("userspace", "kernel"):
                self.assertEqual(
                    page.of("directions_total", direction=direction, placement=placement),
                    sum(line[direction] == placement for line in shaken))
            for reason in {line.get(f"{direction}_reason", "none") for line in shaken}:
                self.assertEqual(page.of("directions_total", direction=direction, reason=reason),
                                 sum(line.get(f"{direction}_reason", "none") == reason
                                     for line in shaken), reason)
        for direction in ("received", "sent"):
            self.assertEqual(page.of("plaintext_bytes_total", direction=direction),
                             sum(line[direction] for line in lines), direction)
        self.assertEqual(page.of("handshakes_under_way"), 0)
        self.assertEqual(page.of("handshake_failures_total"), 3)
        for reason, alert in (("alert_received", "unknown_ca"), ("closed", "none"),
                              ("timeout", "none")):
            self.assertEqual(page.of("handshake_failures_total", reason=reason, alert=alert), 1,
                             page.text)
        self.assertEqual(page.of("alerts_total", direction="received", alert="unknown_ca"), 1)
        self.assertEqual(page.of("alerts_total", direction="received", alert="close_notify"), 2)
        self.assertEqual(page.of("alerts_total", direction="sent", alert="close_notify"), 2)

    def test_what_there_is_at_present_goes_up_and_down(self):
        wrap = self.wrap()
        clients = [self.client(wrap) for _ in range(3)]
        for client in clients:
            self.exchange(client)
        raw = peers.tcp(wrap.endpoint)
        page = self.wait_for(wrap, "connections", 4)
        self.wait_for(wrap, "handshakes_under_way", 1, role="server")
        self.assertEqual(page.of("connections_limit"), 4096)
        raw.close()
        for client in clients:
            client.unwrap()
        page = self.wait_for(wrap, "connections", 0)
        self.assertEqual(page.of("connections_accepted_total"), 4)
        self.assertEqual(page.of("handshakes_under_way"), 0)

    def test_a_resumed_session_is_told_from_a_full_handshake(self):
        wrap = self.wrap()
        context = certificates().client_context(ssl.TLSVersion.TLSv1_2)
        session = None
        for _ in range(2):
            with socket.create_connection(wrap.endpoint, PATIENCE_S) as raw:
                with context.wrap_socket(raw, server_hostname="localhost",
                                         session=session) as client:
                    session = client.session
                    client.unwrap()
        page = self.wait_for(wrap, "connections_ended_total", 2)
        for resumed in ("no", "yes"):
            self.assertEqual(page.of("handshakes_total", version="TLSv1.2", resumed=resumed), 1)

    def test_key_updates_are_counted_while_the_connection_goes_on(self):
        wrap = self.wrap("--offload", "never")
        client = SClient(wrap.port, "-tls1_3", "-servername", "localhost")
        self.addCleanup(client.kill)
        client.wait_for(lambda: "New, TLSv1.3" in client.text(), "its session")
        client.update_key(REQUESTED)
        client.say("x")
        page = self.wait_for(wrap, "key_updates_total", 1, direction="received")
        self.wait_for(wrap, "key_updates_total", 1, direction="sent")
        self.assertEqual(page.of("connections"), 1)

    def test_the_role_of_a_client_is_told_and_whom_it_does_not_trust(self):
        server = peers.Backend(context=certificates().server_context())
        self.addCleanup(server.close)
        for ca, finished in ((certificates().ca, 1), (certificates(copy=1).ca, 0)):
            wrap = self.started(Wrap("--client", "--ca", ca, "--name", "localhost", *ANYWHERE,
                                     to=server.address))
            with peers.tcp(wrap.endpoint) as client:
                if finished:
                    self.exchange(client)
                else:
                    peers.how_it_ends(client)
            page = self.wait_for(wrap, "connections_ended_total", 1)
            self.assertEqual(page.of("handshakes_total", role="client"), finished)
            self.assertEqual(page.of("handshake_failures_total", role="client",
                                     reason="verify_failed", alert="unknown_ca"), 1 - finished)
            self.assertNotIn("ktls_bridge_certificate", page.text)

    def test_who_has_no_place_is_counted_as_refused(self):
        wrap = self.wrap("--max-per-address", "1")
        with self.client(wrap) as client:
            self.exchange(client)
            with contextlib.suppress(ConnectionResetError), peers.tcp(wrap.endpoint) as second:
                peers.how_it_ends(second)
            page = self.wait_for(wrap, "connections_refused_total", 1, reason="max_per_address")
            self.assertEqual(page.of("connections_accepted_total"), 1)
            client.unwrap()

    def test_who_sends_no_header_of_the_proxy_protocol_is_counted_as_refused(self):
        wrap = self.wrap("--accept-proxy")
        with peers.tcp(wrap.endpoint) as silent:
            silent.sendall(b"hello, who is there?\r\n")
            peers.how_it_ends(silent)
        page = self.wait_for(wrap, "connections_refused_total", 1, reason="proxy_header")
        self.assertEqual(page.of("connections_accepted_total"), 0)

    def test_who_has_still_to_send_that_header_is_a_connection_at_present(self):
        for loop in LOOPS:
            wrap = self.wrap("--accept-proxy", "--loop", loop)
            with peers.tcp(wrap.endpoint), peers.tcp(wrap.endpoint):
                page = self.wait_for(wrap, "connections", 2)
                self.assertEqual(page.of("connections_accepted_total"), 0)
            self.wait_for(wrap, "connections", 0)
            self.assertEqual(wrap.stop(), 0)

    def test_a_reload_changes_the_expiry_unless_it_fails(self):
        chain, key = self.folder / "chain", self.folder / "key"
        for source, target in ((certificates().chain, chain), (certificates().key, key)):
            shutil.copy(source, target)
        wrap = self.started(Wrap("--cert", str(chain), "--key", str(key), *ANYWHERE,
                                 to=self.backend().address))
        first = self.page(wrap)
        told = first.of("certificate_expiry_timestamp_seconds", host="-")
        self.assertEqual(told, self.expiry(chain))
        text = subprocess.run(["openssl", "x509", "-in", chain, "-noout", "-fingerprint",
                               "-sha256"], capture_output=True, check=True, text=True,
                              timeout=60).stdout
        self.assertEqual(first.labels("certificate_expiry_timestamp_seconds")[0]["sha256"],
                         text.strip().split("=")[1].lower())

        beside = self.folder / "beside"
        peers.openssl("x509", "-in", str(chain), "-signkey", str(key), "-days", "30",
                      "-out", str(beside))
        os.replace(beside, chain)
        wrap.send_signal(signal.SIGHUP)
        page = self.wait_for(wrap, "reloads_total", 1, role="server", result="ok")
        renewed = page.of("certificate_expiry_timestamp_seconds", host="-")
        self.assertEqual(renewed, self.expiry(chain))
        self.assertGreater(renewed, told)

        chain.write_text("no certificate\n")
        wrap.send_signal(signal.SIGHUP)
        page = self.wait_for(wrap, "reloads_total", 1, result="failed")
        self.assertEqual(page.of("certificate_expiry_timestamp_seconds", host="-"), renewed)
        self.assertEqual(page.of("reloads_total", result="ok"), 1)

    def test_ticket_keys_that_cannot_be_read_again_are_a_reload_that_failed(self):
        keys = self.folder / "ticket.key"
        keys.write_bytes(os.urandom(80))
        wrap = self.wrap("--ticket-keys", str(keys))
        wrap.send_signal(signal.SIGHUP)
        self.wait_for(wrap, "reloads_total", 1, role="server", result="ok")
        keys.write_bytes(b"of no size that a key has")
        wrap.send_signal(signal.SIGHUP)
        wrap.wait_for_event("reload", 2)
        page = self.page(wrap)
        # Two where the watch has come before the signal.
        self.assertIn(page.of("reloads_total", role="server", result="failed"), (1, 2))
        self.assertEqual(page.of("reloads_total", result="ok"), 1)

    @staticmethod
    def expiry(chain):
        text = subprocess.run(["openssl", "x509", "-in", chain, "-noout", "-enddate"],
                              capture_output=True, check=True, text=True, timeout=60).stdout
        return ssl.cert_time_to_seconds(text.strip().split("=")[1])

    def test_connections_of_programs_are_counted_too(self):
        wrap = self.started(Watched(("wrap",), *certificates().server_flags, *ANYWHERE, "--exec",
                                    "--", "cat"))
        with self.client(wrap) as client:
            self.exchange(client)
            client.unwrap()
        line = wrap.connection()
        page = self.wait_for(wrap, "connections_ended_total", 1, ended=line["ended"])
        self.assertEqual(page.of("handshakes_total"), 1)
        self.assertEqual(page.of("plaintext_bytes_total", direction="sent"), line.get("sent", 0))

    def test_serve_counts_requests_and_redirects(self):
        (self.folder / "page").write_text("text")
        serve = self.started(Serve(self.folder, *certificates().server_flags, *ANYWHERE,
                                   "--http", "127.0.0.1:0", folder=self.folder))
        with self.client(serve) as client:
            for _ in range(3):
                client.sendall(b"GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n")
                self.assertIn(b"200 OK", client.recv(peers.CHUNK))
            client.unwrap()
        with peers.tcp(serve.plain_endpoint) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            self.assertIn(b"308", peers.receive_all(plain))
        page = self.wait_for(serve, "http_requests_total", 3)
        self.assertEqual(page.of("http_redirects_total"), 1)
        self.assertEqual(page.of("connections_accepted_total"), 1)
        self.assertEqual(page.labels("build_info")[0]["command"], "serve")

    def test_the_broker_counts_what_it_does_for_programs(self):
        broker = self.started(Broker(*certificates().server_flags, "--ca", certificates().ca,
                                     *ANYWHERE, path=self.folder / "socket"))
        with contextlib.closing(broker.client()) as channel, \
                socket.create_server(("127.0.0.1", 0)) as listener:
            near = peers.tcp(listener.getsockname())
            self.addCleanup(near.close)
            far, _ = listener.accept()
            # Its handshake waits for whoever connected, on this thread.
            replies = channel.ask(SERVE, far)
            self.addCleanup(replies.close)
            far.close()
            client = peers.TlsStream(near, certificates().client_context(), "localhost")
            self.addCleanup(client.close)
            page = self.wait_for(broker, "handshakes_total", 1, role="server", resumed="no")
            self.assertEqual(page.of("connections_accepted_total"), 1)
            self.assertEqual(page.of("handshakes_total", role="client"), 0)
            self.assertEqual(page.labels("build_info")[0]["command"], "broker")
            replies.close()
            client.close()
            self.wait_for(broker, "connections_ended_total", 1)
            self.wait_for(broker, "connections", 0)
        self.assertEqual(broker.stop(), 0)


class Answers(MetricsCase):
    def test_health_says_when_the_service_is_about_to_end(self):
        for loop in LOOPS:
            with self.subTest(loop=loop):
                wrap = self.wrap("--loop", loop)
                status, headers, body = self.ask(wrap, "GET", "/health")
                self.assertEqual((status, body), (200, b"ok\n"))
                self.assertEqual(headers["Cache-Control"], "no-store")
                client = self.client(wrap)
                self.exchange(client)
                wrap.send_signal(signal.SIGTERM)
                wrap.wait_for_event("draining")
                status, _, body = self.ask(wrap, "GET", "/health")
                self.assertEqual((status, body), (503, b"draining\n"))
                page = self.page(wrap)
                self.assertEqual((page.of("draining"), page.of("connections")), (1, 1))
                self.exchange(client)
                client.unwrap()
                self.assertEqual(wrap.wait(), 0)

    def test_only_what_there_is_is_answered(self):
        wrap = self.wrap()
        page = self.page(wrap).text
        for method, target, expected in (("HEAD", "/metrics", 200), ("HEAD", "/health", 200),
                                         ("GET", "/metrics?name=x", 200), ("GET", "/", 404),
                                         ("GET", "/metrics/", 404), ("POST", "/metrics", 405),
                                         ("GET", "/%2e%2e/%2e%2e/x", 400)):
            with self.subTest(method=method, target=target):
                status, headers, body = self.ask(wrap, method, target)
                self.assertEqual(status, expected)
                self.assertEqual(headers["Connection"], "close")
                if method == "HEAD":
                    self.assertEqual(body, b"")
                    self.assertGreater(int(headers["Content-Length"]), 2)
                if status == 405:
                    self.assertEqual(headers["Allow"], "GET, HEAD")
        self.assertEqual(self.page(wrap).of("connections_accepted_total"), 0, page)
        host, port = self.address(wrap).rsplit(":", 1)
        for text, status in ((b"GET /health HTTP/1.0\r\n\r\n", b"200"),  # of a load balancer
                             (b"GET\r\n\r\n", b"400"), (b"\x16\x03\x01\0\5hello\r\n\r\n", b"400"),
                             (b"GET /" + b"x" * 10_000 + b" HTTP/1.1\r\n\r\n", b"414")):
            with self.subTest(text=text[:20]), peers.tcp((host, int(port))) as client:
                client.sendall(text)
                self.assertIn(b"HTTP/1.1 " + status, peers.receive_all(client))

    def test_clients_that_say_nothing_keep_nobody_waiting(self):
        """Several tries on a busy machine; those that are silent would take this for each place."""
        wrap = self.wrap()
        host, port = self.address(wrap).rsplit(":", 1)
        for _ in range(4):
            silent = []
            for _ in range(SILENT):
                silent.append(peers.tcp((host, int(port))))
                self.addCleanup(silent[-1].close)
                with contextlib.suppress(ConnectionError):
                    silent[-1].sendall(b"GET /metrics HT")
            began = time.monotonic()
            self.assertEqual(self.ask(wrap, "GET", "/health")[0], 200)
            waited_s = time.monotonic() - began
            if waited_s < SILENT_S:
                break
        self.assertLess(waited_s, SILENT_S)
        for each in silent:
            self.assertIn(peers.how_it_ends(each), (("eof", b""), ("reset", b"")))

    def test_a_client_that_says_nothing_does_not_keep_the_program_from_ending(self):
        wrap = self.wrap("--drain-timeout", "60s")
        host, port = self.address(wrap).rsplit(":", 1)
        with peers.tcp((host, int(port))) as silent:
            silent.sendall(b"GET /metrics HT")
            self.assertEqual(self.ask(wrap, "GET", "/health")[0], 200)
            self.assertEqual(wrap.stop(), 0)

    def test_a_unix_socket_answers_too_and_its_file_goes(self):
        path = self.folder / "metrics"
        wrap = self.started(Wrap(*certificates().server_flags, "--metrics", f"unix:{path}",
                                 *ANYWHERE, to=self.backend().address))
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE_S)
            client.connect(str(path))
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            head, _, page = peers.receive_all(client).partition(b"\r\n\r\n")
        self.assertIn(b"200 OK", head)
        self.assertIn("ktls_bridge_build_info", parse(page.decode()))
        self.assertEqual([record["address"] for record in wrap.records("metrics")],
                         [f"unix:{path}", wrap.records("metrics")[1]["address"]])
        self.assertEqual(wrap.stop(), 0)
        self.assertFalse(path.exists())

    def test_no_file_of_a_unix_socket_is_left_by_an_end_at_once(self):
        path = self.folder / "metrics"
        wrap = self.started(Wrap(*certificates().server_flags, "--metrics", f"unix:{path}",
                                 to=self.backend().address))
        with self.client(wrap) as client:
            self.exchange(client)
            wrap.send_signal(signal.SIGTERM)
            wrap.wait_for_event("draining")
            self.assertTrue(path.exists())
            self.assertEqual(wrap.stop(), 128 + signal.SIGTERM)
        self.assertFalse(path.exists())

    def test_without_the_flag_nobody_listens_and_nothing_is_said(self):
        wrap = self.started(Wrap(*certificates().server_flags, to=self.backend().address))
        self.assertEqual(wrap.records("metrics"), [])
        with self.client(wrap) as client:
            self.exchange(client)
            client.unwrap()
        self.assertEqual(wrap.stop(), 0)


class Errors(ErrorCase):
    def test_an_address_that_cannot_be_listened_on_is_named(self):
        to = ("--listen", "127.0.0.1:0", "--to", "127.0.0.1:9")
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            self.assert_one_line("the port", f"127.0.0.1:{port}", OS_ERROR, *to,
                                 "--metrics", f"127.0.0.1:{port}")
        self.assert_one_line("the flag", "--metrics: ", NO_HOST, *to, "--metrics",
                             "no-such-name.invalid:1")
        self.assert_one_line("the reason", "there is no port", USAGE, *to, "--metrics", "8080")

    def test_check_looks_at_them_and_a_connection_that_is_there_has_none(self):
        with peers.Backend().listener as listener:
            port = listener.getsockname()[1]
            self.assert_one_line("no error", "the configuration is good", 0, "--listen",
                                 "127.0.0.1:0", "--to", f"127.0.0.1:{port}", "--check",
                                 *ANYWHERE)
            self.assert_one_line("the address", "--metrics", OS_ERROR, "--listen", "127.0.0.1:0",
                                 "--to", f"127.0.0.1:{port}", "--check", "--metrics",
                                 "192.0.2.1:9443")
        self.assert_one_line("the flags", "--metrics and --fd", USAGE, "--fd", "0", *ANYWHERE,
                             "--", "true")


class Checker(unittest.TestCase):
    """What reads the pages above takes no page that readers would refuse."""

    GOOD = "# HELP a_total b\n# TYPE a_total counter\na_total{x=\"y\"} 1\n"

    def test_the_checker_refuses_what_is_malformed(self):
        self.assertEqual(len(parse(self.GOOD)), 1)
        for old, new in (("} 1\n", "} 1"), ("} 1", "} x"), ("} 1", "}  1"), ("x=", "x ="),
                         ("\"y\"", "\"y"), ("\"y\"", "\"\\y\""), ("a_total{", "b_total{"),
                         ("# TYPE a_total counter\n", ""), ("counter", "gauge"),
                         ("counter", "summary"), ("a_total", "a"), ("} 1\n", "} 1\n\n"),
                         ("x=\"y\"", "x=\"y\",x=\"z\""), ("} 1\n", "} 1\na_total{x=\"y\"} 2\n"),
                         ("# HELP a_total b\n", ""), ("} 1", "} -1")):
            with self.subTest(new=new), self.assertRaises(Malformed):
                parse(self.GOOD.replace(old, new))


if __name__ == "__main__":
    report.main("metrics")
