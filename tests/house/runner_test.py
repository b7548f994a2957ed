#!/usr/bin/env python3
"""The test runner itself: it must not count as passed what did not pass."""

import contextlib
import importlib.machinery
import importlib.util
import io
import json
import os
import subprocess
import sys
import tempfile
import time
import types
import unittest
from pathlib import Path
from unittest import mock

sys.dont_write_bytecode = True
REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY / "tests" / "support"), str(REPOSITORY / "scripts" / "lib")]

import report  # noqa: E402
import test_results  # noqa: E402
import test_run  # noqa: E402
import test_suites  # noqa: E402
from test_suites import GTEST, STATUS, Suite  # noqa: E402

GTEST_REPORT = json.dumps({"testsuites": [{"name": "A", "testsuite": [
    {"name": "Passes", "status": "RUN", "result": "COMPLETED"},
    {"name": "Fails", "status": "RUN", "result": "COMPLETED", "failures": [{"failure": "x"}]},
    {"name": "Skips", "status": "RUN", "result": "SKIPPED"},
    {"name": "Off", "status": "NOTRUN", "result": "SUPPRESSED"}]}]})
GTEST_OUTPUT = ("[ RUN      ] A.Skips\n/a_test.cpp:7: Skipped\nno TLS here\n\n"
                "[  SKIPPED ] A.Skips (0 ms)\n")


def shell(text, **row):
    return Suite("probe", ("/bin/sh", "-c", text, "sh"), **row)


