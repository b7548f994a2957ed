#!/usr/bin/env python3
"""What is wrong at the start of `serve` gets one clear line and its documented exit status."""

import os
import socket
import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import report  # noqa: E402
import watched  # noqa: E402
from error_case import (BAD_CERTIFICATE, CANNOT_CREATE, NO_HOST, NO_INPUT,  # noqa: E402
                        OS_ERROR, UNAVAILABLE, USAGE, ErrorCase)
from shared_certificates import certificates  # noqa: E402

ANYWHERE = ("--listen", "127.0.0.1:0")


class ServeErrorCase(ErrorCase):
    subcommand = "serve"

    def setUp(self):
        super().setUp()
        self.root = self.folder / "site"
        self.root.mkdir()

    def assert_refused(self, said, status, *arguments):
        self.assert_one_line(said, said, status, str(self.root), *arguments)

    def host(self, name="a.example", folder=None, chain=None, key=None):
        credentials = certificates()
        return (f"{name}={folder or self.root},{chain or credentials.chain},"
                f"{key or credentials.key}")


class Usage(ServeErrorCase):
    def test_missing_words_are_named(self):
        self.assert_one_line("the directory", "DIR", USAGE, *ANYWHERE)
        self.assert_refused("--listen", USAGE)

    def test_malformed_values_are_named_with_their_flag(self):
        for arguments, said in (
                (("--threads", "0"), "--threads"), (("--max-head", "10"), "--max-head"),
                (("--max-head", "1000000"), "--max-head"),
                (("--max-requests", "0"), "--max-requests"),
                (("--max-per-address", "-1"), "--max-per-address"),
                (("--min-rate", "fast"), "--min-rate"), (("--min-rate", "-1"), "--min-rate"),
                (("--request-timeout", "soon"), "'soon' is not a duration"),
                (("--keep-alive", "0"), "--keep-alive"),
                (("--send-timeout", "0"), "--send-timeout"),
                (("--symlinks", "always"), "--symlinks"), (("--hsts", "long"), "--hsts"),
                (("--hsts", "-1"), "--hsts"),
                (("--header", "no colon"), "--header"), (("--header", "A B: x"), "--header"),
                (("--header", "X: a\nb"), "--header"),
                (("--header", "Content-Length: 3"), "--header"),
                (("--cache", "no equals"), "--cache"), (("--type", "x"), "--type"),
                (("--type", "x=nonsense"), "--type"),
                (("--access-log-format", "xml"), "--access-log-format"),
                (("--offload", "maybe"), "--offload"), (("--http", "here"), "there is no port"),
                (("--quiet", "--verbose"), "--quiet"), (("--to", "127.0.0.1:9"), "--to"),
                (("another",), "another")):
            with self.subTest(arguments=arguments):
                self.assert_refused(said, USAGE, *ANYWHERE, *arguments)

    def test_a_malformed_host_is_named(self):
        for text in ("a.example", "a.example=", "a.example=x", "a.example=x,y", "=x,y,z",
                     "a.example=,y,z", "a.example=x,,z", "a.example=x,y,z,w", "a b=x,y,z",
                     "*.*.example=x,y,z", "127.0.0.1=x,y,z", "a..example=x,y,z"):
            with self.subTest(text):
                self.assert_refused("--host", USAGE, *ANYWHERE, "--host", text)

    def test_a_host_that_is_there_twice_is_named(self):
        self.assert_refused("given twice", USAGE, *ANYWHERE,
                            "--host", self.host(), "--host", self.host("A.EXAMPLE"))

    def test_flags_that_do_not_go_together_are_named(self):
        self.assert_refused("--key needs --cert", USAGE, *ANYWHERE, "--key",
                            certificates().key)
        self.assert_refused("--http needs a --listen with a port", USAGE, "--listen",
                            f"unix:{self.folder / 'front'}", "--http", "127.0.0.1:0")

    def test_help_succeeds(self):
        code, output, errors = watched.run("serve", "--help")
        self.assertEqual((code, errors), (0, ""))
        self.assertIn("Examples:\n", output)


class Files(ServeErrorCase):
    def test_a_directory_that_is_missing_or_none_is_named(self):
        gone, file = str(self.folder / "gone"), self.file("file", b"x")
        for path in (gone, file):
            with self.subTest(path):
                self.assert_one_line("the path", path, NO_INPUT, path, *ANYWHERE)
                self.assert_refused(path, NO_INPUT, *ANYWHERE, "--host", self.host(folder=path))

    @unittest.skipUnless(os.geteuid() == 0, "needs root, to become somebody else")
    def test_a_directory_without_permission_is_named(self):
        inner = self.root / "inner"
        inner.mkdir()
        self.root.chmod(0)
        ended = watched.run("serve", str(inner), *ANYWHERE,
                            **watched.as_nobody(self.folder))
        self.assert_line("the path", f"{inner}: Permission denied", NO_INPUT, *ended)

    def test_certificates_that_cannot_be_used_are_named(self):
        gone, broken = str(self.folder / "gone.pem"), self.file("broken.pem", b"nothing\n")
        other, own = certificates(copy=9), certificates()
        for arguments, said, status in (
                (("--cert", gone), gone, NO_INPUT),
                (("--cert", own.chain, "--key", gone), gone, NO_INPUT),
                (("--cert", broken, "--key", own.key), broken, BAD_CERTIFICATE),
                (("--cert", own.chain, "--key", broken), broken, BAD_CERTIFICATE),
                (("--cert", own.chain), own.chain, BAD_CERTIFICATE),
                (("--cert", own.chain, "--key", other.key), other.key, BAD_CERTIFICATE),
                (("--host", self.host(chain=gone)), gone, NO_INPUT),
                (("--host", self.host(chain=broken)), broken, BAD_CERTIFICATE),
                (("--host", self.host(key=other.key)), other.key, BAD_CERTIFICATE)):
            with self.subTest(arguments=arguments):
                self.assert_refused(said, status, *ANYWHERE, *arguments)

    def test_an_access_log_that_cannot_be_written_is_named(self):
        for path in (str(self.folder / "no" / "such" / "folder"), str(self.folder)):
            with self.subTest(path):
                self.assert_refused(path, CANNOT_CREATE, *ANYWHERE, "--access-log", path)


class Surroundings(ServeErrorCase):
    def test_a_port_of_another_program_is_busy(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            busy = f"127.0.0.1:{server.getsockname()[1]}"
            self.assert_refused(busy, OS_ERROR, "--listen", busy)
            self.assert_refused(busy, OS_ERROR, *ANYWHERE, "--http", busy)

    def test_a_name_that_does_not_resolve_is_named(self):
        self.assert_refused("no-such-host.invalid:80", NO_HOST, "--listen",
                            "no-such-host.invalid:80")

    @unittest.skipIf(os.path.exists("/proc/net/tls_stat"), "this kernel has TLS")
    def test_offload_kernel_without_kernel_tls_is_refused(self):
        self.assert_refused("ulp_unavailable", UNAVAILABLE, *ANYWHERE, "--offload", "kernel")

    def test_check_says_that_all_is_well_and_serves_nothing(self):
        credentials = certificates()
        path = self.folder / "front"
        code, output, errors = watched.run(
            "serve", str(self.root), "--listen", f"unix:{path}", *credentials.server_flags,
            "--host", self.host(), "--check")
        self.assertEqual((code, output), (0, ""), errors)
        self.assertEqual(errors, "ktls-bridge serve: the configuration is good\n")
        self.assertFalse(path.exists(), "--check left its socket file")


if __name__ == "__main__":
    report.main("serve/errors")
