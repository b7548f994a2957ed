#!/usr/bin/env python3
"""What RFC 9110 and RFC 9112 demand of a server on a connection, asked of a running
`ktls-bridge serve` over TLS. tests/http/requirements.md says which test shows what."""

import email.utils
import os
import re
import ssl
import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import report  # noqa: E402
import wrap_peers as peers  # noqa: E402
from https_client import HttpsClient, Response, parse_head  # noqa: E402
from shared_certificates import certificates, scratch_folder  # noqa: E402
from watched import wait_until  # noqa: E402
from watched_serve import Serve  # noqa: E402

HOST = "media.example.org"
TEXT = b"".join(b"line %03d\n" % number for number in range(200))
MEDIA = b"of another site\n"
OLD = 1_500_000_000
PAST = email.utils.formatdate(OLD - 1000, usegmt=True)
LATER = email.utils.formatdate(OLD + 1000, usegmt=True)
GET = b"GET /text.txt HTTP/1.1\r\nHost: localhost\r\n"
TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
HEAD = re.compile(rf"HTTP/1\.1 [1-5]\d\d [\t -~]*\r\n(?:{TOKEN}: [\t -~\x80-\xff]*\r\n)*\r\n")
ONCE = ("date", "content-length", "content-type", "etag", "last-modified", "vary", "connection",
        "content-range", "content-encoding", "cache-control", "accept-ranges", "location")
# Answers that tell a 206 or a 304 from the 200 of the same file (RFC 9110 sections 15.3.7, 15.4.5).
SHARED = ("etag", "vary", "cache-control", "expires", "content-location")

shared = None  # the server of every test that needs no flags of its own
folder = None
root = None


def write(path, content, modified=OLD):
    path.write_bytes(content)
    os.utime(path, (modified, modified))


def make_site():
    for each in ("site/directory", "site/empty", "media"):
        (folder / each).mkdir(parents=True)
    write(root / "index.html", b"<p>the index</p>\n")
    write(root / "text.txt", TEXT)
    write(root / "nothing.txt", b"")
    write(root / "style.css", b"p { color: red }\n" * 100)
    for suffix, content in ((".gz", b"gzip" * 60), (".br", b"brotli" * 30), (".zst", b"zstd" * 20)):
        write(root / f"style.css{suffix}", content)
    write(root / "future.txt", b"later", modified=4_000_000_000)
    write(root / "directory" / "inner.txt", b"inner\n")
    write(folder / "secret.txt", b"secret\n")
    (root / "way-out.txt").symlink_to("../secret.txt")
    write(folder / "media" / "index.html", MEDIA)
    write(folder / "media" / "text.txt", MEDIA)


def setUpModule():
    global shared, folder, root
    folder = scratch_folder()
    root = folder / "site"
    make_site()
    certificate, key = folder / "media.pem", folder / "media.key"
    certificates().make_self_signed(str(certificate), str(key), f"/CN={HOST}")
    shared = Serve(root, *certificates().server_flags, "--host",
                   f"{HOST}={folder / 'media'},{certificate},{key}", "--cache",
                   "/**=public, max-age=60", "--header", "Expires: 0", folder=folder)
    unittest.addModuleCleanup(shared.kill)


def tearDownModule():
    status = shared.stop()
    if status != 0:
        raise AssertionError(f"serve ended with {status}:\n{shared.text()}")


class Client(HttpsClient):
    """Holds every head against the grammar."""

    def __init__(self, server=None, name="localhost"):
        context = peers.accepts_anything() if name == HOST else certificates().client_context()
        super().__init__((server or shared).endpoint, context, name)

    def read_head(self):
        head = super().read_head()
        if not HEAD.fullmatch(self.head_text):
            raise AssertionError(f"no well-formed head: {self.head_text!r}")
        for name in ONCE:
            head.one(name)
        return head


