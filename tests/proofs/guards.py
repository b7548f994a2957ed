#!/usr/bin/env python3
"""The guards against what kernels do wrong, and what each errno of each call comes to, one line for
each, from the tests that show them, run here and in every kernel that they are about."""

import argparse
import errno
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

sys.dont_write_bytecode = True
REPOSITORY = Path(__file__).resolve().parents[2]
BUILD = REPOSITORY / os.environ.get("KTLS_BRIDGE_BUILD", "build-test")

HERE = "here"  # no virtual machine: a model in the kernel's place
KERNELS = ("6.1", "6.12", "newest")
TIMEOUT_S = 1200
ERRNO_MAX = 133  # the last of asm-generic/errno.h
# Where Python has no name, or another one than the kernel's sources.
ERRNO_NAMES = {35: "EDEADLK", 41: "unassigned", 58: "unassigned", 95: "EOPNOTSUPP",
               133: "EHWPOISON"}

# Programs by the names that the tables use.
BRIDGE, FAULTS = "tests/kernel/bridge_test", "tests/unit/userspace/bridge/bridge_test"
FLOOR, IO = "tests/kernel/kernel_floor_test", "tests/unit/userspace/io/io_test"
CORE = "tests/unit/ktls/ktls_core_test"


@dataclass(frozen=True)
class Guard:
    """One row. The tests are those of GoogleTest, without what parameters add to their names; each
    passes for some parameter, and fails for none, on each of `places`."""

    name: str
    program: str
    tests: tuple
    places: tuple = KERNELS


@dataclass(frozen=True)
class Call:
    """One call that is made to fail with every errno, with a model in the kernel's place."""

    name: str
    test: str


