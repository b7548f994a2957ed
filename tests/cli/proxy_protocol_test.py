#!/usr/bin/env python3
"""The PROXY protocol: what a service behind `wrap` is told, and what a balancer in front tells."""

import contextlib
import os
import queue
import shutil
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

import proxy_headers as headers  # noqa: E402
import report  # noqa: E402
import wrap_peers as peers  # noqa: E402
from balancers import Haproxy, Nginx  # noqa: E402
from shared_certificates import certificates  # noqa: E402
from watched import BINARY, Watched, run, wait_until  # noqa: E402
from watched_wrap import Wrap  # noqa: E402
from wrap_tls_stream import TlsStream  # noqa: E402

LOOPS = ("io_uring", "epoll")
CLIENT = ("192.0.2.7", 40_123)
FRONT = ("198.51.100.1", 443)
CLIENT6 = ("2001:db8::7", 40_123)
FRONT6 = ("2001:db8::1", 443)
HAS_IPV6 = socket.has_ipv6 and os.path.exists("/proc/net/if_inet6")


class Prefixed:
    """A socket whose first send begins with a header: it and the ClientHello are one segment."""

    def __init__(self, sock, prefix):
        self._sock, self._prefix = sock, prefix

    def sendall(self, data):
        self._sock.sendall(self._prefix + data)
        self._prefix = b""

    def __getattr__(self, name):
        return getattr(self._sock, name)


