#!/usr/bin/env python3
"""What is installed can be used: a C program finds header and library by pkg-config, compiles
without a warning, and runs; and the library shows its own symbols alone."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "support"))

import report  # noqa: E402
from ktls_bridge import BUILD, REPOSITORY  # noqa: E402

HEADER = REPOSITORY / "userspace" / "api" / "ktls_bridge.h"
PAGE = REPOSITORY / "tools" / "man" / "libktls-bridge.3"

def example():
    """The program in the manual page."""
    text = PAGE.read_text()
    code = text.split(".SH EXAMPLE", 1)[1].split(".EX\n", 1)[1].split("\n.EE", 1)[0]
    return code.replace("\\(aq", "'").replace("\\-", "-").replace("\\e", "\\")


class Installed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.root = Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.root)
        subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", cls.root],
                       check=True, capture_output=True)
        (found,) = cls.root.rglob("ktls-bridge.pc")
        cls.environment = {**os.environ, "PKG_CONFIG_PATH": str(found.parent),
                           "PKG_CONFIG_SYSROOT_DIR": str(cls.root)}
        cls.library = next(cls.root.rglob("libktls-bridge.so.0"))

    def pkg_config(self, *arguments):
        done = subprocess.run(["pkg-config", *arguments, "ktls-bridge"], check=True,
                              capture_output=True, text=True, env=self.environment)
        return done.stdout.split()

    def compile(self, source, *flags):
        program = self.root / "program"
        done = subprocess.run(
            ["cc", "-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Wstrict-prototypes", "-Werror",
             *flags, "-x", "c", "-", "-o", program, *self.pkg_config("--cflags", "--libs")],
            input=source, text=True, capture_output=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return subprocess.run([program], capture_output=True, text=True, check=False,
                              env={"LD_LIBRARY_PATH": str(self.library.parent)})

    def test_a_c_program_compiles_and_runs(self):
        done = self.compile('#include <ktls_bridge.h>\n#include <stdio.h>\n'
                            'int main(void) { puts(ktlsb_version()); return 0; }\n')
        self.assertEqual(done.returncode, 0)
        self.assertEqual(done.stdout.split(), self.pkg_config("--modversion"))

    def test_the_example_of_the_manual_page_does_what_it_says(self):
        done = self.compile(example())
        self.assertEqual((done.returncode, done.stdout), (0, "hello\n"), done.stderr)

    def test_the_header_alone_is_c(self):
        done = subprocess.run(["cc", "-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror",
                               "-fsyntax-only", "-I", HEADER.parent, "-x", "c", "-"],
                              input="#include <ktls_bridge.h>\n", capture_output=True, text=True,
                              check=False)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_it_shows_what_the_header_declares_and_nothing_else(self):
        done = subprocess.run(["nm", "-D", "--defined-only", self.library], check=True,
                              capture_output=True, text=True)
        shown = {line.split()[-1] for line in done.stdout.splitlines()}
        declared = set(re.findall(r"\b(ktlsb_\w+)\(", HEADER.read_text().replace("(*ktlsb_", "(")))
        self.assertTrue(all(name.split("@")[-1] == "KTLSB_0" for name in shown), shown)
        names = {name.split("@")[0] for name in shown} - {"KTLSB_0"}
        self.assertEqual(names, {name for name in declared
                                 if re.search(rf"KTLSB_API[^;]*\b{name}\(", HEADER.read_text())})

    def test_every_function_is_in_the_manual_page(self):
        declared = set(re.findall(r"KTLSB_API[^;]*?\b(ktlsb_\w+)\(", HEADER.read_text()))
        page = PAGE.read_text()
        self.assertEqual({name for name in declared if not re.search(rf"\b{name}\b", page)}, set())


if __name__ == "__main__":
    report.main("api/install")
