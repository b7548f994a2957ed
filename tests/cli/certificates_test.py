#!/usr/bin/env python3
"""Certificates of `wrap` in both roles: several of them, staples, pins and revocation, and how all
are renewed by SIGHUP."""

import base64
import contextlib
import hashlib
import os
import signal
import shutil
import ssl
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import report  # noqa: E402
import wrap_peers as peers  # noqa: E402
from revocation import (asking_context, client_context, ocsp_response,  # noqa: E402
                        revocation_list, staple_seen)
from shared_certificates import certificates, scratch_folder  # noqa: E402
from watched import run  # noqa: E402
from watched_wrap import Wrap  # noqa: E402

LOOPS = ("io_uring", "epoll")
OTHER_PIN = "sha256//" + "A" * 43 + "="


def fingerprint(chain):
    leaf = ssl.PEM_cert_to_DER_cert(Path(chain).read_text(encoding="ascii"))
    return hashlib.sha256(leaf).hexdigest()


def pin_of(key):
    der = subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-outform", "DER"], check=True,
                         capture_output=True, timeout=60).stdout
    return "sha256//" + base64.b64encode(hashlib.sha256(der).digest()).decode()


class CertificateCase(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)

    def put(self, name, content):
        """As it should be done: whole, and at once."""
        beside = self.folder / ".beside"
        beside.write_bytes(content)
        target = self.folder / name
        os.replace(beside, target)
        return str(target)

    def copy(self, name, source):
        return self.put(name, Path(source).read_bytes())

    def wrap(self, *arguments, context=None, **options):
        backend = peers.Backend(peers.echo, context=context)
        self.addCleanup(backend.close)
        wrap = Wrap(*arguments, to=backend.address, **options)
        self.addCleanup(wrap.kill)
        return wrap

    def exchange(self, client, data=b"hello"):
        client.sendall(data)
        self.assertEqual(peers.receive_exactly(client, len(data)), data)

    def serves_over_tls(self, wrap, context, name="localhost"):
        """The line of a connection that carried data."""
        index = len(wrap.connections())
        with peers.tls(context, wrap.endpoint, name) as client:
            self.exchange(client)
            client.unwrap()
        return wrap.connection(index)

    def serves_plainly(self, wrap):
        """In the client role; the connection goes on."""
        client = peers.tcp(wrap.endpoint)
        self.addCleanup(client.close)
        self.exchange(client)
        return client

    def refuses_plainly(self, wrap):
        """The line of a connection that came to nothing."""
        index = len(wrap.connections())
        # The reset may be there before connect() has returned.
        with contextlib.suppress(ConnectionResetError):
            client = peers.tcp(wrap.endpoint)
            self.addCleanup(client.close)
            self.assertEqual(peers.how_it_ends(client), ("reset", b""))
        return wrap.connection(index)

    def refuses_client(self, wrap, context):
        index = len(wrap.connections())
        with self.assertRaises((ssl.SSLError, OSError)):
            with peers.tls(context, wrap.endpoint) as client:
                self.exchange(client)
        return wrap.connection(index)

    def reload(self, wrap, level="info"):
        before = len(wrap.records("reload"))
        wrap.send_signal(signal.SIGHUP)
        line = wrap.wait_for_event("reload", before + 1)[before]
        self.assertEqual(line["level"], level, line)
        return line

    def shown(self, wrap, name):
        with peers.tls(peers.accepts_anything(), wrap.endpoint, name) as client:
            der = client.tls.getpeercert(binary_form=True)
            client.unwrap()
        return hashlib.sha256(der).hexdigest()


