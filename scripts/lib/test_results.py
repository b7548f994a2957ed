"""What a suite reported: parsers of its output, and the counts."""

import json
import re
from dataclasses import dataclass, field

# Output of a failed suite is cut in the middle: the beginning says what was tried, the end how it
# ended. The whole is in the log file.
SHOWN_LINES_MAX = 200


@dataclass
class Results:
    """`failed` and `passed` are names; `skipped` are (name, reason)."""

    passed: list = field(default_factory=list)
    failed: list = field(default_factory=list)
    skipped: list = field(default_factory=list)

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped

    def summary(self):
        text = f"{len(self.passed)} passed, {len(self.failed)} failed"
        return f"{text}, {len(self.skipped)} skipped" if self.skipped else text


def of_lines(output):
    """The protocol of test scripts; every other line is talk."""
    results = Results()
    for line in output.splitlines():
        word, _, name = line.partition(" ")
        name = name.strip()
        if word == "ok" and name:
            results.passed.append(name)
        elif word == "FAIL" and name:
            results.failed.append(name)
        elif word == "skip" and name:
            name, _, reason = name.partition(": ") if ": " in name else (name, "", "")
            results.skipped.append((name, reason or "no reason given"))
    return results


def of_gtest(report, output):
    """GoogleTest's JSON report. Why a test was skipped stands only in the output."""
    results = Results()
    for group in json.loads(report)["testsuites"]:
        for test in group["testsuite"]:
            name = f"{group['name']}.{test['name']}"
            if test.get("failures"):
                results.failed.append(name)
            elif test.get("result") == "SKIPPED":
                results.skipped.append((name, _skip_reason(name, output)))
            elif test["status"] == "RUN":
                results.passed.append(name)
    return results


def _skip_reason(name, output):
    told = re.search(rf"\[ RUN      \] {re.escape(name)}\n(.*?)\[  SKIPPED \]", output, re.DOTALL)
    lines = told.group(1).strip().splitlines() if told else []
    reasons = [line for line in lines if line and not re.match(r".*:\d+: Skipped$", line)]
    return "; ".join(reasons) or "no reason given"


def of_status(name, status):
    return Results(passed=[name]) if status == 0 else Results(failed=[name])


def settled(results, suite_name, status, timeout_s=None):
    """Adds what the tests themselves could not report: a crash, a timeout, silence."""
    if timeout_s is not None:
        results.failed.append(f"{suite_name}: no end within {timeout_s} s")
    elif status != 0 and not results.failed:
        results.failed.append(f"{suite_name}: {_ending(status)}")
    elif status == 0 and not (results.passed or results.failed or results.skipped):
        results.failed.append(f"{suite_name}: reported no test")
    return results


def _ending(status):
    return f"killed by signal {-status}" if status < 0 else f"exit status {status}"


def excerpt(output, log):
    lines = output.splitlines()
    if len(lines) <= SHOWN_LINES_MAX:
        return "\n".join(lines)
    half = SHOWN_LINES_MAX // 2
    left_out = len(lines) - 2 * half
    return "\n".join([*lines[:half], f"... {left_out} lines, see {log} ...", *lines[-half:]])
