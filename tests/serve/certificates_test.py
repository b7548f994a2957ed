#!/usr/bin/env python3
"""Which certificate and which site a client gets from `serve`, and how both are renewed."""

import hashlib
import os
import signal
import ssl
import sys
import threading
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import report  # noqa: E402
import wrap_peers as peers  # noqa: E402
from https_client import HttpsClient  # noqa: E402
from payload import Payload  # noqa: E402
from revocation import client_context  # noqa: E402
from served_case import ServedCase  # noqa: E402
from shared_certificates import certificates  # noqa: E402
from watched_serve import LOOPS, WAIT_S  # noqa: E402

MIB = 1 << 20
MEDIA, WILD = "media.example.org", "*.example.net"
RELOADS = 20  # while connections come and go


def fingerprint(chain):
    leaf = ssl.PEM_cert_to_DER_cert(Path(chain).read_text(encoding="ascii"))
    return hashlib.sha256(leaf).hexdigest()


class Hosts(ServedCase):
    def setUp(self):
        super().setUp()
        self.media, self.wild = certificates(f"DNS:{MEDIA}"), certificates(f"DNS:{WILD}")
        self.write("index.html", b"the first site\n")
        for name in ("media", "wild"):
            folder = self.folder / name
            folder.mkdir()
            (folder / "index.html").write_text(f"the site {name}\n")

    def serve_all(self, *flags):
        hosts = ((MEDIA, "media", self.media), (WILD, "wild", self.wild))
        words = [word for name, folder, host in hosts
                 for word in ("--host", f"{name}={self.folder / folder},{host.chain},{host.key}")]
        return self.serve(*words, *flags)

    def visit(self, serve, name, issuer, host=None, path="/"):
        client = self.client(serve, context=issuer.client_context(), name=name)
        response = client.ask(path, host=host or name)
        client.end()
        return response

    def test_each_name_has_its_certificate_and_its_site(self):
        for loop in LOOPS:
            with self.subTest(loop):
                serve = self.serve_all("--loop", loop)
                for name, issuer, body in (
                        ("localhost", certificates(), b"the first site\n"),
                        (MEDIA, self.media, b"the site media\n"),
                        (MEDIA.upper(), self.media, b"the site media\n"),
                        ("a.example.net", self.wild, b"the site wild\n")):
                    self.assertEqual(self.visit(serve, name, issuer).body, body, name)
                # The port that a client names is no part of the name.
                self.assertEqual(self.visit(serve, MEDIA, self.media, f"{MEDIA}:8443").body,
                                 b"the site media\n")
                lines = serve.finish()
                self.assertEqual([line["host"] for line in lines],
                                 ["localhost", MEDIA, MEDIA.upper(), "a.example.net",
                                  f"{MEDIA}:8443"])

    def test_a_name_that_nobody_has_gets_the_first_certificate(self):
        serve = self.serve_all()
        for name in ("other.example", "example.net", "a.b.example.net", None):
            with self.subTest(name=name):
                client = self.client(serve, context=peers.accepts_anything(), name=name)
                shown = client.stream.tls.getpeercert(binary_form=True)
                self.assertEqual(hashlib.sha256(shown).hexdigest(),
                                 fingerprint(certificates().chain))
                self.assertEqual(client.ask("/", host=name or "localhost").body,
                                 b"the first site\n")
                client.end()

    def test_a_request_for_a_host_of_another_certificate_is_misdirected(self):
        serve = self.serve_all()
        for name, issuer, host, own in (
                ("localhost", certificates(), MEDIA, b"the first site\n"),
                ("localhost", certificates(), "a.example.net:443", b"the first site\n"),
                (MEDIA, self.media, "b.example.net", b"the site media\n"),
                (MEDIA, self.media, "localhost", b"the site media\n"),
                (MEDIA, self.media, "other.example", b"the site media\n")):
            with self.subTest(f"{host} by a connection for {name}"):
                client = self.client(serve, context=issuer.client_context(), name=name)
                self.assertEqual(client.ask("/", host=host).status, 421)
                self.assertEqual(client.ask("/", host=host, method="HEAD").status, 421)
                # The connection itself is as good as before.
                self.assertEqual(client.ask("/", host=name).body, own)
                client.end()

    def test_a_site_does_not_reach_into_another(self):
        serve = self.serve_all()
        for path in ("/../media/index.html", "/media/index.html", "/..%2fmedia/index.html"):
            self.assertGreaterEqual(
                self.visit(serve, "localhost", certificates(), path=path).status, 400, path)


