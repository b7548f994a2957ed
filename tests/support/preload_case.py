"""PreloadCase: programs under `ktls-bridge run`, and TLS peers of theirs that know nothing of it,
on this machine and inside scripts/vm."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

from shared_certificates import certificates
from watched import PATIENCE_S, Watched, wait_until

REQUIRES_KTLS = os.environ.get("KTLS_BRIDGE_REQUIRE_KTLS") == "1"
# A guest runs on an emulated processor.
WAIT_S = PATIENCE_S * (6 if REQUIRES_KTLS else 1)
# Where a connection of a wrapped program is encrypted and decrypted.
PLACE = "kernel" if REQUIRES_KTLS else "userspace"
MODE = "direct" if REQUIRES_KTLS else "relayed"
_KERNEL_COUNTS = Path("/proc/net/tls_stat")
_LISTENING = "0A"


class Run(Watched):
    """A program under `ktls-bridge run`; the log is that of both."""

    def __init__(self, *program, listen=(), connect=(), flags=(), **options):
        keys = certificates()
        arguments = ["--log-level", "info"]
        if listen:
            arguments += keys.server_flags
        if connect:
            arguments += ["--connect", ",".join(connect), "--ca", keys.ca]
        super().__init__(("run",), *arguments, *flags, "--", *map(str, program), threads=0,
                         listen=[",".join(map(str, listen))] if listen else (), ready=False,
                         start_new_session=True, **options)

    def kill(self):
        """The program, too, and what it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        super().kill()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()


class PreloadCase(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.folder.chmod(0o755)  # for servers that become somebody else
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.before = kernel_counts()
        self.placed = {}

    def run_program(self, *program, **options):
        run = Run(*program, **options)
        self.addCleanup(run.kill)
        return run

    def serve(self, *program, port, **options):
        """Returns when it listens."""
        run = self.run_program(*program, listen=(port,), **options)
        wait_until(lambda: is_listened_on(port) or self._has_ended(run), str(program[0]), WAIT_S)
        return run

    def _has_ended(self, run):
        if run.process.poll() is not None:
            self.fail(f"it ended with {run.process.returncode}:\n{run.text()}")
        return False

    def start(self, *command, port=0, **options):
        """A program of the other side, until it listens on that port."""
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL,
                   "stderr": subprocess.DEVNULL, **options}
        process = subprocess.Popen([str(word) for word in command], **options)
        self.addCleanup(end, process)
        if port:
            wait_until(lambda: is_listened_on(port), str(command[0]), WAIT_S)
        return process

    def client(self, *program, connect, send=b"", size=0):
        """(what it wrote, the Run), of a wrapped client with what talk() takes."""
        run = self.run_program(*program, connect=connect, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)
        output, status = talk(run.process, send, size)
        self.assertEqual(status, 0, run.text())
        return output, run

    def assert_placed(self, run, count):
        """It had so many connections at least, all where they belong; the kernel says so itself, of
        all runs of the test together."""
        for line in run.wait_for_event("connection", count, WAIT_S):
            self.assertEqual((line.get("tx"), line.get("rx")), (PLACE, PLACE), line)
        if REQUIRES_KTLS:
            self.placed[run] = max(count, self.placed.get(run, 0))
            tx, rx = (now - then for now, then in zip(kernel_counts(), self.before, strict=True))
            self.assertGreaterEqual(min(tx, rx), sum(self.placed.values()))


def kernel_counts():
    """Connections whose sending and whose receiving the kernel has been given, in all."""
    if not _KERNEL_COUNTS.exists():
        return 0, 0
    counts = dict(line.split() for line in _KERNEL_COUNTS.read_text(encoding="ascii").splitlines())
    return int(counts["TlsTxSw"]), int(counts["TlsRxSw"])


def is_listened_on(port):
    states = [line.split() for name in ("tcp", "tcp6")
              for line in Path(f"/proc/net/{name}").read_text(encoding="ascii").splitlines()[1:]]
    return any(fields[1].endswith(f":{port:04X}") and fields[3] == _LISTENING
               for fields in states)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def end(process):
    if process.poll() is None:
        process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()


@contextlib.contextmanager
def timer_to_kill(process, patience=WAIT_S):
    timer = threading.Timer(patience, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def talk(process, send, size=0):
    """(all that it wrote, its exit status). Its standard input ends after what is sent, or with
    `size`, when so much has been received: who ends at the end of its input has all by then."""
    def write():
        with contextlib.suppress(OSError):  # whoever looks at the answer says what is missing
            process.stdin.write(send)
            process.stdin.flush()
            if not size:
                process.stdin.close()

    with timer_to_kill(process):
        writing = threading.Thread(target=write)
        writing.start()
        received = bytearray()
        while len(received) < size and (part := process.stdout.read1(1 << 16)):
            received += part
        writing.join()
        with contextlib.suppress(OSError):
            process.stdin.close()
        received += process.stdout.read()
        return bytes(received), process.wait()
