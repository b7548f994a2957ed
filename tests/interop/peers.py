"""The TLS peers of the matrix: openssl s_client, openssl s_server, and curl."""

import re
import socket
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from payload import Received
from plain_service import CHUNK_SIZE, request

OPENSSL_VERSION = {"TLSv1.2": "-tls1_2", "TLSv1.3": "-tls1_3"}
_OPENSSL_SUITES = {"TLSv1.2": "-cipher", "TLSv1.3": "-ciphersuites"}


class PeerFailed(Exception):
    """A peer ended with an error, or not in time; the text has its own words."""


@dataclass
class Outcome:
    """What a peer got on one connection, and what it says about it. `resumed` is None where it
    does not say."""

    download: Received
    version: str = ""
    suite: str = ""  # by OpenSSL's name
    resumed: bool = None
    verified: bool = True
    sent: int = None  # where the service cannot tell
    received: int = None
    errors: list = field(default_factory=list)


def _suite_flags(suite):
    return (OPENSSL_VERSION[suite.version], _OPENSSL_SUITES[suite.version], suite.openssl)


def _feed(stream, pieces):
    try:
        for piece in pieces:
            stream.write(piece)
        stream.flush()
    except (OSError, ValueError):
        pass  # it has ended; what it did not get is missed elsewhere


def _end(process):
    if process.poll() is None:
        process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream:
            try:
                stream.close()
            except OSError:
                pass  # what was left to write


