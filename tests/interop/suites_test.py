#!/usr/bin/env python3
"""Every AEAD suite of the openssl program, pre-shared keys with OpenSSL and GnuTLS, and groups."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
from dataclasses import dataclass
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import report  # noqa: E402
import wrap_peers  # noqa: E402
from certificates import Authority  # noqa: E402
from peers import Reservation  # noqa: E402
from watched import PATIENCE_S, wait_until  # noqa: E402
from watched_wrap import Wrap  # noqa: E402

IDENTITY, KEY = "device 7", "00112233445566778899aabbccddeeff"
OTHER_IDENTITY, OTHER_KEY = "device 8", "8899aabbccddeeff0011223344556677"
TLS_1_3 = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256",
           "TLS_AES_128_CCM_SHA256", "TLS_AES_128_CCM_8_SHA256")
# One for each way of agreeing on a key, and each cipher, of TLS 1.2.
OF_EACH_KIND = ("AES128-GCM-SHA256", "DHE-RSA-AES256-CCM", "ECDHE-ARIA256-GCM-SHA384",
                "PSK-AES128-CCM8", "DHE-PSK-ARIA128-GCM-SHA256", "RSA-PSK-AES256-GCM-SHA384",
                "ECDHE-PSK-CHACHA20-POLY1305", "DHE-RSA-AES128-CCM", "AES256-CCM8")
# What Linux has no number for.
NOT_IN_ANY_KERNEL = ("AESCCM8(128)", "AESCCM8(256)", "AESCCM(256)")


@dataclass(frozen=True)
class Suite:
    name: str  # OpenSSL's
    standard_name: str
    version: str
    exchange: str
    authentication: str
    cipher: str


def suites_of_openssl():
    """Those with an AEAD and a peer that is known: DSS certificates are left to the unit tests."""
    listed = subprocess.run(
        ["openssl", "ciphers", "-stdname", "-v", "-ciphersuites", ":".join(TLS_1_3),
         "ALL:COMPLEMENTOFALL:@SECLEVEL=0"], capture_output=True, text=True, check=True,
        timeout=PATIENCE_S).stdout
    rows = re.findall(r"^(\S+) +- (\S+) +(\S+) +Kx=(\S+) +Au=(\S+) +Enc=(\S+) +Mac=AEAD", listed,
                      re.MULTILINE)
    suites = [Suite(name, standard, *rest) for standard, name, *rest in rows]
    return [suite for suite in suites if suite.authentication not in ("None", "DSS")]


def answer(sock):
    """A line, and the end."""
    line = bytearray()
    while not line.endswith(b"\n"):
        data = sock.recv(1 << 16)
        if not data:
            return
        line += data
    sock.sendall(b"heard " + line)


class SuiteCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.authority = Authority(cls.folder)
        cls.psk = cls.folder / "psk.txt"
        cls.write_keys(IDENTITY, KEY)
        cls.suites = suites_of_openssl()

    @classmethod
    def write_keys(cls, *words):
        """As whoever replaces a file does, so that no half of it is ever read."""
        fresh = cls.folder / "psk.new"
        fresh.write_text(":".join(words) + "\n")
        fresh.chmod(0o600)
        os.replace(fresh, cls.psk)

    def server(self, *flags):
        """wrap before a service that answers one line."""
        backend = wrap_peers.Backend(answer)
        self.addCleanup(backend.close)
        wrap = Wrap(*map(str, flags), to=backend.address)
        self.addCleanup(wrap.kill)
        return wrap

    def credentials(self, kind):
        leaf = self.authority.leaf[kind]
        return ("--cert", leaf.certificate, "--key", leaf.key)

    def run_client(self, *words):
        """What a client that says one line prints until the server ends the connection."""
        with tempfile.TemporaryFile() as output:
            client = subprocess.Popen(list(map(str, words)), stdin=subprocess.PIPE, stdout=output,
                                      stderr=subprocess.STDOUT)
            with client:
                self.addCleanup(client.kill)
                with contextlib.suppress(BrokenPipeError):  # it has ended: its output says why
                    client.stdin.write(b"hello\n")
                    client.stdin.flush()
                client.wait(PATIENCE_S)
                with contextlib.suppress(BrokenPipeError):
                    client.stdin.close()
            output.seek(0)
            return output.read().decode("latin-1")

    def s_client(self, wrap, *flags):
        return self.run_client("openssl", "s_client", "-connect", "127.0.0.1:%d" % wrap.port,
                               "-CAfile", self.authority.file, "-servername", "localhost",
                               "-ign_eof", *flags)

    def assert_line(self, line, **expected):
        self.assertEqual({key: line.get(key) for key in expected}, expected, line)

    def assert_placed(self, wrap, line, cipher):
        """Userspace has its reason; what Linux has a number for is in the kernel if that has it."""
        ready, = wrap.wait_for_event("ready")
        for direction in ("tx", "rx"):
            where, why = line[direction], line.get(direction + "_reason")
            if cipher in NOT_IN_ANY_KERNEL:
                self.assertEqual((where, why), ("userspace", "cipher_not_in_kernel"), line)
            elif not ready["kernel_tls"]:
                self.assertEqual((where, why), ("userspace", ready["reason"]), line)
            elif where != "kernel":
                may_stay = {"cipher_module_missing"} if cipher.startswith("ARIA") else set()
                if line["version"] == "TLSv1.3" and direction == "rx":
                    may_stay.add("rekey_impossible")
                self.assertIn(why, may_stay, line)


class EverySuite(SuiteCase):
    def test_every_suite_of_s_client_carries_data_to_wrap(self):
        self.assertGreater(len(self.suites), 55)
        of_12 = [suite for suite in self.suites if suite.version == "TLSv1.2"]
        for kind in ("rsa", "ec"):
            served = [suite for suite in of_12
                      if (suite.authentication == "ECDSA") == (kind == "ec")]
            wrap = self.server(*self.credentials(kind), "--psk", self.psk,
                               "--ciphers", ":".join(suite.name for suite in served),
                               "--ciphersuites", ",".join(TLS_1_3))
            if kind == "rsa":
                served += [suite for suite in self.suites if suite.version == "TLSv1.3"]
            for index, suite in enumerate(served):
                with self.subTest(suite=suite.name):
                    self.visit(wrap, index, suite)

    def visit(self, wrap, index, suite):
        is_13 = suite.version == "TLSv1.3"
        flags = (("-tls1_3", "-ciphersuites", suite.name, "-cipher", "DEFAULT:@SECLEVEL=0")
                 if is_13 else ("-tls1_2", "-cipher", suite.name + ":@SECLEVEL=0"))
        uses_psk = "PSK" in suite.exchange
        if uses_psk:
            flags += ("-psk", KEY, "-psk_identity", IDENTITY)
        said = self.s_client(wrap, *flags)
        self.assertIn("heard hello", said)
        self.assertIn("Cipher is " + suite.name, said)
        line = wrap.connection(index)
        self.assert_line(line, version=suite.version, suite=suite.standard_name, ended="clean",
                         psk=IDENTITY if uses_psk else None, resumed=False)
        self.assert_placed(wrap, line, suite.cipher)

    def test_suites_of_each_kind_carry_data_from_wrap_to_s_server(self):
        leaf = self.authority.leaf["rsa"]
        chosen = [suite for suite in self.suites
                  if suite.name in OF_EACH_KIND or suite.version == "TLSv1.3"]
        self.assertEqual(len(chosen), len(OF_EACH_KIND) + len(TLS_1_3))
        with Reservation() as port:
            log = self.folder / "s_server.log"
            with open(log, "wb") as output, subprocess.Popen(
                    ["openssl", "s_server", "-accept", f"127.0.0.1:{port.port}", "-cert",
                     leaf.certificate, "-key", leaf.key, "-psk", KEY, "-psk_identity", IDENTITY,
                     "-cipher", "ALL:COMPLEMENTOFALL:@SECLEVEL=0", "-ciphersuites",
                     ":".join(TLS_1_3), "-dhparam", self.dh_parameters(), "-rev"],
                    stdin=subprocess.DEVNULL, stdout=output, stderr=output) as server:
                self.addCleanup(server.kill)
                wait_until(lambda: b"ACCEPT" in log.read_bytes(), "s_server listens")
                for suite in chosen:
                    with self.subTest(suite=suite.name):
                        self.call(port.port, suite)
                server.kill()

    def dh_parameters(self):
        """At its security level of 0 s_server would choose 1024 bits, which wrap refuses."""
        file = self.folder / "dh.pem"
        subprocess.run(["openssl", "genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt",
                        "group:ffdhe2048", "-out", file], check=True, timeout=PATIENCE_S)
        return file

    def call(self, port, suite):
        uses_psk = "PSK" in suite.exchange
        flag = "--ciphersuites" if suite.version == "TLSv1.3" else "--ciphers"
        version = suite.version.replace("TLSv", "")
        flags = ("--psk", str(self.psk)) if uses_psk else ()
        with Wrap("--client", "--ca", str(self.authority.file), "--name", "localhost", *flags,
                  flag, suite.name, "--min-version", version, "--max-version", version,
                  to=f"127.0.0.1:{port}") as wrap:
            with wrap_peers.tcp(wrap.endpoint) as client:
                client.sendall(b"drawer\n")
                self.assertEqual(wrap_peers.receive_exactly(client, 7), b"reward\n")
            line = wrap.connection()
            shows_name = suite.exchange in ("RSAPSK",) or not uses_psk
            self.assert_line(line, version=suite.version, suite=suite.standard_name,
                             psk=IDENTITY if uses_psk else None,
                             name="localhost" if shows_name else "-")
            self.assert_placed(wrap, line, suite.cipher)


class PreSharedKeys(SuiteCase):
    def test_an_external_psk_of_s_client_is_taken_in_tls_1_3_with_and_without_a_certificate(self):
        for credentials in ((), self.credentials("ec")):
            wrap = self.server(*credentials, "--psk", self.psk)
            # It prefers SHA-384, and the key is for SHA-256.
            said = self.s_client(wrap, "-tls1_3", "-psk", KEY, "-psk_identity", IDENTITY)
            self.assertIn("heard hello", said)
            self.assert_line(wrap.connection(0), version="TLSv1.3", psk=IDENTITY, resumed=False,
                             suite="TLS_AES_128_GCM_SHA256")

    def test_who_has_no_key_is_refused_where_there_is_no_certificate(self):
        wrap = self.server("--psk", self.psk)
        for index, version in enumerate(("-tls1_2", "-tls1_3")):
            self.assertNotIn("heard hello", self.s_client(wrap, version))
            self.assert_line(wrap.connection(index), ended="handshake")

    def test_a_reload_takes_other_keys_and_a_broken_file_changes_nothing(self):
        wrap = self.server("--psk", self.psk)
        self.addCleanup(self.write_keys, IDENTITY, KEY)
        theirs = ("-psk", OTHER_KEY, "-psk_identity", OTHER_IDENTITY)
        self.assertNotIn("heard hello", self.s_client(wrap, *theirs))
        self.write_keys("broken")
        wrap.send_signal(signal.SIGHUP)
        refused, = wrap.wait_for_event("reload")
        self.assertIn(f"{self.psk}:1: ", refused["error"])
        self.assertIn("heard hello", self.s_client(wrap, "-psk", KEY, "-psk_identity", IDENTITY))
        self.write_keys(OTHER_IDENTITY, OTHER_KEY)
        wrap.send_signal(signal.SIGHUP)
        reloaded = wrap.wait_for_event("reload", 2)[1]
        self.assertEqual(reloaded.get("psk"), str(self.psk))
        self.assertIn("heard hello", self.s_client(wrap, *theirs))
        self.assertNotIn("heard hello",
                         self.s_client(wrap, "-psk", KEY, "-psk_identity", IDENTITY))
        self.assertNotIn(KEY, wrap.text())

    def test_gnutls_cli_is_known_by_its_key(self):
        wrap = self.server("--psk", self.psk, "--ciphers", "PSK-AES128-CCM8,PSK-AES256-GCM-SHA384")
        for index, (priority, version, suite) in enumerate((
                ("NORMAL:-VERS-ALL:+VERS-TLS1.3", "TLSv1.3", None),
                ("NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+PSK:-CIPHER-ALL:+AES-128-CCM-8",
                 "TLSv1.2", "TLS_PSK_WITH_AES_128_CCM_8"),
                ("NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+PSK", "TLSv1.2",
                 "TLS_PSK_WITH_AES_256_GCM_SHA384"))):
            with self.subTest(priority=priority):
                priority += ":+ECDHE-PSK:+DHE-PSK:+PSK" if version == "TLSv1.3" else ""
                said = self.run_client("gnutls-cli", "--pskusername", IDENTITY, "--pskkey", KEY,
                                       "--priority", priority, "--port", wrap.port, "localhost")
                self.assertIn("heard hello", said)
                line = wrap.connection(index)
                self.assert_line(line, version=version, psk=IDENTITY)
                if suite:
                    self.assert_line(line, suite=suite)


class Groups(SuiteCase):
    def test_both_sides_agree_on_a_group_that_is_named(self):
        wrap = self.server(*self.credentials("rsa"), "--groups", "P-521,ffdhe2048")
        for index, group in enumerate(("P-521", "ffdhe2048")):
            self.assertIn("heard hello", self.s_client(wrap, "-tls1_3", "-groups", group))
            self.assertEqual(wrap.connection(index)["ended"], "clean")
        self.assertNotIn("heard hello", self.s_client(wrap, "-tls1_3", "-groups", "X25519"))

    def test_the_oldest_version_can_be_named(self):
        wrap = self.server(*self.credentials("ec"), "--min-version", "1.3")
        self.assertNotIn("heard hello", self.s_client(wrap, "-tls1_2"))
        self.assert_line(wrap.connection(0), ended="handshake")
        self.assertIn("heard hello", self.s_client(wrap, "-tls1_3"))


if __name__ == "__main__":
    report.main("suites")
