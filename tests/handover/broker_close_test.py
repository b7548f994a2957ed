#!/usr/bin/env python3
"""What the peer of a program sees when the program lets go of its connection, in each way that
there is, and whether the table in userspace/broker/README.md says so."""

import subprocess
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import report  # noqa: E402
from broker_case import BrokerCase, REQUIRES_KTLS, WAIT_S  # noqa: E402
from broker_closing import LATE, SOME, WAYS  # noqa: E402
from closing_table import all_of, closing_table  # noqa: E402
from watched import REPOSITORY  # noqa: E402

README = REPOSITORY / "userspace" / "broker" / "README.md"
PROGRAM = Path(__file__).resolve().parents[1] / "support" / "broker_closing.py"
# Columns of the table.
MODES = {"direct": (1, ()), "relayed": (2, ("--offload", "never"))}
if not REQUIRES_KTLS:
    del MODES["direct"]


class Closing(BrokerCase):
    def program_of(self, broker, listener):
        fd = listener.fileno()
        program = self.program(broker.path, str(fd), pass_fds=(fd,), script=PROGRAM,
                               stdout=subprocess.PIPE)
        broker.wait_for_event("listening", patience=WAIT_S)
        return program

    def seen(self, broker, program, listener, way):
        """(what arrived, how it ended, what the program wrote at most)."""
        stream = self.tls(listener)
        beside = b"and more" if way == "unread" else b""
        stream.sendall(f"{way}\n".encode() + beside)
        written = len(SOME)
        if way.startswith("full"):
            written += int(program.stdout.readline())
        if way != "shutdown":  # which waits for us
            self.assertEqual(program.stdout.readline(), b"gone\n")
        if way == "release, SIGKILL":
            self.idle(broker)  # it has seen that the parent left
            stream.sendall(b"!")
        received, end = all_of(stream)
        stream.close()
        if way == "shutdown":
            self.assertEqual(program.stdout.readline(), b"gone\n")
        return received, end, written

    def test_peers_see_what_the_table_says(self):
        told = closing_table(README, "### Closing")
        self.assertEqual(set(told), set(WAYS))
        for mode, (column, flags) in MODES.items():
            broker = self.broker(*flags, path=self.folder / mode)
            listener = self.listener()
            program = self.program_of(broker, listener)
            idle = self.idle(broker)
            for way in WAYS:
                with self.subTest(mode=mode, way=way):
                    received, end, written = self.seen(broker, program, listener, way)
                    print(f"{mode}: {way}: {end} after {len(received)} of {written} bytes")
                    self.assertIn(end, told[way][column].split(" or "))
                    self.assert_data(way, end, received, written)
            self.assert_settles(broker, idle)

    def assert_data(self, way, end, received, written):
        """An orderly end comes after everything, and no end after anything else."""
        if way in ("fork", "release, fork", "release, SCM_RIGHTS"):
            self.assertEqual(received, SOME + LATE)
        elif end == "close_notify":
            self.assertEqual(len(received), written)
        self.assertLessEqual(len(received), written + len(LATE))
        if end != "reset":
            self.assertTrue(received.startswith(SOME))


if __name__ == "__main__":
    report.main("handover/broker-close")
