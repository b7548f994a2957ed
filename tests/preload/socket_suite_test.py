#!/usr/bin/env python3
"""The socket suite on plain TCP and under `ktls-bridge run` has the same results, case by case.

socket_suite_test.py [--only NAME] prints the table as well; it runs on this machine, where TLS is
relayed, and inside scripts/vm, where the kernel does it."""

import argparse
import contextlib
import subprocess
import sys
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support")]

import wrap_peers as peers  # noqa: E402
from shared_certificates import certificates  # noqa: E402
from under_run import REQUIRES_KTLS, free_ports, results, words  # noqa: E402
from watched import BUILD  # noqa: E402
from wrap_tls_stream import TlsStream  # noqa: E402

SUITE = str(BUILD / "tests" / "preload" / "socket_suite")
ASYNCIO = str(HERE / "asyncio_suite.py")
COUNTERS = ("TlsTxSw", "TlsRxSw")
COLUMN_MAX = 60


def counters():
    with contextlib.suppress(OSError):
        text = Path("/proc/net/tls_stat").read_text(encoding="ascii")
        return {name: int(value) for name, value in map(str.split, text.splitlines())}
    return {}


def report(name, good):
    print(f"{'ok' if good else 'FAIL'} {name}", flush=True)
    return good


def shortened(text):
    return text if len(text) <= COLUMN_MAX else text[:COLUMN_MAX - 3] + "..."


def compare(plain, wrapped):
    """Prints the table, and a result for each case."""
    well = True
    for name in [*plain, *(wrapped.keys() - plain.keys())]:
        left, right = plain.get(name, "(absent)"), wrapped.get(name, "(absent)")
        same = left == right and "GAVE UP" not in left and name in plain
        shown = (shortened(left), shortened(right)) if same else (left, right)
        print(f"| {name} | {shown[0]} | {shown[1]} | {'yes' if same else 'NO'} |")
        # With the two in the name: it is all that the end of a long run shows of a failure.
        but = "" if same else f": plain [{left}] wrapped [{right}]"
        well = report(f"plain and wrapped agree on {name}{but}", same) and well
    return well


def is_tls(ports):
    """Whether what listens under run speaks TLS: with a peer that is not under it."""
    server = subprocess.Popen(
        [*words(ports), sys.executable, "-c",
         "import socket, sys\n"
         f"with socket.create_server(('127.0.0.1', {ports[0]})) as listener:\n"
         "    print('ready', flush=True)\n"
         "    with listener.accept()[0] as one: one.sendall(one.recv(100)[::-1])\n"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        server.stdout.readline()
        stream = TlsStream(peers.tcp(("127.0.0.1", ports[0])), certificates().client_context(),
                           "localhost")
        with stream:
            stream.sendall(b"drow")
            return stream.recv(4) == b"word" and server.wait(peers.TIMEOUT_S) == 0
    except OSError as error:
        print(f"no TLS: {error}")
        return False
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def run_all(names):
    """Each of the two programs, plain and wrapped."""
    plain, wrapped, well = {}, {}, True
    before = counters()
    for program in ((SUITE,), (sys.executable, "-B", ASYNCIO)):
        ports = free_ports()
        arguments = ([",".join(map(str, ports)), *names] if program[0] == SUITE
                     else [str(ports[0])])
        if names and program[0] != SUITE:
            continue
        for found, command in ((plain, []), (wrapped, words(ports))):
            values, errors, took = results([*command, *program, *arguments])
            found.update(values)
            print(f"{'wrapped' if command else 'plain'}: {len(values)} cases in {took:.1f} s")
            if errors:
                print(errors)
    after = counters()
    print("| case | plain | wrapped | same |\n| --- | --- | --- | --- |")
    well = compare(plain, wrapped) and well
    well = report("the suite has its cases", len(plain) > (0 if names else 90)) and well
    if REQUIRES_KTLS:
        for name in COUNTERS:
            well = report(f"{name} rises", after.get(name, 0) > before.get(name, 0)) and well
    return well


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", default=[], metavar="NAME",
                        help="of the cases, those that have these names")
    names = parser.parse_args().only
    well = run_all(names)
    well = report("what listens under run speaks TLS", is_tls(free_ports())) and well
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
