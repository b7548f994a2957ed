#!/usr/bin/env python3
"""What the peer of a wrapped program sees when the program lets go of its connection, in each way
that there is, and whether the table in tools/preload/README.md says so."""

import subprocess
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import report  # noqa: E402
import wrap_peers as peers  # noqa: E402
from closing_table import all_of, closing_table  # noqa: E402
from preload_case import MODE, PreloadCase, WAIT_S, free_port, timer_to_kill  # noqa: E402
from preload_closing import AFTERWARDS, LATE, SOME, WAYS  # noqa: E402
from shared_certificates import certificates  # noqa: E402
from watched import REPOSITORY, idle  # noqa: E402
from wrap_tls_stream import TlsStream  # noqa: E402

README = REPOSITORY / "tools" / "preload" / "README.md"
HEADING = "## Closing"
COLUMN = {"direct": 1, "relayed": 2}[MODE]
PROGRAM = REPOSITORY / "tests" / "support" / "preload_closing.py"
# In these the process ends later, when it is told to.
WAYS_THAT_GO_ON = ("close", "shutdown", "full", "unread")


class Closing(PreloadCase):
    def setUp(self):
        super().setUp()
        self.told = closing_table(README, HEADING)

    def test_every_way_is_in_the_table(self):
        self.assertEqual(set(self.told), set(WAYS))

    def see(self, run, port, way, mode):
        """(what arrived, how it ended, what the program wrote at most)."""
        raw = peers.tcp(("127.0.0.1", port), timeout=WAIT_S, receive_buffer=65536)
        with TlsStream(raw, certificates().client_context(), "localhost") as stream:
            if mode == "fork":
                # Whoever is killed later than that is the last one.
                self.assertEqual(run.process.stdout.readline(), b"left\n")
                idle(run, WAIT_S)
            beside = b"and more" if way == "unread" else b""
            stream.sendall(f"{way}\n".encode() + beside)
            written = len(SOME)
            if way.startswith("full"):
                written += int(run.process.stdout.readline())
            if way != "shutdown":  # which waits for us
                self.assertEqual(run.process.stdout.readline(), b"gone\n")
            received, end = all_of(stream)
            if way == "shutdown":
                stream.sendall(AFTERWARDS)
                stream.end_sending()
                self.assertEqual(run.process.stdout.readline(), AFTERWARDS + b"\n")
                self.assertEqual(run.process.stdout.readline(), b"gone\n")
        if way in WAYS_THAT_GO_ON:
            run.process.stdin.write(b"\n")
            run.process.stdin.flush()
        return received, end, written

    def start_server(self, mode):
        port = free_port()
        run = self.serve(sys.executable, "-S", PROGRAM, port, mode, port=port,
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.assertEqual(run.process.stdout.readline(), b"listening\n")
        return run, port

    def check(self, mode):
        run = None
        for way in WAYS:
            if run is None:
                run, port = self.start_server(mode)
            with self.subTest(way=way), timer_to_kill(run.process):
                server, run = run, None  # another one after a failure
                received, end, written = self.see(server, port, way, mode)
                print(f"{MODE}, {mode}: {way}: {end} after {len(received)} of {written}")
                self.assertIn(end, self.told[way][COLUMN].split(" or "))
                self.assert_data(way, end, received, written)
                run = server
        self.assertIsNotNone(run, "the last way failed")
        self.assert_placed(run, 1)

    def assert_data(self, way, end, received, written):
        """An orderly end comes after everything, and no end after anything else."""
        if way == "fork":
            self.assertEqual(received, SOME + LATE)
        elif end == "close_notify":
            self.assertEqual(len(received), written)
        else:
            self.assertLessEqual(len(received), written)
        if end != "reset":
            self.assertTrue(received.startswith(SOME))

    def test_peers_of_a_process_for_each_connection_see_what_the_table_says(self):
        self.check("fork")

    def test_peers_of_processes_forked_before_see_what_the_table_says(self):
        self.check("prefork")


if __name__ == "__main__":
    report.main("preload/close")
