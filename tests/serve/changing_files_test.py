#!/usr/bin/env python3
"""A file that changes while it is sent is never taken for a whole one, by any client."""

import os
import shutil
import signal
import ssl
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import report  # noqa: E402
from https_client import request  # noqa: E402
from payload import Payload  # noqa: E402
from served_case import ServedCase  # noqa: E402
from shared_certificates import certificates  # noqa: E402
from watched import wait_until  # noqa: E402
from watched_serve import IN_GUEST, WAIT_S, data_paths  # noqa: E402

MIB = 1 << 20
# More than the socket buffers of both sides hold: a client that reads no further stops the server
# long before the end.
SIZE = (12 if IN_GUEST else 20) * MIB + 77
RECEIVE_BUFFER = 65536
PAUSE_S = 0.02
NAP_S = 3
VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
SEE_READS = ("strace", "-D", "-f", "-qq", "-e", "trace=pread64")
# The program stops itself at the first read of this one file, and has the bytes then.
STOP_AT_READ = (*SEE_READS, "-e", "inject=pread64:signal=SIGSTOP:when=1")
# Where reading is a system call that can be traced.
TRACED_PATHS = data_paths() if IN_GUEST else \
    tuple((name, flags) for name, flags in data_paths() if flags[-1:] == ("epoll",))

content = Payload(SIZE, seed=1).bytes()


# --- what happens to the file --------------------------------------------------------------------


def truncate_to_nothing(file):
    os.truncate(file, 0)


def truncate_by_one_byte(file):
    os.truncate(file, file.stat().st_size - 1)


def overwrite_the_end(file):
    with open(file, "r+b") as stream:
        stream.seek(-1, os.SEEK_END)
        stream.write(b"x")


def overwrite_and_set_the_time_back(file):
    before = file.stat()
    overwrite_the_end(file)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def truncate_and_write_anew(file):
    size = file.stat().st_size
    file.write_bytes(b"\x80" * size)


def replace_by_rename(file):
    beside = file.with_suffix(".new")
    shutil.copyfile(file, beside)
    beside.rename(file)


def append(file):
    with open(file, "ab") as stream:
        stream.write(b"one line more\n")


def unlink(file):
    file.unlink()


CHANGES = (truncate_to_nothing, truncate_by_one_byte, overwrite_the_end,
           overwrite_and_set_the_time_back, truncate_and_write_anew, replace_by_rename, append,
           unlink)


def name_of(change):
    return change.__name__.replace("_", " ")


class ChangingCase(ServedCase):
    def setUp(self):
        super().setUp()
        self.file = self.root / "file.bin"

    def renew(self, size=SIZE):
        self.file.unlink(missing_ok=True)
        self.file.write_bytes(content[:size])

    def read_until_alert(self, client, size):
        """The part of the body that came before the alert; no other end will do."""
        body = bytearray()
        with self.assertRaises(ssl.SSLError) as raised:
            for part in client.body_parts(size):
                body += part
            body += client.read_to_end()
        self.assertEqual(raised.exception.reason, "TLSV1_ALERT_INTERNAL_ERROR")
        client.close()
        return bytes(body)

    def finish(self, serve, count, announced=SIZE):
        """The logs say that each of `count` responses was cut off, and why."""
        for line in serve.wait_for_connections(count):
            self.assertEqual(line["ended"], "truncated")
            self.assertIn("file.bin changed while it was sent", line["detail"])
        lines = serve.finish()
        self.assertEqual([line["ended"] for line in lines], ["truncated"] * count)
        for line in lines:
            self.assertLess(line["sent"], announced)
            if IN_GUEST:
                self.assertEqual(line["tx"], "kernel")


