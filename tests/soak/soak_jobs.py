"""The kinds of connection that the soak test makes: what each end does, and how it has to end."""

import errno
import ipaddress
import os
import random
import ssl
import threading
import time
from dataclasses import dataclass
from typing import Callable

import proxy_headers
from soak_channel import Mismatch, Pattern, Truncated

KIB, MIB = 1 << 10, 1 << 20
POOL = os.urandom(4 * MIB + 1)
# The routes: TLS client -> server role; the same with a balancer's header in front and a client
# certificate; plain client -> client role -> server role; plain client -> client role -> TLS
# service.
DIRECT, PROXIED, CHAIN, REMOTE = "direct", "proxied", "chain", "remote"
TLS_ROUTES = (DIRECT, PROXIED)
# What a client shows: its certificate, none, that of another authority, one that is revoked.
OWN, NONE, FOREIGN, REVOKED = "own", "none", "foreign", "revoked"
SIZES = {"small": 4 * KIB, "medium": 256 * KIB, "large": 4 * MIB, "huge": 12 * MIB}  # at most
EVERYWHERE = (DIRECT, PROXIED, CHAIN, REMOTE)
CLEAN, RESET, REFUSED = ("clean",), ("reset",), ()
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
        self.resumes = rng.random() < 0.5
        self.credentials = kind.credentials or (OWN if route == PROXIED else NONE)
        self.source = claimed_source(number) if route == PROXIED else None
        self.local = None  # the client's address, by which the log names it
        self.has_to_resume = False
        self.until = float("inf")  # nobody dawdles any longer
        self.slow_s = 0.0  # how long its handshake comes byte by byte
        self.problems = []
        self.client_is_done, self.service_is_done = threading.Event(), threading.Event()
        self.moved = 0
        self.duration = 0.0

    def up(self):
        return Pattern(POOL, self.offset_up, self.size_up)

    def down(self):
        return Pattern(POOL, self.offset_down, self.size_down)

    def complain(self, who, error):
        self.problems.append(f"{self.name}/{self.route} #{self.number}: {who}: "
                             f"{type(error).__name__}: {error}")

    def header(self):
        """Of either version; the second with or without a checksum, and what a balancer adds."""
        front = ("2001:db8::1" if ":" in self.source[0] else "198.51.100.1", 443)
        if self.rng.random() < 0.5:
            return proxy_headers.text_header(self.source, front)
        added = proxy_headers.vector(proxy_headers.NOOP, bytes(self.rng.randrange(300)))
        return proxy_headers.binary_header(self.source, front, vectors=added,
                                           checksum=self.rng.choice((None, 0)))

    def has_both_ends(self):
        return self.client_is_done.is_set() and (self.kind.service is None
                                                 or self.service_is_done.is_set())

    def finish(self):
        """Nothing more is drawn, and there are many."""
        self.rng = None


@dataclass(frozen=True)
class Kind:
    """weight   how often, against the others
    routes   where it makes sense
    client   what the client does on its Channel after its line with the job's number
    service  what the service does after it has read that line; none: it is never reached, and
             the client has a Channel before the handshake
    ended    the words that may stand in the log; none: it is refused before it is a connection
    size     of what is sent
    raw      the client drives the bare socket, without a handshake, behind a balancer's header
    credentials  what the client shows, if not what its route demands
    hurries  away, perhaps before it is accepted: nobody may know its address any more"""

    weight: int
    client: Callable
    service: Callable
    routes: tuple = EVERYWHERE
    ended: tuple = CLEAN
    size: str = "medium"
    raw: bool = False
    credentials: str = ""
    hurries: bool = False

    @property
    def is_honest(self):
        return self.ended == CLEAN and not self.raw


def claimed_source(number):
    """An address of its own for each connection, from the networks for such tests."""
    port = 10_000 + number % 50_000
    if number % 4 == 0:
        return str(ipaddress.ip_address("2001:db8::") + number), port
    return str(ipaddress.ip_address("198.18.0.0") + number % (1 << 17)), port


