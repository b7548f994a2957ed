#!/usr/bin/env python3
"""A forbidden include breaks the build: proved on a copy of the source, with meson and ninja."""

import json
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

VICTIM = "ktls/core/socket.h"
UPWARD = '#include "userspace/record/record_layer.h"\n'


def source_files():
    """What is tracked; in a release tarball, all but build directories."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True,
                            text=True, check=False)
    if listed.returncode == 0:
        return [name for name in listed.stdout.split("\0") if name]
    return [str(path.relative_to(REPOSITORY)) for path in REPOSITORY.rglob("*")
            if path.is_file() and not path.relative_to(REPOSITORY).parts[0].startswith("build")]


class Build(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="ktls-tidy-")
        cls.source = Path(cls.folder.name, "source")
        for name in source_files():
            if (REPOSITORY / name).exists():
                (cls.source / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(REPOSITORY / name, cls.source / name)
        done = subprocess.run(["meson", "setup", "build"], cwd=cls.source, capture_output=True,
                              text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"meson setup failed:\n{done.stdout}{done.stderr}")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def ninja_tidy(self):
        return subprocess.run(["ninja", "-C", "build", "tidy.stamp"], cwd=self.source,
                              capture_output=True, text=True, check=False)

    def test_an_upward_include_fails_ninja_and_is_named(self):
        victim = self.source / VICTIM
        original = victim.read_text()
        self.assertEqual(self.ninja_tidy().returncode, 0)
        victim.write_text(original + UPWARD)
        self.addCleanup(victim.write_text, original)
        done = self.ninja_tidy()
        self.assertNotEqual(done.returncode, 0)
        line = original.count("\n") + 1
        self.assertIn(f"{VICTIM}:{line}: ktls/core may not include "
                      '"userspace/record/record_layer.h"', done.stdout)
        self.assertIn("[layers]", done.stdout)

    def test_tidy_is_never_up_to_date(self):
        self.ninja_tidy()
        self.assertNotIn("no work to do", self.ninja_tidy().stdout)

    def test_plain_ninja_runs_tidy(self):
        shown = subprocess.run(["meson", "introspect", "--targets", "build"], cwd=self.source,
                               capture_output=True, text=True, check=True)
        targets = {target["name"]: target for target in json.loads(shown.stdout)}
        self.assertTrue(targets["tidy"]["build_by_default"])
        inputs = subprocess.run(["ninja", "-C", "build", "-t", "query", "all"], cwd=self.source,
                                capture_output=True, text=True, check=True)
        self.assertIn("tidy.stamp", inputs.stdout)


if __name__ == "__main__":
    report.main("tidy build")