class Clients(ServedCase):
    def test_a_client_shows_its_certificate_and_is_named_in_the_line(self):
        own = certificates(copy=4)
        self.write("index.html", b"hello\n")
        serve = self.serve("--client-ca", own.ca)
        client = self.client(serve, context=client_context(certificates(), own))
        self.assertEqual(client.ask("/").body, b"hello\n")
        client.end()
        self.assertEqual(serve.wait_for_event("connection")[0]["client"], "CN=localhost")
        with self.assertRaises((ssl.SSLError, OSError)):  # in TLS 1.3 it is told afterwards
            self.client(serve).ask("/")
        line = serve.wait_for_event("connection", 2)[1]
        self.assertEqual(line["ended"], "handshake")
        self.assertIn("peer did not return a certificate", line["detail"])


class SelfSigned(ServedCase):
    def test_without_a_certificate_one_is_made_and_its_fingerprint_told(self):
        self.write("index.html")
        serve = self.serve(credentials=())
        told = serve.wait_for_event("self_signed")[0]
        self.assertEqual(told["level"], "warning")
        client = self.client(serve, context=peers.accepts_anything())
        shown = client.stream.tls.getpeercert(binary_form=True)
        self.assertEqual(told["sha256"].replace(":", ""), hashlib.sha256(shown).hexdigest())
        client.end()
        # Who trusts just this one can verify it, by each name that the machine has for itself.
        trusting = ssl.create_default_context(cadata=ssl.DER_cert_to_PEM_cert(shown))
        for name in ("localhost", "127.0.0.1"):
            client = self.client(serve, context=trusting, name=name)
            self.assertEqual(client.ask("/").status, 200)
            client.end()
        with self.assertRaisesRegex(ssl.SSLError, "certificate verify failed"):
            self.client(serve)

    def test_each_start_makes_another_one(self):
        told = {self.serve(credentials=()).wait_for_event("self_signed")[0]["sha256"]
                for _ in range(2)}
        self.assertEqual(len(told), 2)

    def test_there_is_nothing_to_reload_then(self):
        serve = self.serve(credentials=())
        serve.send_signal(signal.SIGHUP)
        line = serve.wait_for_event("reload")[0]
        self.assertIn("nothing to reload", line["detail"])