class Case(unittest.TestCase):
    maxDiff = None

    def client(self, server=None, name="localhost"):
        client = Client(server, name)
        self.addCleanup(client.close)
        return client

    def server(self, *flags):
        server = Serve(root, *certificates().server_flags, *flags, folder=folder)
        self.addCleanup(server.kill)
        return server

    def send(self, raw, server=None, name="localhost"):
        client = self.client(server, name)
        client.stream.sendall(raw)
        return client

    def ask(self, path="/text.txt", method="GET", host="localhost", **fields) -> Response:
        with Client() as client:
            return client.ask(path, method, host, **fields)

    def assert_over(self, client, response=None):
        """close_notify, and nothing in front of it."""
        if response is not None:
            self.assertEqual(response.field("connection"), "close")
        self.assertEqual(client.read_to_end(), b"")

    def assert_fields_of_200(self, part, whole):
        for name in SHARED:
            self.assertEqual(part.field(name), whole.field(name), name)
        self.assertIsNotNone(part.field("date"))

    def settled_tag(self, path):
        """A strong tag, which a file has when it was not touched for a while."""
        def strong():
            tag = self.ask(path).field("etag")
            return tag if not tag.startswith("W/") else None
        return wait_until(strong, f"a strong tag of {path}")


class Messages(Case):
    """RFC 9112."""

    def assert_refused(self, raw, statuses):
        # A good request behind it would be the smuggled one.
        client = self.send(raw + GET + b"\r\n")
        response = client.read_response()
        self.assertIn(response.status, statuses)
        self.assert_over(client, response)

    def test_closes_after_what_is_no_request(self):
        for raw in (b"GET\r\n\r\n", b"GET /  HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\n",
                    b"GET / http/1.1\r\nHost: localhost\r\n\r\n", b"GET / HTTP/1.1\n\n",
                    b"GET / HTTP/1.1\r\n Host: localhost\r\n\r\n",
                    b"GET / HTTP/1.1\r\nHost : localhost\r\n\r\n",
                    GET + b"A: b\r\n c\r\n\r\n", GET + b"A: b\rc\r\n\r\n", GET + b"A: \0\r\n\r\n",
                    b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
                    b"G{T / HTTP/1.1\r\nHost: localhost\r\n\r\n"):
            with self.subTest(raw):
                self.assert_refused(raw, {400})

    def test_closes_after_a_version_that_it_does_not_speak(self):
        for raw in (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/3.0\r\n\r\n",
                    b"GET / HTTP/0.9\r\n\r\n"):
            with self.subTest(raw):
                self.assert_refused(raw, {505})

    def test_closes_after_a_host_that_is_missing_repeated_or_malformed(self):
        line = b"GET / HTTP/1.1\r\n"
        for fields in (b"", b"Host: a\r\nHost: a\r\n", b"Host: a b\r\n", b"Host: a/b\r\n",
                       b"Host: u@a\r\n", b"Host: a:b\r\n"):
            with self.subTest(fields):
                self.assert_refused(line + fields + b"\r\n", {400})

    def test_closes_after_a_body_that_it_cannot_frame(self):
        old = b"POST / HTTP/1.0\r\nHost: localhost\r\n"
        post = b"POST / HTTP/1.1\r\nHost: localhost\r\n"
        for raw in (old + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                    post + b"Transfer-Encoding: chunked, gzip\r\n\r\n",
                    post + b"Transfer-Encoding: chunked, chunked\r\n\r\n",
                    post + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n",
                    post + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
                    post + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
                    post + b"Content-Length: 1, 1\r\n\r\n", post + b"Content-Length: -1\r\n\r\n",
                    post + b"Content-Length: +1\r\n\r\n", post + b"Content-Length: 0x1\r\n\r\n",
                    post + b"Content-Length: \r\n\r\n",
                    post + b"Content-Length: 18446744073709551616\r\n\r\n"):
            with self.subTest(raw):
                self.assert_refused(raw, {400})
        self.assert_refused(post + b"Transfer-Encoding: gzip, chunked\r\n\r\n", {501})

    def test_goes_by_the_absolute_form_and_not_by_host(self):
        client = self.client()
        response = client.ask("https://localhost/text.txt", host=HOST)
        self.assertEqual((response.status, response.body), (200, TEXT))
        response = client.ask(f"https://{HOST}/text.txt", host="localhost")
        self.assertEqual(response.status, 421)
        media = self.client(name=HOST)
        response = media.ask(f"https://{HOST.upper()}:8443/text.txt", host="localhost")
        self.assertEqual((response.status, response.body), (200, MEDIA))

    def test_takes_targets_of_8000_octets_and_says_414_to_longer_ones(self):
        self.assertEqual(self.ask("/" + "a" * 7999).status, 404)
        self.assertEqual(self.ask("/text.txt?" + "a" * 7990).status, 200)
        self.assert_refused(b"GET /" + b"a" * 8000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", {414})
        self.assert_refused(b"GET /" + b"a" * 60_000, {414})

    def test_bounds_the_head_and_its_lines(self):
        self.assert_refused(GET + b"A: b\r\n" * 101 + b"\r\n", {431})
        self.assert_refused(GET + b"A: " + b"b" * 20_000 + b"\r\n\r\n", {431})
        self.assert_refused(b"M" * 20_000 + b" / HTTP/1.1\r\n", {501})

    def test_sends_no_transfer_encoding(self):
        client = self.client()
        for path in ("/text.txt", "/", "/none", "/directory", "/directory/", "/nothing.txt"):
            for method in ("GET", "HEAD", "OPTIONS"):
                response = client.ask(path, method)
                self.assertIsNone(response.field("transfer-encoding"), path)
                self.assertIsNotNone(response.field("content-length"), path)
        old = self.send(b"GET /text.txt HTTP/1.0\r\n\r\n")
        response = old.read_response()
        self.assertEqual((response.status, response.body), (200, TEXT))
        self.assertIsNone(response.field("transfer-encoding"))
        self.assert_over(old, response)

    def test_answers_an_incomplete_request_before_it_closes(self):
        for raw in (b"G", b"GET /text.txt HTTP/1.1\r\n", GET, GET + b"A: b\r\n\r"):
            with self.subTest(raw):
                client = self.send(raw)
                client.stream.end_sending()
                response = client.read_response()
                self.assertEqual(response.status, 400)
                self.assert_over(client, response)
        for raw in (b"", b"\r\n", GET + b"Connection: keep-alive\r\n\r\n"):
            with self.subTest(raw):  # nothing, or nothing more, was begun
                client = self.send(raw)
                client.stream.end_sending()
                if len(raw) > 2:
                    self.assertEqual(client.read_response().body, TEXT)
                self.assert_over(client)

    def test_answers_408_to_a_head_that_does_not_come(self):
        server = self.server("--request-timeout", "300ms")
        client = self.send(GET, server)
        response = client.read_response()
        self.assertEqual(response.status, 408)
        self.assert_over(client, response)

    def test_keeps_connections_by_version_and_connection_field(self):
        for version, field, goes_on in (("1.1", "", True), ("1.1", "keep-alive", True),
                                        ("1.1", "close", False), ("1.1", "foo, CLOSE", False),
                                        ("1.0", "", False), ("1.0", "keep-alive", True),
                                        ("1.0", "keep-alive, close", False)):
            with self.subTest(version=version, field=field):
                connection = f"Connection: {field}\r\n" if field else ""
                head = f"GET /text.txt HTTP/{version}\r\nHost: localhost\r\n{connection}\r\n"
                client = self.send(head.encode())
                response = client.read_response()
                self.assertEqual(response.field("connection"), "keep-alive" if goes_on else "close")
                if goes_on:
                    self.assertEqual(client.ask("/text.txt").body, TEXT)
                else:
                    self.assert_over(client)

    def test_reads_a_body_to_its_end_and_no_further(self):
        for fields, body in ((b"Content-Length: 5\r\n\r\n", b"hello"),
                             (b"Content-Length: 0\r\n\r\n", b""),
                             (b"Content-Length: 60000\r\n\r\n", b"GET / HTTP/1.1\r\n" * 3750),
                             (b"Transfer-Encoding: chunked\r\n\r\n",
                              b"5;a=b\r\nhello\r\n00000a\r\n0123456789\r\n0\r\nTrailer: c\r\n\r\n"),
                             (b"Transfer-Encoding: Chunked\r\n\r\n", b"0\r\n\r\n")):
            for method, status in ((b"GET", 200), (b"POST", 405)):
                with self.subTest(fields=fields, method=method):
                    client = self.send(method + b" /text.txt HTTP/1.1\r\nHost: localhost\r\n" +
                                       fields + body + GET + b"Connection: close\r\n\r\n")
                    self.assertEqual(client.read_response().status, status)
                    response = client.read_response()
                    self.assertEqual((response.status, response.body), (200, TEXT))
                    self.assert_over(client, response)

    def test_says_that_it_closes_on_a_body_that_it_will_not_read(self):
        client = self.send(GET + b"Content-Length: 10000000000\r\n\r\n" + GET + b"\r\n")
        response = client.read_response()
        self.assertEqual((response.status, response.body), (200, TEXT))
        self.assert_over(client, response)

    def test_closes_on_chunks_that_it_cannot_read(self):
        for body in (b"fffffffffffffffff\r\n", b"-1\r\n", b"5\r\nhelloworld\r\n0\r\n\r\n",
                     b"5\nhello\r\n0\r\n\r\n", b"10000\r\n" + b"a" * 65536 + b"\r\n0\r\n\r\n"):
            with self.subTest(body[:20]):
                client = self.send(GET + b"Transfer-Encoding: chunked\r\n\r\n" + body + GET +
                                   b"\r\n")
                self.assertEqual(client.read_response().status, 200)
                self.assert_over(client)

    def test_answers_pipelined_requests_in_their_order(self):
        asked = [("/text.txt", 200), ("/none", 404), ("/style.css", 200), ("/directory", 308)] * 25
        client = self.send(b"".join(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
                                    for path, _ in asked))
        for path, status in asked:
            response = client.read_response()
            self.assertEqual(response.status, status)
            if path == "/text.txt":
                self.assertEqual(response.body, TEXT)

    def test_takes_no_request_behind_close(self):
        client = self.send((GET + b"Connection: close\r\n\r\n") * 2)
        response = client.read_response()
        self.assertEqual((response.status, response.body), (200, TEXT))
        self.assert_over(client, response)

    def test_says_close_in_its_last_answer(self):
        server = self.server("--max-requests", "3")
        client = self.send((GET + b"\r\n") * 5, server)
        said = [client.read_response().field("connection") for _ in range(3)]
        self.assertEqual(said, ["keep-alive", "keep-alive", "close"])
        self.assert_over(client)

    def test_ends_an_idle_connection_with_close_notify(self):
        server = self.server("--keep-alive", "300ms")
        client = self.client(server)
        self.assertEqual(client.ask("/text.txt").body, TEXT)
        self.assert_over(client)
        self.assertEqual(server.wait_for_connections(1)[0]["ended"], "clean")

    def test_resumes_a_session_that_was_closed_incompletely(self):
        context = certificates().client_context(ssl.TLSVersion.TLSv1_2)
        session = None
        for resumed in (False, True):
            with peers.tcp(shared.endpoint) as raw:
                client = context.wrap_socket(raw, server_hostname="localhost", session=session)
                client.sendall(GET + b"\r\n")
                self.assertTrue(client.recv(100).startswith(b"HTTP/1.1 200 "))
                self.assertEqual(client.session_reused, resumed)
                session = client.session
                client.close()  # without close_notify

    def test_speaks_its_protocols_by_name(self):
        for offered, chosen in ((["h2", "http/1.1"], "http/1.1"), (["http/1.0"], "http/1.0"),
                                ([], None)):
            context = certificates().client_context(alpn=offered)
            with HttpsClient(shared.endpoint, context) as client:
                self.assertEqual(client.stream.tls.selected_alpn_protocol(), chosen)
                self.assertEqual(client.ask("/text.txt").body, TEXT)
        with self.assertRaisesRegex(ssl.SSLError, "(?i)no.application.protocol"):
            HttpsClient(shared.endpoint, certificates().client_context(alpn=["h2"]))


class Semantics(Case):
    """RFC 9110."""

    ANSWERS = (("/text.txt", "GET", {}, 200), ("/text.txt", "GET", {"range": "bytes=1-2"}, 206),
               ("/text.txt", "GET", {"if_none_match": "*"}, 304), ("/directory", "GET", {}, 308),
               ("/%zz", "GET", {}, 400), ("/directory/", "GET", {}, 403), ("/none", "GET", {}, 404),
               ("/text.txt", "POST", {}, 405), ("/text.txt", "GET", {"if_match": '"no"'}, 412),
               ("/text.txt", "GET", {"range": "bytes=9999-"}, 416), ("/", "BREW", {}, 501))

    def test_dates_each_answer(self):
        client = self.client()
        for path, method, fields, status in self.ANSWERS:
            response = client.ask(path, method, **fields)
            self.assertEqual(response.status, status)
            date = response.field("date")
            self.assertRegex(date, r"^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z][a-z] \d{4} "
                                   r"\d\d:\d\d:\d\d GMT$")
            told = email.utils.parsedate_to_datetime(date).timestamp()
            now = email.utils.parsedate_to_datetime(email.utils.formatdate(usegmt=True)).timestamp()
            self.assertLess(abs(now - told), 5)
        self.assertIsNotNone(self.send(b"\0\r\n\r\n").read_response().field("date"))

    def test_refuses_a_misdirected_request(self):
        client = self.client()
        self.assertEqual(client.ask("/text.txt", host=HOST).status, 421)
        self.assertEqual(client.ask("/text.txt", host="127.0.0.1").body, TEXT)
        media = self.client(name=HOST)
        self.assertEqual(media.ask("/text.txt", host=f"{HOST}:8443").body, MEDIA)
        self.assertEqual(media.ask("/text.txt", host="localhost").status, 421)
        self.assertEqual(media.ask("/text.txt", host="").body, MEDIA)

    def test_gives_head_the_fields_of_get_and_no_content(self):
        client = self.client()
        for path in ("/text.txt", "/", "/nothing.txt", "/none", "/directory", "/directory/"):
            for fields in ({}, {"accept_encoding": "gzip"}, {"if_modified_since": LATER},
                           {"if_match": '"no"'}, {"accept": "text/html"}):
                head = client.ask(path, "HEAD", **fields)
                got = client.ask(path, "GET", **fields)
                self.assertEqual(head.status, got.status)
                self.assertEqual([field for field in head.head.fields if field[0] != "date"],
                                 [field for field in got.head.fields if field[0] != "date"])
                if got.status != 304:
                    self.assertEqual(int(head.field("content-length")), len(got.body))

    def test_sends_no_content_to_a_head_that_is_refused(self):
        for raw in (b"HEAD / HTTP/1.1\r\n\r\n", b"\r\nHEAD / HTTP/9.9\r\n\r\n",
                    b"HEAD /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"):
            client = self.send(raw)
            response = client.read_response("HEAD")
            self.assertGreaterEqual(response.status, 400)
            self.assert_over(client, response)

    def test_sends_no_status_that_has_no_content_length(self):
        client = self.client()
        for path, method, fields, status in self.ANSWERS:
            response = client.ask(path, method, **fields)
            self.assertTrue(status >= 200 and status != 204)
            self.assertEqual(response.field("content-length") is None, status == 304)

    def test_changes_a_strong_tag_with_the_bytes(self):
        path = root / "changing.txt"
        write(path, b"one\n")
        first = self.settled_tag("/changing.txt")
        write(path, b"two\n")  # of the same size, and dated the same
        at_once = self.ask("/changing.txt")
        self.assertEqual(at_once.body, b"two\n")
        self.assertTrue(at_once.field("etag").startswith("W/"), "as another write may follow")
        second = self.settled_tag("/changing.txt")
        self.assertEqual(len({first, second, at_once.field("etag").removeprefix("W/")}), 3)
        self.assertEqual(self.ask("/changing.txt", if_none_match=first).status, 200)

    def test_gives_each_coding_a_tag_of_its_own(self):
        tags = {self.ask("/style.css", accept_encoding=coding).field("etag")
                for coding in ("identity", "gzip", "br", "zstd")}
        self.assertEqual(len(tags), 4)

    def test_never_dates_a_file_after_the_answer(self):
        response = self.ask("/future.txt")
        self.assertEqual(response.body, b"later")
        self.assertLessEqual(email.utils.parsedate_to_datetime(response.field("last-modified")),
                             email.utils.parsedate_to_datetime(response.field("date")))

    def test_has_get_and_head_and_refuses_other_methods(self):
        client = self.client()
        for method, status in (("GET", 200), ("HEAD", 200), ("POST", 405), ("PUT", 405),
                               ("DELETE", 405), ("OPTIONS", 405), ("TRACE", 405), ("PATCH", 405),
                               ("CONNECT", 405), ("BREW", 501), ("get", 501), ("Get", 501)):
            response = client.ask("/text.txt", method)
            self.assertEqual(response.status, status, method)
            self.assertEqual(response.field("allow"), "GET, HEAD" if status == 405 else None)
        self.assertEqual(client.ask("*", "OPTIONS").status, 405)

    def test_answers_at_once_who_waits_for_a_100(self):
        for method, status in ((b"GET", 200), (b"PUT", 405)):
            client = self.send(method + b" /text.txt HTTP/1.1\r\nHost: localhost\r\n"
                               b"Expect: 100-continue\r\nContent-Length: 10\r\n\r\n")
            response = client.read_response()
            self.assertEqual(response.status, status)
            self.assert_over(client, response)
        client = self.send(b"GET /text.txt HTTP/1.0\r\nConnection: keep-alive\r\n"
                           b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello" +
                           GET + b"\r\n")
        for _ in range(2):
            self.assertEqual(client.read_response().body, TEXT)

    def test_passes_over_fields_that_it_does_not_know(self):
        response = self.ask(x_unknown="\x80\xff", upgrade="h2c, websocket", te="trailers",
                            http2_settings="AAMAAABkAAQAoAAAAAIAAAAA", connection="Upgrade")
        self.assertEqual((response.status, response.body), (200, TEXT))
        self.assertIsNone(response.field("upgrade"))

    def test_says_what_it_sends(self):
        for path, media_type in (("/text.txt", "text/plain; charset=utf-8"),
                                 ("/", "text/html; charset=utf-8"),
                                 ("/style.css", "text/css; charset=utf-8")):
            self.assertEqual(self.ask(path).field("content-type"), media_type)

    def test_chooses_a_coding_and_says_so(self):
        for accepted, coding in (("gzip", "gzip"), ("br", "br"), ("zstd", "zstd"),
                                 ("gzip, br, zstd", "zstd"), ("gzip;q=1, br;q=0.5", "gzip"),
                                 ("gzip;q=0, *", "zstd"), ("", None), ("identity", None),
                                 ("gzip;q=0", None), ("deflate", None), ("*;q=0", None)):
            response = self.ask("/style.css", accept_encoding=accepted)
            self.assertEqual(response.field("content-encoding"), coding, accepted)
            self.assertEqual(response.field("vary"), "Accept-Encoding")
            suffix = {"gzip": ".gz", "br": ".br", "zstd": ".zst", None: ""}[coding]
            self.assertEqual(response.body, (root / f"style.css{suffix}").read_bytes())
        self.assertEqual(self.ask("/style.css").field("vary"), "Accept-Encoding")

    def test_redirects_to_the_directory_itself(self):
        response = self.ask("/directory?a=b")
        self.assertEqual((response.status, response.field("location")), (308, "/directory/?a=b"))
        self.assertEqual(self.ask("//directory//").status, 403)

    def test_lets_no_path_leave_the_root(self):
        for path in ("/../secret.txt", "/..%2fsecret.txt", "/%2e%2e/secret.txt",
                     "/directory/../../secret.txt", "/.%2e/secret.txt", "/way-out.txt",
                     "/%2e%2e%2fsecret.txt", "/directory/%2E%2E/%2e./secret.txt",
                     "/..%5csecret.txt", "/..\\secret.txt", "/%252e%252e/secret.txt",
                     "/..;/secret.txt", "/%c0%ae%c0%ae/secret.txt", "/text.txt%00",
                     "/.../secret.txt",
                     f"//localhost{folder}/secret.txt", f"/{folder}/secret.txt"):
            with self.subTest(path):
                response = self.ask(path)
                self.assertIn(response.status, (400, 404))
                self.assertNotIn(b"secret\n", response.body)


class Conditionals(Case):
    def test_answers_conditional_requests(self):
        tag = self.settled_tag("/text.txt")
        client = self.client()
        for fields, status in (({"if_match": tag}, 200), ({"if_match": "*"}, 200),
                               ({"if_match": f'"no", {tag}'}, 200), ({"if_match": '"no"'}, 412),
                               ({"if_match": f"W/{tag}"}, 412),
                               ({"if_none_match": tag}, 304), ({"if_none_match": f"W/{tag}"}, 304),
                               ({"if_none_match": f'"no" , {tag}'}, 304),
                               ({"if_none_match": '"no"'}, 200), ({"if_none_match": "*"}, 304),
                               ({"if_modified_since": LATER}, 304),
                               ({"if_modified_since": PAST}, 200),
                               ({"if_modified_since": "yesterday"}, 200),
                               ({"if_none_match": '"no"', "if_modified_since": LATER}, 200),
                               ({"if_unmodified_since": LATER}, 200),
                               ({"if_unmodified_since": PAST}, 412),
                               ({"if_match": tag, "if_unmodified_since": PAST}, 200),
                               ({"if_match": '"no"', "if_none_match": tag}, 412),
                               ({"if_match": tag, "if_none_match": tag}, 304)):
            for method in ("GET", "HEAD"):
                with self.subTest(method=method, **fields):
                    response = client.ask("/text.txt", method, **fields)
                    self.assertEqual(response.status, status)

    def test_reads_all_three_forms_of_dates(self):
        for date in ("Sun, 06 Nov 2044 08:49:37 GMT", "Sunday, 06-Nov-44 08:49:37 GMT",
                     "Sun Nov  6 08:49:37 2044"):
            self.assertEqual(self.ask(if_modified_since=date).status, 304, date)

    def test_ignores_preconditions_where_the_answer_is_no_2xx(self):
        for path, status in (("/none", 404), ("/directory", 308), ("/directory/", 403)):
            for fields in ({"if_match": '"no"'}, {"if_none_match": "*"},
                           {"if_modified_since": LATER}, {"if_unmodified_since": PAST}):
                with self.subTest(path, **fields):
                    self.assertEqual(self.ask(path, **fields).status, status)

    def test_has_the_fields_of_the_200_in_a_304_and_no_content(self):
        self.settled_tag("/style.css")
        for coding in ("identity", "gzip"):
            client = self.client()
            whole = client.ask("/style.css", accept_encoding=coding)
            unchanged = client.ask("/style.css", accept_encoding=coding,
                                   if_none_match=whole.field("etag"))
            self.assertEqual((unchanged.status, unchanged.body), (304, b""))
            self.assert_fields_of_200(unchanged, whole)
            self.assertEqual(client.ask("/text.txt").body, TEXT)  # nothing was in between

    def test_sends_a_part_only_of_the_same_file(self):
        tag = self.settled_tag("/text.txt")
        date = self.ask().field("last-modified")
        for validator, status in ((tag, 206), (date, 206), ('"no"', 200), (f"W/{tag}", 200),
                                  (PAST, 200), (LATER, 200), ("nonsense", 200)):
            response = self.ask(range="bytes=0-9", if_range=validator)
            self.assertEqual(response.status, status, validator)
            self.assertEqual(response.body, TEXT[:10] if status == 206 else TEXT)
        self.assertEqual(self.ask(if_range='"no"').status, 200)


class Ranges(Case):
    def test_sends_one_part_with_content_range(self):
        size = len(TEXT)
        for wanted, first, last in (("0-0", 0, 0), ("10-19", 10, 19),
                                    (f"{size - 1}-", size - 1, size - 1),
                                    ("-5", size - 5, size - 1), ("0-", 0, size - 1),
                                    ("5-99999999999999999999999", 5, size - 1),
                                    ("-99999999999999999999999", 0, size - 1),
                                    (" 3-4 ,,", 3, 4), ("3-4, 99999-", 3, 4)):
            with self.subTest(wanted):
                response = self.ask(range=f"bytes={wanted}")
                self.assertEqual((response.status, response.body), (206, TEXT[first:last + 1]))
                self.assertEqual(response.field("content-range"), f"bytes {first}-{last}/{size}")
                self.assertEqual(response.field("content-type"), "text/plain; charset=utf-8")
                self.assert_fields_of_200(response, self.ask())

    def test_sends_several_parts_as_multipart(self):
        response = self.ask(range="BYTES=0-9,30-39 , -10")
        self.assertEqual(response.status, 206)
        self.assertIsNone(response.field("content-range"))
        kind, boundary = response.field("content-type").split("; boundary=")
        self.assertEqual(kind, "multipart/byteranges")
        parts = response.body.split(b"--" + boundary.encode())
        self.assertEqual((parts[0], parts[4]), (b"", b"--\r\n"))
        size = len(TEXT)
        for part, (first, last) in zip(parts[1:4], ((0, 9), (30, 39), (size - 10, size - 1))):
            head, _, content = part.partition(b"\r\n\r\n")
            self.assertEqual(head.decode().split("\r\n"),
                             ["", "Content-Type: text/plain; charset=utf-8",
                              f"Content-Range: bytes {first}-{last}/{size}"])
            self.assertEqual(content, TEXT[first:last + 1] + b"\r\n")
        self.assert_fields_of_200(response, self.ask())

    def test_sends_parts_of_a_compressed_file(self):
        packed = (root / "style.css.gz").read_bytes()
        whole = self.ask("/style.css", accept_encoding="gzip")
        part = self.ask("/style.css", accept_encoding="gzip", range="bytes=8-19")
        self.assertEqual((part.status, part.body), (206, packed[8:20]))
        self.assertEqual(part.field("content-range"), f"bytes 8-19/{len(packed)}")
        self.assertEqual(part.field("content-encoding"), "gzip")
        self.assert_fields_of_200(part, whole)

    def test_says_416_with_the_size_where_no_range_can_be_had(self):
        for wanted in (f"{len(TEXT)}-", "99999999999999999999-", "-0", "9999-,8888-"):
            response = self.ask(range=f"bytes={wanted}")
            self.assertEqual(response.status, 416, wanted)
            self.assertEqual(response.field("content-range"), f"bytes */{len(TEXT)}")
        response = self.ask("/nothing.txt", range="bytes=0-0")
        self.assertEqual((response.status, response.field("content-range")), (416, "bytes */0"))

    def test_passes_over_ranges_that_it_does_not_take(self):
        for wanted in ("lines=1-2", "bytes=2-1", "bytes=a-b", "bytes", "bytes=", "bytes=--1",
                       "bytes=1-2-3", "bytes=" + ",".join(["0-0"] * 17), "bytes=0-,0-,0-",
                       "bytes=0-1 2-3", "bytes=0x1-2"):
            response = self.ask(range=wanted)
            self.assertEqual((response.status, response.body), (200, TEXT), wanted)
        self.assertEqual(self.ask(method="HEAD", range="bytes=0-1").status, 200)
        self.assertEqual(self.ask("/nothing.txt", range="bytes=-1").status, 200)


class PlainHttp(Case):
    """--http."""

    @classmethod
    def setUpClass(cls):
        cls.redirecting = Serve(root, *certificates().server_flags, "--http", "127.0.0.1:0",
                                "--hsts", "1000", "--header", "X-Own: yes", folder=folder)
        cls.addClassCleanup(cls.redirecting.kill)

    def plain(self, raw):
        with peers.tcp(self.redirecting.plain_endpoint) as client:
            client.sendall(raw)
            answer = peers.receive_all(client)
        head, end, body = answer.partition(b"\r\n\r\n")
        text = (head + end).decode("latin-1")
        self.assertRegex(text, HEAD)
        return Response(parse_head(text), body)

    def test_redirects_plain_http_to_the_same_target(self):
        port = self.redirecting.port
        for target, host, location in (
                ("/a%20b/?c=d&e=%2F", "localhost", f"localhost:{port}/a%20b/?c=d&e=%2F"),
                ("/", "localhost:80", f"localhost:{port}/"),
                ("/x/../y", "localhost", f"localhost:{port}/y"),
                ("/x", "[::1]:8080", f"[::1]:{port}/x"),
                ("http://example.org:8080/z", "other.example", f"example.org:{port}/z"),
                ("//evil.example/", "localhost", f"localhost:{port}/evil.example/")):
            for method in ("GET", "HEAD", "POST"):
                raw = f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"
                response = self.plain(raw.encode())
                self.assertEqual((response.status, response.body), (308, b""))
                self.assertEqual(response.field("location"), "https://" + location)
                self.assertEqual(response.field("connection"), "close")

    def test_redirects_nothing_that_is_no_request(self):
        for raw, status in ((b"GET / HTTP/1.1\r\n\r\n", 400), (b"GET / HTTP/1.0\r\n\r\n", 400),
                            (b"nonsense\r\n\r\n", 400), (b"HEAD / HTTP/1.1\r\n\r\n", 400),
                            (b"HEAD /%0 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
                            (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
                            (b"\x16\x03\x01\x00\x05hello\n", 400),
                            (b"GET /%0 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
                            (b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"b" * 20_000, 431)):
            response = self.plain(raw)
            self.assertEqual((response.status, response.field("location")), (status, None), raw)
            self.assertEqual(response.body == b"", raw.startswith(b"HEAD"), raw)

    def test_speaks_of_hsts_over_tls_alone(self):
        field = "strict-transport-security"
        with Client(self.redirecting) as client:
            for path in ("/text.txt", "/none", "/directory"):
                response = client.ask(path)
                self.assertEqual((response.field(field), response.field("x-own")),
                                 ("max-age=1000", "yes"))
        for raw in (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\0\r\n\r\n"):
            response = self.plain(raw)
            self.assertEqual((response.field(field), response.field("x-own")), (None, "yes"))


if __name__ == "__main__":
    report.main("serve/requirements")
