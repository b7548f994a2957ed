#!/usr/bin/env python3
"""Who moves the file that a wrapped nginx serves: strace sees its workers call sendfile(2) on their
own TLS socket for all of it, and the bridge copy next to nothing."""

import hashlib
import re
import signal
import subprocess
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import report  # noqa: E402
import web_servers  # noqa: E402
from call_trace import STRACE, TRANSFERS, calls  # noqa: E402
from payload import Payload  # noqa: E402
from preload_case import PreloadCase, WAIT_S, free_port  # noqa: E402
from shared_certificates import certificates  # noqa: E402
from watched import wait_until  # noqa: E402

FILE = Payload(3 << 20, seed=6)
HEADER_MAX = 1 << 10
COPIED_MAX = 16 << 10


def workers():
    """Processes of nginx that serve."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().startswith(b"nginx: worker process"):
                found.add(int(path.parent.name))
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended since
    return found


class WhoMovesTheFile(PreloadCase):
    def test_the_workers_of_nginx_do_by_their_own_sendfile(self):
        site = self.folder / "site"
        site.mkdir(mode=0o755)
        (site / "file").write_bytes(FILE.bytes())
        trace, port, others = self.folder / "strace", free_port(), workers()
        run = self.serve(*web_servers.nginx(self.folder, port), port=port,
                         before=(*STRACE, str(trace)))
        ours = wait_until(lambda: len(new := workers() - others) == 2 and new, "workers", WAIT_S)
        got = subprocess.run(["curl", "--silent", "--show-error", "--cacert", certificates().ca,
                              "--max-time", str(2 * WAIT_S), f"https://localhost:{port}/file"],
                             stdin=subprocess.DEVNULL, capture_output=True, check=False)
        self.assertEqual((got.returncode, got.stderr), (0, b""))
        self.assertEqual(hashlib.sha256(got.stdout).hexdigest(), FILE.sha256)
        self.assert_placed(run, 1)
        run.stop(signal.SIGTERM, patience=2 * WAIT_S)
        self.look(list(calls(trace)), ours)

    def look(self, traced, ours):
        sent = [call for call in traced if call.thread in ours and call.name == "sendfile"]
        sockets = {call.descriptor for call in sent}
        self.assertEqual(sum(call.result for call in sent), FILE.size)
        self.assertEqual(len(sockets), 1)
        beside = sum(call.result for call in traced
                     if call.thread in ours and call.descriptor in sockets
                     and call.name in ("write", "writev", "sendto", "sendmsg"))
        last_key = max(index for index, call in enumerate(traced)
                       if re.match(r"\d+, SOL_TLS, (1|2|TLS_TX|TLS_RX),", call.arguments))
        bridge = [call for call in traced[last_key + 1:]
                  if call.thread not in ours and call.name in (*TRANSFERS, "splice")]
        copied = sum(call.result for call in bridge)
        print(f"{len(sent)} calls of sendfile moved {FILE.size} bytes; nginx wrote {beside} beside "
              f"them, and the bridge moved {copied}")
        self.assertLess(beside, HEADER_MAX)
        self.assertLess(copied, COPIED_MAX)


if __name__ == "__main__":
    report.main("preload/sendfile")
