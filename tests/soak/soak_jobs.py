"""The kinds of connection that the soak test makes: what each end does, and how it has to end."""

import errno
import os
import random
import ssl
import time
from dataclasses import dataclass
from typing import Callable

from soak_channel import Mismatch, Pattern, Truncated

KIB, MIB = 1 << 10, 1 << 20
POOL = os.urandom(4 * MIB + 1)
# The routes: TLS client -> server role; plain client -> client role -> server role; plain client
# -> client role -> TLS service.
DIRECT, CHAIN, REMOTE = "direct", "chain", "remote"
SIZES = {"small": 4 * KIB, "medium": 256 * KIB, "large": 4 * MIB, "huge": 12 * MIB}  # at most
EVERYWHERE = (DIRECT, CHAIN, REMOTE)
RESET = ("reset",)
FAILURES = (ConnectionResetError, BrokenPipeError, ssl.SSLError, Truncated)


class Job:
    """One connection. Everything random about it is drawn here, so that both ends know it."""

    def __init__(self, number, name, kind, route, rng):
        self.number, self.name, self.kind, self.route = number, name, kind, route
        self.rng = random.Random(rng.getrandbits(64))
        scale = SIZES[kind.size]
        self.offset_up, self.offset_down = rng.randrange(len(POOL)), rng.randrange(len(POOL))
        self.size_up, self.size_down = rng.randint(1, scale), rng.randint(1, scale)
        self.rounds = rng.randint(1, 20)
        self.pause = rng.uniform(1.0, 4.0)
        self.local = None  # the client's address, by which the log names it
        self.problems = []
        self.client_is_done = self.service_is_done = False
        self.moved = 0
        self.duration = 0.0

    def up(self):
        return Pattern(POOL, self.offset_up, self.size_up)

    def down(self):
        return Pattern(POOL, self.offset_down, self.size_down)

    def complain(self, who, error):
        self.problems.append(f"{self.name}/{self.route} #{self.number}: {who}: "
                             f"{type(error).__name__}: {error}")

    def has_both_ends(self):
        return self.client_is_done and (self.service_is_done or self.kind.service is None)


@dataclass(frozen=True)
class Kind:
    """weight   how often, against the others
    routes   where it makes sense
    client   what the client does on its Channel after its line with the job's number
    service  what the service does after it has read that line; none: it is never reached
    ended    the words that may stand in the log
    size     of what is sent"""

    weight: int
    client: Callable
    service: Callable
    routes: tuple = EVERYWHERE
    ended: tuple = ("clean",)
    size: str = "medium"
    raw: bool = False  # the client drives the bare socket, without a handshake


def expect_failure(channel, pattern=None):
    """The job's own connection has to fail; only how is open."""
    try:
        channel.expect_failure(pattern)
    except FAILURES:
        pass


def small_client(job, channel):
    for index in range(job.rounds):
        channel.send_pattern(Pattern(POOL, index, job.size_up))
        channel.receive_pattern(Pattern(POOL, index + 1, job.size_down))
    channel.end_sending()
    channel.expect_end()


def small_service(job, channel):
    for index in range(job.rounds):
        channel.receive_pattern(Pattern(POOL, index, job.size_up))
        channel.send_pattern(Pattern(POOL, index + 1, job.size_down))
    channel.expect_end()
    channel.end_sending()


def large_client(job, channel):
    channel.duplex(job.up(), job.down())
    channel.end_sending()
    channel.expect_end()


def large_service(job, channel):
    channel.duplex(job.down(), job.up())
    channel.expect_end()
    channel.end_sending()


def service_first_client(job, channel):
    channel.duplex(job.up(), job.down())
    channel.expect_end()
    channel.end_sending()


def service_first_service(job, channel):
    channel.duplex(job.down(), job.up())
    channel.end_sending()
    channel.expect_end()


def ask_then_listen(job, channel):
    channel.send_pattern(job.up())
    channel.end_sending(fin=job.route != DIRECT or job.size_up % 2 == 0)
    channel.receive_pattern(job.down())
    channel.expect_end()


def listen_then_answer(job, channel):
    channel.receive_pattern(job.up())
    channel.expect_end()
    channel.send_pattern(job.down())
    channel.end_sending()


def service_speaks_first(job, channel):
    channel.send_pattern(job.down())
    channel.end_sending()
    channel.receive_pattern(job.up())
    channel.expect_end()


def client_answers(job, channel):
    channel.receive_pattern(job.down())
    channel.expect_end()
    channel.send_pattern(job.up())
    channel.end_sending()


def stall_then_listen(job, channel):
    channel.receive_pattern(Pattern(POOL, 0, 1))
    time.sleep(job.pause)  # the service fills every buffer between here and there
    channel.receive_pattern(job.down())
    channel.end_sending()
    channel.expect_end()


def fill(job, channel):
    channel.send_pattern(Pattern(POOL, 0, 1))
    channel.send_pattern(job.down())
    channel.expect_end()
    channel.end_sending()


def fill_service(job, channel):
    channel.send_pattern(job.up())
    channel.end_sending()
    channel.expect_end()


def stalled_service(job, channel):
    time.sleep(job.pause)
    channel.receive_pattern(job.up())
    channel.expect_end()
    channel.end_sending()