class RunnerCase(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def run_suite(self, suite, ci=False):
        return test_run.Runner(Path(self.folder.name), ci).run(suite)

    def counts(self, suite, ci=False):
        results = self.run_suite(suite, ci).results
        return len(results.passed), len(results.failed), len(results.skipped)


class Counting(RunnerCase):
    def test_lines_are_counted_and_talk_is_not(self):
        text = "echo ok a b; echo okay; echo 'FAIL c'; echo FAILED; echo 'skip d: no e'; exit 1"
        self.assertEqual(self.counts(shell(text)), (1, 1, 1))

    def test_a_skip_carries_its_reason(self):
        results = test_results.of_lines("skip a name: because: so\nskip bare")
        self.assertEqual(results.skipped,
                         [("a name", "because: so"), ("bare", "no reason given")])

    def test_a_bad_end_after_good_lines_is_a_failure(self):
        self.assertEqual(self.counts(shell("echo ok a; exit 3")), (1, 1, 0))
        self.assertEqual(self.counts(shell("echo ok a; kill -SEGV $$")), (1, 1, 0))

    def test_fail_lines_count_whatever_the_exit_status(self):
        self.assertEqual(self.counts(shell("echo FAIL a; exit 0")), (0, 1, 0))

    def test_silence_is_a_failure(self):
        self.assertEqual(self.counts(shell("exit 0")), (0, 1, 0))

    def test_a_missing_program_is_a_failure(self):
        self.assertEqual(self.counts(Suite("probe", ("no/such/program",))), (0, 1, 0))

    def test_status_alone_is_one_result(self):
        self.assertEqual(self.counts(shell("exit 0", results=STATUS)), (1, 0, 0))
        self.assertEqual(self.counts(shell("exit 1", results=STATUS)), (0, 1, 0))

    def test_a_timeout_is_a_failure_and_ends_what_was_started(self):
        left = Path(self.folder.name, "left")
        started = time.monotonic()
        suite = shell(f"(sleep 3; touch {left}) & echo ok a; sleep 60", timeout_s=1)
        self.assertEqual(self.counts(suite), (1, 1, 0))
        time.sleep(max(0, 3.5 - (time.monotonic() - started)))
        self.assertFalse(left.exists())

    def test_what_a_suite_leaves_running_is_ended(self):
        left = Path(self.folder.name, "left")
        self.assertEqual(self.counts(shell(f"(sleep 1; touch {left}) & echo ok a")), (1, 0, 0))
        time.sleep(1.5)
        self.assertFalse(left.exists())


class Gtest(RunnerCase):
    def test_every_outcome_is_told_apart(self):
        results = test_results.of_gtest(GTEST_REPORT, GTEST_OUTPUT)
        self.assertEqual(results.passed, ["A.Passes"])
        self.assertEqual(results.failed, ["A.Fails"])
        self.assertEqual(results.skipped, [("A.Skips", "no TLS here")])

    def test_the_report_is_read_where_the_program_was_told_to_write_it(self):
        text = f"for last; do :; done; echo '{GTEST_REPORT}' > ${{last#--gtest_output=json:}}"
        self.assertEqual(self.counts(shell(text + "; exit 1", results=GTEST)), (1, 1, 1))

    def test_a_crash_before_the_report_is_a_failure(self):
        self.assertEqual(self.counts(shell("kill -ABRT $$", results=GTEST)), (0, 1, 0))

    def test_an_old_report_is_not_taken_for_a_new_one(self):
        folder = Path(self.folder.name, "test-logs", "probe")
        folder.mkdir(parents=True)
        (folder / "report.json").write_text(GTEST_REPORT)
        self.assertEqual(self.counts(shell("exit 0", results=GTEST)), (0, 1, 0))

    def test_a_program_for_a_kernel_runs_inside_the_virtual_machine(self):
        suite = Suite("kernel/6.1/a", ("build/a",), results=GTEST, kernel="6.1", timeout_s=9)
        words = test_run.command_of(suite, "/logs", {"A": "b"})
        self.assertTrue(words[0].endswith("scripts/vm"))
        self.assertEqual(words[1:9],
                         ["6.1", "--out", "/logs", "--timeout", "9", "--env", "A=b", "--"])
        self.assertEqual(words[10], "--gtest_output=json:/out/report.json")

    def test_a_kernel_gets_the_processors_that_its_suite_asks_for(self):
        suite = Suite("kernel/6.1/a", ("build/a",), kernel="6.1", timeout_s=9, cpus=2)
        words = test_run.command_of(suite, "/logs", {})
        self.assertEqual(words[6:9], ["--cpus", "2", "--"])


class Needs(RunnerCase):
    def test_an_unmet_need_skips_but_fails_under_ci(self):
        suite = shell("echo ok a", needs=("no-such-program",))
        self.assertEqual(self.counts(suite), (0, 0, 1))
        self.assertEqual(self.counts(suite, ci=True), (0, 1, 0))

    def test_the_virtual_machine_is_a_need(self):
        with mock.patch.dict(test_suites.NEEDS, {"vm": lambda: "no qemu"}):
            self.assertEqual(self.counts(shell("echo ok a", needs=("vm",)), ci=True), (0, 1, 0))

    def test_names_in_the_table_are_unique(self):
        names = [suite.name for suite in test_suites.SUITES]
        self.assertEqual(len(names), len(set(names)))

    def test_every_script_of_the_table_can_be_executed(self):
        for suite in test_suites.SUITES:
            if os.sep in suite.command[0]:
                self.assertTrue(os.access(REPOSITORY / suite.command[0], os.X_OK), suite.name)

    def test_every_fuzzer_has_a_row(self):
        listed = subprocess.run([REPOSITORY / "scripts" / "fuzz", "--list"], check=True,
                                capture_output=True, text=True).stdout.split()
        self.assertEqual(listed, list(test_suites.FUZZ_TARGETS))
        names = [suite.name for suite in test_suites.SUITES if suite.name.startswith("fuzz/")]
        self.assertEqual(names, [f"fuzz/{target}" for target in listed])


def program_of_runner():
    """scripts/test as a module, whose name has no ending to import it by."""
    loader = importlib.machinery.SourceFileLoader("test_program",
                                                  str(REPOSITORY / "scripts" / "test"))
    program = importlib.util.module_from_spec(
        importlib.util.spec_from_loader("test_program", loader))
    loader.exec_module(program)
    return program


class Program(RunnerCase):
    def test_what_is_left_out_under_a_sanitizer_is_there_to_be_left_out(self):
        program = program_of_runner()
        for pattern in program.UNSANITIZED:
            self.assertTrue(any(program.matches(suite, [pattern]) for suite in test_suites.SUITES),
                            pattern)

    def run_program(self, suites):
        """Its status and the lines it printed."""
        program = program_of_runner()
        options = types.SimpleNamespace(build=Path(self.folder.name), jobs=2)
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), mock.patch("signal.signal"):
            status = program.run(options, suites)
        return status, printed.getvalue().splitlines()

    def last_line(self, suites):
        status, lines = self.run_program(suites)
        return status, lines[-1]

    def test_the_last_line_counts_everything(self):
        self.assertEqual(self.last_line([shell("echo ok a; echo ok b")]),
                         (0, "2 passed, 0 failed"))
        self.assertEqual(
            self.last_line([shell("echo ok a; echo skip b: c"),
                            Suite("other", ("/bin/false",), results=STATUS, alone=True)]),
            (1, "1 passed, 1 failed, 1 skipped"))

    def test_only_a_suite_that_tells_names_what_passed(self):
        self.assertIn("  passed: a", self.run_program([shell("echo ok a", tells=True)])[1])
        self.assertNotIn("  passed: a", self.run_program([shell("echo ok a")])[1])


if __name__ == "__main__":
    report.main("runner")
