"""Which cells there are: all of the matrix, or few of them in which every pair of choices meets."""

import heapq
import itertools
from dataclasses import asdict, dataclass

VERSIONS = ("TLSv1.2", "TLSv1.3")
# By the names of userspace/suite.
CIPHERS = ("AES-128-GCM", "AES-256-GCM", "AES-128-CCM", "CHACHA20-POLY1305")
ROLES = ("server", "client")
# Java last: while its machine starts, the others have their turn.
PEERS = ("openssl", "gnutls", "own", "java")
TX = ("write", "sendmsg", "splice", "sendfile", "io_uring")
RX = ("read", "recvmsg", "splice", "io_uring")
# (peer, cipher): why they do not meet.
NOT_SHARED = {("java", "AES-128-CCM"): "Java has no suite with AES-CCM"}

KIB = 1 << 10
SUBSET_SIZE = 256 * KIB
FULL_SIZE = 2048 * KIB
BULK_SIZE = 64 * 1024 * KIB
# Not Java, which would take minutes of an emulated processor for each.
BULK_PEERS = ("openssl", "gnutls", "own")


@dataclass(frozen=True)
class Cell:
    """One connection, from the endpoint's side: `role` is its, `tx` and `rx` are its calls, empty
    where that direction carries no application data."""

    version: str
    cipher: str
    role: str
    peer: str
    tx: str
    rx: str
    size: int = SUBSET_SIZE  # bytes a direction

    def __str__(self):
        calls = [f"{name} by {call}" for name, call in (("TX", self.tx), ("RX", self.rx)) if call]
        size = f"{self.size // KIB} KIB" if self.size < KIB * KIB else f"{self.size >> 20} MIB"
        return (f"{self.version} {self.cipher} {self.role} role with {self.peer}, "
                f"{', '.join(calls)}, {size.replace('IB', 'iB')}")

    def as_dict(self):
        return asdict(self)


def call_pairs():
    """TX alone, RX alone, and both by each pair."""
    return [(tx, rx) for tx, rx in itertools.product(("", *TX), ("", *RX)) if tx or rx]


def _combinations():
    return [(version, cipher, peer) for version, cipher, peer
            in itertools.product(VERSIONS, CIPHERS, PEERS) if (peer, cipher) not in NOT_SHARED]


def full():
    """Every version, cipher, peer and pair of calls, and the bulk of each direction. The role
    alternates, so that each peer meets both with every version and cipher."""
    cells = []
    for number, (version, cipher, peer) in enumerate(_combinations()):
        cells += [Cell(version, cipher, ROLES[(number + index) % 2], peer, tx, rx, FULL_SIZE)
                  for index, (tx, rx) in enumerate(call_pairs())]
    return by_peer(cells + _bulk())


def _bulk():
    """Each version, cipher and direction once; calls, peers and roles take turns."""
    cells = []
    for number, (version, cipher) in enumerate(itertools.product(VERSIONS, CIPHERS)):
        peer = BULK_PEERS[number % len(BULK_PEERS)]
        cells.append(Cell(version, cipher, ROLES[number % 2], peer, TX[number % len(TX)], "",
                          BULK_SIZE))
        cells.append(Cell(version, cipher, ROLES[(number + 1) % 2], peer, "",
                          RX[number % len(RX)], BULK_SIZE))
    return cells


def userspace():
    """For kernels without TLS: our record layer with every peer, both directions."""
    return by_peer([Cell(version, cipher, role, peer, "records", "records")
                    for version, cipher, peer in _combinations() for role in ROLES])


def by_peer(cells):
    return sorted(cells, key=lambda cell: PEERS.index(cell.peer))


def pairs_of(cell):
    """The pairs of choices that meet in a cell."""
    choices = [(name, value) for name, value in cell.as_dict().items() if name != "size"]
    return frozenset(itertools.combinations(choices, 2))


def pairwise():
    """Greedy: the cell in which most pairs meet that have not met yet, until all have. What a cell
    adds only shrinks as others are chosen, so one that still adds most when it is looked at again
    is the best of all, and most need not be looked at."""
    cells = [Cell(version, cipher, role, peer, tx, rx)
             for version, cipher, peer in _combinations()
             for role in ROLES for tx, rx in call_pairs()]
    pairs = [pairs_of(cell) for cell in cells]
    left = set().union(*pairs)
    heap = [(-len(each), number) for number, each in enumerate(pairs)]
    heapq.heapify(heap)
    chosen = []
    while left:
        _, number = heapq.heappop(heap)
        adds = len(pairs[number] & left)
        if heap and adds < -heap[0][0]:
            if adds:
                heapq.heappush(heap, (-adds, number))
            continue
        chosen.append(cells[number])
        left -= pairs[number]
    return by_peer(chosen)