class Several(CertificateCase):
    def setUp(self):
        super().setUp()
        self.one = certificates()
        self.two = certificates("DNS:two.test,DNS:*.two.test")

    def test_each_name_has_its_certificate_and_the_first_is_for_all_others(self):
        for loop in LOOPS:
            wrap = self.wrap("--loop", loop, *self.one.server_flags, *self.two.server_flags)
            for name, chain in (("localhost", self.one.chain), ("two.test", self.two.chain),
                                ("WWW.Two.test", self.two.chain), ("three.test", self.one.chain)):
                self.assertEqual(self.shown(wrap, name), fingerprint(chain), name)

    def test_a_client_is_shown_the_kind_of_key_that_it_can_verify(self):
        folder = scratch_folder()
        both = []
        for kind, words in (("rsa", ("rsa:2048",)), ("ec", ("ec", "-pkeyopt",
                                                            "ec_paramgen_curve:P-256"))):
            chain, key = str(folder / f"{kind}.pem"), str(folder / f"{kind}.key")
            peers.openssl("req", "-x509", "-newkey", *words, "-nodes", "-days", "2", "-subj",
                          "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout",
                          key, "-out", chain)
            both.append((chain, key))
        wrap = self.wrap(*(word for chain, key in both
                           for word in ("--cert", chain, "--key", key)))
        host, port = wrap.endpoint
        for algorithms, chain in (("RSA-PSS+SHA256", both[0][0]), ("ECDSA+SHA256", both[1][0])):
            for version in ("-tls1_2", "-tls1_3"):
                said = subprocess.run(
                    ["openssl", "s_client", "-connect", f"{host}:{port}", "-sigalgs", algorithms,
                     version], stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
                    check=True).stdout.decode()
                begin = said.index("-----BEGIN CERTIFICATE-----")
                der = ssl.PEM_cert_to_DER_cert(said[begin:said.index("-----END") + 25] + "\n")
                self.assertEqual(hashlib.sha256(der).hexdigest(), fingerprint(chain), algorithms)

    def test_a_directory_is_read_again_and_a_broken_file_in_it_changes_nothing(self):
        directory = self.folder / "certs"
        directory.mkdir()
        shutil.copy(self.one.chain, directory / "a.pem")
        shutil.copy(self.one.key, directory / "a.key")
        wrap = self.wrap("--cert-dir", str(directory))
        steady = peers.tls(self.one.client_context(), wrap.endpoint)
        self.addCleanup(steady.close)
        self.exchange(steady)
        self.assertEqual(self.shown(wrap, "two.test"), fingerprint(self.one.chain))
        both = Path(self.two.chain).read_bytes() + Path(self.two.key).read_bytes()
        self.copy("certs/b.crt", self.put("both", both))
        line = self.reload(wrap)
        self.assertEqual((line["certificates"], line["sha256"].replace(":", "")),
                         (2, fingerprint(self.one.chain)))
        self.assertEqual(self.shown(wrap, "two.test"), fingerprint(self.two.chain))
        broken = self.put("certs/c.pem", b"nothing\n")
        self.assertIn(broken, self.reload(wrap, "error")["error"])
        self.assertEqual(self.shown(wrap, "two.test"), fingerprint(self.two.chain))
        self.exchange(steady)
        (directory / "c.pem").unlink()
        (directory / "b.crt").unlink()
        self.reload(wrap)
        self.assertEqual(self.shown(wrap, "two.test"), fingerprint(self.one.chain))
        self.exchange(steady)

    def test_what_cannot_be_used_is_named_before_the_start(self):
        missing = str(self.folder / "missing.pem")
        directory = self.folder / "empty"
        directory.mkdir()
        anywhere = ("wrap", "--listen", "127.0.0.1:0", "--to", "127.0.0.1:1", "--check")
        own = self.one.server_flags
        staple = self.put("other.der", ocsp_response(self.two))
        for flags, status, said in (
                ((*own, "--cert", missing, "--key", self.two.key), 66, missing),
                ((*own, "--cert", self.two.chain), 64, "--key: 1 for 2 of --cert"),
                (("--cert-dir", missing), 66, missing),
                (("--cert-dir", str(directory)), 65, f"{directory}: holds no certificate"),
                ((*own, "--ocsp", missing), 66, missing),
                ((*own, "--ocsp", self.one.ca), 65, "not an OCSP response"),
                ((*own, "--ocsp", staple), 65, "for none of the certificates"),
                ((*own, "--client-ca", self.one.ca, "--client-crl", missing), 66, missing),
                ((*own, "--client-ca", self.one.ca, "--client-crl", self.one.ca), 65,
                 "holds no PEM revocation list"),
                (("--client", "--crl", missing), 64, "--crl needs --ca"),
                (("--client", "--pin", "sha256//x"), 64, "--pin"),
                (("--client", "--cert", missing), 66, missing)):
            with self.subTest(flags):
                ended, _, error = run(*anywhere, *flags)
                self.assertEqual((ended, len(error.splitlines())), (status, 1), error)
                self.assertIn(said, error)


