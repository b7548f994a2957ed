#!/usr/bin/env python3
"""Peers that connect and never finish a handshake do not make others wait for theirs."""

import contextlib
import ssl
import statistics
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import report  # noqa: E402
import wrap_peers as peers  # noqa: E402
from broker_case import BrokerCase, REQUIRES_KTLS, WAIT_S, wait_until  # noqa: E402
from broker_client import BrokerClient  # noqa: E402
from shared_certificates import certificates  # noqa: E402
from wrap_tls_stream import TlsStream  # noqa: E402

SILENT = 200
RATIO_MAX = 2.0
# In turns, so that what else this machine does falls on both.
ROUNDS = 8 if REQUIRES_KTLS else 20
SAMPLES_OF_ROUND = 25 if REQUIRES_KTLS else 50


def percentile(samples, share):
    return sorted(samples)[min(int(len(samples) * share), len(samples) - 1)]


def client_hello(context):
    """The first flight of a client."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


class Latency(BrokerCase):
    def setUp(self):
        super().setUp()
        self.served = self.broker()
        self.socket = self.listener()
        with contextlib.closing(BrokerClient(self.served.path)) as client:
            self.listening = client.listen(self.socket)
        self.addCleanup(self.listening.close)
        self.context = certificates().client_context()
        self.quiet = self.idle(self.served)

    def sample(self):
        """From a client's connect to the moment at which the program has the connection."""
        started = time.perf_counter()
        raw = peers.tcp(self.socket.getsockname(), timeout=WAIT_S)
        with TlsStream(raw, self.context, "localhost"):
            connection = self.listening.accept()
            taken = time.perf_counter() - started
        connection.sock.close()
        return taken

    @contextlib.contextmanager
    def silent_peers(self):
        """A third says nothing, a third half of its ClientHello, and a third nothing after it."""
        hello = client_hello(self.context)
        socks = []
        for index in range(SILENT):
            socks.append(peers.tcp(self.socket.getsockname(), timeout=WAIT_S))
            socks[-1].sendall((b"", hello[:len(hello) // 2], hello)[index % 3])
        for sock in socks[2::3]:
            sock.recv(1)  # the answer to it, which is no business of the samples
        wait_until(lambda: self.served.descriptors() >= self.quiet + SILENT, "all of them", WAIT_S)
        yield
        self.assertGreaterEqual(self.served.descriptors(), self.quiet + SILENT)  # none is dropped
        for sock in socks:
            peers.reset(sock)
        wait_until(lambda: self.served.descriptors() <= self.quiet, "their end", WAIT_S)

    def test_silent_peers_do_not_double_the_slowest_hundredth_of_accepts(self):
        for _ in range(SAMPLES_OF_ROUND):
            self.sample()  # of a cold process
        alone, among = [], []
        for _ in range(ROUNDS):
            alone += [self.sample() for _ in range(SAMPLES_OF_ROUND)]
            with self.silent_peers():
                among += [self.sample() for _ in range(SAMPLES_OF_ROUND)]
        for name, samples in (("without", alone), (f"with {SILENT} silent peers", among)):
            print(f"{name}: {len(samples)} accepts, p50 {statistics.median(samples) * 1e3:.2f} ms, "
                  f"p99 {percentile(samples, 0.99) * 1e3:.2f} ms")
        ratio = percentile(among, 0.99) / percentile(alone, 0.99)
        print(f"ratio of p99 {ratio:.2f}")
        self.assertLessEqual(ratio, RATIO_MAX)


if __name__ == "__main__":
    report.main("handover/broker-latency")