GUARDS = (
    Guard("the kernel drops an open record at close", FLOOR,
          ("KernelContract.LosesAnOpenRecordAtClose",)),
    Guard("an open record is flushed before close_notify and before a rekey", BRIDGE,
          ("Keys.NeverSealWhatWasLeftOpenUnderTheOneBefore",)),
    Guard("the kernel seals an open record under the next key", FLOOR,
          ("KernelContract.SealsAnOpenRecordUnderTheNextKey",), ("newest",)),
    Guard("the kernel tells an error of a header once", FLOOR,
          ("KernelContract.ReportsHostileHeadersByErrno",)),
    Guard("an error of receiving stays, is told by an alert, and ends the connection", BRIDGE,
          ("Keys.ThatDoNotOpenARecordStayRefused",
           "Relaying.AnswersAHeaderThatIsNoneWithAnAlert",
           "Relaying.AnswersPlaintextAfterTheHandshakeWithAnAlert",
           "Relaying.AnswersARecordThatDoesNotOpenWithBadRecordMac",
           "Relaying.PassesOnWhatCameBeforeARecordThatDoesNotOpen")),
    Guard("a pipe to splice through is empty and takes the largest record", IO,
          ("PipePool.LeasesPipesLargeEnoughForKtls", "PipePool.UsesAnEmptyPipeAgain",
           "PipePool.ClosesAPipeThatStillHoldsBytes"), (HERE, *KERNELS)),
    Guard("splice loses nothing of records of any size, with many pipes, one or none", BRIDGE,
          ("Bulk.MovesPiecesAroundTheSizeOfARecord", "Bulk.SharesTheOnlyPipe",
           "Bulk.CopiesWhereNoPipeIsToBeHad")),
    Guard("many small pieces do not fill a record until it hangs", BRIDGE,
          ("Bulk.MovesManySmallSegments",)),
    Guard("the kernel ends a record of splices for more at 17 buffers, or forgets to", FLOOR,
          ("KernelContractSplice.EndsARecordOfSplicesForMoreAtSeventeenBuffers",
           "KernelContractSplice.ForgetsToEndTheRecordAfterSixteenBuffersWhenAskedForMore")),
    Guard("6.1 calls part of a record readable, later kernels do not", FLOOR,
          ("KernelContract.IsReadableWithAWholeRecordAndOnSomeKernelsWithLess",)),
    Guard("half a record costs no processor", BRIDGE,
          ("Idling.SpendsNoProcessorOnHalfARecord",)),
    Guard("the kernel reads a FIN within a record as the end", FLOOR,
          ("KernelContract.ReadsAFinWithinARecordAsTheEndOfTheStream",)),
    Guard("a FIN without close_notify or within a record is truncation", BRIDGE,
          ("Relaying.ReportsABareFinAsTruncationAndResetsThePlainSide",
           "Relaying.ReportsAFinWithinARecordAsTruncation")),
    Guard("the kernel counts as sent what it drops after shutdown", FLOOR,
          ("KernelContract.CountsAsSentWhatItDropsAfterItsOwnShutdown",)),
    Guard("nothing is sent after our own close_notify and shutdown", BRIDGE,
          ("Keys.NeverSealWhatWasLeftOpenUnderTheOneBefore",)),
    Guard("the kernel counts as sent what it drops after a reset", FLOOR,
          ("KernelContract.RefusesToSendAfterAResetUntilTheErrorIsTakenThenCountsWhatItDrops",
           "KernelContract.AnswersEpipeOnceToASendAfterAFinAndAResetThenCountsWhatItDrops")),
    Guard("a reset that meets a send ends the connection as one", BRIDGE,
          ("Relaying.ReportsAResetOfThePeerThatMeetsASend",)),
    Guard("a KeyUpdate after our close_notify is not answered", BRIDGE,
          ("KeyUpdates.ThatAskAfterWeHaveClosedAreNotAnswered",), ("newest",)),
    Guard("the probe finds a kernel that writes behind a record under EXPECT_NO_PAD", FLOOR,
          ("KernelContract.MisplacesWhatIsPaddedUnderExpectNoPaddingUnlessItRewinds",
           "KernelContract.LeavesTheBytesBehindAControlRecordAloneUnlessItForgetsToRewind",
           "KernelContract.ProbeFindsWhichOptionsMayBeUsed")),
    Guard("no padding is expected where it is not safe, nor of a peer that pads", FAULTS,
          ("NoPadding.IsNotAskedForWhereItIsNotSafe",
           "NoPadding.IsExpectedNoMoreOfAPeerThatPadsUntilItStopsForLonger"), (HERE,)),
    Guard("no option is set that the connection does not need", FAULTS,
          ("Adopt.SetsNoOptionThatTheConnectionDoesNotNeed",), (HERE,)),
    Guard("a KeyUpdate that somebody else took is named", BRIDGE,
          ("Keys.ThatTheKernelWaitsForInVainAreNamed",), ("newest",)),
    Guard("a KeyUpdate that is peeked at makes the socket silent", FLOOR,
          ("KernelContract.SuppressesReadinessOnceAKeyUpdateWasPeekedAt",), ("newest",)),
    Guard("whoever asks whether a key is missing opens no KeyUpdate that comes", BRIDGE,
          ("Keys.ThatComeWhileTheKernelIsAskedForThemAreFollowed",), ("newest",)),
    Guard("a KeyUpdate that was opened with the data before it is followed", BRIDGE,
          ("Keys.BehindDataThatIsCopiedAreFollowed",
           "Endpoint.KeepsWhatCameBeforeAKeyUpdateOfThePeer"), ("newest",)),
    Guard("a record that looks like a KeyUpdate stalls nothing for ever", BRIDGE,
          ("Keys.AreMissingWhereTls12OnlyLooksLikeAKeyUpdate",), ("newest",)),
    Guard("a record that looks like a KeyUpdate costs no key", BRIDGE,
          ("Keys.StayWhereARecordOnlyLooksLikeAKeyUpdate",)),
    Guard("an empty record is not the end", BRIDGE,
          ("ControlRecords.WithoutContentAreTakenAsPaddingIfTheyAreData",)),
)

CALLS = (
    Call("attach", "Adopt.GoesOnInUserspaceWithAnyErrnoAtAttach"),
    Call("install RX", "Adopt.ReceivesInUserspaceWithAnyErrnoAtRxWhileTxGoesToTheKernel"),
    Call("install TX", "Adopt.SendsFromUserspaceWithAnyErrnoAtTxWhileRxStaysInTheKernel"),
    Call("the peer's record size", "Adopt.SendsFromUserspaceWithAnyErrnoAtThePeersRecordSize"),
    Call("zero copy", "Zerocopy.ThatIsRefusedWithAnyErrnoCostsNothingButTheCopyAndIsAskedForOnce"),
    Call("no padding", "NoPadding.ThatIsRefusedWithAnyErrnoIsNotAskedForAgain"),
    Call("send", "Faults.OfASendEndTheConnectionUnlessTheyPass"),
    Call("receive", "Faults.OfAReceiveEndTheConnectionUnlessTheyPass"),
    Call("send KeyUpdate", "Faults.OfTheKeyUpdateItselfKeepTheNextKeyBack"),
    Call("next TX key", "Faults.OfANextKeyLetNothingFollowTheKeyUpdate"),
    Call("next RX key", "Faults.OfTheNextReceiveKeyAreTold"),
    Call("count records", "Faults.OfCountingRecordsStopTheSenderAtItsBudget"),
)
# The only call that polls is the probe, whose test fails each of its calls with each errno.
PROBE = Guard("the probe survives every errno at every call, poll among them", CORE,
              ("Probe.SurvivesEveryErrnoAtEveryCall",), (HERE,))


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="examples: tests/proofs/guards.py; "
                                    "tests/proofs/guards.py --only here --only 6.1")
    parser.add_argument("--only", choices=(HERE, *KERNELS), action="append", metavar="PLACE",
                        help=f"{HERE} (errnos, and what a model shows), {', '.join(KERNELS)}")
    return parser.parse_args()


