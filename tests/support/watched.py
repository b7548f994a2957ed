"""Watched: a `ktls-bridge` that a test starts, watches through its log, and ends."""

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
BUILD = REPOSITORY / os.environ.get("KTLS_BRIDGE_BUILD", "build-test")
BINARY = str(BUILD / "tools" / "ktls-bridge" / "ktls-bridge")
PATIENCE_S = 20  # for anything that ought to happen at once, on a machine that is busy
NOBODY = 65534


def wait_until(condition, what, patience=PATIENCE_S):
    """Polls until `condition` answers something true, and answers that."""
    deadline = time.monotonic() + patience
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {patience} s for {what}")
        time.sleep(0.02)


def hear_hangups(case):
    """For a test of what programs ignore: under nohup(1) SIGHUP is ignored before any of ours is
    there."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    case.addCleanup(signal.signal, signal.SIGHUP, before)


def idle(watched, patience=PATIENCE_S):
    """How many descriptors it has, when it has closed what it is about to close."""
    seen = []

    def settled():
        seen.append(watched.descriptors())
        return len(seen) > 5 and len(set(seen[-5:])) == 1
    wait_until(settled, "it to be idle", patience)
    return seen[-1]


def run(*arguments, before=(), binary=BINARY, **options):
    """Runs the program to its end: (status, standard output, standard error)."""
    ended = subprocess.run([*before, binary, *arguments], stdin=subprocess.DEVNULL,
                           capture_output=True, timeout=PATIENCE_S, check=False, **options)
    return ended.returncode, ended.stdout.decode(), ended.stderr.decode("utf-8", "replace")


def as_nobody(folder):
    """What run() and Watched take to be somebody else, who can run the program from `folder`."""
    os.chmod(folder, 0o755)
    return {"binary": shutil.copy(BINARY, folder), "user": NOBODY, "group": NOBODY,
            "extra_groups": ()}


class Watched:
    """`subcommand` are the first words: the name, and what it cannot do without.

    Options that nobody gives: --listen 127.0.0.1:0, --threads 2, --log-format json.

    `before` are words in front of the program: an emulator, a tracer, a shell with limits.
    `ready` is waited for, `patience` seconds long. `bare`: `subcommand` is all there is.
    """

    def __init__(self, subcommand, *arguments, listen="127.0.0.1:0", threads=2, log_format="json",
                 before=(), binary=BINARY, ready=True, patience=PATIENCE_S, bare=False,
                 **options):
        listens = [listen] if isinstance(listen, str) else listen
        command = [*before, binary, *subcommand]
        if not bare:
            command += ["--log-format", log_format]
            command += ["--threads", str(threads)] if threads else []
            command += [word for each in listens for word in ("--listen", each)]
        self.log_format = log_format
        self.lines = []
        self._records = []
        self._changed = threading.Condition()
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, **options}
        self.process = subprocess.Popen([*command, *arguments], stderr=subprocess.PIPE, **options)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if ready:
            try:
                self.wait_for_event("ready", 1, patience)
            except BaseException:
                self.kill()
                raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def _read(self):
        for raw in self.process.stderr:
            line = raw.decode("utf-8", "replace").rstrip("\n")
            with self._changed:
                self.lines.append(line)
                try:
                    self._records.append(json.loads(line))
                except ValueError:
                    pass  # a text log, an error at the start, a sanitizer's report
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    @property
    def pid(self):
        """Of the program itself, also when something stands before it."""
        return self.process.pid

    def records(self, event=None):
        with self._changed:
            return [record for record in self._records
                    if event is None or record["event"] == event]

    def connections(self):
        return self.records("connection")

    def text(self):
        with self._changed:
            return "\n".join(self.lines)

    def wait_for_event(self, event, count=1, patience=PATIENCE_S, where=lambda _record: True):
        """The first `count` records of that name."""
        def arrived():
            if self.log_format == "text":
                return [line for line in list(self.lines) if f" {event}" in line][:count]
            return [record for record in self.records(event) if where(record)][:count]

        deadline = time.monotonic() + patience
        with self._changed:
            while len(found := arrived()) < count:
                ended = not self._reader.is_alive()
                left = deadline - time.monotonic()
                if ended or left <= 0:
                    raise AssertionError(f"{'ended' if ended else 'waited'} without {count} "
                                         f"{event!r} in its log:\n" + "\n".join(self.lines))
                self._changed.wait(min(left, 0.5))
        return found

    def connection(self, index=0, patience=PATIENCE_S):
        """The line of the connection that ended as number `index`."""
        return self.wait_for_event("connection", index + 1, patience)[index]

    @property
    def addresses(self):
        return [record["address"] for record in self.records("listening")]

    @property
    def port(self):
        return int(self.addresses[0].rsplit(":", 1)[1])

    @property
    def endpoint(self):
        return ("127.0.0.1", self.port)

    def send_signal(self, number):
        self.process.send_signal(number)

    def wait(self, patience=PATIENCE_S):
        status = self.process.wait(patience)
        self._reader.join(patience)
        return status

    def stop(self, number=signal.SIGTERM, patience=PATIENCE_S):
        self.send_signal(number)
        return self.wait(patience)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._reader.join(PATIENCE_S)
        self.process.stderr.close()

    def is_stopped(self):
        """By SIGSTOP, in all its threads."""
        stats = [stat.read_text() for stat in Path(f"/proc/{self.pid}/task").glob("*/stat")]
        return all(stat.rsplit(")", 1)[1].split()[0] == "T" for stat in stats)

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def resident_kib(self):
        for line in Path(f"/proc/{self.pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        raise AssertionError("no VmRSS")
