#!/usr/bin/env python3
"""The conformance matrix: kernel TLS, installed by our hand-over, against peers that are not ours;
the bytes compared, and every record on the wire opened at its number."""

import argparse
import collections
import errno
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.dont_write_bytecode = True
TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "support"))

import conformance_table  # noqa: E402
import selection  # noqa: E402
from certificates import Authority  # noqa: E402

BUILD = Path(os.environ.get("KTLS_BRIDGE_BUILD", TESTS.parent / "build-test"))
FOLDER = BUILD / "tests" / "conformance"
RUNNER = FOLDER / "conformance_runner"
# What its second compiler gains is less than what it costs on an emulated processor.
JAVA = ("java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", str(FOLDER), "JavaPeer")
JAVA_START_S = 120
# The runner ends a cell by itself before that (see cell_run.cpp).
ANSWER_S = 1200
BOTH_VERSIONS_AND_DIRECTIONS = 4

EXAMPLES = """\
On a kernel without TLS only --userspace says something; scripts/vm has kernels.

examples:
  tests/conformance/matrix.py --list                 the pairwise subset, which scripts/test runs
  tests/conformance/matrix.py --userspace            our record layer with every peer
  scripts/vm 6.1 -- tests/conformance/matrix.py      the subset in one kernel
  scripts/vm --full                                  all cells in every kernel
  tests/conformance/matrix.py --merge a.json b.json  one table over several runs
"""


def parse():
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLES,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--full", action="store_true", help="every cell, not only a subset")
    mode.add_argument("--userspace", action="store_true",
                      help="our record layer in userspace in the place of kernel TLS")
    mode.add_argument("--merge", nargs="+", metavar="FILE",
                      help="run nothing, show the table of earlier runs")
    parser.add_argument("--only", metavar="TEXT", default="", help="cells whose name has TEXT")
    parser.add_argument("--list", action="store_true", help="name the cells, run nothing")
    parser.add_argument("--json", metavar="FILE", help="write the rows there, too")
    return parser.parse_args()


class PeerMissing(Exception):
    """There is no such peer on this machine."""


class ReadLines:
    """The lines of a process, read in a thread, so that waiting for one has an end."""

    def __init__(self, stream):
        self._lines = queue.Queue()
        threading.Thread(target=self._read, args=(stream,), daemon=True).start()

    def _read(self, stream):
        for line in stream:
            self._lines.put(line)
        self._lines.put("")

    def next(self, timeout_s):
        """Empty at the end, or when the time is over."""
        try:
            return self._lines.get(timeout=timeout_s)
        except queue.Empty:
            return ""


class JavaPeer:
    """Starts at once, and is waited for when its port is asked for."""

    def __init__(self, certificate):
        self._why = ""
        self._port = 0
        self.process = None
        if not (FOLDER / "JavaPeer.class").exists():
            self._why = "JavaPeer.java is not compiled: no javac"
            return
        try:
            self.process = subprocess.Popen([*JAVA, certificate.certificate, certificate.key],
                                            stdout=subprocess.PIPE, text=True)
            self._lines = ReadLines(self.process.stdout)
        except OSError:
            self._why = "java is not installed"

    def port(self):
        if self._why:
            raise PeerMissing(self._why)
        if not self._port:
            word, _, number = self._lines.next(JAVA_START_S).partition(" ")
            if word != "port":
                raise OSError("the Java peer did not start")
            self._port = int(number)
        return self._port

    def end(self):
        if self.process:
            self.process.kill()
            self.process.wait()


