"""A `ktls-bridge wrap` that a test starts, listens to, and ends."""

import json
import os
import subprocess
import threading
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("KTLS_BRIDGE_BUILD", REPOSITORY / "build-test"))
PROGRAM = BUILD / "tools" / "ktls-bridge" / "ktls-bridge"
# Generous: in a guest on a busy machine a start alone takes seconds.
START_S = 60
STOP_S = 20


class WrapFailed(Exception):
    """It ended, or did not do in time what was waited for; the text is its whole log."""


class Wrap:
    """Listens on 127.0.0.1, port `port`, until the `with` block ends."""

    def __init__(self, *flags, under=()):
        """`under` are words before the program, such as strace's. They must execute it."""
        command = [*map(str, under), str(PROGRAM), "wrap", "--listen", "127.0.0.1:0",
                   "--log-format", "json", *map(str, flags)]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.ended = False
        self.log = []
        self._events = []
        self._taken = 0  # connection lines that connections() has answered
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.ready = self._wait(lambda: self._of("ready"), START_S)[0]
        except WrapFailed:
            self.stop()
            raise
        self.port = int(self._of("listening")[0]["address"].rsplit(":", 1)[1])

    def connections(self, count, timeout_s):
        """The next `count` connection lines, waited for."""
        last = self._taken + count

        def lines():
            return self._of("connection")[self._taken:last]

        found = self._wait(lambda: lines() if len(lines()) == count else None, timeout_s)
        self._taken = last
        return found

    def skip_connections(self):
        """Forgets the lines that are there: those of a test that failed."""
        with self._changed:
            self._taken = len(self._of("connection"))

    def stop(self):
        """Answers the exit status."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._reader.join(STOP_S)
        if not self._reader.is_alive():
            self.process.stderr.close()
        return self.process.returncode

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def _of(self, event):
        return [line for line in self._events if line.get("event") == event]

    def _wait(self, answer, timeout_s):
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not answer():
                left = deadline - time.monotonic()
                if self.ended or left <= 0:
                    state = "ended" if self.ended else f"did not say it in {timeout_s} s"
                    raise WrapFailed(f"wrap {state}; its log:\n" + "\n".join(self.log))
                self._changed.wait(left)
            return answer()

    def _read(self):
        for line in self.process.stderr:
            text = line.decode(errors="replace").rstrip("\n")
            with self._changed:
                self.log.append(text)
                try:
                    self._events.append(json.loads(text))
                except ValueError:
                    pass  # one line in words: why it did not start
                self._changed.notify_all()
        with self._changed:
            self.ended = True
            self._changed.notify_all()
