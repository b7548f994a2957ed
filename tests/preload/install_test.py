#!/usr/bin/env python3
"""`ktls-bridge run` as it is installed: it finds the library that came with it, and serves."""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import report  # noqa: E402
import wrap_peers as peers  # noqa: E402
from preload_case import WAIT_S, end, free_port, is_listened_on  # noqa: E402
from shared_certificates import certificates  # noqa: E402
from watched import BUILD, PATIENCE_S, wait_until  # noqa: E402

LIBRARY = "libktls-bridge-preload.so"


class Installed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.root = Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.root)
        subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", cls.root],
                       check=True, capture_output=True)
        (cls.program,) = cls.root.rglob("bin/ktls-bridge")
        (cls.library,) = cls.root.rglob(LIBRARY)

    def preloaded(self, program, **options):
        """What `run` has the loader load."""
        done = subprocess.run([program, "run", "--connect", "*", "--", "printenv", "LD_PRELOAD"],
                              capture_output=True, text=True, timeout=PATIENCE_S, check=False,
                              **options)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout.rstrip("\n")

    def test_run_loads_the_library_that_was_installed_with_it(self):
        self.assertEqual(self.preloaded(self.program), str(self.library.resolve()))
        self.assertEqual(self.library.parent.name, "ktls-bridge")

    def test_run_finds_it_through_a_link_and_by_the_path_of_the_shell(self):
        elsewhere = self.root / "elsewhere"
        elsewhere.mkdir()
        link = elsewhere / "ktls-bridge"
        link.symlink_to(self.program)
        self.assertEqual(self.preloaded(link), str(self.library.resolve()))
        path = {**os.environ, "PATH": f"{self.program.parent}:{os.environ['PATH']}"}
        self.assertEqual(self.preloaded("ktls-bridge", env=path), str(self.library.resolve()))

    def test_a_server_under_the_installed_run_speaks_tls(self):
        (self.root / "file").write_bytes(b"served\n")
        port = free_port()
        process = subprocess.Popen(
            [self.program, "run", "--listen", str(port), *certificates().server_flags, "--",
             sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory", self.root,
             str(port)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        self.addCleanup(end, process)
        self.addCleanup(process.terminate)
        wait_until(lambda: is_listened_on(port) or process.poll() is not None, "it to listen",
                   WAIT_S)
        with peers.tls(certificates().client_context(), ("127.0.0.1", port)) as stream:
            stream.sendall(b"GET /file HTTP/1.0\r\n\r\n")
            self.assertTrue(peers.receive_all(stream).endswith(b"\r\n\r\nserved\n"))
        process.terminate()  # which reaches the program
        self.assertEqual(process.wait(PATIENCE_S), 128 + 15)

    def test_its_manual_is_installed(self):
        self.assertTrue(list(self.root.rglob("man1/ktls-bridge-run.1*")))


if __name__ == "__main__":
    report.main("preload/install")