class Staples(CertificateCase):
    def test_a_response_beside_the_certificate_is_sent_and_renewed(self):
        own = certificates(copy=3)
        chain, key = self.copy("chain.pem", own.chain), self.copy("key.pem", own.key)
        wrap = self.wrap("--cert", chain, "--key", key)
        self.assertEqual(staple_seen(wrap.endpoint, own), "none sent")
        self.put("chain.pem.ocsp", ocsp_response(own))
        self.reload(wrap)
        self.assertEqual(staple_seen(wrap.endpoint, own), "good")
        self.put("chain.pem.ocsp", b"nothing\n")
        self.assertIn(chain + ".ocsp", self.reload(wrap, "error")["error"])
        self.assertEqual(staple_seen(wrap.endpoint, own), "good")
        self.put("chain.pem.ocsp", ocsp_response(own, revoked=True))
        self.assertIn("revoked, not sent", self.reload(wrap, "warning")["detail"])
        self.assertEqual(staple_seen(wrap.endpoint, own), "none sent")

    def test_one_that_is_named_is_sent_with_the_certificate_that_it_is_for(self):
        one, two = certificates(copy=3), certificates("DNS:two.test")
        wrap = self.wrap(*one.server_flags, *two.server_flags, "--ocsp",
                         self.put("two.der", ocsp_response(two)))
        self.assertEqual(staple_seen(wrap.endpoint, two, "two.test"), "good")
        self.assertEqual(staple_seen(wrap.endpoint, one), "none sent")

    def test_a_renewed_certificate_does_not_wait_for_the_response_that_is_named(self):
        old, new = certificates(copy=3), certificates(copy=4)
        chain, key = self.copy("chain.pem", old.chain), self.copy("key.pem", old.key)
        wrap = self.wrap("--cert", chain, "--key", key, "--ocsp",
                         staple := self.put("named.der", ocsp_response(old)))
        self.assertEqual(staple_seen(wrap.endpoint, old), "good")
        self.copy("chain.pem", new.chain)
        self.copy("key.pem", new.key)
        self.assertIn(f"{staple}: the OCSP response is for none of the certificates, not sent",
                      self.reload(wrap, "warning")["detail"])
        self.assertEqual(staple_seen(wrap.endpoint, new), "none sent")
        self.put("named.der", ocsp_response(new))
        self.reload(wrap)
        self.assertEqual(staple_seen(wrap.endpoint, new), "good")


class Clients(CertificateCase):
    def setUp(self):
        super().setUp()
        self.own, self.client = certificates(), certificates(copy=4)
        self.context = client_context(self.own, self.client)

    def test_the_subject_of_the_client_is_in_the_line_of_its_connection(self):
        wrap = self.wrap(*self.own.server_flags, "--client-ca", self.client.ca, "--client-auth",
                         "optional")
        self.assertEqual(self.serves_over_tls(wrap, self.context)["client"], "CN=localhost")
        self.assertNotIn("client", self.serves_over_tls(wrap, self.own.client_context()))

    def test_a_client_that_is_revoked_is_refused_after_a_reload_and_not_before(self):
        crl = self.put("list.pem", revocation_list(self.client))
        wrap = self.wrap(*self.own.server_flags, "--client-ca", self.client.ca, "--client-crl", crl)
        steady = peers.tls(self.context, wrap.endpoint)
        self.addCleanup(steady.close)
        self.exchange(steady)
        self.put("list.pem", b"nothing\n")
        self.assertIn(crl, self.reload(wrap, "error")["error"])
        self.serves_over_tls(wrap, self.context)
        self.put("list.pem", revocation_list(self.client, revoked=True))
        self.reload(wrap)
        line = self.refuses_client(wrap, self.context)
        self.assertEqual((line["ended"], line["detail"].split(": ", 1)[0]),
                         ("handshake", "the client's certificate is not accepted"), line)
        self.assertIn("certificate revoked", line["detail"])
        self.exchange(steady)


