#!/usr/bin/env python3
"""A thousand programs are started under `ktls-bridge run`, most of them /bin/true, some that serve
a connection or make one: nothing is left of them, no process, socket, name or file. Needs root, for
a network of its own, where every socket is one of these."""

import concurrent.futures
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import report  # noqa: E402
import wrap_peers as peers  # noqa: E402
from loopback_capture import enter_own_network  # noqa: E402
from preload_case import PreloadCase, Run, WAIT_S, free_port, is_listened_on  # noqa: E402
from shared_certificates import certificates  # noqa: E402
from watched import wait_until  # noqa: E402

PROGRAMS = int(os.environ.get("KTLS_BRIDGE_PROGRAMS", "1000"))
AT_ONCE = 2
EVERY = 50  # of so many one serves, and another one connects
FOLDERS = ("/tmp", "/run", "/dev/shm", "/var/tmp")
TIME_WAIT = "06"  # which is no socket of anybody any more
OTHERS = ("ktls-vm-",)  # suites beside this one
SERVE = """\
import socket, sys
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as listener:
    sock, _ = listener.accept()
    with sock:
        sock.sendall(sock.recv(100))
"""
CONNECT = """\
import socket, sys
with socket.create_connection(("localhost", int(sys.argv[1]))) as sock:
    sock.sendall(b"word")
    sys.exit(sock.recv(100) != b"word")
"""


def left(mark):
    """What may outlive its program, by kind; processes by a mark in what they inherit."""
    tables = {name: Path(f"/proc/net/{name}").read_text(encoding="ascii").splitlines()[1:]
              for name in ("unix", "tcp", "tcp6")}
    return {
        "unix sockets": sorted(tables["unix"]),
        "TCP sockets": sorted(line.split()[1:4] for name in ("tcp", "tcp6")
                              for line in tables[name] if line.split()[3] != TIME_WAIT),
        "files": {str(path) for folder in FOLDERS if os.path.isdir(folder)
                  for path in Path(folder).iterdir()
                  if "ktls" in path.name and not path.name.startswith(OTHERS)},
        "processes": [folder.name for folder in Path("/proc").glob("[0-9]*")
                      if mark in environment(folder)],
    }


def environment(folder):
    try:
        return (folder / "environ").read_bytes()
    except OSError:
        return b""  # it has ended, or is somebody else's


class Thousand(PreloadCase):
    def setUp(self):
        super().setUp()
        # Its own folder for scratch files, where nobody else's are.
        self.scratch = self.folder / "scratch"
        self.scratch.mkdir()
        self.environment = {**os.environ, "TMPDIR": str(self.scratch)}
        certificates()

    def start_one(self, *program, **options):
        return Run(*program, env=self.environment, **options)

    def finish(self, run):
        status = run.wait(WAIT_S)
        text = run.text()
        run.kill()
        self.assertEqual(status, 0, text)

    def serve_one(self):
        port = free_port()
        run = self.start_one(sys.executable, "-S", "-c", SERVE, port, listen=(port,))
        wait_until(lambda: is_listened_on(port), "a listener", WAIT_S)
        with peers.tls(certificates().client_context(), ("127.0.0.1", port),
                       timeout=WAIT_S) as stream:
            stream.sendall(b"word")
            self.assertEqual(stream.recv(100), b"word")
            self.assertEqual(stream.recv(100), b"")
        self.finish(run)

    def connect_one(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(WAIT_S)
            answering = threading.Thread(target=self.answer, args=(listener,))
            answering.start()
            port = listener.getsockname()[1]
            try:
                self.finish(self.start_one(sys.executable, "-S", "-c", CONNECT, port,
                                           connect=(f"localhost:{port}",)))
            finally:
                answering.join()

    @staticmethod
    def answer(listener):
        sock, _ = listener.accept()
        sock.settimeout(WAIT_S)
        with certificates().server_context().wrap_socket(sock, server_side=True) as stream:
            stream.sendall(stream.recv(100))
            stream.recv(100)

    def start_number(self, number):
        if number % EVERY == 1:
            self.serve_one()
        elif number % EVERY == 2:
            self.connect_one()
        else:
            self.finish(self.start_one("/bin/true", listen=(1,), connect=("*:443",)))

    def test_nothing_is_left_of_a_thousand_programs(self):
        self.start_number(1)
        mark = str(self.scratch).encode()
        before, started = left(mark), time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            for _ in pool.map(self.start_number, range(PROGRAMS)):
                pass
        spent = time.monotonic() - started
        print(f"{PROGRAMS} programs, {AT_ONCE} at once, in {spent:.1f} s: "
              f"{1000 * spent / PROGRAMS:.1f} ms each")
        with contextlib.suppress(AssertionError):  # the comparison says more
            wait_until(lambda: left(mark) == before, "what is left to go")
        self.assertEqual(left(mark), before)
        self.assertEqual(list(self.scratch.iterdir()), [])


if __name__ == "__main__":
    enter_own_network()
    report.main("preload/thousand")
