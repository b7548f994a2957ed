#!/usr/bin/env python3
"""The README names files, flags and log fields that exist."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests" / "support"))

import report  # noqa: E402
from preload_case import WAIT_S, end, free_port, is_listened_on  # noqa: E402
from shared_certificates import certificates  # noqa: E402
from watched import wait_until  # noqa: E402

TEXT = (REPOSITORY / "README.md").read_text()
MANUAL = (REPOSITORY / "tools" / "man" / "ktls-bridge-wrap.1").read_text().replace("\\-", "-")
BUILD = Path(os.environ.get("KTLS_BRIDGE_BUILD", REPOSITORY / "build"))
# Flags of other programs, by the program.
OTHERS = {"--full", "--list", "--minimal", "--now", "--only"}


def cells(row):
    return [cell.strip() for cell in row.strip("|").split("|")]


def anchors(text):
    """Of its headings, as they are made for Markdown."""
    return {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-")
            for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}


class Readme(unittest.TestCase):
    def test_links_lead_somewhere(self):
        for target in re.findall(r"\]\(([^)]+)\)", TEXT):
            name, _, anchor = target.partition("#")
            path = REPOSITORY / (name or "README.md")
            self.assertTrue(path.exists(), target)
            if anchor:
                self.assertIn(anchor, anchors(path.read_text(encoding="utf-8")), target)

    def test_scripts_and_pages_exist(self):
        for path in re.findall(r"\b(?:scripts|tools/man)/[\w.-]+", TEXT):
            self.assertTrue((REPOSITORY / path.rstrip(".")).exists(), path)

    def test_rooms_and_their_files_exist(self):
        table = TEXT.split("| room | read first |")[1].split("\n\n")[0]
        for row in table.splitlines()[2:]:
            room, files = cells(row)
            room = REPOSITORY / room.strip("`")
            self.assertTrue(room.is_dir(), room)
            for name in re.findall(r"`([\w.]+\.(?:h|cpp))`", files):
                self.assertTrue((room / name).exists(), name)

    def test_flags_are_those_of_the_program(self):
        known = set(OTHERS)
        program = BUILD / "tools" / "ktls-bridge" / "ktls-bridge"
        for command in ((), ("wrap",), ("serve",), ("broker",), ("run",)):
            done = subprocess.run([program, *command, "--help"], capture_output=True, text=True,
                                  check=True, timeout=30)
            known |= set(re.findall(r"--[\w-]+", done.stdout))
        self.assertEqual(set(re.findall(r"(?<![\w-])--[a-z][\w-]*", TEXT)) - known, set())

    def test_fields_and_reasons_are_those_of_the_manual(self):
        line = re.search(r"^\S+ info connection (.*)$", TEXT, re.MULTILINE).group(1)
        for word in line.split():
            self.assertIn(f"\n.B {word.split('=')[0]}\n", MANUAL, word)
        table = TEXT.split("| field | says |")[1].split("\n\n")[0]
        for row in table.splitlines()[2:]:
            for field in re.findall(r"`(\w+)`", cells(row)[0]):
                self.assertIn(f"\n.B {field}\n", MANUAL, field)
        for reason in re.findall(r"reason=(\w+)", TEXT):
            self.assertIn(f"\n.B {reason}\n", MANUAL, reason)

    def test_fields_of_the_access_log_are_those_of_the_code(self):
        line = json.loads(re.search(r"^\{\"time\".*$", TEXT, re.MULTILINE).group(0))
        code = (REPOSITORY / "tools" / "http" / "access_record.cpp").read_text()
        self.assertEqual(list(line), re.findall(r'line\["(\w+)"\]', code))

    def test_says_which_suite_measures_its_table(self):
        suites = (REPOSITORY / "scripts" / "lib" / "test_suites.py").read_text()
        for name in re.findall(r"scripts/test --only ([\w/]+)", TEXT):
            self.assertIn(f'"{name}', suites)

    @unittest.skipUnless(shutil.which("wget") and shutil.which("openssl"), "no wget or openssl")
    def test_the_commands_of_run_do_what_is_said(self):
        """As they are printed, but for the port."""
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        for file in (certificates().chain, certificates().key, certificates().ca):
            shutil.copy(file, folder)
        port = free_port()
        server, client = (line.replace("8443", str(port)).split()
                          for line in re.findall(r"^ktls-bridge run .*$", TEXT, re.MULTILINE))
        options = {"cwd": folder, "stdin": subprocess.DEVNULL, "stderr": subprocess.DEVNULL,
                   "env": {**os.environ, "PATH": f"{BUILD.resolve() / 'tools' / 'ktls-bridge'}:"
                                                 f"{os.environ['PATH']}"}}
        process = subprocess.Popen(server, stdout=subprocess.DEVNULL, **options)
        self.addCleanup(end, process)
        self.addCleanup(process.terminate)  # which the program gets as well
        wait_until(lambda: is_listened_on(port) or process.poll() is not None, "it to listen",
                   WAIT_S)
        listing = subprocess.run(client, check=True, stdout=subprocess.PIPE, timeout=WAIT_S,
                                 **options).stdout
        self.assertIn(b'<a href="chain.pem">', listing)
        process.terminate()
        self.assertEqual(process.wait(WAIT_S), 128 + 15)


if __name__ == "__main__":
    report.main("readme")
