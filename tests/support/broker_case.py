"""BrokerCase: brokers, the programs that they serve, and TLS clients of those, on this machine and
inside scripts/vm."""

import contextlib
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

import wrap_peers as peers
from broker_client import Broker, BrokerClient
from broker_stream import Service
from shared_certificates import certificates
from watched import PATIENCE_S, idle, wait_until
from wrap_tls_stream import TlsStream

REQUIRES_KTLS = os.environ.get("KTLS_BRIDGE_REQUIRE_KTLS") == "1"
LOOPS = ("epoll",) if REQUIRES_KTLS else ("io_uring", "epoll")
# A guest runs on an emulated processor.
WAIT_S = PATIENCE_S * (6 if REQUIRES_KTLS else 1)
# What ends by that deadline did not end for the reason that a test is about, which waits for less.
HANDSHAKE_S = WAIT_S * 3
PROGRAM = Path(__file__).with_name("broker_stream.py")


class BrokerCase(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def broker(self, *flags, loop=LOOPS[0], credentials=None, **options):
        options.setdefault("path", self.folder / "broker.sock")
        credentials = credentials or (*certificates().server_flags,
                                      "--ca", certificates().ca)
        started = Broker(*credentials, "--loop", loop, "--handshake-timeout",
                         f"{HANDSHAKE_S}s", *flags, patience=WAIT_S, **options)
        self.addCleanup(started.kill)
        return started

    def client(self, broker):
        client = BrokerClient(broker.path)
        self.addCleanup(client.close)
        return client

    def listener(self, backlog=1024):
        listener = socket.create_server(("127.0.0.1", 0), backlog=backlog)
        self.addCleanup(listener.close)
        return listener

    def service(self, broker, listener=None, **options):
        """On a thread of ours."""
        service = Service(broker.path, listener or self.listener(), **options)
        self.addCleanup(service.stop)
        return service.start()

    def program(self, *arguments, pass_fds=(), before=(), script=PROGRAM, **options):
        """A program of its own; standard input is ours, and its end is the program's."""
        process = subprocess.Popen([*before, sys.executable, "-B", str(script), *arguments],
                                   stdin=subprocess.PIPE, pass_fds=pass_fds, **options)
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        if process.poll() is None:
            process.kill()
            process.wait()

    def tls(self, listener, version=None):
        stream = TlsStream(peers.tcp(listener.getsockname(), timeout=WAIT_S),
                           certificates().client_context(version), "localhost")
        self.addCleanup(stream.close)
        return stream

    def tcp(self, listener, **options):
        sock = peers.tcp(listener.getsockname(), timeout=WAIT_S, **options)
        self.addCleanup(sock.close)
        return sock

    def tcp_pair(self):
        """(one end, the other end) of one TCP connection."""
        with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
            near = peers.tcp(listener.getsockname(), timeout=WAIT_S)
            far, _ = listener.accept()
        far.settimeout(WAIT_S)
        self.addCleanup(near.close)
        self.addCleanup(far.close)
        return near, far

    def assert_echo(self, stream, data):
        stream.sendall(data)
        self.assertEqual(peers.receive_exactly(stream, len(data)), data)

    @staticmethod
    def idle(broker):
        """How many descriptors it has, when it has closed what it is about to close."""
        return idle(broker, WAIT_S)

    def assert_settles(self, broker, descriptors):
        """Nothing is left open that was not open before."""
        wait_until(lambda: broker.descriptors() <= descriptors,
                   f"{descriptors} descriptors", WAIT_S)
        self.assertEqual(broker.descriptors(), descriptors)


def marked(number, size):
    """`size` bytes that no other number has."""
    block = hashlib.sha512(str(number).encode()).digest()
    return (block * (size // len(block) + 1))[:size]


def at_once(jobs):
    """Runs all, each on a thread of its own; answers what they raised."""
    errors = []

    def guarded(job):
        try:
            job()
        except Exception as error:  # of any kind: the test reads it
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(job,), daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + WAIT_S
    for thread in threads:
        thread.join(max(deadline - time.monotonic(), 0))
        if thread.is_alive():
            errors.append(AssertionError("a thread that does not end"))
    return errors


__all__ = ["BrokerCase", "LOOPS", "REQUIRES_KTLS", "WAIT_S", "at_once", "marked", "wait_until"]
