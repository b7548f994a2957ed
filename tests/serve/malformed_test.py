#!/usr/bin/env python3
"""A thousand malformed requests against a running `ktls-bridge serve`: each is answered by an error
or by a close, and afterwards the server is as it was."""

import argparse
import contextlib
import random
import re
import shutil
import socket
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import hostile_requests as hostile  # noqa: E402
import request_reference as reference  # noqa: E402
import wrap_peers as peers  # noqa: E402
from watched import wait_until  # noqa: E402
from watched_serve import Serve  # noqa: E402
from wrap_tls_stream import TlsStream, Truncated  # noqa: E402

SECRET = b"what lies outside of the root\n"
INDEX = b"<p>the index</p>\n"
AT_ONCE = 8
ANSWER_MAX = 1 << 20
REFUSALS = {400, 403, 404, 405, 408, 412, 414, 416, 421, 431, 501, 505}
# The share of those that end without close_notify. There is no need for any, but a client has two
# seconds alone to finish what it sends, and the machine may be busy.
BROKEN_OFF_MAX = 0.01
# What an allocator keeps: of 5,000 attempts it is no more than of 1,000.
MEMORY_SLACK_KIB = 8192
EXAMPLES = """\
examples:
  tests/serve/malformed_test.py
  tests/serve/malformed_test.py --seed 7 --count 20000
  tests/serve/malformed_test.py --seed 7 --only 311      that attempt again
"""
HEAD = re.compile(rb"HTTP/1\.1 (\d{3}) [^\r\n]*\r\n((?:[A-Za-z-]+: [^\r\n]*\r\n)*)\r\n")


class Answers:
    """What came back on one connection, taken apart."""

    def __init__(self, raw):
        self.statuses = []
        self.bodies = []
        self.flaw = ""
        self.is_cut = False
        while raw:
            head = HEAD.match(raw)
            if not head:
                self.flaw = f"no response: {raw[:80]!r}"
                return
            fields = dict(line.lower().split(b": ", 1) for line in head.group(2).splitlines())
            status = int(head.group(1))
            size = 0 if status == 304 else int(fields[b"content-length"])
            body = raw[head.end():head.end() + size]
            self.statuses.append(status)
            self.bodies.append(body)
            self.is_cut = len(body) < size
            raw = raw[head.end() + size:]


def read_to_end(stream):
    """(what came, whether the end was orderly)."""
    received = b""
    while len(received) < ANSWER_MAX:
        try:
            part = stream.recv(65536)
        except (Truncated, ConnectionError):
            return received, False
        if not part:
            return received, True
        received += part
    raise AssertionError("an answer without an end")


def act(attempt, endpoint, context):
    """(bytes that came back, whether the end was orderly, or None where nobody waited for it)."""
    raw = peers.tcp(endpoint)
    with contextlib.closing(raw):
        stream = TlsStream(raw, context, "localhost") if attempt.in_tls else raw
        with contextlib.suppress(OSError):  # it may have heard enough, and be gone
            stream.sendall(attempt.raw)
            if attempt.then == hostile.RESET:
                peers.reset(raw)
                return b"", None
            if attempt.then == hostile.CLOSE:
                return b"", None
            if attempt.then == hostile.HALF_CLOSE:
                if attempt.in_tls:
                    stream.end_sending()
                else:
                    raw.shutdown(socket.SHUT_WR)
        return read_to_end(stream)


def judge(attempt, received, orderly):
    """What is wrong with the answer; empty: nothing."""
    if SECRET.strip() in received:
        return "content from outside of the root"
    if orderly is None:
        return ""
    if not attempt.in_tls:
        return "an HTTP response without TLS" if b"HTTP/" in received else ""
    answers = Answers(received)
    if answers.flaw or (orderly and answers.is_cut):
        return answers.flaw or f"the last of {answers.statuses} is cut"
    allowed = reference.verdicts(attempt.raw)
    if len(answers.statuses) > len(allowed):
        return f"answers {answers.statuses} to what may be {allowed}"
    for status, verdict in zip(answers.statuses, allowed):
        if status < 400 and verdict != reference.SERVED:
            return f"{status} for a malformed request, among {answers.statuses}"
        if status >= 400 and status not in REFUSALS:
            return f"status {status}"
    good = list(zip(answers.statuses, answers.bodies))[:attempt.good]
    if good != [(200, INDEX)] * attempt.good:
        return f"the good requests in front got {answers.statuses}"
    return ""


def attempt_one(numbered, endpoint, context):
    """(number, attempt, what is wrong, statuses, whether the server broke off)."""
    number, attempt = numbered
    try:
        received, orderly = act(attempt, endpoint, context)
        flaw = judge(attempt, received, orderly)
    except Exception as error:  # pylint: disable=broad-except
        return number, attempt, f"{type(error).__name__}: {error}", [], False
    statuses = Answers(received).statuses if attempt.in_tls else []
    return number, attempt, flaw, statuses, attempt.in_tls and orderly is False


