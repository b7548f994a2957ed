"""Headers of the PROXY protocol, made and read by the specification alone: the second opinion on
those of the program."""

import ipaddress
import socket
import struct
from dataclasses import dataclass, field

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LOCAL, PROXY = 0x20, 0x21
ALPN, AUTHORITY, CRC32C, NOOP, TLS = 0x01, 0x02, 0x03, 0x04, 0x20
TLS_PARTS = {0x21: "version", 0x22: "common_name", 0x23: "cipher", 0x24: "signature", 0x25: "key"}
_POLYNOMIAL = 0x82F63B78  # Castagnoli's, reflected


def crc32c(data):
    checksum = 0xFFFFFFFF
    for byte in data:
        checksum ^= byte
        for _ in range(8):
            checksum = checksum >> 1 ^ (_POLYNOMIAL if checksum & 1 else 0)
    return checksum ^ 0xFFFFFFFF


def text_header(source, destination):
    family = "TCP6" if ":" in source[0] else "TCP4"
    return (f"PROXY {family} {source[0]} {destination[0]} {source[1]} {destination[1]}\r\n"
            ).encode()


def vector(kind, value):
    return struct.pack("!BH", kind, len(value)) + value


def binary_header(source=None, destination=None, command=PROXY, vectors=b"", checksum=None):
    """`checksum`: what is added to the right one, 0 for that; None for none. A source that is text
    is the path of a unix socket."""
    if source is None:
        family, addresses = 0x00, b""
    elif isinstance(source, str):
        family = 0x31
        addresses = source.encode().ljust(108, b"\0") + destination.encode().ljust(108, b"\0")
    else:
        hosts = [ipaddress.ip_address(host).packed for host, _ in (source, destination)]
        family = 0x11 if len(hosts[0]) == 4 else 0x21
        addresses = b"".join(hosts) + struct.pack("!HH", source[1], destination[1])
    rest = addresses + vectors
    if checksum is None:
        return SIGNATURE + struct.pack("!BBH", command, family, len(rest)) + rest
    rest += vector(CRC32C, b"\0\0\0\0")
    header = SIGNATURE + struct.pack("!BBH", command, family, len(rest)) + rest
    return header[:-4] + struct.pack("!I", (crc32c(header) + checksum) & 0xFFFFFFFF)


@dataclass
class Header:
    """What a service was told. Addresses as (host, port), of a unix socket as bytes."""

    version: int
    source: object = None
    destination: object = None
    vectors: dict = field(default_factory=dict)
    tls: dict = field(default_factory=dict)


def _exactly(sock, size):
    data = b""
    while len(data) < size:
        part = sock.recv(size - len(data))
        if not part:
            raise AssertionError(f"the end after {data!r}")
        data += part
    return data


def _vectors(data):
    found = {}
    while data:
        kind, size = struct.unpack_from("!BH", data)
        if len(data) < 3 + size:
            raise AssertionError(f"a vector that is cut off: {data!r}")
        found[kind] = data[3:3 + size]
        data = data[3 + size:]
    return found


def _tls(value):
    client, verify = struct.unpack_from("!BI", value)
    parts = {TLS_PARTS[kind]: text.decode() for kind, text in _vectors(value[5:]).items()}
    return {"client": client, "verify": verify, **parts}


def read_header(sock):
    """Of either version, and nothing behind it."""
    start = _exactly(sock, 12)
    if start != SIGNATURE:
        while not start.endswith(b"\r\n"):
            start += _exactly(sock, 1)
        words = start.decode()[:-2].split(" ")
        if words[0] != "PROXY":
            raise AssertionError(f"no header: {start!r}")
        if words[1] == "UNKNOWN":
            return Header(1)
        return Header(1, (words[2], int(words[4])), (words[3], int(words[5])))
    command, family, size = struct.unpack("!BBH", _exactly(sock, 4))
    rest = _exactly(sock, size)
    if command != PROXY:
        raise AssertionError(f"command {command:#x}")
    header = Header(2)
    width = {0x00: 0, 0x11: 4, 0x21: 16, 0x31: 108}[family]
    first, second, rest = rest[:width], rest[width:2 * width], rest[2 * width:]
    if family == 0x31:
        header.source, header.destination = first.rstrip(b"\0"), second.rstrip(b"\0")
    elif family:
        ports, rest = struct.unpack_from("!HH", rest), rest[4:]
        kind = socket.AF_INET if width == 4 else socket.AF_INET6
        header.source = (socket.inet_ntop(kind, first), ports[0])
        header.destination = (socket.inet_ntop(kind, second), ports[1])
    header.vectors = _vectors(rest)
    if TLS in header.vectors:
        header.tls = _tls(header.vectors.pop(TLS))
    return header
