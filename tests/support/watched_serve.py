"""Serve: a `ktls-bridge serve` that a test starts, watches through its logs, and ends."""

import json
import os
import time
from pathlib import Path

from watched import PATIENCE_S, Watched

# Inside scripts/vm: what a guest's kernel has to do there is not done elsewhere instead, and all
# takes some thirty times longer.
IN_GUEST = os.environ.get("KTLS_BRIDGE_REQUIRE_KTLS") == "1"
WAIT_S = 120 if IN_GUEST else PATIENCE_S
LOOPS = ("io_uring", "epoll")
TLS_STATISTICS = Path("/proc/net/tls_stat")


def data_paths(loops_in_guest=LOOPS[:1]):
    """(name, flags): each way that responses can take on this kernel; in a guest by one loop alone
    unless the test can afford both."""
    if IN_GUEST:
        return tuple((f"kernel, {loop}", ("--loop", loop)) for loop in loops_in_guest)
    return (*((f"userspace, {loop}", ("--offload", "never", "--loop", loop)) for loop in LOOPS),
            ("auto", ()))


def tls_statistics():
    """The counters of /proc/net/tls_stat by name; none where the kernel has no TLS."""
    if not TLS_STATISTICS.exists():
        return {}
    return {name: int(value) for name, value in
            (line.split() for line in TLS_STATISTICS.read_text(encoding="ascii").splitlines())}


class Serve(Watched):
    """The access log is JSON, in a file of the test's `folder`; no wait is short in a guest."""

    def __init__(self, directory, *arguments, folder, access_log_format="json", **options):
        self.log_file = Path(folder) / f"access-{time.monotonic_ns()}.log"
        flags = ["--access-log", str(self.log_file), "--access-log-format", access_log_format]
        if IN_GUEST:
            flags += ["--handshake-timeout", "120s", "--request-timeout", "120s",
                      "--send-timeout", "120s"]
        super().__init__(("serve", str(directory)), *flags, *map(str, arguments),
                         patience=WAIT_S, **options)

    @property
    def plain_endpoint(self):
        """That of --http, behind one --listen."""
        return ("127.0.0.1", int(self.addresses[1].rsplit(":", 1)[1]))

    def responses(self):
        """The access log, line by line."""
        if not self.log_file.exists():
            return []
        text = self.log_file.read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines(keepends=True)
                if line.endswith("\n")]

    def wait_for_responses(self, count, patience=WAIT_S):
        """The first `count` lines of the access log."""
        deadline = time.monotonic() + patience
        while len(found := self.responses()) < count:
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise AssertionError(f"{len(found)} responses in the access log, not {count}:\n"
                                     + "\n".join(map(str, found)) + "\n" + self.text())
            time.sleep(0.02)
        return found[:count]

    def wait_for_connections(self, count, patience=WAIT_S):
        return self.wait_for_event("connection", count, patience)

    def finish(self):
        """Drains it; answers the access log, which is whole then and not before."""
        status = self.stop(patience=WAIT_S)
        if status != 0:
            raise AssertionError(f"serve ended with {status}:\n{self.text()}")
        return self.responses()