class ProxyCase(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.heard = queue.Queue()  # headers, in the order in which they came

    def backend(self, serve=peers.echo, **options):
        backend = peers.Backend(serve, **options)
        self.addCleanup(backend.close)
        return backend

    def told_backend(self, **options):
        """Reads a header, and echoes what comes behind it."""
        def serve(sock):
            self.heard.put(headers.read_header(sock))
            peers.echo(sock)
        return self.backend(serve, **options)

    def wrap(self, *arguments, to, **options):
        wrap = Wrap(*certificates().server_flags, *arguments, to=to, **options)
        self.addCleanup(wrap.kill)
        return wrap

    def stream(self, sock, context=None, name="localhost"):
        self.addCleanup(sock.close)
        return TlsStream(sock, context or certificates().client_context(), name)

    def exchange(self, client, data=b"hello"):
        client.sendall(data)
        self.assertEqual(peers.receive_exactly(client, len(data)), data)

    def next_header(self):
        return self.heard.get(timeout=peers.TIMEOUT_S)


class SendProxy(ProxyCase):
    def header_of(self, wrap, sock, context=None):
        """What the backend is told of a connection by `sock`."""
        client = self.stream(sock, context)
        self.exchange(client, os.urandom(100_000))
        client.unwrap()
        return self.next_header()

    def test_v1_names_both_ends(self):
        backend = self.told_backend()
        for loop in LOOPS:
            with self.subTest(loop=loop):
                wrap = self.wrap("--loop", loop, "--send-proxy", "v1", to=backend.address)
                sock = peers.tcp(wrap.endpoint)
                expected = headers.Header(1, sock.getsockname(), wrap.endpoint)
                self.assertEqual(self.header_of(wrap, sock), expected)
                self.assertEqual(wrap.connection()["ended"], "clean")

    def test_v2_addresses_names_both_ends_and_nothing_else(self):
        wrap = self.wrap("--send-proxy", "v2-addresses", to=self.told_backend().address)
        sock = peers.tcp(wrap.endpoint)
        expected = headers.Header(2, sock.getsockname(), wrap.endpoint)
        self.assertEqual(self.header_of(wrap, sock), expected)

    @unittest.skipUnless(HAS_IPV6, "no IPv6")
    def test_ipv6_is_named_as_such_and_ipv4_as_ipv4_on_a_socket_for_both(self):
        backend = self.told_backend()
        for version, kind in ((1, "v1"), (2, "v2-addresses")):
            wrap = self.wrap("--send-proxy", kind, to=backend.address, listen="[::]:0")
            for host in ("::1", "127.0.0.1"):
                with self.subTest(kind=kind, host=host):
                    sock = peers.tcp((host, wrap.port))
                    expected = headers.Header(version, sock.getsockname()[:2], (host, wrap.port))
                    self.assertEqual(self.header_of(wrap, sock), expected)

    def test_unix_sockets_are_unknown_to_v1_and_named_by_v2(self):
        backend = self.told_backend()
        path = str(self.folder / "front")
        for kind, expected in (("v1", headers.Header(1)),
                               ("v2-addresses", headers.Header(2, b"", path.encode()))):
            with self.subTest(kind=kind):
                wrap = self.wrap("--send-proxy", kind, to=backend.address, listen=f"unix:{path}")
                sock = socket.socket(socket.AF_UNIX)
                sock.settimeout(peers.TIMEOUT_S)
                sock.connect(path)
                self.assertEqual(self.header_of(wrap, sock), expected)
                wrap.stop()

    def test_v2_tells_of_tls(self):
        wrap = self.wrap("--send-proxy", "v2", "--alpn", "h2,http/1.1",
                         to=self.told_backend().address)
        context = certificates().client_context(ssl.TLSVersion.TLSv1_3, alpn=["h2"])
        told = self.header_of(wrap, peers.tcp(wrap.endpoint), context)
        self.assertEqual(told.vectors, {headers.ALPN: b"h2", headers.AUTHORITY: b"localhost"})
        suite = wrap.connection()["suite"]
        self.assertEqual(told.tls, {"client": 0x01, "verify": 1, "version": "TLSv1.3",
                                    "cipher": suite, "signature": "ecdsa-with-SHA256",
                                    "key": "EC256"})

    def test_v2_tells_of_tls_1_2_by_openssls_names(self):
        wrap = self.wrap("--send-proxy", "v2", to=self.told_backend().address)
        context = certificates().client_context(ssl.TLSVersion.TLSv1_2)
        context.check_hostname = False
        client = self.stream(peers.tcp(wrap.endpoint), context, name=None)
        self.exchange(client)
        told = self.next_header()
        self.assertEqual(told.vectors, {})  # neither ALPN nor a name was asked for
        self.assertEqual(told.tls["version"], "TLSv1.2")
        self.assertEqual(told.tls["cipher"], client.tls.cipher()[0])

    def test_v2_tells_of_a_client_certificate_and_of_the_session_that_had_it(self):
        own = certificates()
        wrap = self.wrap("--send-proxy", "v2", "--client-ca", own.ca, "--client-auth", "optional",
                         to=self.told_backend().address, threads=1)
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with self.subTest(version=version.name):
                context = own.client_context(version)
                context.load_cert_chain(own.chain, own.key)
                first = self.stream(peers.tcp(wrap.endpoint), context)
                self.exchange(first)
                shown = self.next_header().tls
                self.assertEqual((shown["client"], shown["verify"], shown["common_name"]),
                                 (0x07, 0, "localhost"))
                second = self.resumed(wrap, context, first.tls.session)
                self.exchange(second)
                self.assertTrue(second.tls.session_reused)
                again = self.next_header().tls
                self.assertEqual((again["client"], again["verify"], again["common_name"]),
                                 (0x05, 0, "localhost"))
                self.assertNotIn("signature", again)

    def resumed(self, wrap, context, session):
        """A TlsStream that offers `session`."""
        class Resuming(TlsStream):
            def _until_done(self, operation, *arguments):
                if operation == self.tls.do_handshake:
                    self.tls.session = session
                return super()._until_done(operation, *arguments)
        sock = peers.tcp(wrap.endpoint)
        self.addCleanup(sock.close)
        return Resuming(sock, context, "localhost")

    def test_the_client_role_sends_it_before_its_handshake(self):
        def serve(sock):
            self.heard.put(headers.read_header(sock))
            stream = TlsStream(sock, certificates().server_context(), server_side=True)
            peers.echo(stream)
        backend = self.backend(serve)
        for loop in LOOPS:
            for version, kind in ((1, "v1"), (2, "v2")):
                with self.subTest(loop=loop, kind=kind):
                    wrap = Wrap("--client", "--ca", certificates().ca, "--send-proxy", kind,
                                "--loop", loop, to=backend.address)
                    self.addCleanup(wrap.kill)
                    client = peers.tcp(wrap.endpoint)
                    self.addCleanup(client.close)
                    self.exchange(client)
                    expected = headers.Header(version, client.getsockname(), wrap.endpoint)
                    self.assertEqual(self.next_header(), expected)

    def test_a_program_is_told_by_its_environment_alone(self):
        status, _, said = run("wrap", "--listen", "127.0.0.1:0", "--exec", "--send-proxy", "v1",
                              "--", "cat")
        self.assertEqual(status, 64)
        self.assertIn("--send-proxy needs --to", said)


class AcceptProxy(ProxyCase):
    def client(self, wrap, header, context=None):
        """With the header and the ClientHello in one segment."""
        return self.stream(Prefixed(peers.tcp(wrap.endpoint), header), context)

    def assert_names(self, wrap, index, peer, via):
        line = wrap.connection(index)
        self.assertEqual((line["peer"], "via" in line, line["ended"]), (peer, via, "clean"), line)

    def test_the_client_is_whom_the_header_names(self):
        both4, both6 = (CLIENT, FRONT), (CLIENT6, FRONT6)
        known = (
            (headers.text_header(*both4), "192.0.2.7:40123"),
            (headers.text_header(*both6), "[2001:db8::7]:40123"),
            (headers.binary_header(*both4), "192.0.2.7:40123"),
            (headers.binary_header(*both6, checksum=0), "[2001:db8::7]:40123"),
            (headers.binary_header(*both4, vectors=headers.vector(headers.NOOP, bytes(3000))),
             "192.0.2.7:40123"),
            (headers.binary_header("/run/them", "/run/us"), "unix:/run/them"),
        )
        for loop in LOOPS:
            wrap = self.wrap("--accept-proxy", "--loop", loop, to=self.backend().address)
            for index, (header, peer) in enumerate(known):
                with self.subTest(loop=loop, header=header):
                    client = self.client(wrap, header)
                    via = f"127.0.0.1:{client.sock.getsockname()[1]}"
                    self.exchange(client, os.urandom(100_000))
                    client.unwrap()
                    self.assert_names(wrap, index, peer, True)
                    self.assertEqual(wrap.connection(index)["via"], via)

    def test_who_speaks_for_itself_is_the_client(self):
        wrap = self.wrap("--accept-proxy", to=self.backend().address)
        for index, header in enumerate((b"PROXY UNKNOWN\r\n", headers.binary_header(),
                                        headers.binary_header(command=headers.LOCAL),
                                        headers.binary_header(CLIENT, FRONT,
                                                              command=headers.LOCAL))):
            with self.subTest(header=header):
                client = self.client(wrap, header)
                self.exchange(client)
                client.unwrap()
                own = client.sock.getsockname()
                self.assert_names(wrap, index, f"127.0.0.1:{own[1]}", False)

    def test_a_header_may_come_byte_by_byte(self):
        for loop in LOOPS:
            wrap = self.wrap("--accept-proxy", "--loop", loop, to=self.backend().address)
            for index, header in enumerate((headers.text_header(CLIENT, FRONT),
                                            headers.binary_header(CLIENT, FRONT, checksum=0))):
                with self.subTest(loop=loop, header=header):
                    sock = peers.tcp(wrap.endpoint)
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    for byte in header:
                        sock.sendall(bytes([byte]))
                    client = self.stream(sock)
                    self.exchange(client)
                    client.unwrap()
                    self.assert_names(wrap, index, "192.0.2.7:40123", True)

    def assert_refused(self, wrap, index, sent, detail, end=False, level="warning"):
        sock = peers.tcp(wrap.endpoint)
        self.addCleanup(sock.close)
        sock.sendall(sent)
        if end:
            sock.shutdown(socket.SHUT_WR)
        self.assertEqual(peers.how_it_ends(sock), ("reset", b""))
        line = wrap.wait_for_event("refused", index + 1)[index]
        self.assertEqual((line["peer"], line["reason"], line["detail"], line["level"]),
                         (f"127.0.0.1:{sock.getsockname()[1]}", "proxy_header", detail, level))

    def test_a_connection_without_a_good_header_is_refused(self):
        backend = self.backend()
        bad_checksum = headers.binary_header(CLIENT, FRONT, checksum=1)
        refused = (
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "no PROXY header: TLS comes at once"),
            (b"GET / HTTP/1.1\r\n\r\n", "no PROXY header"),
            (b"PROXY TCP4 192.0.2.7 198.51.100.1 40123 443\n",
             "malformed PROXY line: it does not end with CRLF"),
            (b"PROXY TCP4 192.0.2.7 198.51.100.1 40123 65536\r\n",
             "malformed PROXY line: an address or a port is none"),
            (bad_checksum, "malformed PROXY header: its checksum is not that of its bytes"),
            (headers.binary_header(CLIENT, FRONT, vectors=bytes(5000)),
             "a PROXY header of 5028 bytes: 4096 are taken"),
        )
        for loop in LOOPS:
            wrap = self.wrap("--accept-proxy", "--loop", loop, to=backend.address)
            for index, (sent, detail) in enumerate(refused):
                with self.subTest(loop=loop, detail=detail):
                    self.assert_refused(wrap, index, sent, detail)
            self.assertEqual(wrap.connections(), [])
        self.assertEqual(backend.served, 0)

    def test_a_connection_that_ends_or_says_nothing_is_refused_in_time(self):
        for loop in LOOPS:
            with self.subTest(loop=loop):
                wrap = self.wrap("--accept-proxy", "--loop", loop, "--handshake-timeout", "300ms",
                                 to="127.0.0.1:9")
                self.assert_refused(wrap, 0, b"", "the end without a PROXY header", end=True,
                                    level="info")
                self.assert_refused(wrap, 1, b"PROXY TCP4 ", "the end within a PROXY header",
                                    end=True)
                self.assert_refused(wrap, 2, b"", "no PROXY header came in time")
                self.assert_refused(wrap, 3, b"PROXY TCP4 ", "no PROXY header came in time")

    def test_the_header_and_the_handshake_share_one_timeout(self):
        """It may take several tries on a busy machine; two timeouts are never shorter than this."""
        timeout_s, late_s = 0.5, 0.3
        for loop in LOOPS:
            with self.subTest(loop=loop):
                wrap = self.wrap("--accept-proxy", "--loop", loop, "--handshake-timeout", "500ms",
                                 to="127.0.0.1:9")
                for _ in range(5):
                    began = time.monotonic()
                    with peers.tcp(wrap.endpoint) as sock:
                        time.sleep(late_s)
                        with contextlib.suppress(ConnectionError):
                            sock.sendall(headers.text_header(CLIENT, FRONT))
                        self.assertNotEqual(peers.how_it_ends(sock)[0], "nothing")
                    held_s = time.monotonic() - began
                    if wrap.connections() and held_s < timeout_s + late_s:
                        break
                self.assertLess(held_s, timeout_s + late_s)
                self.assertEqual(wrap.connection()["ended"], "timeout")
                self.assertEqual(wrap.stop(), 0)

    def test_connections_are_counted_by_the_address_in_the_header(self):
        wrap = self.wrap("--accept-proxy", "--max-per-address", "1", to=self.backend().address)
        others = [self.client(wrap, headers.text_header((f"192.0.2.{last}", 1), FRONT))
                  for last in (1, 2, 3)]
        for client in others:
            self.exchange(client)
        sock = peers.tcp(wrap.endpoint)
        self.addCleanup(sock.close)
        sock.sendall(headers.binary_header(("192.0.2.2", 2), FRONT))
        self.assertEqual(peers.how_it_ends(sock), ("reset", b""))
        line = wrap.wait_for_event("refused")[0]
        self.assertEqual((line["peer"], line["reason"]), ("192.0.2.2:2", "max_per_address"))

    def test_what_a_header_names_is_passed_on(self):
        backend = self.told_backend()
        for kind, version in (("v1", 1), ("v2-addresses", 2)):
            wrap = self.wrap("--accept-proxy", "--send-proxy", kind, to=backend.address)
            for ends in ((CLIENT, FRONT), (CLIENT6, FRONT6)):
                with self.subTest(kind=kind, ends=ends):
                    self.exchange(self.client(wrap, headers.text_header(*ends)))
                    self.assertEqual(self.next_header(), headers.Header(version, *ends))

    def test_the_client_role_takes_it_from_a_plaintext_client(self):
        backend = self.backend(context=certificates().server_context())
        wrap = Wrap("--client", "--ca", certificates().ca, "--accept-proxy", to=backend.address)
        self.addCleanup(wrap.kill)
        client = peers.tcp(wrap.endpoint)
        self.addCleanup(client.close)
        client.sendall(headers.binary_header(CLIENT, FRONT) + b"hello")
        self.assertEqual(peers.receive_exactly(client, 5), b"hello")
        client.shutdown(socket.SHUT_WR)
        self.assertEqual(peers.receive_all(client), b"")
        self.assert_names(wrap, 0, "192.0.2.7:40123", True)

    def test_a_balancer_may_come_by_a_unix_socket(self):
        path = str(self.folder / "front")
        for loop in LOOPS:
            with self.subTest(loop=loop):
                wrap = self.wrap("--accept-proxy", "--loop", loop, to=self.backend().address,
                                 listen=f"unix:{path}")
                sock = socket.socket(socket.AF_UNIX)
                sock.settimeout(peers.TIMEOUT_S)
                sock.connect(path)
                client = self.stream(Prefixed(sock, headers.binary_header(CLIENT6, FRONT6)))
                self.exchange(client)
                client.unwrap()
                self.assert_names(wrap, 0, "[2001:db8::7]:40123", True)
                self.assertEqual(wrap.connection()["via"], "unix:")
                wrap.stop()

    def test_an_inherited_connection_has_it_too(self):
        program = ("sh", "-c", 'echo "$TCPREMOTEIP $TCPREMOTEPORT"')
        for header, expected in ((headers.text_header(CLIENT, FRONT), b"192.0.2.7 40123\n"),
                                 (b"", None)):
            with self.subTest(header=header), socket.create_server(("127.0.0.1", 0)) as listener:
                sock = peers.tcp(listener.getsockname())
                self.addCleanup(sock.close)
                accepted, _ = listener.accept()
                wrap = subprocess.Popen(
                    [BINARY, "wrap", "--fd", "0", *certificates().server_flags, "--accept-proxy",
                     "--", *program], stdin=accepted, stdout=accepted, stderr=subprocess.PIPE)
                accepted.close()
                self.addCleanup(wrap.kill)
                if expected:
                    client = self.stream(Prefixed(sock, header))
                    self.assertEqual(peers.receive_all(client), expected)
                    client.send_close_notify()
                else:
                    sock.sendall(b"\x16\x03\x01")
                    self.assertEqual(peers.how_it_ends(sock), ("reset", b""))
                said = wrap.communicate(timeout=peers.TIMEOUT_S)[1]
                self.assertEqual((wrap.returncode, b" refused " in said),
                                 (0, False) if expected else (76, True), said)

    def test_a_program_learns_of_both_addresses(self):
        wrap = Watched(("wrap", "--exec", *certificates().server_flags, "--accept-proxy"), "--",
                       "sh", "-c", 'echo "$PROTO $TCPREMOTEIP $TCPREMOTEPORT $TCPLOCALIP '
                       '$TCPLOCALPORT"')
        self.addCleanup(wrap.kill)
        client = self.client(wrap, headers.binary_header(CLIENT, FRONT))
        self.assertEqual(peers.receive_all(client), b"TCP 192.0.2.7 40123 198.51.100.1 443\n")


