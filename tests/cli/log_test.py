#!/usr/bin/env python3
"""The log of `wrap`, its key log, and what of its memory others can see."""

import hashlib
import json
import os
import re
import shutil
import signal
import ssl
import stat
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import report  # noqa: E402
import watched  # noqa: E402
import wrap_peers as peers  # noqa: E402
from shared_certificates import certificates  # noqa: E402
from watched import wait_until  # noqa: E402
from watched_wrap import Wrap  # noqa: E402

TEXT_LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (debug|info|warning|error) [a-z_]+"
                       r'( [a-z0-9_]+=([^\s"=\\]+|"([ !#-\[\]-~]|\\["\\]|\\x[0-9a-f]{2})*"))*')
# Each would be a line, a field or an end of its own, if it were written as it is.
HOSTILE_NAMES = ("a\nconnection ended=clean", "b\r\nready", 'c" ended="clean', "d\\", "e f=g",
                 "h\x1b[2J", "i\x7f", "j\u00e9")


class LogCase(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.backend = peers.Backend()
        self.addCleanup(self.backend.close)

    def wrap(self, *arguments, **options):
        wrap = Wrap(*certificates().server_flags, *arguments, to=self.backend.address, **options)
        self.addCleanup(wrap.kill)
        return wrap

    def exchange(self, endpoint, version=None):
        with peers.tls(certificates().client_context(version), endpoint) as client:
            client.sendall(b"hello")
            self.assertEqual(peers.receive_exactly(client, 5), b"hello")
            client.unwrap()

    def s_client(self, endpoint, *arguments):
        subprocess.run(["openssl", "s_client", "-connect", f"{endpoint[0]}:{endpoint[1]}",
                        *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                       timeout=watched.PATIENCE_S, check=False)


class Lines(LogCase):
    def test_each_line_of_the_text_log_has_the_documented_form(self):
        wrap = self.wrap("--verbose", log_format="text")
        port = int(re.search(r"address=127\.0\.0\.1:(\d+)", wrap.text()).group(1))
        self.exchange(("127.0.0.1", port))
        for name in HOSTILE_NAMES:
            self.s_client(("127.0.0.1", port), "-servername", name)
        lines = wrap.wait_for_event("connection peer=", 1 + len(HOSTILE_NAMES))
        self.assertEqual(wrap.stop(), 0)
        for line in wrap.lines:
            self.assertRegex(line, f"\\A{TEXT_LINE.pattern}\\Z")
        self.assertEqual(len([line for line in wrap.lines if " info connection " in line]),
                         len(lines))

    def test_each_line_of_the_json_log_is_an_object(self):
        wrap = self.wrap("--verbose")
        self.exchange(wrap.endpoint)
        for name in HOSTILE_NAMES:
            self.s_client(wrap.endpoint, "-servername", name)
        wrap.wait_for_event("connection", 1 + len(HOSTILE_NAMES))
        self.assertEqual(wrap.stop(), 0)
        for line in wrap.lines:
            record = json.loads(line)
            self.assertEqual(list(record)[:3], ["time", "level", "event"])
        self.assertEqual(len(wrap.connections()), 1 + len(HOSTILE_NAMES))

    def test_the_connection_line_says_what_was_agreed_and_moved(self):
        wrap = self.wrap()
        for version, name in ((ssl.TLSVersion.TLSv1_2, "TLSv1.2"),
                              (ssl.TLSVersion.TLSv1_3, "TLSv1.3")):
            self.exchange(wrap.endpoint, version)
        lines = wrap.wait_for_event("connection", 2)
        for line, name in zip(lines, ("TLSv1.2", "TLSv1.3")):
            self.assertEqual((line["version"], line["name"], line["ended"], line["resumed"]),
                             (name, "localhost", "clean", False))
            self.assertEqual((line["received"], line["sent"]), (5, 5))
            self.assertEqual(line["to"], self.backend.address)
            self.assertRegex(line["peer"], r"\A127\.0\.0\.1:\d+\Z")
            self.assertLess(0, line["duration"])
            for direction in ("tx", "rx"):
                placed = line[direction] == "kernel"
                self.assertEqual(f"{direction}_reason" in line, not placed)

    def test_offload_never_says_so(self):
        wrap = self.wrap("--offload", "never")
        self.exchange(wrap.endpoint)
        line = wrap.connection()
        self.assertEqual((line["tx"], line["tx_reason"], line["rx"], line["rx_reason"]),
                         ("userspace", "policy_never") * 2)

    def free_port(self):
        listener = peers.bound_listener()
        with listener:
            return listener.getsockname()[1]

    def test_quiet_logs_warnings_only(self):
        port = self.free_port()
        wrap = self.wrap("--quiet", listen=f"127.0.0.1:{port}", ready=False)
        wait_until(lambda: self.reachable(port), "the listener")
        self.exchange(("127.0.0.1", port))
        self.assertEqual(wrap.stop(), 0)
        self.assertEqual(wrap.lines, [])

    @staticmethod
    def reachable(port):
        try:
            peers.tcp(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            return False
        return True

    def test_verbose_logs_the_steps(self):
        wrap = self.wrap("--verbose")
        self.exchange(wrap.endpoint)
        wrap.wait_for_event("connection")
        self.assertLessEqual({"accepted", "adopted", "connection"},
                             {record["event"] for record in wrap.records()})

    def test_a_self_signed_certificate_is_named_by_its_fingerprint(self):
        wrap = Wrap(to=self.backend.address)
        self.addCleanup(wrap.kill)
        told = wrap.wait_for_event("self_signed")[0]["sha256"].replace(":", "").lower()
        with peers.tls(peers.accepts_anything(), wrap.endpoint) as client:
            certificate = client.tls.getpeercert(binary_form=True)
        self.assertEqual(told, hashlib.sha256(certificate).hexdigest())

    def test_a_log_that_nobody_reads_ends_nothing(self):
        port = self.free_port()
        reading, writing = os.pipe()
        process = subprocess.Popen(
            [watched.BINARY, "wrap", "--verbose", "--listen", f"127.0.0.1:{port}",
             "--to", self.backend.address, *certificates().server_flags], stderr=writing)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        os.close(writing)
        wait_until(lambda: self.reachable(port), "the listener")
        os.close(reading)  # each line from now on is an EPIPE
        for _ in range(3):
            self.exchange(("127.0.0.1", port))
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(watched.PATIENCE_S), 0)


class KeyLog(LogCase):
    def test_the_key_log_is_for_its_owner_alone(self):
        path = self.folder / "keys"
        before = os.umask(0)
        self.addCleanup(os.umask, before)
        wrap = self.wrap("--keylog", str(path))
        self.exchange(wrap.endpoint, ssl.TLSVersion.TLSv1_3)
        self.exchange(wrap.endpoint, ssl.TLSVersion.TLSv1_2)
        wrap.wait_for_event("connection", 2)
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        lines = path.read_text(encoding="ascii").splitlines()
        for line in lines:
            self.assertRegex(line, r"\A[A-Z0-9_]+ [0-9a-f]{64} [0-9a-f]{64,96}\Z")
        labels = [line.split()[0] for line in lines]
        for label in ("CLIENT_RANDOM", "CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0"):
            self.assertEqual(labels.count(label), 1, labels)
        self.assertEqual(len(wrap.records("keylog")), 1, "the warning at the start")

    def test_a_full_disk_is_logged_once_and_ends_nothing(self):
        wrap = self.wrap("--keylog", "/dev/full")
        for _ in range(3):
            self.exchange(wrap.endpoint)
        lines = wrap.wait_for_event("connection", 3)
        self.assertEqual([line["ended"] for line in lines], ["clean"] * 3)
        failures = [record for record in wrap.records("keylog") if record["level"] == "error"]
        self.assertEqual(len(failures), 1)
        self.assertIn("No space left", failures[0]["error"])


class Memory(LogCase):
    @unittest.skipUnless(os.geteuid() == 0, "needs root, to become somebody else")
    def test_processes_of_the_same_user_cannot_read_its_memory(self):
        who = watched.as_nobody(self.folder)
        binary = who.pop("binary")
        with Wrap(to=self.backend.address, binary=binary, **who) as wrap, \
                subprocess.Popen(["sleep", "60"], **who) as other:
            self.addCleanup(other.kill)
            for name in ("mem", "environ", "maps"):
                self.assertEqual(os.stat(f"/proc/{other.pid}/{name}").st_uid, watched.NOBODY,
                                 "control")
                self.assertEqual(os.stat(f"/proc/{wrap.pid}/{name}").st_uid, 0)
                reading = subprocess.run(["cat", f"/proc/{wrap.pid}/{name}"], **who, check=False,
                                         capture_output=True)
                self.assertIn(b"Permission denied", reading.stderr)
            other.kill()

    def test_it_does_not_dump_core(self):
        wrap = self.wrap()
        limits = Path(f"/proc/{wrap.pid}/limits").read_text(encoding="ascii")
        self.assertRegex(limits, r"Max core file size\s+0\s+0\s")
        wrap.send_signal(signal.SIGABRT)
        self.assertEqual(wrap.wait(), -signal.SIGABRT)


if __name__ == "__main__":
    report.main("cli/log")
