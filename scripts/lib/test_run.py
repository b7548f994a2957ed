"""Runs suites: processes, timeouts, logs, and what they reported."""

import os
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

import test_results
from test_suites import GTEST, LINES, REPOSITORY, VM_BOOT_S, unmet_need

# From SIGTERM to SIGKILL: a virtual machine ends its file servers in that time.
GRACE_S = 10


@dataclass
class Outcome:
    suite: object
    results: test_results.Results
    seconds: float = 0.0
    output: str = ""
    log: str = ""


class Runner:
    """Runs suites for one build directory. stop() may be called from another thread."""

    def __init__(self, build, ci):
        self.build = build
        self.ci = ci
        self.logs = build / "test-logs"
        self.lock = threading.RLock()  # stop() may interrupt its holder: it is called by a signal
        self.running = set()
        self.stopped = False

    def run_all(self, suites, jobs, report):
        """Calls report(Outcome) as suites end; those that measure time come last, one by one."""
        together = [suite for suite in suites if not suite.alone]
        with ThreadPoolExecutor(jobs) as pool:
            pending = [pool.submit(self.run, suite) for suite in together]
            for future in as_completed(pending):
                report(future.result())
        for suite in suites:
            if suite.alone:
                report(self.run(suite))

    def run(self, suite):
        reason = unmet_need(suite)
        if self.stopped:
            reason = "stopped"
        if reason and (self.ci or self.stopped):
            return Outcome(suite, test_results.Results(failed=[f"{suite.name}: {reason}"]))
        if reason:
            return Outcome(suite, test_results.Results(skipped=[(suite.name, reason)]))
        folder = self.logs / suite.name
        folder.mkdir(parents=True, exist_ok=True)
        report = folder / "report.json"
        report.unlink(missing_ok=True)
        log = folder / "output.log"
        started = time.monotonic()
        status, timed_out = self._execute(suite, folder, log)
        seconds = time.monotonic() - started
        output = log.read_text(errors="replace")
        results = _parse(suite, status, report, output)
        test_results.settled(results, suite.name, status, suite.timeout_s if timed_out else None)
        return Outcome(suite, results, seconds, output, os.path.relpath(log, REPOSITORY))

    def _execute(self, suite, folder, log):
        """Returns (status, whether the time ran out)."""
        extra = {**suite.environment, "KTLS_BRIDGE_BUILD": str(self.build)}
        environment = {**os.environ, **extra}
        with open(log, "wb") as sink:
            try:
                process = subprocess.Popen(command_of(suite, folder, extra), cwd=REPOSITORY,
                                           env=environment, stdin=subprocess.DEVNULL, stdout=sink,
                                           stderr=subprocess.STDOUT, start_new_session=True)
            except OSError as error:
                sink.write(f"{error}\n".encode())
                return 127, False
        with self.lock:
            self.running.add(process.pid)
        timed_out = False
        try:
            boot = VM_BOOT_S if suite.kernel else 0
            status = process.wait(suite.timeout_s + boot)
        except subprocess.TimeoutExpired:
            timed_out, status = True, _end(process)
        finally:
            with self.lock:
                self.running.discard(process.pid)
            # What the suite left running would disturb the next one.
            _signal_group(process.pid, signal.SIGKILL)
        return status, timed_out

    def stop(self):
        with self.lock:
            self.stopped = True
            for pid in self.running:
                _signal_group(pid, signal.SIGTERM)


def command_of(suite, folder, environment):
    """The words to execute; `folder` takes the report, also from inside a virtual machine, which
    gets the variables of `environment` and no others."""
    words = list(suite.command)
    if os.sep in words[0]:
        words[0] = str(REPOSITORY / words[0])
    report_folder = "/out" if suite.kernel else folder
    if suite.results == GTEST:
        words.append(f"--gtest_output=json:{report_folder}/report.json")
    if suite.kernel:
        variables = [word for name, value in environment.items()
                     for word in ("--env", f"{name}={value}")]
        cpus = ["--cpus", str(suite.cpus)] if suite.cpus != 1 else []
        modules = [word for name in suite.modules for word in ("--module", name)]
        words = [str(REPOSITORY / "scripts" / "vm"), suite.kernel, "--out", str(folder),
                 "--timeout", str(suite.timeout_s), *cpus, *modules, *variables, "--", *words]
    return words


def _parse(suite, status, report, output):
    if suite.results == LINES:
        return test_results.of_lines(output)
    if suite.results == GTEST:
        try:
            return test_results.of_gtest(report.read_text(), output)
        except (OSError, ValueError):
            # It crashed before it could write the report; settled() counts that.
            return test_results.Results()
    return test_results.of_status(suite.name, status)


def _end(process):
    _signal_group(process.pid, signal.SIGTERM)
    try:
        return process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        _signal_group(process.pid, signal.SIGKILL)
        return process.wait()


def _signal_group(pid, signum):
    try:
        os.killpg(pid, signum)
    except ProcessLookupError:
        pass
