"""What the soak test finds in the end: each function yields problems in words."""

import collections
import os
import tempfile
from pathlib import Path

import soak_jobs
from soak_jobs import CHAIN, DIRECT

# What a process may have grown by, at rest, since the end of the warm-up: the allocator keeps what
# the moment of the highest load needed, and that is chance. A connection that left a KiB behind
# would be seen after 16,000 of them.
GROWTH_KIB = 16 * 1024
QUARANTINE_MIB = 64  # what AddressSanitizer keeps of freed memory, and may not have had by then
UNKNOWN = "?"  # the peer of a line whose connection was reset before it was accepted


def lost_data(soak):
    for job in soak.jobs.values():
        yield from job.problems
        if not job.has_both_ends():
            yield f"{job.name}/{job.route} #{job.number} did not come to its end"


def wrong_ends(soak):
    for route, wrap in soak.wraps.items():
        jobs = soak.made(route)
        yield from wrong_refusals(wrap, [job for job in jobs if not job.kind.ended])
        chained = [line for line in wrap.connections() if is_chained(route, line)]
        lines = by_peer(line for line in wrap.connections() if not is_chained(route, line))
        # A port comes more than once: whose line may have none of it takes what is left.
        for job in sorted(jobs, key=lambda job: job.kind.hurries):
            if job.kind.ended:
                yield from wrong_end(job, lines)
        left = [line for each in lines.values() for line in each]
        if left:
            yield f"{route}: {len(left)} lines of connections that nobody made: {left[:3]}"
        if route == DIRECT:
            yield from wrong_behind_the_chain(chained, soak.made(CHAIN))


def wrong_end(job, lines):
    """Takes the job's line from `lines`, and says what it should not."""
    of_peer = lines[job.local]
    if job.kind.hurries and all(soak_jobs.check_end(job, line) for line in of_peer):
        of_peer = lines[UNKNOWN]
    if not of_peer:
        yield f"{job.name}/{job.route} #{job.number} has no line in the log"
        return
    line = soak_jobs.line_of(job, of_peer)
    of_peer.remove(line)
    problem = soak_jobs.check_end(job, line)
    if problem:
        yield problem


def is_chained(route, line):
    """The client role in front shows a certificate, and other clients of that wrap do not."""
    return route == DIRECT and "client" in line


def by_peer(lines):
    found = collections.defaultdict(list)
    for line in lines:
        found[line["peer"]].append(line)
    return found


def wrong_refusals(wrap, jobs):
    lines = by_peer(wrap.records("refused"))
    for job in jobs:
        if not lines[job.local]:
            yield f"{job.name}/{job.route} #{job.number} was not refused"
            continue
        line = lines[job.local].pop()
        if line["reason"] != "proxy_header":
            yield f"{job.name}/{job.route} #{job.number}: {line}"
    left = [line for each in lines.values() for line in each]
    if left:
        yield f"{len(left)} were refused that should not be: {left[:3]}"


def wrong_behind_the_chain(lines, jobs):
    """Nothing says whose they are; so many have to be clean, the others must not be."""
    expected = sum("clean" in job.kind.ended for job in jobs)
    found = collections.Counter(line["ended"] for line in lines)
    if (len(lines), found["clean"]) != (len(jobs), expected):
        yield f"behind the chain {dict(found)} instead of {expected} clean"
    others = {line["client"] for line in lines if "CN=" not in line["client"]}
    if others:
        yield f"behind the chain other clients: {others}"


def reloads_told(wrap):
    """{"ok": N, "failed": N}: those by SIGHUP, and those of ticket keys that it found changed."""
    told = collections.Counter(
        "failed" if record["level"] == "error" else "ok" for record in wrap.records("reload"))
    # One line at the start, and one of each reload by SIGHUP. None of these files is ever broken.
    keys_read = len(wrap.records("ticket_keys"))
    if keys_read:
        told["ok"] += keys_read - 1 - told.total()
    return told


def miscounts(soak, pages):
    """Each page of metrics against the log, while nobody is connected any more."""
    for route, page in pages.items():
        wrap = soak.wraps[route]
        lines = wrap.connections()
        shaken = [line for line in lines if "version" in line]
        resumed = collections.Counter(line["resumed"] for line in shaken)
        ended = collections.Counter(line["ended"] for line in lines)
        reloads = reloads_told(wrap)
        counts = [
            ("connections", {}, 0),
            ("handshakes_under_way", {}, 0),
            ("connections_accepted_total", {}, len(lines)),
            ("connections_ended_total", {}, len(lines)),
            *(("connections_ended_total", {"ended": word}, count)
              for word, count in ended.items()),
            ("connections_refused_total", {"reason": "proxy_header"},
             len(wrap.records("refused"))),
            ("connections_refused_total", {}, len(wrap.records("refused"))),
            ("handshakes_total", {}, len(shaken)),
            *(("handshakes_total", {"resumed": word}, resumed[word == "yes"])
              for word in ("yes", "no")),
            ("handshakes_by_suite_total", {}, len(shaken)),
            ("handshake_failures_total", {}, len(lines) - len(shaken) - ended["unreachable"]),
            *(("plaintext_bytes_total", {"direction": way},
               sum(line.get(way, 0) for line in lines)) for way in ("received", "sent")),
            *(("reloads_total", {"result": word}, reloads[word]) for word in ("ok", "failed")),
        ]
        for name, labels, expected in counts:
            if page.of(name, **labels) != expected:
                yield f"{route}: {name} {labels} is {page.of(name, **labels)}, not {expected}"


def foreign_lines(soak):
    """A sanitizer's report, a failed assertion, errors of the loop."""
    for route, wrap in soak.wraps.items():
        foreign = [line for line in wrap.lines if not line.startswith("{")]
        if foreign:
            path = Path(tempfile.gettempdir()) / f"soak-{os.getpid()}-{route}.txt"
            path.write_text("\n".join(foreign), encoding="utf-8")
            yield f"{route} wrote, in {path}: " + " | ".join(foreign[:4])
        for record in wrap.records():
            if record["level"] in ("warning", "error") and not is_expected(record):
                yield f"{route} logged {record}"


def is_expected(record):
    """What the load and the reloads provoke, and their own checks look at."""
    # Each file is replaced whole, but not all of them at once.
    meanwhile = record["event"] == "ticket_keys" and "has the name of" in record.get("detail", "")
    return record["event"] in ("refused", "reload") or meanwhile


def leaks(before, between, after, sanitized):
    allowed = GROWTH_KIB + (QUARANTINE_MIB * 1024 if sanitized else 0)
    for route, (descriptors, memory) in after.items():
        if descriptors != before[route][0]:
            yield f"{route}: {descriptors} descriptors at the end, {before[route][0]} at the start"
        if memory > between[route][1] + allowed:
            yield f"{route}: {memory} KiB at the end, {between[route][1]} KiB after the warm-up"