def rows():
    return (*GUARDS, PROBE, *(Guard(call.name, FAULTS, (call.test,), (HERE,)) for call in CALLS))


def tests_at(place):
    """Program to the tests that a place has to run."""
    found = defaultdict(set)
    for row in rows():
        if place in row.places:
            found[row.program].update(row.tests)
    return found


def command(program, tests, report):
    patterns = ":".join(f"{test}:{test}/*:*/{test}/*" for test in sorted(tests))
    return [str(BUILD / program), f"--gtest_filter={patterns}", f"--gtest_output=json:{report}"]


def run(place):
    """Test to its instances in GoogleTest's report; the output is in the folder that is shown."""
    instances = defaultdict(list)
    folder = Path(tempfile.mkdtemp(prefix=f"guards-{place}-"))
    for number, (program, tests) in enumerate(sorted(tests_at(place).items())):
        report = folder / f"{number}.json"
        words = command(program, tests, report)
        if place != HERE:
            words = [str(REPOSITORY / "scripts/vm"), place, "--timeout", str(TIMEOUT_S), "--out",
                     str(folder), "--env", "KTLS_BRIDGE_REQUIRE_KTLS=1", "--",
                     *command(program, tests, f"/out/{number}.json")]
        with open(folder / f"{number}.log", "wb") as log:
            subprocess.run(words, stdout=log, stderr=log, stdin=subprocess.DEVNULL, check=False,
                           timeout=2 * TIMEOUT_S)
        if not report.exists():
            print(f"{program} ended without a report: see {log.name}")
            continue
        for group in json.loads(report.read_text())["testsuites"]:
            for test in group["testsuite"]:
                instances[plain_name(group["name"], test["name"])].append(test)
    return instances


def plain_name(group, test):
    """Without the prefix and the parameters that INSTANTIATE_TEST_SUITE_P adds."""
    return f"{group.rpartition('/')[2]}.{test.partition('/')[0]}"


def is_passed(test):
    return test["status"] == "RUN" and test["result"] == "COMPLETED" and not test.get("failures")


def show(right, name):
    print(f"{'ok' if right else 'FAIL'} {name}", flush=True)
    return right


def show_guard(guard, place, instances):
    right, told = True, []
    for name in guard.tests:
        passed = sum(map(is_passed, instances[name]))
        failed = sum(bool(test.get("failures")) for test in instances[name])
        right = right and passed > 0 and failed == 0
        told.append(f"{name} {passed}")
    return show(right, f"{place}, {guard.name} ({', '.join(told)} passed)")


def show_errnos(call, instances):
    """One line for each errno: what came of it, in all the instances of the test that ran."""
    outcomes = defaultdict(set)
    for test in instances[call.test]:
        for key, outcome in test.items():
            if number := re.fullmatch(r"errno_(\d+)", key):
                outcomes[int(number.group(1))].add(outcome)
    passed = sum(map(is_passed, instances[call.test]))
    right = True
    for number in range(1, ERRNO_MAX + 1):
        found = outcomes.get(number, {"not tried"})
        held = passed > 0 and not found & {"not tried", "FAILED"}
        name = ERRNO_NAMES.get(number) or errno.errorcode[number]
        right &= show(held, f"{call.name}, {name} ({number}), {' or '.join(sorted(found))}")
    return right


def main():
    options = parse()
    held = []
    for place in options.only or (HERE, *KERNELS):
        instances = run(place)
        held += [show_guard(row, place, instances) for row in rows() if place in row.places]
        if place == HERE:
            held += [show_errnos(call, instances) for call in CALLS]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
