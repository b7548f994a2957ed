#!/usr/bin/env python3
"""How a connection ends that a program has: what the manual page says of each way in which a
program lets go of it is what the peer sees, and what the log says."""

import os
import re
import ssl
import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import report  # noqa: E402
from exec_case import ExecCase, REQUIRES_KTLS  # noqa: E402
from man_page import entries, sections  # noqa: E402
from watched import REPOSITORY, wait_until  # noqa: E402
from wrap_tls_stream import Truncated  # noqa: E402

PAGE = REPOSITORY / "tools" / "man" / "ktls-bridge-wrap.1"
HEADING = "WHEN A PROGRAM ENDS"
# What the buffers on the way take from a program that never waits.
FILL = """\
socket.socket(fileno=os.dup(1)).setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
os.set_blocking(1, False)
size = 0
try:
    while True: size += os.write(1, b'x' * 65536)
except BlockingIOError:
    open(sys.argv[1], 'w').write(str(size))
"""
RECEIVE_BUFFER = 65536
WAIT = """\
def wait_for_a_word():
    deadline = time.monotonic() + (1 if sys.argv[2] == 'direct' else 20)
    while not os.path.exists(sys.argv[1]) and time.monotonic() < deadline: time.sleep(0.02)
"""
# By the tags of the manual page: what the program does after it has said "begin".
PROGRAMS = {
    "exits": "sys.exit(3)",
    "calls _exit": "os._exit(4)",
    "is killed": "os.kill(os.getpid(), signal.SIGKILL)",
    "leaves a child behind that has the socket":
        "os.fork() and os._exit(0); time.sleep(1); os.write(1, b' and later')",
    "exits before the peer has read all":
        FILL,
    "closes its descriptors and goes on": "os.close(0); os.close(1); wait_for_a_word()",
    "shuts its sending down": "os.dup2(1, 5); socket.socket(fileno=5).shutdown(socket.SHUT_WR)",
}
MODES = ("guarded", "direct") if REQUIRES_KTLS else ("relay",)


def promised(tag, mode):
    """(what the peer has, `ended` of the line, its `exit`), from the manual page."""
    text = entries(sections(PAGE)[HEADING])[tag]
    if mode == "relay" and "Through a relay:" in text:
        text = text.partition("Through a relay:")[2]
    peer = re.search(r"the peer has (close_notify|the alert \w+|FIN alone)", text).group(1)
    ended = re.search(r"ended=(\w+)", text).group(1)
    status = re.search(r"exit=(\d+)", text)
    return peer.removeprefix("the alert "), ended, int(status.group(1)) if status else 0


def program(act):
    return (sys.executable, "-S", "-c",
            f"import os, signal, socket, sys, time\n{WAIT}\nos.write(1, b'begin')\n{act}")


class Close(ExecCase):
    def see(self, mode, tag):
        flags = () if mode == "relay" else ("--read", mode)
        word = self.folder / "word"  # from the program to us, or from us to it
        wrap = self.wrap(*program(PROGRAMS[tag]), str(word), mode, flags=flags)
        received = b""
        with self.connect(wrap, receive_buffer=RECEIVE_BUFFER) as client:
            if PROGRAMS[tag] == FILL:
                wait_until(lambda: word.exists() and word.read_text(), "full buffers")
            try:
                while part := client.recv(1 << 20):
                    received += part
                end = "close_notify"
                client.send_close_notify()
            except Truncated:
                end = "FIN alone"
            except ssl.SSLError as error:
                end = error.reason.removeprefix("TLSV1_ALERT_").lower()
        if "wait_for_a_word" in PROGRAMS[tag]:
            if mode != "direct":
                self.assertEqual(wrap.connections(), [])  # while the program goes on
            word.touch()
        line = wrap.connection()
        self.assertEqual(line["handed_out"], mode, line)
        expected = b"begin"
        if PROGRAMS[tag] == FILL:
            expected += b"x" * int(word.read_text())
            self.assertGreater(len(expected), RECEIVE_BUFFER)
        elif "later" in PROGRAMS[tag]:
            expected += b" and later"
        self.assertEqual((len(received), received), (len(expected), expected))
        return (end, line["ended"], line["exit"]), line

    def test_every_row_of_the_manual_page_is_tried(self):
        self.assertEqual(set(entries(sections(PAGE)[HEADING])), set(PROGRAMS))


def add_row(mode, tag):
    def test(self):
        seen, line = self.see(mode, tag)
        self.assertEqual(seen, promised(tag, mode), line)
    name = "_".join(["test_as_the_manual_says", mode, "a_program", *re.findall(r"\w+", tag)])
    setattr(Close, name, test)


for each_mode in MODES:
    for each_tag in PROGRAMS:
        add_row(each_mode, each_tag)


if __name__ == "__main__":
    assert os.path.exists(PAGE)
    report.main("handover/close")