class ClientRole(CertificateCase):
    def setUp(self):
        super().setUp()
        self.server, self.own = certificates(), certificates(copy=4)
        self.trusting = ("--client", "--name", "localhost", "--ca", self.server.ca)

    def test_it_shows_its_certificate_to_a_server_that_asks(self):
        context = asking_context(self.server, self.own)
        for loop in LOOPS:
            wrap = self.wrap("--loop", loop, *self.trusting, *self.own.server_flags,
                             context=context)
            self.serves_plainly(wrap)
        self.assertRegex(self.refuses_plainly(self.wrap(*self.trusting, context=context))["detail"],
                         "certificate_required|handshake_failure")

    def test_a_renewed_certificate_is_shown_and_a_broken_one_is_not(self):
        context = asking_context(self.server, self.own)
        stranger = certificates(copy=5)
        chain, key = self.copy("own.pem", stranger.chain), self.copy("own.key", stranger.key)
        wrap = self.wrap(*self.trusting, "--cert", chain, "--key", key, context=context)
        self.refuses_plainly(wrap)
        self.copy("own.pem", self.own.chain)
        self.assertIn(key, self.reload(wrap, "error")["error"])
        self.copy("own.key", self.own.key)
        line = self.reload(wrap)
        self.assertEqual((line["ca"], line["cert"]), (self.server.ca, chain))
        steady = self.serves_plainly(wrap)
        self.put("own.pem", b"nothing\n")
        self.assertIn(chain, self.reload(wrap, "error")["error"])
        self.serves_plainly(wrap)
        self.exchange(steady)

    def test_a_pinned_key_is_accepted_and_any_other_refused(self):
        context = self.server.server_context()
        pin = pin_of(self.server.key)
        insecure = ("--client", "--insecure")
        for flags in ((*insecure, "--pin", pin), (*insecure, "--pin", OTHER_PIN, "--pin", pin),
                      (*self.trusting, "--pin", f"{OTHER_PIN};{pin}")):
            self.serves_plainly(self.wrap(*flags, context=context))
        for flags in ((*insecure, "--pin", OTHER_PIN), (*self.trusting, "--pin", OTHER_PIN)):
            line = self.refuses_plainly(self.wrap(*flags, context=context))
            self.assertEqual(line["ended"], "handshake")
            self.assertIn(f"its public key is {pin}, which is not pinned", line["detail"])
        # With the right key, but for another name.
        line = self.refuses_plainly(self.wrap("--client", "--name", "other.test", "--ca",
                                              self.server.ca, "--pin", pin, context=context))
        self.assertIn("mismatch", line["detail"])

    def test_a_server_that_is_revoked_is_refused_after_a_reload(self):
        crl = self.put("list.pem", revocation_list(self.server))
        wrap = self.wrap(*self.trusting, "--crl", crl, context=self.server.server_context())
        steady = self.serves_plainly(wrap)
        self.put("list.pem", b"nothing\n")
        self.assertIn(crl, self.reload(wrap, "error")["error"])
        self.serves_plainly(wrap)
        self.put("list.pem", revocation_list(self.server, revoked=True))
        self.reload(wrap)
        self.assertIn("certificate revoked", self.refuses_plainly(wrap)["detail"])
        self.exchange(steady)


if __name__ == "__main__":
    report.main("cli/certificates")