class InTransfer(ChangingCase):
    def begin(self, serve, version=None, fields=()):
        """A client that has read the head, and reads no further."""
        client = self.client(serve, version, receive_buffer=RECEIVE_BUFFER)
        client.send("/file.bin", fields=fields)
        return client, client.read_head()

    def test_every_change_ends_the_response_with_an_alert(self):
        for name, flags in data_paths():
            serve = self.serve(*flags)
            for index, change in enumerate(CHANGES):
                version = VERSIONS[index % 2]
                with self.subTest(f"{name}, {version.name}: {name_of(change)}"):
                    self.renew()
                    client, head = self.begin(serve, version)
                    self.assertEqual((head.status, head.length), (200, SIZE))
                    change(self.file)
                    body = self.read_until_alert(client, SIZE)
                    self.assertLess(len(body), SIZE)
                    if change is not truncate_and_write_anew:
                        self.assertEqual(body, content[:len(body)], "bytes of another file")
            self.finish(serve, len(CHANGES))

    def test_a_slow_client_hears_of_it_behind_all_that_was_sent_before(self):
        for name, flags in data_paths():
            with self.subTest(name):
                self.renew()
                serve = self.serve(*flags)
                client, head = self.begin(serve)
                overwrite_the_end(self.file)
                parts = client.body_parts(head.length)
                body = bytearray()
                while not serve.responses():
                    body += next(parts)
                    if len(body) > SIZE * 3 // 4:
                        time.sleep(PAUSE_S)
                self.assertLess(len(body), SIZE - 4 * 65536, "the server was done after the client")
                time.sleep(NAP_S)  # longer than last words may take
                client.send("/file.bin")  # a socket that is closed already answers by a reset
                time.sleep(PAUSE_S)
                with self.assertRaises(ssl.SSLError) as raised:
                    for part in parts:
                        body += part
                self.assertEqual(raised.exception.reason, "TLSV1_ALERT_INTERNAL_ERROR")
                self.assertTrue(content.startswith(body), "bytes of another file")
                client.close()
                self.finish(serve, 1)

    @unittest.skipIf(IN_GUEST, "every change ends it, in both versions")
    def test_each_version_of_tls_hears_of_a_file_that_shrank(self):
        for name, flags in data_paths():
            serve = self.serve(*flags)
            for version in VERSIONS:
                with self.subTest(f"{name}, {version.name}"):
                    self.renew()
                    client, _ = self.begin(serve, version)
                    os.truncate(self.file, SIZE // 2)
                    body = self.read_until_alert(client, SIZE)
                    self.assertLessEqual(len(body), SIZE // 2)
            self.finish(serve, len(VERSIONS))

    def test_part_of_a_file_ends_so_too_and_so_do_several(self):
        several = f"bytes=0-{SIZE // 2},{SIZE // 2 + 7}-"
        for name, flags in data_paths():
            serve = self.serve(*flags)
            for asked in ("bytes=5-", several):
                with self.subTest(f"{name}: {asked}"):
                    self.renew()
                    client, head = self.begin(serve, fields={"Range": asked})
                    self.assertEqual(head.status, 206)
                    overwrite_the_end(self.file)
                    self.assertLess(len(self.read_until_alert(client, head.length)), head.length)
            self.finish(serve, 2, head.length)  # several have heads of their own

    def test_no_request_behind_it_is_answered(self):
        for name, flags in data_paths():
            with self.subTest(name):
                self.renew()
                serve = self.serve(*flags)
                client = self.client(serve, receive_buffer=RECEIVE_BUFFER)
                client.stream.sendall(request("/file.bin") * 3)
                client.read_head()
                truncate_to_nothing(self.file)
                self.read_until_alert(client, SIZE)
                self.finish(serve, 1)

    def test_reading_the_file_changes_nothing(self):
        for name, flags in data_paths():
            with self.subTest(name):
                self.renew()
                serve = self.serve(*flags)
                client, head = self.begin(serve)
                os.utime(self.root)  # the directory, whose times are its own
                (self.root / "beside").write_bytes(b"another file")
                self.file.read_bytes()
                self.assertTrue(b"".join(client.body_parts(head.length)) == content)
                client.end()
                line, = serve.finish()
                self.assertEqual((line["ended"], line["sent"]), ("clean", SIZE))

    def test_a_directory_that_is_replaced_changes_nothing_for_who_has_begun(self):
        for name, flags in data_paths():
            with self.subTest(name):
                release, beside = self.root / "release", self.root / "beside"
                for directory, byte in ((release, content[:1]), (beside, b"n")):
                    directory.mkdir()
                    (directory / "file.bin").write_bytes(byte * SIZE)
                serve = self.serve(*flags)
                client = self.client(serve, receive_buffer=RECEIVE_BUFFER)
                client.send("/release/file.bin")
                head = client.read_head()
                release.rename(self.root / "retired")
                beside.rename(release)
                self.assertTrue(b"".join(client.body_parts(head.length)) == content[:1] * SIZE)
                self.assertEqual(client.ask("/release/file.bin", range="bytes=0-0").body, b"n")
                client.end()
                serve.finish()
                for directory in ("release", "retired"):
                    shutil.rmtree(self.root / directory)

    def test_what_is_appended_is_in_the_next_response_alone(self):
        serve = self.serve()
        self.renew(100_000)
        client = self.client(serve)
        self.assertEqual(client.ask("/file.bin").body, content[:100_000])
        append(self.file)
        self.assertEqual(client.ask("/file.bin").body, content[:100_000] + b"one line more\n")
        client.end()
        serve.finish()

    def test_curl_fails(self):
        changes = (truncate_to_nothing, overwrite_the_end, replace_by_rename)
        changes = changes[-1:] if IN_GUEST else changes
        for name, flags in data_paths():
            serve = self.serve(*flags)
            for change in changes:
                with self.subTest(f"{name}: {name_of(change)}"):
                    self.renew()
                    curl = subprocess.Popen(
                        ["curl", "--silent", "--show-error", "--no-buffer", "--cacert",
                         certificates().ca, f"https://localhost:{serve.port}/file.bin"],
                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                    self.addCleanup(curl.kill)
                    first = curl.stdout.read(1)  # it is under way, and stops when the pipe is full
                    change(self.file)
                    rest, errors = curl.communicate(timeout=WAIT_S)
                    self.assertEqual(curl.returncode, 56, errors)  # failure in receiving
                    self.assertIn(b"alert internal error", errors)
                    self.assertLess(len(first + rest), SIZE)
            self.finish(serve, len(changes))


@unittest.skipUnless(shutil.which("strace"), "no strace here")
class BetweenReadingAndSending(ChangingCase):
    """The program stops when it has read for the first time what it will send next: all of a small
    file, and of a large one in the kernel's case the last record. (A small file that is not new is
    read to be kept, and once more where that comes to nothing.)"""

    def stopped_serve(self, *flags):
        self.trace = self.folder / "trace"
        self.trace.unlink(missing_ok=True)
        return self.serve(*flags, threads=1, before=(*STOP_AT_READ, "-o", str(self.trace),
                                                     "-P", str(self.file)))

    def wait_until_stopped(self):
        wait_until(lambda: "stopped by SIGSTOP" in self.trace.read_text(errors="replace"),
                   "the program to stop", WAIT_S)

    def test_a_change_after_the_last_read_is_noticed(self):
        sizes = (5000, SIZE) if IN_GUEST else (1, 5000, 16384)
        changes = (overwrite_the_end, append, replace_by_rename)
        changes = changes[:1] if IN_GUEST else changes
        for name, flags in TRACED_PATHS:
            for size in sizes:
                for change in changes:
                    with self.subTest(f"{name}: {name_of(change)} of {size}"):
                        self.renew(size)
                        serve = self.stopped_serve(*flags)
                        client = self.client(serve)
                        client.send("/file.bin")
                        early = self.read_all_but_the_last_record(client, size)
                        self.wait_until_stopped()
                        change(self.file)
                        serve.send_signal(signal.SIGCONT)
                        body = self.read_until_alert(client, SIZE) if early else \
                            self.assert_nothing_but_an_alert(client)
                        self.assertLess(len(body) + early, size)
                        self.finish(serve, 1)

    def read_all_but_the_last_record(self, client, size):
        """How much of a large body that was; nothing of a small one has been sent."""
        if size <= 65536:
            return 0
        client.read_head()
        return sum(map(len, client.body_parts(size - 32768)))

    def assert_nothing_but_an_alert(self, client):
        with self.assertRaises(ssl.SSLError) as raised:
            client.stream.recv(1)
        self.assertEqual(raised.exception.reason, "TLSV1_ALERT_INTERNAL_ERROR")
        client.close()
        return b""

    def test_without_a_change_it_goes_on(self):
        for name, flags in TRACED_PATHS:
            with self.subTest(name):
                self.renew(5000)
                serve = self.stopped_serve(*flags)
                client = self.client(serve)
                client.send("/file.bin")
                self.wait_until_stopped()
                serve.send_signal(signal.SIGCONT)
                self.assertEqual(client.read_response().body, content[:5000])
                client.end()
                serve.finish()

    @unittest.skipIf(IN_GUEST, "it is the kernel that encrypts")
    def test_what_userspace_encrypts_is_read_by_the_ring_and_not_by_a_call_that_waits(self):
        self.trace = self.folder / "trace"
        self.renew(300_000)
        for loop, is_seen in (("io_uring", False), ("epoll", True)):
            with self.subTest(loop):
                serve = self.serve("--offload", "never", "--loop", loop, before=(
                    *SEE_READS, "-o", str(self.trace), "-P", str(self.file)))
                client = self.client(serve)
                for asked in ("bytes=0-", "bytes=7-1000,5000-299999"):
                    self.assertEqual(client.ask("/file.bin", range=asked).status, 206)
                client.end()
                serve.finish()
                self.assertEqual("pread64" in self.trace.read_text(), is_seen)


if __name__ == "__main__":
    report.main("serve/changing-files")