def as_text(source):
    host, port = source
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def check_header(job, header):
    """What the service is told of whom: what the balancer said, and how the client is known."""
    if header.source != job.source:
        raise Mismatch(f"the header names {header.source} instead of {job.source}")
    if header.tls.get("common_name") != "localhost":
        raise Mismatch(f"the header tells of another client: {header.tls}")


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
    channel.end_sending(fin=job.route not in TLS_ROUTES or job.size_up % 2 == 0)
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


def dawdle(job, channel):
    """Says little for long: over reloads, among all others."""
    for index in range(10 * job.rounds):
        if time.monotonic() > job.until:
            break
        channel.send_pattern(Pattern(POOL, index, 1 + job.size_up % 100))
        channel.receive_pattern(Pattern(POOL, index, 1 + job.size_up % 100))
        time.sleep(job.pause / 4)
    channel.end_sending()
    channel.expect_end()


def echo(job, channel):
    index = 0
    while data := channel.receive(1):
        asked = Pattern(POOL, index, 1 + job.size_up % 100)
        asked.check(data)
        channel.receive_pattern(asked)
        channel.send_pattern(Pattern(POOL, index, 1 + job.size_up % 100))
        index += 1
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


def violate(job, channel):
    """Bytes that no record layer sends, on a connection that has worked."""
    channel.receive_pattern(Pattern(POOL, 0, 1))
    channel.send_pattern(job.up())
    channel.sock.sendall(job.rng.choice((
        b"\x17\x03\x03\xff\xff" + bytes(100), b"\x17\x03\x03\x00\x00", b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x03\x00\x01\x00", b"\x15\x03\x03\x00\x02\x02\x28")))
    expect_failure(channel)


def be_unwelcome(_job, channel):
    """With that certificate; in TLS 1.3 it shows after the client's handshake."""
    try:
        channel.handshake()
    except FAILURES:
        return
    expect_failure(channel)


def leave_handshake(job, channel):
    """With the server's answer, or a part of it, unread."""
    wire = channel.codec.start()
    channel.sock.sendall(wire[:job.rng.choice((len(wire), len(wire) // 2))])
    if job.rng.random() < 0.5:
        time.sleep(job.pause / 10)
    if job.rng.random() < 0.5:
        channel.reset()


def stall_handshake(job, sock):
    sock.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[:job.rng.randrange(12)])
    read_to_any_end(sock)


def send_garbage(job, sock):
    send_hostile(sock, b"GET / HTTP/1.1\r\n" + job.rng.randbytes(job.size_up))


def send_hostile(sock, data):
    try:
        sock.sendall(data)
        read_to_any_end(sock)
    except OSError as error:
        if error.errno not in (errno.ECONNRESET, errno.EPIPE):
            raise


def send_broken_header(job, sock):
    text = proxy_headers.text_header(job.source, job.source)
    good = proxy_headers.binary_header(job.source, job.source, checksum=0)
    if job.rng.random() < 0.3:  # cut off
        header = job.rng.choice((text, good))
        sock.sendall(header[:job.rng.randrange(len(header))])
        return
    wrong_sum = proxy_headers.binary_header(job.source, job.source, checksum=1)
    send_hostile(sock, job.rng.choice((
        wrong_sum, good[:12] + b"\x31" + good[13:], good[:14] + b"\xff\xff" + bytes(60),
        text.replace(b" ", b"  "), text.replace(b"TCP", b"UDP"), bytes(60),
        b"PROXY TCP4 " + b"1" * 120 + b"\r\n", b"\x16\x03\x01\x02\x00\x01" + bytes(60),
        b"PROXY " + job.rng.randbytes(40) + b"\r\n")))


def stall_header(job, sock):
    sock.sendall(job.header()[:job.rng.randrange(20)])
    read_to_any_end(sock)


def read_to_any_end(sock):
    try:
        while sock.recv(KIB):
            pass
    except ConnectionResetError:
        pass


def close_at_once(_job, _sock):
    pass


FAILED = ("handshake", "reset", "alert")
KINDS = {
    "small": Kind(30, small_client, small_service, size="small"),
    "large": Kind(14, large_client, large_service, size="large"),
    "dawdles": Kind(12, dawdle, echo),
    "service-closes-first": Kind(6, service_first_client, service_first_service),
    "client-half-closes": Kind(8, ask_then_listen, listen_then_answer),
    "service-half-closes": Kind(8, client_answers, service_speaks_first),
    "client-stalls": Kind(6, stall_then_listen, fill, size="huge"),
    "service-stalls": Kind(4, fill_service, stalled_service, size="huge"),
    "slow": Kind(4, slow_client, slow_service),
    "slow-handshake": Kind(3, small_client, small_service, TLS_ROUTES, size="small"),
    "client-resets": Kind(6, reset_midway, be_reset, ended=RESET, size="large"),
    "service-resets": Kind(6, send_until_reset, reset_service, ended=RESET, size="large"),
    "client-truncates": Kind(4, truncate, be_truncated, TLS_ROUTES, ("truncated",)),
    "service-truncates": Kind(4, truncated_client, truncating_service, (REMOTE,),
                              ("truncated",)),
    "corrupt": Kind(3, corrupt, be_truncated, TLS_ROUTES, ("alert",)),
    "violates": Kind(3, violate, be_truncated, TLS_ROUTES, ("alert",)),
    "no-certificate": Kind(2, be_unwelcome, None, (PROXIED,), FAILED, credentials=NONE),
    "foreign-certificate": Kind(2, be_unwelcome, None, (PROXIED,), FAILED, credentials=FOREIGN),
    "revoked-certificate": Kind(2, be_unwelcome, None, (PROXIED,), FAILED, credentials=REVOKED),
    "leaves-handshake": Kind(3, leave_handshake, None, TLS_ROUTES, ("handshake", "reset"),
                             hurries=True),
    "handshake-stalls": Kind(1, stall_handshake, None, TLS_ROUTES, ("timeout",), raw=True),
    "garbage": Kind(3, send_garbage, None, TLS_ROUTES, ("handshake",), "small", raw=True),
    "connect-and-close": Kind(3, close_at_once, None, TLS_ROUTES, ("handshake",), raw=True),
    "broken-header": Kind(3, send_broken_header, None, (PROXIED,), REFUSED, raw=True),
    "header-stalls": Kind(1, stall_header, None, (PROXIED,), REFUSED, raw=True),
}
# They last as long as the handshake may.
WAITING = ("handshake-stalls", "header-stalls")


def draw(number, rng, names=(), but=()):
    """One of `names`, or of all, `but` for some where there are others."""
    names = names or list(KINDS)
    names = [name for name in names if name not in but] or names
    name = rng.choices(names, [KINDS[each].weight for each in names])[0]
    kind = KINDS[name]
    return Job(number, name, kind, rng.choice(kind.routes), rng)


def large(number, route):
    """One that is certainly under way when the signal comes."""
    job = Job(number, "large", KINDS["large"], route, random.Random(number))
    job.size_up = job.size_down = 8 * MIB
    return job


def line_of(job, lines):
    """The first of these that may be the job's, or just the first: a port comes more than once."""
    return next((line for line in lines if not check_end(job, line)), lines[0])


def check_end(job, line):
    """A problem in words if the connection line is not the one of this job."""
    told = ""
    if line["ended"] not in job.kind.ended:
        told = f"ended={line['ended']} instead of {' or '.join(job.kind.ended)}"
    elif job.has_to_resume and not line.get("resumed"):
        told = "its session was not resumed"
    elif job.route == PROXIED and "version" in line and "CN=localhost" not in line["client"]:
        told = "another client"
    return f"{job.name}/{job.route} #{job.number}: {told}: {line}" if told else ""
