#!/usr/bin/env python3
"""The client library as it is installed: C finds it by pkg-config, it needs nothing but libc, and
it shows its own symbols alone."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import report  # noqa: E402

REPOSITORY = Path(__file__).resolve().parents[2]
BUILD = REPOSITORY / os.environ.get("KTLS_BRIDGE_BUILD", "build-test")
HEADER = REPOSITORY / "userspace" / "broker" / "ktls_bridge_client.h"
PAGE = REPOSITORY / "tools" / "man" / "ktls_bridge_client.3"
# The kernel's loader, by the processors that need it for thread-local storage.
LOADER = re.compile(r"ld-linux.*\.so\.\d+|ld64\.so\.\d+")


def declared():
    return set(re.findall(r"KTLSB_API[^;]*?\b(ktlsb_\w+)\(", HEADER.read_text()))


def tool(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class Installed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.root = Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.root)
        tool("meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", cls.root)
        (found,) = cls.root.rglob("ktls-bridge-client.pc")
        cls.environment = {**os.environ, "PKG_CONFIG_PATH": str(found.parent),
                           "PKG_CONFIG_SYSROOT_DIR": str(cls.root)}
        cls.library = next(cls.root.rglob("libktls-bridge-client.so.0"))

    def compile(self, source, *libraries):
        flags = subprocess.run(["pkg-config", "--cflags", "--libs", *libraries], check=True,
                               capture_output=True, text=True, env=self.environment).stdout.split()
        done = subprocess.run(
            ["cc", "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Wpedantic",
             "-Wstrict-prototypes", "-Werror", "-x", "c", "-", "-o", self.root / "program", *flags],
            input=source, text=True, capture_output=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)

    def run_program(self):
        return subprocess.run([self.root / "program"], capture_output=True, text=True, check=False,
                              env={"LD_LIBRARY_PATH": str(self.library.parent),
                                   "KTLS_BRIDGE_BROKER": "/nowhere/broker.sock"})

    def test_a_c_program_compiles_and_runs(self):
        self.compile("#include <ktls_bridge_client.h>\n#include <stdio.h>\n"
                     "int main(void) { puts(ktlsb_connect(0, \"a\", 0, NULL) == -1\n"
                     "  ? ktlsb_error_text() : \"\"); return 0; }\n", "ktls-bridge-client")
        done = self.run_program()
        self.assertEqual((done.returncode, done.stdout),
                         (0, "no broker answers at /nowhere/broker.sock\n"))

    def test_the_example_of_the_manual_page_compiles(self):
        code = PAGE.read_text().split(".SH EXAMPLE", 1)[1].split(".EX\n", 1)[1].split("\n.EE")[0]
        self.compile(code.replace("\\-", "-").replace("\\e", "\\"), "ktls-bridge-client")

    def test_a_program_may_use_both_libraries(self):
        self.compile("#include <ktls_bridge.h>\n#include <ktls_bridge_client.h>\n"
                     "int main(void) { return ktlsb_version() == NULL || *ktlsb_error_text(); }\n",
                     "ktls-bridge", "ktls-bridge-client")
        self.assertEqual(self.run_program().returncode, 0)
        other = REPOSITORY / "userspace" / "api" / "ktls_bridge.h"
        names = set(re.findall(r"\b(?:ktlsb|KTLSB)_\w+", other.read_text()))
        common = names & set(re.findall(r"\b(?:ktlsb|KTLSB)_\w+", HEADER.read_text()))
        self.assertEqual(common, {"KTLSB_API"})

    def test_the_header_alone_is_c_and_cxx(self):
        for language, standard in (("c", "c99"), ("c++", "c++11")):
            done = subprocess.run(
                ["cc", f"-std={standard}", "-Wall", "-Wextra", "-Wpedantic", "-Werror",
                 "-fsyntax-only", "-I", HEADER.parent, "-x", language, "-"],
                input="#include <ktls_bridge_client.h>\n", capture_output=True, text=True,
                check=False)
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_it_needs_nothing_but_libc(self):
        needed = re.findall(r"\(NEEDED\).*\[(.*)\]", tool("readelf", "-d", self.library))
        self.assertEqual({name for name in needed if not LOADER.fullmatch(name)}, {"libc.so.6"})

    def test_it_shows_what_the_header_declares_and_nothing_else(self):
        symbols = tool("nm", "-D", "--defined-only", self.library).splitlines()
        shown = {line.split()[-1] for line in symbols}
        self.assertTrue(all(name.split("@")[-1] == "KTLSB_CLIENT_0" for name in shown), shown)
        names = {name.split("@")[0] for name in shown} - {"KTLSB_CLIENT_0"}
        self.assertEqual(names, declared())

    def test_every_function_is_in_the_manual_page(self):
        page = PAGE.read_text()
        missing = {name for name in declared() if not re.search(rf"\b{name}\b", page)}
        self.assertEqual(missing, set())


if __name__ == "__main__":
    report.main("api/client")
