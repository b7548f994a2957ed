"""ExecCase: `wrap --exec` and its clients, on this machine and inside scripts/vm."""

import os
import shutil
import socket
import struct
import tempfile
import time
import unittest
from pathlib import Path

import wrap_peers as peers
from shared_certificates import certificates
from watched import PATIENCE_S, Watched, run, wait_until
from wrap_tls_stream import TlsStream

LOOPS = ("io_uring", "epoll")
REQUIRES_KTLS = os.environ.get("KTLS_BRIDGE_REQUIRE_KTLS") == "1"
_SIOCINQ = 0x541B


class ExecCase(unittest.TestCase):
    # With kernel TLS the program has the socket itself; elsewhere a stream is relayed.
    expected_hand_out = "guarded" if REQUIRES_KTLS else "relay"

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)

    def wrap(self, *program, loop="epoll", flags=(), environment=None, **options):
        variables = {**os.environ, **(environment or {})}
        wrap = Watched(("wrap", "--exec", *certificates().server_flags, "--loop", loop, *flags),
                       "--", *program, env=variables, **options)
        self.addCleanup(wrap.kill)
        return wrap

    @staticmethod
    def run_wrap(*arguments):
        return run("wrap", *arguments)

    def connect(self, wrap, version=None, name="localhost", context=None, receive_buffer=0):
        context = context or certificates().client_context(version)
        context.check_hostname = name == "localhost"
        stream = TlsStream(peers.tcp(wrap.endpoint, receive_buffer=receive_buffer), context, name)
        self.addCleanup(stream.close)
        return stream

    @staticmethod
    def all_of(stream):
        """To close_notify, which is answered by ours: only then is a relay's end a clean one."""
        parts = []
        while data := stream.recv(65536):
            parts.append(data)
        stream.send_close_notify()
        return b"".join(parts)

    @staticmethod
    def wait_until_still(stream):
        """Nothing more arrives: the buffers on the way are full."""
        def unread():
            return struct.unpack("i", _ioctl(stream.sock))[0]

        before, deadline = -1, time.monotonic() + PATIENCE_S
        while before != (now := unread()) or now == 0:
            if time.monotonic() > deadline:
                raise AssertionError("it never stops")
            before = now
            time.sleep(0.3)

    def assert_clean(self, line):
        self.assertEqual((line["ended"], line.get("detail")), ("clean", None), line)


def _ioctl(sock: socket.socket):
    import fcntl
    return fcntl.ioctl(sock, _SIOCINQ, b"\0\0\0\0")


__all__ = ["ExecCase", "LOOPS", "REQUIRES_KTLS", "wait_until"]
