#!/usr/bin/env python3
"""What is wrong at the start of `wrap` gets one clear line and its documented exit status."""

import fcntl
import os
import pty
import socket
import sys
import termios
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
SUPPORT = Path(__file__).resolve().parents[1] / "support"
sys.path.insert(0, str(SUPPORT))

import report  # noqa: E402
import watched  # noqa: E402
import wrap_peers as peers  # noqa: E402
from error_case import (BAD_CERTIFICATE, CANNOT_CREATE, NO_HOST, NO_INPUT,  # noqa: E402
                        OS_ERROR, UNAVAILABLE, USAGE, ErrorCase)
from shared_certificates import certificates  # noqa: E402
from watched_wrap import Wrap  # noqa: E402

ANYWHERE = ("--listen", "127.0.0.1:0", "--to", "127.0.0.1:9")
REFUSE_IO_URING = (str(SUPPORT / "refuse_io_uring.py"),)


class Usage(ErrorCase):
    def test_malformed_addresses_are_named_and_explained(self):
        for address, why in (
                ("8080", "there is no port"), ("", "there is no port"),
                ("localhost", "there is no port"), ("127.0.0.1:", "the port is not a number"),
                (":99999", "the port is not a number"), ("a:b", "the port is not a number"),
                ("127.0.0.1:-1", "the port is not a number"),
                ("127.0.0.1:+1", "the port is not a number"),
                ("127.0.0.1:80 ", "the port is not a number"),
                ("127.0.0.1:0x50", "the port is not a number"),
                ("[::1", "'[' without ']'"), ("[::1]80", "there is no port"),
                ("[::1]", "there is no port"), ("[::1]:", "the port is not a number"),
                ("[localhost]:80", "not an IPv6 address"), ("[]:80", "not an IPv6 address"),
                ("::1:80", "needs brackets"), ("fe80::1", "needs brackets"),
                ("unix:", "the path is empty"), ("unix:/" + "x" * 107, "longer than 107"),
                ("a\nb:80", "the host"), ("two words:80", "the host")):
            for arguments in (("--listen", address, "--to", "127.0.0.1:9"),
                              ("--listen", "127.0.0.1:0", "--to", address)):
                with self.subTest(arguments=arguments):
                    self.assert_one_line("the reason", why, USAGE, *arguments)

    def test_a_malformed_address_is_shown_as_it_was_written(self):
        self.assert_one_line("brackets", "'[::1]'", USAGE,
                             "--listen", "[::1]", "--to", "127.0.0.1:9")

    def test_missing_flags_are_named(self):
        self.assert_one_line("a flag", "--listen", USAGE)
        self.assert_one_line("a flag", "--to", USAGE, "--listen", "127.0.0.1:0")
        self.assert_one_line("a flag", "--exec", USAGE, "--listen", "127.0.0.1:0")
        self.assert_one_line("a flag", "--listen", USAGE, "--to", "127.0.0.1:9")
        self.assert_one_line("a flag", "--listen", USAGE, "--exec", "--", "true")
        code, output, errors = watched.run()
        self.assert_line("a hint", "--help", USAGE, code, output, errors)

    def test_flags_that_do_not_go_together_are_named(self):
        for arguments, said in (
                (("--client", "--cert-dir", "x"), "--client"),
                (("--client", "--ocsp", "x"), "--client"),
                (("--client", "--ticket-keys", "x"), "--client"),
                (("--client", "--tickets", "2"), "--client"),
                (("--ticket-keys", "x", "--tickets", "0"), "exclude"),
                (("--client", "--insecure", "--ca", "x"), "exclude"),
                (("--ca", "x"), "need --client"), (("--name", "x"), "need --client"),
                (("--insecure",), "need --client"), (("--key", "x"), "--key needs --cert"),
                (("--quiet", "--verbose"), "--quiet")):
            with self.subTest(arguments=arguments):
                self.assert_one_line("flags", said, USAGE, *ANYWHERE, *arguments)

    def test_a_program_and_what_it_does_not_go_with_are_named(self):
        listen = ("--listen", "127.0.0.1:0")
        for arguments, said in (
                ((*ANYWHERE, "--exec", "--", "true"), "exclude"),
                ((*ANYWHERE, "--", "true"), "true: a program needs --exec or --fd"),
                ((*ANYWHERE, "--read", "direct"), "--read"),
                ((*ANYWHERE, "--no-rekey", "relay"), "--no-rekey"),
                ((*listen, "--exec"), "--exec needs a program"),
                ((*listen, "--exec", "--fd", "3", "--", "true"), "exclude"),
                ((*listen, "--fd", "3", "--", "true"), "--listen and --fd"),
                ((*listen, "--client", "--exec", "--", "true"), "--client needs --to"),
                ((*listen, "--exec", "--read", "both", "--", "true"), "--read"),
                ((*listen, "--exec", "--no-rekey", "no", "--", "true"), "--no-rekey"),
                (("--fd", "2", "--", "true"), "--fd 2"), (("--fd", "-1", "--", "true"), "--fd"),
                (("--fd", "3", "--check", "--", "true"), "--check and --fd"),
                (("--fd", "3"), "--fd N needs a program")):
            with self.subTest(arguments=arguments):
                self.assert_one_line("flags", said, USAGE, *arguments)

    def test_malformed_values_are_named_with_their_flag(self):
        for arguments, said in (
                (("--threads", "0"), "--threads"), (("--threads", "257"), "--threads"),
                (("--threads", "two"), "--threads"),
                (("--max-connections", "0"), "--max-connections"),
                (("--loop", "kqueue"), "--loop"), (("--offload", "maybe"), "--offload"),
                (("--log-format", "xml"), "--log-format"),
                (("--max-version", "1.1"), "--max-version"),
                (("--idle-timeout", "soon"), "'soon' is not a duration"),
                (("--idle-timeout", "-1s"), "'-1s' is not a duration"),
                (("--idle-timeout", "1.5s"), "'1.5s' is not a duration"),
                (("--idle-timeout", "10d"), "'10d' is not a duration"),
                (("--drain-timeout", "99999999999999999999s"), "is not a duration"),
                (("--alpn", "x" * 256), "--alpn"), (("--nonsense",), "--nonsense"),
                (("extra",), "extra"), (("--cert",), "--cert")):
            with self.subTest(arguments=arguments):
                self.assert_one_line("the flag", said, USAGE, *ANYWHERE, *arguments)

    def test_suites_groups_and_versions_that_cannot_be_had_are_named_and_explained(self):
        for arguments, said in (
                (("--ciphers", "NO-SUCH"), "--ciphers: NO-SUCH: no cipher suite has this name"),
                (("--ciphers", "AES128-CCM8:HIGH"), "HIGH: no cipher suite has this name"),
                (("--ciphers", "AES128-SHA"), "AES128-SHA: it is no AEAD suite"),
                (("--ciphers", "ADH-AES128-GCM-SHA256"),
                 "ADH-AES128-GCM-SHA256: it authenticates nobody"),
                (("--ciphers", "PSK-AES128-CCM8"),
                 "TLS_PSK_WITH_AES_128_CCM_8: it needs pre-shared keys: --psk FILE"),
                (("--ciphers", ":"), "--ciphers: it names no suite"),
                (("--ciphersuites", "AES128-CCM8"), "AES128-CCM8: it is for TLS 1.2"),
                (("--groups", "X25519:P-257"), "--groups: P-257: this libssl has no such group"),
                (("--min-version", "1.1"), "--min-version"),
                (("--min-version", "1.3", "--max-version", "1.2"), "--max-version 1.2 leave no"),
                (("--psk", "x", "--client-ca", "y"), "--psk and --client-ca exclude"),
                (("--psk", "x", "--ciphersuites", "TLS_AES_256_GCM_SHA384"),
                 "--ciphersuites: pre-shared keys need one with SHA-256"),
                (("--sandbox-read", "/nonexistent"), "--sandbox-read /nonexistent: No such")):
            with self.subTest(arguments=arguments):
                self.assert_one_line("what is wrong", said, USAGE, *ANYWHERE, *arguments)

    def test_pre_shared_keys_that_cannot_be_used_are_named_and_never_shown(self):
        key = "00112233445566778899aabbccddee"
        short = self.file("short.txt", f"a:{key}\n".encode())
        self.assert_one_line("the line", f"{short}:1: a key has 16", BAD_CERTIFICATE,
                             *ANYWHERE, "--psk", short)
        self.assertNotIn(key, watched.run("wrap", *ANYWHERE, "--psk", short)[2])
        self.assert_one_line("the file", "/nonexistent/psk", NO_INPUT,
                             *ANYWHERE, "--psk", "/nonexistent/psk")

    def test_a_timeout_of_nothing_is_refused_where_nothing_could_be_done_in_it(self):
        for flag in ("--handshake-timeout", "--connect-timeout", "--idle-timeout"):
            with self.subTest(flag=flag):
                self.assert_one_line("the flag", flag, USAGE, *ANYWHERE, flag, "0")

    def test_port_zero_cannot_be_connected_to(self):
        self.assert_one_line("port 0", "port 0", USAGE,
                             "--listen", "127.0.0.1:0", "--to", "127.0.0.1:0")

    def test_verification_without_a_name_is_refused(self):
        self.assert_one_line("a flag", "--name", USAGE, "--client",
                             "--listen", "127.0.0.1:0", "--to", "unix:/nowhere")

    def test_help_and_version_succeed(self):
        code, output, errors = watched.run("wrap", "--help")
        self.assertEqual((code, errors), (0, ""))
        self.assertIn("Examples:\n", output)
        for flag in ("--listen", "--to", "--client", "--cert", "--key", "--ca", "--name",
                     "--insecure", "--alpn", "--max-version", "--keylog", "--offload", "--loop",
                     "--threads", "--max-connections", "--handshake-timeout", "--connect-timeout",
                     "--idle-timeout", "--drain-timeout", "--log-format", "--quiet", "--verbose",
                     "--check"):
            self.assertIn(flag, output)
        self.assertEqual(output.count("Limits"), 1, "one group, under one heading")
        code, output, errors = watched.run("--version")
        self.assertEqual((code, errors), (0, ""))
        self.assertRegex(output, r"\Aktls-bridge \d+\.\d+\.\d+\n\Z")
        self.assertEqual(watched.run("--help")[0], 0)