def make_site(folder):
    root = folder / "site"
    (root / "directory").mkdir(parents=True)
    (root / "index.html").write_bytes(INDEX)
    (root / ".hidden").write_bytes(SECRET)
    (folder / "secret.txt").write_bytes(SECRET)
    (root / "way-out").symlink_to("..")
    return root


def is_sanitized(server):
    return "libasan" in Path(f"/proc/{server.pid}/maps").read_text(encoding="utf-8")


def serves(server, context):
    with contextlib.closing(peers.tls(context, server.endpoint)) as stream:
        stream.sendall(hostile.GOOD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        answers = Answers(read_to_end(stream)[0])
        return (answers.statuses, answers.bodies) == ([200], [INDEX])


def say(name, flaw):
    if flaw:
        print(flaw)
    print(f"FAIL {name}" if flaw else f"ok {name}", flush=True)
    return not flaw


def run_attempts(server, context, numbered):
    def one(each):
        return attempt_one(each, server.endpoint, context)

    flaws, kinds, statuses, broken_off = [], Counter(), Counter(), 0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for number, attempt, flaw, got, is_broken_off in pool.map(one, numbered):
            kinds[attempt.kind.partition(",")[0]] += 1
            statuses.update(got or ["none"])
            broken_off += is_broken_off
            if is_broken_off:
                print(f"attempt {number}, {attempt.kind}, was broken off after {got}")
            if flaw:
                flaws.append(f"attempt {number}, {attempt.kind}, then {attempt.then}: {flaw}\n"
                             f"  {attempt.raw[:600]!r}")
    print("kinds: " + ", ".join(f"{count} {kind}" for kind, count in kinds.most_common()))
    print("answers: " + ", ".join(f"{count} x {status}" for status, count in
                                  sorted(statuses.items(), key=str)))
    if broken_off > len(numbered) * BROKEN_OFF_MAX:
        flaws.append(f"{broken_off} of {len(numbered)} connections were broken off")
    return "\n".join(flaws[:10]) + (f"\n{len(flaws)} in all" if flaws else "")


def at_rest(server, descriptors):
    """Every connection is over."""
    wait_until(lambda: server.descriptors() <= descriptors, "the descriptors to be closed")


def check(arguments, folder):
    certificates = peers.Certificates(folder)
    context = certificates.client_context()
    attempts = hostile.attempts(random.Random(arguments.seed), arguments.count)
    chosen = [(number, each) for number, each in enumerate(attempts)
              if arguments.only in (None, number)]
    server = Serve(make_site(folder), *certificates.server_flags, "--request-timeout", "500ms",
                   "--keep-alive", "2s", folder=folder)
    with server:
        sanitized = is_sanitized(server)
        before = server.descriptors()
        # What is made once, for whoever comes first, is no leak.
        run_attempts(server, context, list(enumerate(hostile.attempts(random.Random(0), 200))))
        at_rest(server, before)
        memory = server.resident_kib()
        flaw = run_attempts(server, context, chosen)
        passed = say(f"answers {arguments.count} malformed requests by an error or a close", flaw)
        passed &= say("serves a good request afterwards",
                      "" if serves(server, context) else "it does not:\n" + server.text())
        at_rest(server, before)
        passed &= say("keeps no descriptor", "")
        grown = server.resident_kib() - memory
        print(f"descriptors: {before} before and after; resident: {memory} KiB, then {grown:+} KiB")
        if sanitized:  # what is freed stays in quarantine; leaks show at the end
            print("with sanitizers: memory is theirs to judge")
        else:
            passed &= say("keeps no memory", "" if grown < MEMORY_SLACK_KIB else "it grew")
        status = server.stop()
        text = server.text()
        ended_well = status == 0 and "Sanitizer" not in text and "runtime error" not in text
        passed &= say("ends in order", "" if ended_well else f"status {status}:\n{text[-3000:]}")
        # A line that somebody forged, or cut, does not parse.
        lines = server.responses()
        forged = [line for line in lines if line["peer"] != "127.0.0.1" or line["tx"] == ""]
        passed &= say("logs each response in a line of its own",
                      "" if len(lines) > len(chosen) // 2 and not forged else f"{forged[:3]}")
    return passed


def main():
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLES,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000, metavar="N")
    parser.add_argument("--seed", type=int, default=None, metavar="N", help="default: drawn")
    parser.add_argument("--only", type=int, default=None, metavar="N", help="that attempt alone")
    arguments = parser.parse_args()
    if arguments.seed is None:
        arguments.seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {arguments.seed}", flush=True)
    started = time.monotonic()
    folder = Path(tempfile.mkdtemp())
    try:
        passed = check(arguments, folder)
    finally:
        shutil.rmtree(folder)
    print(f"malformed: {time.monotonic() - started:.1f} s")
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
