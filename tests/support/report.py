"""Runs a file's unittest cases and reports them in the words that scripts/test reads.

    if __name__ == "__main__":
        report.main("tidy")

prints `ok names the file` for a test method test_names_the_file. See tests/README.md.
"""

import sys
import time
import traceback
import unittest


class _Lines(unittest.TestResult):
    def name(self, test):
        method = test.id().rsplit(".", 1)[-1]
        return method.removeprefix("test_").replace("_", " ")

    def addSuccess(self, test):
        print(f"ok {self.name(test)}", flush=True)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        print(self.failures[-1][1], end="")
        print(f"FAIL {self.name(test)}", flush=True)

    def addError(self, test, err):
        super().addError(test, err)
        print(self.errors[-1][1], end="")
        print(f"FAIL {self.name(test)}", flush=True)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        print(f"skip {self.name(test)}: {reason}", flush=True)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            print(f"in {subtest.id()}:")
            print("".join(traceback.format_exception(*err)), end="")
            print(f"FAIL {self.name(test)}", flush=True)


def main(suite):
    """Takes names of methods as arguments, to run only those."""
    cases = unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
    wanted = set(sys.argv[1:])
    chosen = unittest.TestSuite(
        case for group in cases for case in group
        if not wanted or case.id().rsplit(".", 1)[-1] in wanted)
    result = _Lines()
    started = time.monotonic()
    chosen.run(result)
    print(f"{suite}: {result.testsRun} tests in {time.monotonic() - started:.1f} s")
    sys.exit(0 if result.wasSuccessful() else 1)