class Files(ErrorCase):
    def test_a_file_that_is_missing_is_named(self):
        gone = str(self.folder / "gone.pem")
        for arguments in (("--cert", gone), ("--cert", certificates().chain, "--key", gone),
                          ("--client", "--ca", gone)):
            with self.subTest(arguments=arguments):
                self.assert_one_line("the file", gone, NO_INPUT, *ANYWHERE, *arguments)

    def test_a_folder_in_place_of_a_file_is_named(self):
        for arguments in (("--cert", str(self.folder)), ("--client", "--ca", str(self.folder))):
            with self.subTest(arguments=arguments):
                self.assert_one_line("the folder", str(self.folder), NO_INPUT,
                                     *ANYWHERE, *arguments)

    def test_files_that_do_not_parse_are_named(self):
        chain = Path(certificates().chain).read_bytes()
        for content in (b"", b"not a certificate\n", chain[:len(chain) // 2], b"\0" * 64,
                        chain.replace(b"M", b"N", 5)):
            broken = self.file("broken.pem", content)
            for arguments in (("--cert", broken, "--key", certificates().key),
                              ("--cert", certificates().chain, "--key", broken),
                              ("--client", "--ca", broken)):
                with self.subTest(arguments=arguments, content=content[:20]):
                    self.assert_one_line("the file", broken, BAD_CERTIFICATE,
                                         *ANYWHERE, *arguments)

    def test_the_flag_of_a_file_is_named_with_it(self):
        own, bare = certificates().server_flags, self.file("bare.pem", b"nothing\n")
        (self.folder / "several").mkdir()
        inside = self.file("several/one.pem", b"nothing\n")
        for arguments, said in (
                (("--cert", bare), f"--cert {bare}: holds no PEM certificate"),
                (("--cert", certificates().chain, "--key", bare), f"--key {bare}: holds no PEM"),
                (("--cert-dir", str(self.folder / "several")), f"--cert-dir {inside}: holds no"),
                ((*own, "--client-ca", bare), f"--client-ca {bare}: holds no PEM certificate"),
                ((*own, "--client-ca", certificates().ca, "--client-crl", bare),
                 f"--client-crl {bare}: holds no PEM revocation list"),
                ((*own, "--ocsp", bare), f"--ocsp {bare}: "),
                (("--client", "--ca", bare), f"--ca {bare}: holds no PEM certificate"),
                (("--client", "--ca", certificates().ca, "--crl", bare),
                 f"--crl {bare}: holds no PEM revocation list")):
            with self.subTest(arguments=arguments):
                self.assert_one_line("flag and file", said, BAD_CERTIFICATE, *ANYWHERE, *arguments)
        self.assertNotIn("no reason given", watched.run(
            "wrap", *ANYWHERE, *own, "--client-ca", bare)[2])

    def test_a_key_of_another_certificate_is_named(self):
        other = str(self.folder / "other.key")
        certificates().make_self_signed(str(self.folder / "other.pem"), other, "/CN=other")
        self.assert_one_line("the key", other, BAD_CERTIFICATE, *ANYWHERE,
                             "--cert", certificates().chain, "--key", other)

    def test_a_certificate_without_its_key_is_named(self):
        self.assert_one_line("the file", certificates().chain, BAD_CERTIFICATE, *ANYWHERE,
                             "--cert", certificates().chain)

    def test_an_encrypted_key_is_refused_without_a_question(self):
        encrypted = str(self.folder / "encrypted.key")
        peers.openssl("pkey", "-in", certificates().key, "-aes128", "-passout", "pass:secret",
                      "-out", encrypted)
        terminal, other_end = pty.openpty()
        self.addCleanup(os.close, terminal)
        self.addCleanup(os.close, other_end)

        def take_terminal():  # libssl asks on the controlling terminal, whatever stdin is
            fcntl.ioctl(other_end, termios.TIOCSCTTY, 0)

        code, output, errors = watched.run(
            "wrap", *ANYWHERE, "--cert", certificates().chain, "--key", encrypted,
            start_new_session=True, preexec_fn=take_terminal)
        self.assert_line("the reason", "encrypted", BAD_CERTIFICATE, code, output, errors)
        os.set_blocking(terminal, False)
        with self.assertRaises(BlockingIOError):
            os.read(terminal, 1)

    @unittest.skipUnless(os.geteuid() == 0, "needs root, to become somebody else")
    def test_a_file_without_permission_is_named(self):
        secret = self.file("secret.pem", Path(certificates().ca).read_bytes())
        os.chmod(secret, 0)
        nobody = watched.as_nobody(self.folder)
        for arguments in (("--client", "--ca", secret), ("--cert", secret)):
            with self.subTest(arguments=arguments):
                ended = watched.run("wrap", *ANYWHERE, *arguments, **nobody)
                self.assert_line("the file", f"{secret}: Permission denied", NO_INPUT, *ended)

    def test_a_key_log_that_cannot_be_written_is_named(self):
        link = self.folder / "link"
        link.symlink_to("elsewhere")
        for path in (str(self.folder / "no" / "such" / "folder"), str(self.folder), str(link)):
            with self.subTest(path=path):
                self.assert_one_line("the file", path, CANNOT_CREATE, *ANYWHERE,
                                     "--keylog", path)
        self.assertFalse((self.folder / "elsewhere").exists())


class Surroundings(ErrorCase):
    def test_a_name_that_does_not_resolve_is_named(self):
        for name in ("no-such-host.invalid:80", "300.1.1.1:80"):
            for arguments in (("--listen", name, "--to", "127.0.0.1:9"),
                              ("--listen", "127.0.0.1:0", "--to", name)):
                with self.subTest(arguments=arguments):
                    self.assert_one_line("the name", name, NO_HOST, *arguments)

    def test_a_port_of_another_program_is_busy(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            address = f"127.0.0.1:{server.getsockname()[1]}"
            for threads in ("1", "4"):
                with self.subTest(threads=threads):
                    self.assert_one_line("the address", address, OS_ERROR, "--listen", address,
                                         "--to", "127.0.0.1:9", "--threads", threads)

    def test_a_port_that_shares_itself_is_busy_all_the_same(self):
        with socket.socket() as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            server.bind(("127.0.0.1", 0))
            server.listen()
            address = f"127.0.0.1:{server.getsockname()[1]}"
            for threads in ("1", "4"):
                with self.subTest(threads=threads):
                    self.assert_one_line("the address", address, OS_ERROR, "--listen", address,
                                         "--to", "127.0.0.1:9", "--threads", threads)

    def test_a_port_of_another_wrap_is_busy(self):
        for theirs, ours in ((1, 1), (1, 4), (4, 1), (4, 4)):
            with self.subTest(theirs=theirs, ours=ours), \
                    Wrap(to="127.0.0.1:9", threads=theirs) as first:
                self.assert_one_line("the address", first.addresses[0], OS_ERROR, "--listen",
                                     first.addresses[0], "--to", "127.0.0.1:9",
                                     "--threads", str(ours))

    def test_an_address_of_another_machine_cannot_be_listened_on(self):
        self.assert_one_line("the address", "192.0.2.1:4433", OS_ERROR,
                             "--listen", "192.0.2.1:4433", "--to", "127.0.0.1:9")

    def test_check_answers_whether_the_destination_is_up(self):
        path = self.folder / "listen.sock"
        with socket.create_server(("127.0.0.1", 0)) as server:
            to = f"127.0.0.1:{server.getsockname()[1]}"
            arguments = ("--listen", f"unix:{path}", "--to", to, "--check")
            code, output, errors = watched.run("wrap", *arguments)
            self.assertEqual((code, output), (0, ""), errors)
            self.assertEqual(errors, "ktls-bridge wrap: the configuration is good\n")
            self.assertFalse(path.exists(), "--check left its socket file")
        self.assert_one_line("the address", f"cannot connect to {to}", UNAVAILABLE, *arguments)
        self.assertFalse(path.exists(), "--check left its socket file")

    def test_check_finds_what_cannot_be_listened_on(self):
        (self.folder / "file").write_text("")
        for where, named in (("192.0.2.1:4433", "192.0.2.1:4433"),
                             (f"unix:{self.folder}/none/listen.sock", "No such file"),
                             (f"unix:{self.folder}/file", "Address already in use")):
            with self.subTest(where=where):
                self.assert_one_line("the reason", named, OS_ERROR, "--listen", where, "--to",
                                     "127.0.0.1:9", "--check")

    def test_no_socket_file_is_left_by_a_start_that_fails(self):
        path = self.folder / "listen.sock"
        with socket.create_server(("127.0.0.1", 0)) as server:
            busy = f"127.0.0.1:{server.getsockname()[1]}"
            self.assert_one_line("the address", busy, OS_ERROR, "--listen", f"unix:{path}",
                                 "--listen", busy, "--to", "127.0.0.1:9")
        self.assertFalse(path.exists())

    @unittest.skipIf(os.path.exists("/proc/net/tls_stat"), "this kernel has TLS")
    def test_offload_kernel_without_kernel_tls_is_refused(self):
        self.assert_one_line("the reason", "ulp_unavailable", UNAVAILABLE, *ANYWHERE,
                             "--offload", "kernel")

    def test_loop_io_uring_is_refused_where_the_system_refuses_it(self):
        ended = watched.run("wrap", *ANYWHERE, "--loop", "io_uring", before=REFUSE_IO_URING)
        self.assert_line("the reason", "--loop: ", UNAVAILABLE, *ended)
        self.assertIn("Operation not permitted", ended[2])

    def test_loop_auto_takes_epoll_where_the_system_refuses_io_uring(self):
        backend = peers.Backend()
        self.addCleanup(backend.close)
        with Wrap(*certificates().server_flags, to=backend.address, before=REFUSE_IO_URING) as wrap:
            ready = wrap.records("ready")[0]
            self.assertEqual(ready["loop"], "epoll")
            self.assertIn("Operation not permitted", ready["loop_reason"])
            with peers.tls(certificates().client_context(), wrap.endpoint) as client:
                client.sendall(b"hello")
                self.assertEqual(peers.receive_exactly(client, 5), b"hello")

    def test_a_limit_of_descriptors_too_low_to_start_is_one_line(self):
        ended = watched.run("wrap", *ANYWHERE, "--max-connections", "1",
                            before=("sh", "-c", 'ulimit -n 8; exec "$0" "$@"'))
        errors = [line for line in ended[2].splitlines() if "warning limits" not in line]
        self.assertEqual((ended[0], len(errors)), (OS_ERROR, 1), ended)


if __name__ == "__main__":
    report.main("cli/errors")
