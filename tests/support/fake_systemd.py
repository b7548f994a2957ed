"""FakeSystemd: what systemd is to a service, as far as a test needs it: it hears notifications,
and passes sockets."""

import os
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path

from watched import PATIENCE_S

ACTIVATED = Path(__file__).with_name("activated.py")
# Whatever a program must not find in its environment.
VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS",
             "LISTEN_FDNAMES")


class FakeSystemd:
    """`abstract`: at a name instead of a path. `watchdog_s`: how often it wants to be pinged."""

    def __init__(self, abstract=False, watchdog_s=None):
        self.folder = Path(tempfile.mkdtemp())
        self.watchdog_s = watchdog_s
        self.messages = []
        self._changed = threading.Condition()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        name = f"ktls-bridge-{os.getpid()}-{id(self)}"
        self.address = f"@{name}" if abstract else str(self.folder / "notify")
        self._socket.bind(f"\0{name}" if abstract else self.address)
        threading.Thread(target=self._listen, daemon=True).start()

    def close(self):
        # A message of our own ends the thread; close() would not.
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self._socket.getsockname())

    def _listen(self):
        with self._socket:
            while data := self._socket.recv(4096):
                with self._changed:
                    self.messages.append(dict(line.split("=", 1)
                                              for line in data.decode().splitlines()))
                    self._changed.notify_all()

    def environment(self):
        """For the service."""
        found = {**os.environ, "NOTIFY_SOCKET": self.address}
        if self.watchdog_s is not None:
            found["WATCHDOG_USEC"] = str(int(self.watchdog_s * 1e6))
        return found

    def heard(self, name):
        """The messages that have a value of that name."""
        with self._changed:
            return [message for message in self.messages if name in message]

    def wait_for(self, name, count=1, patience=PATIENCE_S):
        """The message of number `count` of those."""
        deadline = time.monotonic() + patience
        with self._changed:
            while len(found := [each for each in self.messages if name in each]) < count:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"waited {patience} s for {name} number {count}, and "
                                         f"heard {self.messages}")
                self._changed.wait(left)
        return found[count - 1]


def passing(sockets, names=""):
    """Options of Watched, so that it is started with these."""
    numbers = [str(each.fileno()) for each in sockets]
    return {"pass_fds": [each.fileno() for each in sockets],
            "before": (sys.executable, "-B", str(ACTIVATED), "--fds", ",".join(numbers),
                       *(("--names", names) if names else ()), "--")}
