#!/usr/bin/env python3
"""scripts/setup, with stand-ins for dpkg-query and apt-get in front of the real ones."""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests" / "support"))

import report  # noqa: E402

SETUP = REPOSITORY / "scripts" / "setup"


def debian_12():
    release = Path("/etc/os-release")
    text = release.read_text() if release.exists() else ""
    return "ID=debian\n" in text and 'VERSION_ID="12"' in text


class Setup(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.bin = Path(folder.name)
        self.stand_in("apt-get", 'echo "$@" >> "$0.calls"; exit 0')
        # An administrator without a password, so that the test needs no root.
        self.stand_in("sudo", 'exec "$@"')

    def stand_in(self, name, text):
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def installed(self, names):
        lines = "".join(f"installed:{name} " for name in names)
        self.stand_in("dpkg-query", f"printf '%s' '{lines}'; exit 1")

    def run_setup(self, *arguments):
        environment = {**os.environ, "PATH": f"{self.bin}:{os.environ['PATH']}"}
        return subprocess.run([SETUP, *arguments], env=environment, capture_output=True,
                              text=True, check=False)

    def apt_calls(self):
        calls = self.bin / "apt-get.calls"
        return calls.read_text() if calls.exists() else ""

    def packages(self, *arguments):
        return self.run_setup("--list", *arguments).stdout.split()

    def test_minimal_is_a_part_of_all(self):
        everything, minimal = self.packages(), self.packages("--minimal")
        self.assertLess(set(minimal), set(everything))
        self.assertEqual(len(everything), len(set(everything)))

    def test_nothing_is_called_where_all_is_installed(self):
        self.installed(self.packages())
        done = self.run_setup()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.apt_calls(), "")

    def test_check_names_what_is_missing_and_installs_nothing(self):
        self.installed(set(self.packages()) - {"meson"})
        done = self.run_setup("--check")
        self.assertEqual(done.returncode, 1)
        self.assertIn("missing: meson ", done.stderr)
        self.assertEqual(self.apt_calls(), "")

    def test_a_removed_package_is_missing(self):
        names = [name for name in self.packages() if name != "meson"]
        lines = "".join(f"installed:{name} " for name in names) + "config-files:meson "
        self.stand_in("dpkg-query", f"printf '%s' '{lines}'")
        self.assertEqual(self.run_setup("--check").returncode, 1)

    @unittest.skipUnless(debian_12(), "installs on Debian 12 only")
    def test_only_what_is_missing_is_installed(self):
        self.installed(set(self.packages()) - {"meson", "g++"})
        self.run_setup()
        install = self.apt_calls().splitlines()[1]
        self.assertTrue(install.startswith("install "), install)
        self.assertTrue(install.endswith(" g++ meson"), install)

    @unittest.skipUnless(debian_12(), "installs on Debian 12 only")
    def test_no_new_service_is_started_and_those_that_were_there_are_let_alone(self):
        self.installed(set(self.packages()) - {"nginx", "redis-server"})
        # In front of each command that needs root; what it would do to this machine is only told.
        calls = self.bin / "calls"
        self.stand_in("env", f'echo "$@" >> {calls}')
        self.stand_in("systemctl", "exit 1")
        self.run_setup()
        said = calls.read_text()
        self.assertRegex(said, r"install .* nginx redis-server\n")
        self.assertRegex(said, r"systemctl --quiet disable nginx redis-server\n\Z")
        if not os.path.exists("/usr/sbin/policy-rc.d"):
            self.assertRegex(said, r"(?s)exit 101.*policy-rc.d\n.* install .*rm -f /usr/sbin/")

    @unittest.skipUnless(debian_12(), "installs on Debian 12 only")
    def test_no_network_is_said(self):
        self.installed([])
        self.stand_in("apt-get", "exit 100")
        done = self.run_setup()
        self.assertEqual(done.returncode, 1)
        self.assertIn("is there a network", done.stderr)

    @unittest.skipUnless(debian_12(), "installs on Debian 12 only")
    def test_an_apt_that_lies_is_found_out(self):
        self.installed([])
        done = self.run_setup("--minimal")
        self.assertEqual(done.returncode, 1)
        self.assertIn("not there: g++", done.stderr)

    def test_an_unknown_argument_is_refused(self):
        done = self.run_setup("--everything")
        self.assertEqual(done.returncode, 1)
        self.assertIn("--everything", done.stderr)


if __name__ == "__main__":
    report.main("setup")
