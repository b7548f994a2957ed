"""Channel: one end of a connection that a soak job drives, plain or TLS, with every kind of end."""

import select
import socket
import ssl
import struct
import time

CHUNK = 1 << 16


class Truncated(Exception):
    """FIN without close_notify."""


class Mismatch(AssertionError):
    """What came is not what was sent: the one thing that no job may ever see."""


class Pattern:
    """`size` bytes that both ends know: a window that moves over `pool`."""

    def __init__(self, pool, offset, size):
        self._pool = pool
        self._offset = offset % len(pool)
        self.size = size
        self.done = 0

    @property
    def left(self):
        return self.size - self.done

    def _next(self, count):
        start = (self._offset + self.done) % len(self._pool)
        return self._pool[start:start + count]

    def take(self, most=CHUNK):
        data = self._next(min(most, self.left))
        self.done += len(data)
        return data

    def check(self, data):
        if len(data) > self.left:
            raise Mismatch(f"{len(data) - self.left} bytes more than the {self.size} sent")
        while data:
            expected = self._next(len(data))
            if data[:len(expected)] != expected:
                raise Mismatch(f"other bytes between {self.done} and {self.done + len(expected)}")
            self.done += len(expected)
            data = data[len(expected):]


class PlainCodec:
    def start(self):
        return b""

    def seal(self, data):
        return data

    def close_notify(self):
        return b""

    def open(self, wire):
        """(plaintext, whether the peer's sending ended in order, what is to be answered)"""
        return wire, not wire, b""


class TlsCodec:
    def __init__(self, context, name=None, session=None):
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_side=name is None,
                                    server_hostname=name, session=session)
        self.is_ready = False

    def start(self):
        self._advance()
        return self._outgoing.read()

    def _advance(self):
        try:
            self.tls.do_handshake()
            self.is_ready = True
        except ssl.SSLWantReadError:
            pass

    def seal(self, data):
        self.tls.write(data)
        return self._outgoing.read()

    def close_notify(self):
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass  # for the peer's
        return self._outgoing.read()

    def open(self, wire):
        if not wire:
            raise Truncated("FIN without close_notify")
        self._incoming.write(wire)
        if not self.is_ready:
            self._advance()
        parts, ended = [], False
        while self.is_ready and not ended:
            try:
                parts.append(self.tls.read(CHUNK))
                ended = not parts[-1]
            except ssl.SSLWantReadError:
                break
            except ssl.SSLZeroReturnError:  # in place of b"" if ours went out before
                ended = True
        return b"".join(parts), ended, self._outgoing.read()


def send_slowly(sock, wire, pause, seconds):
    until = time.monotonic() + seconds
    at = 0
    while at < len(wire) and time.monotonic() < until:
        sock.sendall(wire[at:at + 1])
        at += 1
        time.sleep(pause)
    sock.sendall(wire[at:])


class Channel:
    """The socket's timeout bounds each wait."""

    def __init__(self, sock, codec=None):
        self.sock = sock
        self.codec = codec or PlainCodec()
        self._unread = b""
        self._ended = False

    def handshake(self, pause=0.0, seconds=0.0):
        """Byte by byte, with a `pause` behind each, for so many seconds; then the rest at once."""
        send_slowly(self.sock, self.codec.start(), pause, seconds)
        while isinstance(self.codec, TlsCodec) and not self.codec.is_ready:
            self._read_once()

    def _read_once(self):
        plain, self._ended, answer = self.codec.open(self.sock.recv(CHUNK))
        self._unread += plain
        if answer:
            self.sock.sendall(answer)

    def send(self, data):
        self.sock.sendall(self.codec.seal(data))

    def send_slowly(self, data, pause):
        send_slowly(self.sock, self.codec.seal(data), pause, self.sock.gettimeout() / 4)

    def receive(self, most=CHUNK):
        """Empty at the orderly end."""
        while not self._unread and not self._ended:
            self._read_once()
        data, self._unread = self._unread[:most], self._unread[most:]
        return data

    def receive_line(self):
        line = b""
        while not line.endswith(b"\n"):
            byte = self.receive(1)
            if not byte:
                return line
            line += byte
        return line

    def receive_pattern(self, pattern):
        while pattern.left:
            data = self.receive(pattern.left)
            if not data:
                raise Mismatch(f"an orderly end {pattern.left} bytes too early")
            pattern.check(data)

    def send_pattern(self, pattern):
        while pattern.left:
            self.send(pattern.take())

    def expect_end(self):
        data = self.receive()
        if data:
            raise Mismatch(f"{len(data)} bytes more than were sent")

    def expect_failure(self, pattern=None):
        """Reads on until the connection fails; what comes before is the beginning of `pattern`.
        An orderly end would pass a part off as the whole."""
        while data := self.receive():
            if pattern is not None:
                pattern.check(data)
        raise Mismatch("an orderly end of a connection that was broken")

    def duplex(self, outgoing, incoming):
        """Sends all of one while it receives all of the other."""
        pending = memoryview(b"")
        poller = select.poll()
        while pending or outgoing.left or incoming.left:
            if not pending and outgoing.left:
                pending = memoryview(self.codec.seal(outgoing.take()))
            if self._unread and incoming.left:
                incoming.check(self.receive(incoming.left))
                continue
            wanted = (select.POLLIN if incoming.left else 0) | (select.POLLOUT if pending else 0)
            poller.register(self.sock, wanted)
            events = poller.poll(self.sock.gettimeout() * 1000)
            if not events:
                raise TimeoutError(f"{len(pending) + outgoing.left} to send, {incoming.left} to "
                                   "receive, and nothing moved")
            if incoming.left and events[0][1] & ~select.POLLOUT:
                pending = self._read_beside(pending)
                if self._ended and incoming.left > len(self._unread):
                    raise Mismatch(f"an orderly end {incoming.left} bytes too early")
            if pending and events[0][1] & select.POLLOUT:
                pending = pending[self.sock.send(pending):]

    def _read_beside(self, pending):
        """An answer of the codec's goes out behind what is on its way."""
        plain, self._ended, answer = self.codec.open(self.sock.recv(CHUNK))
        self._unread += plain
        return memoryview(bytes(pending) + answer) if answer else pending

    def end_sending(self, fin=True):
        notify = self.codec.close_notify()
        if notify:
            self.sock.sendall(notify)
        if fin:
            self.sock.shutdown(socket.SHUT_WR)

    def send_bare_fin(self):
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()