def slow_client(job, channel):
    data = job.up().take(100)
    channel.send_slowly(data, job.pause / 200)
    channel.receive_pattern(job.down())
    channel.end_sending()
    channel.expect_end()


def slow_service(job, channel):
    channel.receive_pattern(Pattern(POOL, job.offset_up, min(job.size_up, 100)))
    for byte in job.down().take(50):
        channel.send(bytes([byte]))
        time.sleep(job.pause / 200)
    rest = job.down()
    rest.take(50)
    channel.send_pattern(rest)
    channel.expect_end()
    channel.end_sending()


def reset_midway(job, channel):
    down = job.down()
    channel.send_pattern(job.up())
    down.check(channel.receive(down.size))  # so that both sides are connected
    channel.reset()


def be_reset(job, channel):
    try:
        channel.duplex(job.down(), job.up())
        channel.expect_failure()
    except FAILURES:
        pass


def send_until_reset(job, channel):
    try:
        channel.send_pattern(job.up())
        channel.expect_failure(job.down())
    except FAILURES:
        pass


def reset_service(job, channel):
    up = job.up()
    up.check(channel.receive(up.size))
    channel.send_pattern(Pattern(POOL, job.offset_down, min(job.size_down, 1000)))
    channel.reset()


def truncate(job, channel):
    channel.receive_pattern(Pattern(POOL, 0, 1))
    channel.send_pattern(job.up())
    channel.send_bare_fin()
    expect_failure(channel)


def be_truncated(job, channel):
    channel.send_pattern(Pattern(POOL, 0, 1))
    expect_failure(channel, job.up())


def truncating_service(job, channel):
    channel.receive_pattern(job.up())
    channel.send_pattern(job.down())
    channel.send_bare_fin()
    expect_failure(channel)


def truncated_client(job, channel):
    try:
        channel.send_pattern(job.up())
        channel.expect_failure(job.down())
    except FAILURES:
        pass


def corrupt(job, channel):
    channel.receive_pattern(Pattern(POOL, 0, 1))
    channel.send_pattern(job.up())
    wire = bytearray(channel.codec.seal(b"these bytes arrive changed"))
    wire[-1] ^= 1
    channel.sock.sendall(wire)
    expect_failure(channel)


def stall_handshake(job, sock):
    sock.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[:job.rng.randrange(12)])
    read_to_any_end(sock)


def send_garbage(job, sock):
    try:
        sock.sendall(b"GET / HTTP/1.1\r\n" + job.rng.randbytes(job.size_up))
        read_to_any_end(sock)
    except OSError as error:
        if error.errno not in (errno.ECONNRESET, errno.EPIPE):
            raise


def read_to_any_end(sock):
    try:
        while sock.recv(KIB):
            pass
    except ConnectionResetError:
        pass


def close_at_once(_job, _sock):
    pass


KINDS = {
    "small": Kind(30, small_client, small_service, size="small"),
    "large": Kind(14, large_client, large_service, size="large"),
    "service-closes-first": Kind(6, service_first_client, service_first_service),
    "client-half-closes": Kind(8, ask_then_listen, listen_then_answer),
    "service-half-closes": Kind(8, client_answers, service_speaks_first),
    "client-stalls": Kind(6, stall_then_listen, fill, size="huge"),
    "service-stalls": Kind(4, fill_service, stalled_service, size="huge"),
    "slow": Kind(4, slow_client, slow_service),
    "slow-handshake": Kind(3, small_client, small_service, (DIRECT,), size="small"),
    "client-resets": Kind(6, reset_midway, be_reset, ended=RESET, size="large"),
    "service-resets": Kind(6, send_until_reset, reset_service, ended=RESET, size="large"),
    "client-truncates": Kind(4, truncate, be_truncated, (DIRECT,), ("truncated",)),
    "service-truncates": Kind(4, truncated_client, truncating_service, (REMOTE,),
                              ("truncated",)),
    "corrupt": Kind(3, corrupt, be_truncated, (DIRECT,), ("alert",)),
    "handshake-stalls": Kind(1, stall_handshake, None, (DIRECT,), ("timeout",), raw=True),
    "garbage": Kind(3, send_garbage, None, (DIRECT,), ("handshake",), "small", raw=True),
    "connect-and-close": Kind(3, close_at_once, None, (DIRECT,), ("handshake",), raw=True),
}


def draw(number, rng, names=()):
    """One of `names`, or of all."""
    names = names or list(KINDS)
    name = rng.choices(names, [KINDS[each].weight for each in names])[0]
    kind = KINDS[name]
    return Job(number, name, kind, rng.choice(kind.routes), rng)


def large(number, route):
    """One that is certainly under way when the signal comes."""
    job = Job(number, "large", KINDS["large"], route, random.Random(number))
    job.size_up = job.size_down = 8 * MIB
    return job


def line_of(job, lines):
    """The first of these that may be the job's, or just the first."""
    return next((line for line in lines if line["ended"] in job.kind.ended), lines[0])


def check_end(job, line):
    """A problem in words if the connection line is not the one of this job."""
    if line["ended"] not in job.kind.ended:
        return (f"{job.name}/{job.route} #{job.number}: ended={line['ended']} instead of "
                f"{' or '.join(job.kind.ended)}: {line}")
    return ""


__all__ = ["CHAIN", "DIRECT", "KINDS", "Mismatch", "REMOTE", "check_end", "draw", "large",
           "line_of"]
