"""DrainedWrap: a Wrap that ends by draining, whose connection lines are taken one after the other,
with deadlines for a guest."""

import signal
import subprocess

from watched_wrap import Wrap

# In a guest on a busy machine a start alone takes seconds, the more under strace.
START_S = 90
STOP_S = 60


class WrapFailed(Exception):
    """It ended, or did not do in time what was waited for; the text has its log."""


class DrainedWrap(Wrap):
    """Drained, not killed, when the `with` block ends without an exception."""

    def __init__(self, *flags, to, before=(), threads=2):
        super().__init__(*map(str, flags), to=to, before=before, threads=threads, ready=False)
        self._taken = 0  # connection lines that next_connections() has answered
        try:
            self.ready, = self._wait("ready", 1, START_S)
        except WrapFailed:
            self.kill()
            raise

    def next_connections(self, count, patience_s):
        """The next `count` connection lines, waited for."""
        lines = self._wait("connection", self._taken + count, patience_s)[self._taken:]
        self._taken += count
        return lines

    def skip_connections(self):
        """Forgets the lines that are there: those of a test that failed."""
        self._taken = len(self.connections())

    def drain(self):
        if self.process.poll() is None:
            self.send_signal(signal.SIGTERM)
        try:
            status = self.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise WrapFailed(f"wrap did not drain in {STOP_S} s:\n{self.text()}") from None
        if status:
            raise WrapFailed(f"wrap ended with {status}:\n{self.text()}")

    def __exit__(self, kind, *_):
        if kind is None:
            self.drain()
        else:
            self.kill()

    def _wait(self, event, count, patience_s):
        try:
            return self.wait_for_event(event, count, patience_s)
        except AssertionError as error:
            raise WrapFailed(str(error)) from None
