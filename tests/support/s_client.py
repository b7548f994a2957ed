"""SClient and SServer: an openssl s_client, or s_server, that changes its keys when told to."""

import re
import subprocess
import threading
import time

from shared_certificates import certificates

PATIENCE_S = 90  # in a guest, on a busy machine
NOT_REQUESTED, REQUESTED = "k", "K"


class _Openssl:
    """One that is told what to do, and says what it sends and receives."""

    def __init__(self, *words):
        self.process = subprocess.Popen(
            ["openssl", *words, "-msg"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self._text = bytearray()
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        while data := self.process.stdout.read1(1 << 16):
            with self._changed:
                self._text += data
                self._changed.notify_all()

    def text(self):
        with self._changed:
            return self._text.decode("latin-1")

    def count(self, pattern):
        return len(re.findall(pattern, self.text()))

    def wait_for(self, condition, what):
        deadline = time.monotonic() + PATIENCE_S
        with self._changed:
            while not condition():
                left = deadline - time.monotonic()
                if left <= 0 or not self._reader.is_alive():
                    raise AssertionError(f"openssl without {what}:\n{self.text()}")
                self._changed.wait(min(left, 0.5))

    def say(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def update_key(self, kind):
        """Returns when the KeyUpdate is sent: what is said next is under the next key."""
        sent = self.count(">>> TLS 1.3.*KeyUpdate")
        self.say(kind)
        self.wait_for(lambda: self.count(">>> TLS 1.3.*KeyUpdate") > sent, "its KeyUpdate")

    def key_updates_received(self):
        return self.count("<<< TLS 1.3.*KeyUpdate")

    def wait_for_end(self):
        """Its exit status, and each alert that it received, as (level, name)."""
        status = self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        return status, re.findall(r"<<< TLS 1\.\d, Alert \[length 0002\], (\w+) (\w+)",
                                  self.text())

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join()
        self.process.stdout.close()
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass  # it has ended; what it did not read is lost


class SClient(_Openssl):
    def __init__(self, port, *flags):
        super().__init__("s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", certificates().ca,
                         "-verify_return_error", *flags)


class SServer(_Openssl):
    """For one connection."""

    def __init__(self, port, *flags):
        keys = certificates()
        super().__init__("s_server", "-accept", f"127.0.0.1:{port}", "-naccept", "1", "-cert",
                         keys.chain, "-key", keys.key, *flags)
        self.wait_for(lambda: "ACCEPT" in self.text(), "a port")


def without_messages(text):
    """What s_client writes but the dumps of -msg, and its word on commands, which come between the
    parts of the data."""
    return re.sub(r"(<<<|>>>) TLS .*\n(    [0-9a-f ]+\n)*|KEYUPDATE\n", "", text)
