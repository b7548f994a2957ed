"""The broker's wire protocol, spoken without the client library: userspace/broker/protocol.h."""

import errno
import os
import socket
import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path

from watched import PATIENCE_S, Watched, wait_until

MAGIC = 0x424C544B
LISTEN, SERVE, CONNECT, CLOSE, CONTROL, END, RELEASE = range(1, 8)
MAY_TRAVEL = 1  # number of RELEASE
TAKEN, STOP = 16, 17
DONE, CONNECTION, ERROR = 32, 33, 34
RELAYED, RESUMED, NOT_CONNECTED = 1, 2, 4

_REQUEST = struct.Struct("=IHHIHHQ")
_ANSWER = struct.Struct("=IHHIIQHHHH32s256s256s256s28s28s")

SOL_TLS, TLS_TX = 282, 1
TLS_SET_RECORD_TYPE, TLS_GET_RECORD_TYPE = 1, 2
TCP_ULP = 31
ALERT, HANDSHAKE, DATA = 21, 22, 23


class BrokerError(Exception):
    """kError: `number` is the errno, `reason` the code of a Reason."""

    def __init__(self, number, reason, text, flags=0):
        super().__init__(f"{errno.errorcode.get(number, number)} {reason} {text}")
        self.number, self.reason, self.text = number, reason, text
        self.was_connected = not flags & NOT_CONNECTED


class Gone(Exception):
    """The broker closed the socket without an answer."""


@dataclass
class Connection:
    """`sock`: None where the client has the socket already."""

    sock: socket.socket
    relayed: bool
    resumed: bool
    number: int
    version: int
    suite: int
    reason: str
    name: str
    alpn: str


def request(kind, payload=b"", backlog=0, record_type=0, number=0, version=1, magic=MAGIC):
    return _REQUEST.pack(magic, version, kind, backlog, record_type, len(payload),
                         number) + payload


def text(field):
    return field.split(b"\0", 1)[0].decode()


def receive(replies):
    """A Connection, or None for kDone."""
    message, descriptors, _, _ = socket.recv_fds(replies, 4096, 4)
    if not message:
        raise Gone
    (magic, version, kind, error, flags, number, tls, suite, alpn_size, _, reason, name, alpn,
     sentence, _, _) = _ANSWER.unpack(message)
    assert (magic, version) == (MAGIC, 1), message
    if kind == ERROR:
        raise BrokerError(error, text(reason), text(sentence), flags)
    if kind == DONE:
        return None
    assert kind == CONNECTION, kind
    sock = socket.socket(fileno=descriptors[0]) if descriptors else None
    return Connection(sock, bool(flags & RELAYED), bool(flags & RESUMED), number, tls, suite,
                      text(reason), text(name), alpn[:alpn_size].decode())


class BrokerClient:
    """One channel."""

    def __init__(self, path):
        self.channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.channel.settimeout(PATIENCE_S)
        self.channel.connect(str(path))

    @classmethod
    def over(cls, channel):
        """By a channel that is there already."""
        client = cls.__new__(cls)
        client.channel = channel
        channel.settimeout(PATIENCE_S)
        return client

    def close(self):
        self.channel.close()

    def ask(self, kind, subject, **fields):
        """The socket for the answers."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(PATIENCE_S)
        with theirs:
            socket.send_fds(self.channel, [request(kind, **fields)],
                            [theirs.fileno(), subject.fileno()])
        return ours

    def answer(self, kind, subject, **fields):
        with self.ask(kind, subject, **fields) as replies:
            return receive(replies)

    def serve(self, sock):
        return self._established(self.answer(SERVE, sock), sock)

    def connect(self, sock, name):
        return self._established(self.answer(CONNECT, sock, payload=name.encode()), sock)

    @staticmethod
    def _established(connection, sock):
        if connection.sock is None:
            connection.sock = sock
        else:
            sock.close()
        return connection

    def listen(self, listener, backlog=16):
        return BrokerListener(self.ask(LISTEN, listener, backlog=backlog))

    def release(self, listener, listening):
        """This process closes its last descriptors of both, which others may have."""
        with self.ask(RELEASE, listener) as replies:
            listening.close()
            listener.close()
            replies.shutdown(socket.SHUT_WR)
            assert receive(replies) is None


class BrokerListener:
    """The socket on which connections come."""

    def __init__(self, replies, is_registered=False):
        self.replies = replies
        assert is_registered or receive(replies) is None

    def accept(self):
        connection = receive(self.replies)
        self.taken(connection.number)
        connection.sock.settimeout(PATIENCE_S)
        return connection

    def taken(self, number):
        self.replies.send(request(TAKEN, number=number))

    def stop(self):
        """Connections that had not been taken, whose sockets are closed."""
        self.replies.send(request(STOP))
        left = []
        while connection := receive(self.replies):
            connection.sock.close()
            left.append(connection)
        self.replies.close()
        return left

    def close(self):
        self.replies.close()


class Broker(Watched):
    """`ktls-bridge broker` at a path of its own."""

    def __init__(self, *arguments, path=None, **options):
        self.path = str(path or Path(tempfile.mkdtemp()) / "broker.sock")
        options.setdefault("threads", 0)
        super().__init__(("broker", "--socket", self.path), *arguments, listen=(), **options)

    def client(self):
        return BrokerClient(self.path)


def has_tls(sock):
    """Whether the kernel does TLS on it."""
    try:
        return sock.getsockopt(socket.IPPROTO_TCP, TCP_ULP, 16).startswith(b"tls\0")
    except OSError:
        return False


def receive_record(sock, size=65536):
    """(record type, content) of a kTLS socket."""
    data, control, _, _ = sock.recvmsg(size, socket.CMSG_SPACE(1))
    types = [content[0] for level, kind, content in control
             if (level, kind) == (SOL_TLS, TLS_GET_RECORD_TYPE)]
    return (types[0] if types else None), data


def send_record(sock, record_type, content):
    sock.sendmsg([content], [(SOL_TLS, TLS_SET_RECORD_TYPE, bytes([record_type]))])


def send_close_notify(connection, client):
    """As the client library ends a connection."""
    if connection.relayed:
        client.answer(CLOSE, connection.sock)
        return
    send_record(connection.sock, ALERT, b"\1\0")
    connection.sock.shutdown(socket.SHUT_WR)


def descriptors_of(process):
    return len(os.listdir(f"/proc/{process.pid}/fd"))


__all__ = ["BrokerClient", "BrokerListener", "Broker", "BrokerError", "Gone", "wait_until"]
