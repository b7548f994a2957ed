#!/usr/bin/env python3
"""What programs under `ktls-bridge run` start, and how they end: others are under the library as
well, or it is said that they cannot be."""

import os
import shutil
import socket
import ssl
import subprocess
import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import report  # noqa: E402
from preload_case import PreloadCase, WAIT_S, free_port  # noqa: E402
from shared_certificates import certificates  # noqa: E402

REPOSITORY = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("KTLS_BRIDGE_BUILD", REPOSITORY / "build"))
CHILDREN = BUILD / "tests" / "preload" / "children"
LIBRARY = BUILD / "tools" / "preload" / "libktls-bridge-preload.so"
# The channel's number is taken, and another program is executed, which serves.
MOVE_CHANNEL = """\
import os, sys
os.dup2(0, int(os.environ["KTLS_BRIDGE_CHANNEL"]))
os.execv(sys.executable, [sys.executable, "-c", sys.argv[1], sys.argv[2]])
"""
SERVE = """\
import socket, sys
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as listener:
    sock, _ = listener.accept()
    with sock:
        sock.sendall(sock.recv(100))
"""


class ChildrenCase(PreloadCase):
    def run_to_its_end(self, *program, **options):
        run = self.run_program(*program, stdout=subprocess.PIPE, stdin=subprocess.PIPE,
                               connect=("nowhere.invalid:1",), **options)
        self.assertEqual(run.wait(WAIT_S), 0, run.text())
        return run, run.process.stdout.read().decode()

    def talk(self, port):
        context = ssl.create_default_context(cafile=certificates().ca)
        with socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as sock, \
                context.wrap_socket(sock, server_hostname="localhost") as stream:
            stream.sendall(b"question")
            return stream.recv(100)

    def test_a_program_ends_while_a_thread_waits_for_input(self):
        _run, output = self.run_to_its_end(CHILDREN, "stdio")
        self.assertEqual(output, "ended\n")

    def test_system_and_popen_run_programs_under_the_library(self):
        _run, output = self.run_to_its_end(CHILDREN, "environment")
        self.assertEqual(output, f"system={LIBRARY}\npopen={LIBRARY}\n")

    def test_a_clone_with_descriptors_of_its_own_ends_no_connection(self):
        port = free_port()
        run = self.serve(CHILDREN, "clone", port, port=port)
        self.assertEqual(self.talk(port), b"question")
        self.assertEqual(run.wait(WAIT_S), 0, run.text())

    def test_the_channel_goes_on_from_another_number(self):
        port = free_port()
        self.serve(sys.executable, "-c", MOVE_CHANNEL, SERVE, port, port=port)
        self.assertEqual(self.talk(port), b"question")

    @unittest.skipUnless(shutil.which("cc"), "no cc to make a static program with")
    def test_programs_that_cannot_be_under_the_library_are_told_of(self):
        source = self.folder / "static.c"
        source.write_text("int main(void) { return 0; }\n")
        program = self.folder / "static"
        subprocess.run(["cc", "-static", "-o", program, source], check=True)
        script = self.folder / "script"
        script.write_text(f"#!{program}\n")
        script.chmod(0o755)
        run, _output = self.run_to_its_end("sh", "-c", f"{program}; {script}; ls /; :")
        told = [line for line in run.text().splitlines() if "is static" in line]
        self.assertEqual(len(told), 2, run.text())
        for path, line in zip((program, script), told, strict=True):
            self.assertIn(f"ktls-bridge: {path} is static", line)


if __name__ == "__main__":
    report.main("preload/children")
