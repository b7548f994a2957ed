#!/usr/bin/env python3
"""The zero-copy option is on for large files that cannot change, and for no others. No card
encrypts here, so that the kernel copies all the same: the option is looked at, and the bytes."""

import re
import shutil
import subprocess
import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import report  # noqa: E402
from payload import Payload  # noqa: E402
from served_case import ServedCase  # noqa: E402
from watched_serve import IN_GUEST  # noqa: E402

# linux/tls.h: TLS_TX_ZEROCOPY_RO, which strace may or may not have a name for.
OPTION = re.compile(r"setsockopt\(\d+, SOL_TLS, (?:TLS_TX_ZEROCOPY_RO|0x3\b.*?), .*\) = 0")
TRACE = ("strace", "-D", "-f", "-qq", "-e", "trace=setsockopt")
LARGE, SMALL = 400_000, 200_000  # on both sides of 256 KiB
content = Payload(LARGE, seed=1).bytes()


@unittest.skipUnless(shutil.which("strace"), "no strace here")
@unittest.skipUnless(IN_GUEST, "no kernel TLS is wanted here")
class ReadOnlyFileSystem(ServedCase):
    """An ext4 file system of a loop device, below the directory that is served."""

    def setUp(self):
        super().setUp()
        if not shutil.which("mkfs.ext4"):
            self.skipTest("no mkfs.ext4 here")
        tree = self.folder / "tree"
        tree.mkdir()
        for name, size in (("large", LARGE), ("small", SMALL)):
            (tree / name).write_bytes(content[:size])
        self.write("large", content)
        image = self.folder / "image"
        with open(image, "wb") as stream:
            stream.truncate(16 << 20)
        subprocess.run(("mkfs.ext4", "-q", "-d", str(tree), str(image)), check=True)
        self.disk = self.root / "disk"
        self.disk.mkdir()
        self.mount("-o", "loop", str(image), str(self.disk))  # its device may be written to
        self.mount("-o", "remount,ro", str(self.disk))
        self.addCleanup(subprocess.run, ("umount", str(self.disk)), check=True)

    def mount(self, *words):
        subprocess.run(("mount", *words), check=True)

    def options_set(self, path, size, *flags):
        """How often the option was set while that file was sent."""
        trace = self.folder / "trace"
        trace.unlink(missing_ok=True)
        serve = self.serve(*flags, threads=1, before=(*TRACE, "-o", str(trace)))
        self.assertTrue(serve.records("ready")[0]["kernel_tls"])
        before = len(self.option_calls(trace))  # those that ask what this kernel can do
        response = self.ask(serve, path)
        self.assertEqual(response.body, content[:size])
        (line,) = serve.finish()
        self.assertEqual(line["tx"], "kernel")
        return len(self.option_calls(trace)) - before

    @staticmethod
    def option_calls(trace):
        return OPTION.findall(trace.read_text(encoding="ascii", errors="replace"))

    def test_a_large_file_is_sent_with_the_option(self):
        self.assertGreater(self.options_set("/disk/large", LARGE), 0)

    def test_a_smaller_one_is_not(self):
        self.assertEqual(self.options_set("/disk/small", SMALL), 0)

    def test_a_file_that_may_change_is_not_unless_told_so(self):
        self.assertEqual(self.options_set("/large", LARGE), 0)
        self.assertGreater(self.options_set("/large", LARGE, "--files-never-change"), 0)

    def test_a_file_system_that_was_remounted_for_writing_fixes_nothing(self):
        self.mount("-o", "remount,rw", str(self.disk))
        self.assertEqual(self.options_set("/disk/large", LARGE), 0)


if __name__ == "__main__":
    report.main("serve/fixed-files")