class Reload(ServedCase):
    def setUp(self):
        super().setUp()
        self.old, self.new = certificates(copy=1), certificates(copy=2)
        self.chain, self.key = self.folder / "chain.pem", self.folder / "key.pem"
        self.install(self.old)
        self.content = Payload(24 * MIB, seed=4).bytes()
        self.write("big.bin", self.content)
        self.write("small.txt", b"small\n")

    def install(self, source):
        for target, content in ((self.chain, source.chain), (self.key, source.key)):
            self.replace(target, Path(content).read_bytes())

    def replace(self, target, content):
        beside = self.folder / "beside"
        beside.write_bytes(content)
        os.replace(beside, target)

    def serve_files(self, *flags):
        return self.serve(*flags, credentials=("--cert", self.chain, "--key", self.key))

    def reload(self, serve):
        before = len(serve.records("reload"))
        serve.send_signal(signal.SIGHUP)
        return serve.wait_for_event("reload", before + 1)[before]

    def assert_shows(self, serve, source):
        client = self.client(serve, context=source.client_context())
        self.assertEqual(client.ask("/small.txt").body, b"small\n")
        client.end()

    def test_a_download_goes_on_and_the_next_connection_sees_the_new_certificate(self):
        for loop in LOOPS:
            with self.subTest(loop):
                self.install(self.old)
                serve = self.serve_files("--loop", loop)
                client = self.client(serve, context=self.old.client_context(),
                                     receive_buffer=65536)
                client.send("/big.bin")
                head = client.read_head()
                self.install(self.new)
                line = self.reload(serve)
                self.assertEqual((line["level"], line["sha256"].replace(":", "")),
                                 ("info", fingerprint(self.new.chain)))
                self.assert_shows(serve, self.new)
                self.assertTrue(b"".join(client.body_parts(head.length)) == self.content)
                self.assertEqual(client.ask("/small.txt").body, b"small\n")
                client.end()
                self.assertEqual({line["ended"] for line in serve.finish()}, {"clean"})

    def test_a_broken_certificate_leaves_the_old_one_in_use(self):
        serve = self.serve_files()
        steady = self.client(serve, context=self.old.client_context())
        for said, damage in (
                ("the key does not belong",
                 lambda: self.replace(self.key, Path(self.new.key).read_bytes())),
                ("holds no PEM certificate", lambda: self.replace(self.chain, b"nothing\n")),
                ("No such file or directory", self.chain.unlink)):
            with self.subTest(said):
                damage()
                line = self.reload(serve)
                self.assertEqual(line["level"], "error")
                self.assertIn(said, line["error"])
                self.assertIn("what was read before stays in use", line["hint"])
                self.assert_shows(serve, self.old)
                self.assertEqual(steady.ask("/small.txt").status, 200)
        self.install(self.new)
        self.assertEqual(self.reload(serve)["level"], "info")
        self.assert_shows(serve, self.new)
        steady.end()

    def test_a_broken_certificate_of_one_host_leaves_all_as_they_were(self):
        media = certificates(f"DNS:{MEDIA}")
        chain = self.folder / "media.pem"
        self.replace(chain, Path(media.chain).read_bytes())
        serve = self.serve_files("--host", f"{MEDIA}={self.root},{chain},{media.key}")
        self.replace(chain, b"nothing\n")
        self.install(self.new)
        line = self.reload(serve)
        self.assertEqual(line["level"], "error")
        self.assertIn(str(chain), line["error"])
        self.assert_shows(serve, self.old)
        client = self.client(serve, context=media.client_context(), name=MEDIA)
        self.assertEqual(client.ask("/small.txt", host=MEDIA).status, 200)
        client.end()

    def test_no_connection_is_lost_while_certificates_change(self):
        for loop in LOOPS:
            with self.subTest(loop):
                self.install(self.old)
                serve = self.serve_files("--loop", loop)
                both = ssl.create_default_context(
                    cadata=Path(self.old.ca).read_text(encoding="ascii") +
                    Path(self.new.ca).read_text(encoding="ascii"))
                stop, served, failures = threading.Event(), [], []
                visitors = [threading.Thread(target=self.visit, daemon=True,
                                             args=(serve, both, stop, served, failures))
                            for _ in range(4)]
                for visitor in visitors:
                    visitor.start()
                for index in range(RELOADS):
                    self.install((self.new, self.old)[index % 2])
                    self.assertEqual(self.reload(serve)["level"], "info")
                stop.set()
                for visitor in visitors:
                    visitor.join(WAIT_S)
                self.assertEqual(failures, [])
                self.assertGreaterEqual(len(served), len(visitors))
                ended = serve.wait_for_connections(len(served))
                self.assertEqual({line["ended"] for line in ended}, {"clean"})
                self.assertEqual({line["ended"] for line in serve.finish()}, {"clean"})

    @staticmethod
    def visit(serve, context, stop, served, failures):
        try:
            while not stop.is_set():
                with HttpsClient(serve.endpoint, context, timeout=WAIT_S) as client:
                    for _ in range(3):
                        assert client.ask("/small.txt").body == b"small\n"
                    client.end()
                served.append(1)
        except Exception as error:  # the test reads it
            failures.append(error)


if __name__ == "__main__":
    report.main("serve/certificates")
