#!/usr/bin/env python3
"""Programs of UCSPI and inetd, as they are, behind `wrap --exec` and `wrap --fd`: curl and openssl
are served, and where the kernel encrypts, the program's own sendfile is what moves the file."""

import os
import re
import shutil
import subprocess
import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import report  # noqa: E402
from call_trace import STRACE, TRANSFERS, calls  # noqa: E402
from exec_case import REQUIRES_KTLS  # noqa: E402
from fd_case import FdCase  # noqa: E402
from shared_certificates import certificates  # noqa: E402

NEEDED = ("busybox", "curl", "inetd", "openssl", "strace", "systemd-socket-activate")
PATIENCE_S = 120  # in a guest, under strace
SIZE = 3 << 20
COPIED_MAX = 16 << 10
# httpd shuts its sending down by itself: where it has the TLS socket nothing can follow that, not
# even close_notify, and openssl, which knows nothing of Content-Length, complains.
HTTPD_ENDS = "truncated" if REQUIRES_KTLS else "clean"
OPENSSL_ENDS = 1 if REQUIRES_KTLS else 0
# Answers curl and people alike: what it heard, to the first empty line. There is no length, so
# that only an orderly end says that it was all.
SHELL_ECHO = r"""
printf 'HTTP/1.0 200 OK\r\n\r\n'
while read -r line && [ "${line%?}" ]; do printf 'heard %s\n' "$line"; done
"""


class ProgramCase(FdCase):
    @classmethod
    def setUpClass(cls):
        missing = [name for name in NEEDED if not shutil.which(name)]
        if missing:
            raise unittest.SkipTest(f"not installed: {', '.join(missing)}")

    def setUp(self):
        super().setUp()
        self.site = self.folder / "site"
        self.site.mkdir()
        self.content = os.urandom(SIZE)
        (self.site / "file").write_bytes(self.content)
        (self.site / "short").write_bytes(b"in short\n")
        self.httpd = ("busybox", "httpd", "-i", "-h", str(self.site))

    def curl(self, port, name):
        ran = subprocess.run(["curl", "--silent", "--show-error", "--cacert", certificates().ca,
                              "--max-time", str(PATIENCE_S), f"https://localhost:{port}/{name}"],
                             stdin=subprocess.DEVNULL, capture_output=True, check=False)
        self.assertEqual((ran.returncode, ran.stderr), (0, b""))
        return ran.stdout

    def openssl(self, port, text):
        """(exit status, what it received)"""
        ran = subprocess.run(["openssl", "s_client", "-quiet", "-connect", f"localhost:{port}",
                              "-CAfile", certificates().ca, "-verify_return_error"],
                             input=text, capture_output=True, check=False, timeout=PATIENCE_S)
        return ran.returncode, ran.stdout

    def assert_serves_files(self, port):
        self.assertEqual(self.curl(port, "file"), self.content)
        status, text = self.openssl(port, b"GET /short HTTP/1.0\r\n\r\n")
        self.assertRegex(text, rb"(?s)\AHTTP/1\.[01] 200 OK\r\n.*\r\n\r\nin short\n\Z")
        self.assertEqual(status, OPENSSL_ENDS)

    def assert_echoes_lines(self, port):
        self.assertIn(b"heard GET /some/path HTTP/1.1\r\n", self.curl(port, "some/path"))
        self.assertEqual(self.openssl(port, b"one\r\ntwo\r\n\r\n"),
                         (0, b"HTTP/1.0 200 OK\r\n\r\nheard one\r\nheard two\r\n"))

    def assert_handed_out(self, wrap, count, how, ended="clean"):
        for line in wrap.wait_for_event("connection", count, PATIENCE_S):
            self.assertEqual((line["handed_out"], line["ended"], line["exit"]),
                             (how if REQUIRES_KTLS else "relay", ended, 0), line)


class Programs(ProgramCase):
    def test_busybox_httpd_serves_files(self):
        wrap = self.wrap(*self.httpd)
        self.assert_serves_files(wrap.port)
        self.assert_handed_out(wrap, 2, "guarded", HTTPD_ENDS)

    def test_a_shell_echoes(self):
        for read in ("guarded", "direct"):
            with self.subTest(read=read):
                wrap = self.wrap("sh", "-c", SHELL_ECHO, flags=("--read", read))
                self.assert_echoes_lines(wrap.port)
                self.assert_handed_out(wrap, 2, read)

    def test_openbsd_inetd_starts_httpd_behind_tls(self):
        self.assert_serves_files(self.start_inetd(*self.httpd))

    def test_systemd_socket_activate_starts_httpd_behind_tls(self):
        self.assert_serves_files(self.start_activator("--inetd", fd=0, program=self.httpd))

    def test_a_program_that_systemd_passes_descriptor_3_speaks_tls(self):
        port = self.start_activator(fd=3, program=("sh", "-c", f"exec <&3 >&3; {SHELL_ECHO}"))
        self.assert_echoes_lines(port)


@unittest.skipUnless(REQUIRES_KTLS, "only a kernel with TLS moves a file by itself")
class WhoMovesTheFile(ProgramCase):
    """strace shows it."""

    def test_the_program_s_own_sendfile_does_and_the_bridge_copies_next_to_nothing(self):
        trace = self.folder / "strace"
        wrap = self.wrap(*self.httpd, before=(*STRACE, str(trace)), threads=1, patience=PATIENCE_S)
        self.assertEqual(self.curl(wrap.port, "file"), self.content)
        line = wrap.connection(patience=PATIENCE_S)
        wrap.stop(patience=PATIENCE_S)

        traced = list(calls(trace))
        sent = sum(call.result for call in traced if call.thread == line["program"]
                   and call.name == "sendfile" and call.descriptor == 1)
        self.assertEqual(sent, SIZE)
        ours = [call for call in traced if call.thread != line["program"]]
        last_key = max(index for index, call in enumerate(ours)
                       if re.match(r"\d+, SOL_TLS, (1|2|TLS_TX|TLS_RX),", call.arguments))
        after = ours[last_key + 1:]
        copied = sum(call.result for call in after if call.name in TRANSFERS)
        spliced = sum(call.result for call in after if call.name == "splice")
        print(f"the program sent {sent} bytes by sendfile; "
              f"the bridge copied {copied}, spliced {spliced}")
        self.assertTrue(after)
        self.assertLess(copied, COPIED_MAX)
        self.assertLess(spliced, COPIED_MAX)  # the request, twice: into a pipe and out of it


if __name__ == "__main__":
    report.main("handover/programs")
