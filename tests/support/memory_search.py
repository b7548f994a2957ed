"""Searches the memory of a process for a number, in each form in which a library may keep it."""

import contextlib
import re
import subprocess
from pathlib import Path

_LIMB_SIZE = 8
_CHUNK = 16 << 20


class Number:
    """Of `size` bytes, or as many as it takes."""

    def __init__(self, name, value, size=None):
        self.name = name
        size = size or (value.bit_length() + 7) // 8
        big = value.to_bytes(size, "big")
        limbs = [big[at:at + _LIMB_SIZE] for at in range(0, size, _LIMB_SIZE)]
        # Limbs with the least first are the same as all bytes in reverse.
        self.forms = {"big-endian": big, "little-endian, limbs with the least first": big[::-1],
                      "limbs with the greatest first": b"".join(each[::-1] for each in limbs)}


def private_numbers(key_file):
    """What makes a private key private: an EC key's scalar, or an RSA key's primes and exponent."""
    text = subprocess.run(["openssl", "pkey", "-in", str(key_file), "-noout", "-text"],
                          check=True, capture_output=True, timeout=60).stdout.decode()
    found = re.findall(r"^(\w+):\n((?: +[0-9a-f:]+\n)+)", text, re.MULTILINE)
    values = {name: int(re.sub(r"[^0-9a-f]", "", digits), 16) for name, digits in found}
    if "priv" in values:
        return [Number("scalar", values["priv"], 32)]
    return [Number(name, values[name]) for name in ("prime1", "prime2", "privateExponent")]


def _regions(pid):
    for line in Path(f"/proc/{pid}/maps").read_text(encoding="ascii").splitlines():
        span, flags = line.split()[:2]
        if flags.startswith("r"):
            yield tuple(int(each, 16) for each in span.split("-"))


def _pieces(pid, overlap):
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for start, end in _regions(pid):
            for at in range(start, end, _CHUNK):
                with contextlib.suppress(OSError, ValueError):  # [vvar], [vsyscall]: not readable
                    memory.seek(at)
                    yield memory.read(min(_CHUNK + overlap, end - at))


def search(pid, forms):
    """({name of a form: how often}, bytes searched)."""
    overlap = max(len(form) for form in forms.values()) - 1
    found, total = dict.fromkeys(forms, 0), 0
    for piece in _pieces(pid, overlap):
        total += len(piece)
        for name, form in forms.items():
            found[name] += piece.count(form)
    return found, total
