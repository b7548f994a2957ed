"""ErrorCase: a start that fails with one line and one exit status."""

import shutil
import tempfile
import unittest
from pathlib import Path

import watched

USAGE, BAD_CERTIFICATE, NO_INPUT, NO_HOST = 64, 65, 66, 68
UNAVAILABLE, OS_ERROR, CANNOT_CREATE = 69, 71, 73


class ErrorCase(unittest.TestCase):
    subcommand = "wrap"

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)

    def assert_one_line(self, expected, said, status, *arguments):
        code, output, errors = watched.run(self.subcommand, *arguments)
        self.assert_line(expected, said, status, code, output, errors)

    def assert_line(self, expected, said, status, code, output, errors):
        self.assertEqual(code, status, errors)
        self.assertEqual(output, "")
        self.assertTrue(errors.endswith("\n"), repr(errors))
        self.assertEqual(errors.count("\n"), 1, errors)
        self.assertTrue(errors.startswith("ktls-bridge"), errors)
        self.assertIn(said, errors, expected)

    def file(self, name, content):
        path = self.folder / name
        path.write_bytes(content)
        return str(path)