def s_client(suite, port, authority, upload, timeout_s, session_out=None, session_in=None):
    """Uploads, and reads until wrap closes. -ign_eof: no byte of standard input is a command."""
    flags = ["-connect", f"127.0.0.1:{port}", "-CAfile", authority.file, "-verify_return_error",
             "-verify_hostname", "localhost", "-servername", "localhost", "-ign_eof",
             *_suite_flags(suite)]
    flags += ["-sess_out", session_out] if session_out else []
    flags += ["-sess_in", session_in] if session_in else []
    process = subprocess.Popen(["openssl", "s_client", *flags], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    timer = threading.Timer(timeout_s, process.kill)
    timer.start()
    pieces = (piece for part in ([request(upload)], upload.blocks()) for piece in part)
    writer = threading.Thread(target=_feed, args=(process.stdin, pieces), daemon=True)
    writer.start()
    download = Received()
    try:
        while data := process.stdout.read1(CHUNK_SIZE):
            download.feed(data)
        process.wait()
    finally:
        timer.cancel()
        _end(process)
    text = download.text.decode()
    if process.returncode:
        raise PeerFailed(f"s_client ended with {process.returncode}:\n{text}")
    said = re.search(r"(New|Reused), (\S+), Cipher is (\S+)", text)
    if not said:
        raise PeerFailed(f"s_client did not say what was negotiated:\n{text}")
    return Outcome(download, version=said.group(2), suite=said.group(3),
                   resumed=said.group(1) == "Reused", verified="Verification: OK" in text)


class Server:
    """An openssl s_server with one suite, spoken to by its standard input and output.

    It is not -quiet, so that it says what it reused; then a byte of input that begins a read may
    be a command, but no command has its highest bit set, nor does one begin with an H.
    """

    def __init__(self, suite, port, certificate, connections):
        self._wanted = connections
        self.process = subprocess.Popen(
            ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-naccept", str(connections),
             "-cert", certificate.certificate, "-key", certificate.key, *_suite_flags(suite)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.text = bytearray()
        self._got = Received()
        self._ended = False
        self._changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        _end(self.process)

    def wait_until_listening(self, timeout_s):
        self._wait(lambda: b"ACCEPT" in self.text, timeout_s)

    def converse(self, head, answer, upload_size, timeout_s):
        """Takes an upload and sends `head` and an answer meanwhile; its last block comes when the
        upload is complete."""
        self._wait(lambda: self._got.size > 0, timeout_s)
        pending = head
        for block in answer.blocks():
            _feed(self.process.stdin, [pending])
            pending = block
        self._wait(lambda: self._got.size >= upload_size, timeout_s)
        _feed(self.process.stdin, [pending])
        with self._changed:
            got, self._got = self._got, Received()
        return got

    def finish(self, timeout_s):
        """Waits until it has had its connections; answers (those with the suite, those reused)."""
        self._wait(lambda: self._ended, timeout_s)
        text = self.text.decode()
        return re.findall(r"CIPHER is (\S+)", text), text.count("Reused session-id")

    def _read(self):
        while data := self.process.stdout.read1(CHUNK_SIZE):
            with self._changed:
                self._got.feed(data)
                self.text += self._got.text
                self._got.text.clear()
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _wait(self, condition, timeout_s):
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not condition():
                left = deadline - time.monotonic()
                if left <= 0 or self._ended:
                    state = "ended" if self._ended else f"is not as far in {timeout_s} s"
                    raise PeerFailed(f"s_server {state}:\n{self.text.decode()}")
                self._changed.wait(left)


class Reservation:
    """A port that s_servers use one after the other. Held bound, so that nobody else is given it;
    with SO_REUSEADDR on both sides that keeps no s_server from listening."""

    def __init__(self):
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()


def plain_client(port, upload, download_size, timeout_s):
    """A plaintext client of wrap's client role; it half-closes when it has everything."""
    outcome = Outcome(Received())
    with socket.create_connection(("127.0.0.1", port), timeout_s) as connection:
        def send():
            try:
                for block in upload.blocks():
                    connection.sendall(block)
            except OSError as error:
                outcome.errors.append(f"the client could not send: {error}")

        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        try:
            while outcome.download.size < download_size:
                data = connection.recv(CHUNK_SIZE)
                if not data:
                    outcome.errors.append("the client saw an early end")
                    break
                outcome.download.feed(data)
            sender.join(timeout_s)
            connection.shutdown(socket.SHUT_WR)
            if connection.recv(CHUNK_SIZE):
                outcome.errors.append("the client got more than was sent")
        except OSError as error:
            outcome.errors.append(f"the client saw {error}")
    outcome.sent, outcome.received = upload.size, outcome.download.total
    return outcome


def curl_suite_flags(suite, authority):
    # The level is for suites with a short tag.
    chosen = (("--tlsv1.3", "--tls13-ciphers", suite.openssl, "--ciphers", "DEFAULT:@SECLEVEL=0")
              if suite.version == "TLSv1.3" else
              ("--tlsv1.2", "--tls-max", "1.2", "--ciphers", f"{suite.openssl}:@SECLEVEL=0"))
    return ["--cacert", authority.file, *chosen]


class Curl:
    """One curl that uploads the same file `times` times, with a connection each; those after the
    first may resume. It speaks TLS where a suite is given."""

    def __init__(self, url, upload_file, folder, timeout_s, suite=None, authority=None, times=2):
        self._files = [Path(folder) / f"download.{index}" for index in range(times)]
        self._suite = suite
        self._timeout_s = timeout_s
        flags = ["curl", "-q", "--silent", "--show-error", "--verbose", "--noproxy", "*",
                 "--ipv4", "--max-time", str(timeout_s), "-H", "Expect:",
                 "--write-out", "sizes %{size_request} %{size_upload} %{size_header} "
                                "%{size_download}\n"]
        if suite:
            flags += curl_suite_flags(suite, authority)
        for file in self._files:
            flags += ["--upload-file", upload_file, "--output", file, url]
        self._process = subprocess.Popen(flags, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                         stderr=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        _end(self._process)

    def outcomes(self):
        try:
            limit_s = len(self._files) * self._timeout_s + 5
            sizes, words = self._process.communicate(timeout=limit_s)
        finally:
            _end(self._process)
        if self._process.returncode:
            raise PeerFailed(f"curl ended with {self._process.returncode}:\n{words}")
        found = [self._outcome(file) for file in self._files]
        for outcome, line in zip(found, re.findall(r"sizes (\d+) (\d+) (\d+) (\d+)", sizes)):
            numbers = [int(word) for word in line]
            outcome.sent, outcome.received = sum(numbers[:2]), sum(numbers[2:])
        if self._suite:
            said = re.findall(r"SSL connection using (\S+) / (\S+)", words)
            # It says so before the handshake, of the attempt; wrap says what came of it.
            full = len(found) - words.count("SSL re-using session ID")
            for index, ((version, suite), outcome) in enumerate(zip(said, found)):
                outcome.version, outcome.suite, outcome.resumed = version, suite, index >= full
        return found

    def _outcome(self, file):
        outcome = Outcome(Received())
        with open(file, "rb") as stream:
            while data := stream.read(CHUNK_SIZE):
                outcome.download.feed(data)
        file.unlink()
        return outcome


class Background:
    """A call in a thread of its own."""

    def __init__(self, function, *arguments):
        self._answer = None
        self._error = None
        self._thread = threading.Thread(target=self._run, args=(function, arguments), daemon=True)
        self._thread.start()

    def _run(self, function, arguments):
        try:
            self._answer = function(*arguments)
        except OSError as error:
            self._error = error

    def result(self, timeout_s):
        self._thread.join(timeout_s)
        if self._error:
            raise self._error
        if self._answer is None:
            raise PeerFailed(f"a plaintext client is not done in {timeout_s} s")
        return self._answer