class Runner:
    """conformance_runner, started again when a cell has ended it."""

    def __init__(self, certificate):
        self._command = [RUNNER, certificate.certificate, certificate.key]
        self._start()

    def _start(self):
        self.process = subprocess.Popen(self._command, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self._lines = ReadLines(self.process.stdout)
        self.kernel = json.loads(self._lines.next(ANSWER_S) or "{}")

    def run(self, cell, **more):
        try:
            self.process.stdin.write(json.dumps({**cell.as_dict(), **more}) + "\n")
            self.process.stdin.flush()
            line = self._lines.next(ANSWER_S)
        except BrokenPipeError:
            line = ""
        if line:
            return json.loads(line)
        self.end()
        status = self.process.returncode
        self._start()
        return {"problems": [f"the runner ended with {status}, or not at all"]}

    def end(self):
        self.process.kill()
        self.process.wait()


class Matrix:
    def __init__(self, folder):
        certificate = Authority(folder, ("ec",)).leaf["ec"]
        self.java = JavaPeer(certificate)
        self.runner = Runner(certificate)
        self.rows = []
        self.ciphers = []
        self.counts = collections.Counter()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.java.end()
        self.runner.end()

    def run(self, cells):
        # Those that wait for the same missing thing are told once.
        skipped = collections.Counter()
        for cell in cells:
            outcome = self._attempt(cell)
            self.rows.append({"kernel": os.uname().release, **cell.as_dict(), **outcome})
            if "skipped" in outcome:
                skipped[outcome["skipped"]] += 1
                self.counts["skipped"] += 1
                continue
            for problem in outcome["problems"]:
                print(f"{cell}: {problem}")
            word = "FAIL" if outcome["problems"] else "ok"
            self.counts[word] += 1
            print(f"{word} {cell}", flush=True)
        for reason, count in skipped.items():
            print(f"skip {count} cells: {reason}")

    def judge_ciphers(self):
        """The ciphers of the cells must be there; of the others the kernel has the number alone,
        which must be said as a reason."""
        trials = collections.defaultdict(list)
        for trial in self.runner.kernel["ciphers"]:
            trials[trial["cipher"]].append(trial)
            self.ciphers.append({"kernel": os.uname().release, **trial})
        # The kernel's names and the suites' differ in case.
        tried = {cipher.upper() for cipher in trials}
        for cipher in set(selection.CIPHERS) - tried:
            self.counts["FAIL"] += 1
            print(f"FAIL the keys of {cipher}, which nobody tried", flush=True)
        for cipher, mine in trials.items():
            answers = {(trial["errno"], trial["reason"]) for trial in mine}
            missing = {(errno.ENOENT, "cipher_module_missing")}
            has_cells = cipher.upper() in selection.CIPHERS
            right = answers == {(0, "none")} or (answers == missing and not has_cells)
            right = right and (len(mine) == BOTH_VERSIONS_AND_DIRECTIONS or not has_cells)
            told = " or ".join(f"{errno.errorcode.get(number, 'taken')} ({reason})"
                               for number, reason in sorted(answers))
            self.counts["cipher ok" if right else "FAIL"] += 1
            print(f"{'ok' if right else 'FAIL'} the keys of {cipher}, {len(mine)} versions and "
                  f"directions, {told}", flush=True)

    def _attempt(self, cell):
        try:
            more = {"java_port": self.java.port()} if cell.peer == "java" else {}
        except PeerMissing as missing:
            return {"skipped": str(missing)}
        except OSError as error:
            return {"problems": [str(error)]}
        return self.runner.run(cell, **more)


def chosen_cells(options):
    cells = (selection.full() if options.full else
             selection.userspace() if options.userspace else selection.pairwise())
    return [cell for cell in cells if options.only in str(cell)]


def run(options):
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ktls-conformance-") as folder, \
            Matrix(Path(folder)) as matrix:
        if not options.userspace and not matrix.runner.kernel.get("kernel_tls"):
            print(f"{'FAIL' if os.environ.get('KTLS_BRIDGE_REQUIRE_KTLS') else 'skip'} "
                  "conformance: this kernel has no TLS")
            return 1 if os.environ.get("KTLS_BRIDGE_REQUIRE_KTLS") else 0
        if not options.userspace:
            matrix.judge_ciphers()
        matrix.run(chosen_cells(options))
    if options.json:
        conformance_table.save(options.json, matrix.rows, matrix.ciphers)
    conformance_table.show(matrix.rows, matrix.ciphers)
    counts = matrix.counts
    print(f"{os.uname().release}: {counts['ok']} cells and {counts['cipher ok']} ciphers passed, "
          f"{counts['FAIL']} failed, {counts['skipped']} skipped in "
          f"{time.monotonic() - started:.0f} s")
    return 1 if counts["FAIL"] else 0


def main():
    options = parse()
    if options.merge:
        rows, ciphers = conformance_table.load(options.merge)
        conformance_table.show(rows, ciphers)
        if options.json:
            conformance_table.save(options.json, rows, ciphers)
        return 0
    if options.list:
        print(*chosen_cells(options), sep="\n")
        return 0
    return run(options)


if __name__ == "__main__":
    sys.exit(main())
