"""HttpsClient: HTTP/1.1 over a TlsStream, byte for byte: requests that are sent early, responses
that are read late, and how a connection ended."""

import hashlib
from dataclasses import dataclass

from wrap_peers import CHUNK, TIMEOUT_S, tls

_HEAD_MAX = 65536


@dataclass(frozen=True)
class Head:
    status: int
    fields: tuple  # of (name in lower case, value)

    def all(self, name):
        return [value for each, value in self.fields if each == name]

    def one(self, name):
        """The value of a field that stands once, or None."""
        values = self.all(name)
        if len(values) > 1:
            raise AssertionError(f"{name} stands {len(values)} times: {self.fields}")
        return values[0] if values else None

    @property
    def length(self):
        return int(self.one("content-length") or 0)


@dataclass(frozen=True)
class Response:
    head: Head
    body: bytes

    @property
    def status(self):
        return self.head.status

    def field(self, name):
        return self.head.one(name)


def parse_head(text):
    lines = text.decode("latin-1").split("\r\n")
    version, status, _ = lines[0].split(" ", 2)
    if version != "HTTP/1.1":
        raise AssertionError(f"no status line: {lines[0]!r}")
    fields = tuple((name.lower(), value.strip())
                   for name, value in (line.split(":", 1) for line in lines[1:] if line))
    return Head(int(status), fields)


def request(path, method="GET", host="localhost", fields=()):
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}",
             *(f"{name}: {value}" for name, value in dict(fields).items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class HttpsClient:
    """Each wait is bounded by `timeout`. `receive_buffer` keeps what the system takes in advance
    small, so that a server cannot be done before the test reads."""

    def __init__(self, endpoint, context, name="localhost", timeout=TIMEOUT_S, receive_buffer=0):
        self.stream = tls(context, endpoint, name, timeout=timeout, receive_buffer=receive_buffer)
        self.head_size = 0  # of the last response
        self._read = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.stream.close()

    def end(self):
        """Both sides say close_notify, then this one closes."""
        self.stream.unwrap()
        self.stream.close()

    def send(self, path, method="GET", host="localhost", fields=()):
        self.stream.sendall(request(path, method, host, fields))

    def _receive(self, size=CHUNK):
        part = self.stream.recv(size)
        if not part:
            raise AssertionError("close_notify in the middle of a response")
        return part

    def read_head(self):
        while (end := self._read.find(b"\r\n\r\n")) < 0:
            if len(self._read) > _HEAD_MAX:
                raise AssertionError("a head without an end")
            self._read += self._receive(1024)
        self.head_size = end + 4
        head = parse_head(bytes(self._read[:end]))
        del self._read[:self.head_size]
        return head

    def body_parts(self, size):
        """`size` bytes of a body, as they come."""
        while size:
            part = bytes(self._read[:size]) or self._receive(min(size, CHUNK))
            del self._read[:len(part)]
            size -= len(part)
            yield part

    def read_response(self, method="GET"):
        head = self.read_head()
        has_body = method != "HEAD" and head.status != 304
        return Response(head, b"".join(self.body_parts(head.length if has_body else 0)))

    def read_digest(self):
        """(head, SHA-256 of the body), which need not fit into memory."""
        head = self.read_head()
        digest = hashlib.sha256()
        for part in self.body_parts(head.length):
            digest.update(part)
        return head, digest.hexdigest()

    def ask(self, path, method="GET", host="localhost", **fields):
        """Words of field names are joined by underscores: if_range=..."""
        self.send(path, method, host,
                  {name.replace("_", "-"): value for name, value in fields.items()})
        return self.read_response(method)

    def read_to_end(self):
        """Until close_notify; what came before it and was not read yet."""
        while part := self.stream.recv(CHUNK):
            self._read += part
        return bytes(self._read)
