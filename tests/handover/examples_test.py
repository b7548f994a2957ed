#!/usr/bin/env python3
"""The examples of tools/examples in three languages and both roles, with openssl and curl as peers
and a broker that has the keys."""

import os
import socket
import ssl
import subprocess
import sys
import threading
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import report  # noqa: E402
import wrap_peers as peers  # noqa: E402
from shared_certificates import certificates, scratch_folder  # noqa: E402
from watched import BINARY, BUILD, PATIENCE_S, REPOSITORY, wait_until  # noqa: E402

REQUIRES_KTLS = os.environ.get("KTLS_BRIDGE_REQUIRE_KTLS") == "1"
LIBRARY = BUILD / "userspace" / "broker"
BUILT = BUILD / "tests" / "handover"
SCRIPTS = REPOSITORY / "tools" / "examples" / "python"
# By language: what a role is called.
LANGUAGES = {
    "python": lambda role: (sys.executable, str(SCRIPTS / f"{role}.py")),
    "c": lambda role: (str(BUILT / f"{role}_c"),),
    "go": lambda role: (str(BUILT / f"{role}_go"),),
}
# A whole response, as the examples send a file as it is.
BODY = bytes(range(256)) * 1200
RESPONSE = b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY


def example(language, role):
    command = LANGUAGES[language](role)
    if not Path(command[-1]).exists():
        raise unittest.SkipTest(f"{language} examples are not built here")
    return command


def kernel_connections():
    """How many connections of this machine the kernel has been given, in all."""
    lines = Path("/proc/net/tls_stat").read_text(encoding="ascii").splitlines()
    counts = dict(line.split() for line in lines)
    return min(int(counts["TlsTxSw"]), int(counts["TlsRxSw"]))


class Broker:
    def __init__(self, folder):
        self.path = str(folder / "broker.sock")
        self.log = open(folder / "broker.log", "ab")
        self.process = None
        self.start()

    def start(self):
        keys = certificates()
        self.process = subprocess.Popen(
            [BINARY, "broker", "--socket", self.path, *keys.server_flags, "--ca", keys.ca],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.log)
        wait_until(self.is_there, "the broker", 60)

    def is_there(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
            return client.connect_ex(self.path) == 0

    def kill(self):
        """As nothing but a crash ends it before the tests do."""
        ended = self.process.poll()
        self.process.kill()
        self.process.wait()
        if ended is not None:
            raise AssertionError(f"the broker ended with status {ended}:\n" + self.told())

    def told(self):
        return Path(self.log.name).read_text(encoding="utf-8")

    def close(self):
        self.kill()
        self.log.close()


class Examples(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = scratch_folder()
        cls.broker = Broker(folder)
        cls.addClassCleanup(cls.broker.close)
        cls.environment = {**os.environ, "KTLS_BRIDGE_BROKER": cls.broker.path,
                           "LD_LIBRARY_PATH": str(LIBRARY)}
        cls.file = folder / "response"
        cls.file.write_bytes(RESPONSE)

    def setUp(self):
        self.before = kernel_connections() if REQUIRES_KTLS else 0

    def assert_in_kernel(self, connections):
        """With a kernel that does TLS it has both directions of each connection."""
        if REQUIRES_KTLS:
            self.assertGreaterEqual(kernel_connections() - self.before, connections)

    def start_server(self, language):
        """The port."""
        process = subprocess.Popen([*example(language, "serve"), "0", str(self.file)],
                                   env=self.environment, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return int(process.stdout.readline().decode().split("serving on port ")[1])

    def run_client(self, language, port, name="localhost"):
        return subprocess.run([*example(language, "connect"), "127.0.0.1", str(port), name],
                              env=self.environment, stdin=subprocess.DEVNULL, timeout=PATIENCE_S,
                              capture_output=True, check=False)

    def fetch_by_curl(self, port):
        done = subprocess.run(["curl", "--silent", "--show-error", "--cacert", certificates().ca,
                               f"https://localhost:{port}/"], capture_output=True, check=False,
                              stdin=subprocess.DEVNULL, timeout=PATIENCE_S)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertEqual(done.stdout, BODY)

    def fetch_by_openssl(self, port, *flags):
        done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile",
                               certificates().ca, "-verify_return_error", "-quiet", *flags],
                              capture_output=True, check=False, stdin=subprocess.DEVNULL,
                              timeout=PATIENCE_S)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout, RESPONSE)

    def serves(self, language):
        port = self.start_server(language)
        self.fetch_by_curl(port)
        self.fetch_by_openssl(port)
        self.fetch_by_openssl(port, "-tls1_2")
        self.assert_in_kernel(3)

    def serves_with_the_next_broker(self, language):
        port = self.start_server(language)
        self.fetch_by_openssl(port)
        self.broker.kill()
        self.broker.start()
        self.fetch_by_openssl(port)

    def connects(self, language):
        """To openssl, which sends two tickets before its answer."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        keys = certificates()
        server = subprocess.Popen(
            ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", keys.chain, "-key",
             keys.key, "-www", "-quiet"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        wait_until(lambda: self.is_listening(port), "openssl s_server")
        done = self.run_client(language, port)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(b"HTTP/1.0 200 ok", done.stdout)
        self.assertIn(b"</pre>", done.stdout.lower())
        self.assert_in_kernel(1)

    @staticmethod
    def is_listening(port):
        state = Path("/proc/net/tcp").read_text(encoding="ascii")
        return any(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A"
                   for line in state.splitlines()[1:])

    def refuses_what_is_cut_off(self, language):
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)

        def cut():
            raw, _ = listener.accept()
            with certificates().server_context().wrap_socket(raw, server_side=True) as stream:
                stream.recv(100)
                stream.sendall(b"half")
                # The socket goes without close_notify.

        server = threading.Thread(target=cut, daemon=True)
        server.start()
        done = self.run_client(language, listener.getsockname()[1])
        server.join(PATIENCE_S)
        self.assertNotEqual(done.returncode, 0, done.stdout)
        self.assertIn(b"reset", done.stderr.lower())

    def refuses_another_name(self, language):
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)

        def offer():
            raw, _ = listener.accept()
            try:
                with certificates().server_context().wrap_socket(raw, server_side=True):
                    pass
            except (ssl.SSLError, OSError):
                pass  # the client's alert

        server = threading.Thread(target=offer, daemon=True)
        server.start()
        done = self.run_client(language, listener.getsockname()[1], "other.example")
        server.join(PATIENCE_S)
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(done.stdout, b"")


def add_tests():
    tests = {
        "serve_in_{}_sends_a_file_to_curl_and_openssl": Examples.serves,
        "serve_in_{}_goes_on_with_the_next_broker": Examples.serves_with_the_next_broker,
        "connect_in_{}_shows_what_openssl_sends": Examples.connects,
        "connect_in_{}_refuses_what_is_cut_off": Examples.refuses_what_is_cut_off,
        "connect_in_{}_refuses_another_name": Examples.refuses_another_name,
    }
    for language in LANGUAGES:
        for name, method in tests.items():
            setattr(Examples, "test_" + name.format(language),
                    lambda self, method=method, language=language: method(self, language))


add_tests()

if __name__ == "__main__":
    report.main("handover/examples")
