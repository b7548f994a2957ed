"""Bytes to send and to recognise again. Each has its highest bit set, so that on a stream which
also carries a program's own words (ASCII) the two can be told apart, in whatever order they come.
"""

import functools
import hashlib
import random

BLOCK_SIZE = 1 << 16
_ASCII = bytes(range(128))
_HIGH = bytes(range(128, 256))
_RAISE = bytes(value | 128 for value in range(256))
_COUNTER_SIZE = 5  # digits of base 128


class Payload:
    """`size` bytes that `seed` determines; no block is like another, so that none goes missing or
    astray without notice."""

    def __init__(self, size, seed):
        self.size = size
        self._block = random.Random(seed).randbytes(BLOCK_SIZE).translate(_RAISE)

    def blocks(self):
        for index in range(0, self.size, BLOCK_SIZE):
            number = index // BLOCK_SIZE
            counter = bytes(128 | (number >> shift & 127) for shift in range(0, 35, 7))
            yield (counter + self._block[_COUNTER_SIZE:])[:self.size - index]

    def bytes(self):
        return b"".join(self.blocks())

    @functools.cached_property
    def sha256(self):
        digest = hashlib.sha256()
        for block in self.blocks():
            digest.update(block)
        return digest.hexdigest()


class Received:
    """What came: the payload's bytes by number and hash, all others as text."""

    def __init__(self):
        self.total = 0
        self.size = 0
        self.text = bytearray()
        self._digest = hashlib.sha256()

    def feed(self, data):
        payload = data.translate(None, _ASCII)
        self.total += len(data)
        self.size += len(payload)
        self._digest.update(payload)
        if len(payload) != len(data):
            self.text += data.translate(None, _HIGH)

    @property
    def sha256(self):
        return self._digest.hexdigest()

    def differs_from(self, payload):
        """Why this is not that payload, or nothing."""
        if self.size != payload.size:
            return f"{self.size} bytes arrived of {payload.size}"
        return "" if self.sha256 == payload.sha256 else "bytes differ: the hashes are not equal"
