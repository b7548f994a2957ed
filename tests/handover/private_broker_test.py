#!/usr/bin/env python3
"""The broker of `ktls-bridge run`, whose channel its program inherits, asked without the library
that programs are loaded with: an empty one takes its place."""

import os
import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path

sys.dont_write_bytecode = True
SUPPORT = Path(__file__).resolve().parents[1] / "support"
sys.path.insert(0, str(SUPPORT))

import report  # noqa: E402
import wrap_peers as peers  # noqa: E402
from broker_case import BrokerCase, WAIT_S  # noqa: E402
from shared_certificates import certificates  # noqa: E402
from watched import BINARY  # noqa: E402

LIBRARY = "libktls-bridge-preload.so"
# What each program begins with: SUPPORT and a listening socket.
BEGINNING = """
import os, socket, sys
sys.path.insert(0, sys.argv[1])
import broker_client as wire
client = wire.BrokerClient.over(socket.socket(fileno=int(os.environ["KTLS_BRIDGE_CHANNEL"])))
listener = socket.socket(fileno=int(sys.argv[2]))
"""
# Leaves a connection to a child, which ends it in order when its peer says so.
LEAVES_A_CHILD = """
listening = client.listen(listener)
stream = listening.accept().sock
stream.settimeout(None)
if os.fork():
    os._exit(5)
stream.sendall(b"child")
stream.recv(1)
try:
    client.listen(listener)
    print("listens", flush=True)
except wire.Gone:
    print("gone", flush=True)
client.answer(wire.CLOSE, stream)
print("closed", flush=True)
"""
# Sends what is no request; then, as if nothing had been, is served.
MAKES_MISTAKES = """
client.channel.send(b"x")
client.channel.send(wire.request(wire.SERVE, magic=1))
socket.send_fds(client.channel, [wire.request(wire.SERVE)], [0, 1, 2])
listening = client.listen(listener)
stream = listening.accept().sock
stream.sendall(stream.recv(100))
client.answer(wire.CLOSE, stream)
"""


class PrivateBroker(BrokerCase):
    def setUp(self):
        super().setUp()
        program, library = self.folder / "tools" / "ktls-bridge", self.folder / "tools" / "preload"
        program.mkdir(parents=True)
        library.mkdir()
        self.binary = program / "ktls-bridge"
        self.binary.symlink_to(BINARY)
        source = self.folder / "empty.c"
        source.write_text("int nothing_at_all;\n", encoding="ascii")
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library / LIBRARY, source], check=True,
                       timeout=WAIT_S)
        # /proc/self/exe is where a link leads to.
        self.binary.unlink()
        self.copy(BINARY, self.binary)

    @staticmethod
    def copy(source, target):
        try:
            os.link(source, target)
        except OSError:
            target.write_bytes(Path(source).read_bytes())
            target.chmod(0o755)

    def start(self, code, listener):
        process = subprocess.Popen(
            [self.binary, "run", "--connect", "nowhere.invalid", "--offload", "never",
             "--log-level", "info", "--", sys.executable, "-B", "-c", BEGINNING + code, SUPPORT,
             str(listener.fileno())],
            pass_fds=(listener.fileno(),), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)
        self.addCleanup(self.finish, process)
        self.assert_said(process, " listening ")
        return process

    @staticmethod
    def finish(process):
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stdout.close()
        process.stderr.close()

    def assert_said(self, process, wanted):
        """Reads its log up to a line with `wanted`; answers what was read."""
        said = ""
        for line in process.stderr:
            said += line.decode()
            if wanted in line.decode():
                return said
        raise AssertionError(f"ended without {wanted!r}:\n{said}")

    def connect(self, listener):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        sock = peers.tcp(listener.getsockname(), timeout=WAIT_S)
        stream = context.wrap_socket(sock, server_hostname="localhost",
                                     suppress_ragged_eofs=False)
        self.addCleanup(stream.close)
        return stream

    def test_children_end_their_connections_in_order_while_it_drains(self):
        listener = self.listener()
        process = self.start(LEAVES_A_CHILD, listener)
        stream = self.connect(listener)
        self.assertEqual(peers.receive_exactly(stream, 5), b"child")
        self.assert_said(process, " program_ended exit=5 ")
        process.send_signal(signal.SIGTERM)
        self.assert_said(process, " draining signal=SIGTERM")
        stream.sendall(b"!")
        self.assertEqual(stream.recv(1), b"")  # close_notify, or ssl raises
        self.assertEqual(process.stdout.read(), b"gone\nclosed\n")
        self.assertEqual(process.wait(WAIT_S), 5)

    def test_what_is_no_request_does_not_end_the_only_channel(self):
        listener = self.listener()
        process = self.start(MAKES_MISTAKES, listener)
        stream = self.connect(listener)
        stream.sendall(b"hello")
        self.assertEqual(peers.receive_exactly(stream, 5), b"hello")
        self.assertEqual(stream.recv(1), b"")
        said = self.assert_said(process, " stopped ")
        self.assertEqual(process.wait(WAIT_S), 0, said)


if __name__ == "__main__":
    report.main("handover/private-broker")