class Serve(ProxyCase):
    def test_both_logs_name_the_client(self):
        (self.folder / "index.html").write_text("hello")
        log = self.folder / "access.log"
        serve = Watched(("serve", str(self.folder), *certificates().server_flags, "--accept-proxy",
                         "--access-log", str(log), "--access-log-format", "json"))
        self.addCleanup(serve.kill)
        client = self.stream(Prefixed(peers.tcp(serve.endpoint),
                                      headers.text_header(CLIENT, FRONT)))
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        self.assertTrue(peers.receive_all(client).endswith(b"hello"))
        client.send_close_notify()
        line = serve.connection()
        self.assertEqual((line["peer"], line["via"].split(":")[0]),
                         ("192.0.2.7:40123", "127.0.0.1"))
        self.assertEqual(serve.stop(), 0)
        self.assertIn('"192.0.2.7"', log.read_text())

    def test_plain_http_has_it_too(self):
        serve = Watched(("serve", str(self.folder), *certificates().server_flags,
                         "--accept-proxy", "--http", "127.0.0.1:0"))
        self.addCleanup(serve.kill)
        plain = int(serve.addresses[1].rsplit(":", 1)[1])
        with peers.tcp(("127.0.0.1", plain)) as client:
            client.sendall(headers.text_header(CLIENT, FRONT) +
                           b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            self.assertTrue(peers.receive_all(client).startswith(b"HTTP/1.1 308 "))
        with peers.tcp(("127.0.0.1", plain)) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            self.assertEqual(peers.how_it_ends(client), ("reset", b""))
        self.assertEqual(serve.wait_for_event("refused")[0]["reason"], "proxy_header")


class Balancers(ProxyCase):
    """Programs that nobody has changed."""

    def haproxy(self, **options):
        if shutil.which("haproxy") is None:
            self.skipTest("haproxy is not installed")
        haproxy = Haproxy(self.folder, **options)
        self.addCleanup(haproxy.close)
        return haproxy

    def told(self, endpoint):
        """What the service behind answers, and the client's own address as it is written there."""
        client = self.stream(peers.tcp(endpoint))
        client.sendall(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
        answer = peers.receive_all(client)
        client.send_close_notify()
        self.assertRegex(answer, rb"^HTTP/1\.[01] 200 ")
        host, port = client.sock.getsockname()
        return answer.split(b"\r\n\r\n")[1].decode().split(" "), f"{host}:{port}"

    def test_haproxy_behind_takes_every_header(self):
        haproxy = self.haproxy()
        back = "{}:{}".format(*haproxy.back)
        for kind, authority in (("v1", ""), ("v2", "localhost"), ("v2-addresses", "")):
            with self.subTest(kind=kind):
                wrap = self.wrap("--send-proxy", kind, to=back)
                told, own = self.told(wrap.endpoint)
                self.assertEqual(told, [own, f"127.0.0.1:{wrap.port}", authority])

    def test_haproxy_in_front_and_nginx_behind_agree_on_the_client(self):
        if shutil.which("nginx") is None:
            self.skipTest("nginx is not installed")
        nginx = Nginx(self.folder)
        self.addCleanup(nginx.close)
        wait_until(nginx.listens, "nginx")
        for send, kind in (("send-proxy", "v1"), ("send-proxy-v2", "v2"),
                           ("send-proxy-v2 proxy-v2-options crc32c", "v2-addresses")):
            with self.subTest(send=send, kind=kind):
                wrap = self.wrap("--accept-proxy", "--send-proxy", kind,
                                 to=f"unix:{nginx.path}")
                haproxy = self.haproxy(to=f"127.0.0.1:{wrap.port}", send=send)
                told, own = self.told(haproxy.front)
                self.assertEqual(told[:2], [own, "{}:{}".format(*haproxy.front)])
                line = wrap.connection()
                self.assertEqual((line["peer"], line["via"].split(":")[0]),
                                 (own, "127.0.0.1"))
                haproxy.close()


if __name__ == "__main__":
    report.main("proxy-protocol")
