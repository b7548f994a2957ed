"""A program that a broker serves, without the client library: streams of its connections, and an
echo on each of them. As a program of its own, with a socket that it inherits:

broker_stream.py PATH serve FD          echoes on connections of a listening socket
broker_stream.py PATH connect FD NAME   says hello to a TLS server, and what it answers
broker_stream.py PATH fill FD           has as many descriptors in flight as one may have, until a
                                        line comes
With BROKER_STREAM_AS=UID:LIMIT it is that user, with so many open files.
"""

import contextlib
import errno
import os
import resource
import socket
import sys
import threading
import time

import broker_client as broker
from watched import PATIENCE_S

CHUNK = 65536
ORDERLY = b"\1\0"  # close_notify
# What Python, a channel and requests under way have open.
DESCRIPTORS_BESIDES = 40
FILL_AT_ONCE = 10


class CutOff(Exception):
    """The connection ended, and not by the peer's close_notify."""


class Stream:
    """One connection, read as README.md of userspace/broker says."""

    def __init__(self, path, connection):
        self.path = path
        self.relayed = connection.relayed
        self.sock = connection.sock
        self.sock.settimeout(PATIENCE_S * 6)
        self.connection = connection

    def ask(self, kind, **fields):
        """Each on a channel of its own, for another broker may be there by now."""
        with contextlib.closing(self._channel()) as client:
            return client.answer(kind, self.sock, **fields)

    def _channel(self):
        try:
            return broker.BrokerClient(self.path)
        except (FileNotFoundError, ConnectionRefusedError):
            return broker.BrokerClient(f"{self.path}.draining")

    def recv(self, size=CHUNK):
        """Empty for close_notify."""
        if self.relayed:
            return self.sock.recv(size) or self._relayed_end()
        while True:
            kind, data = broker.receive_record(self.sock, size)
            if kind == broker.HANDSHAKE:
                self.ask(broker.CONTROL, record_type=kind, payload=data)
            elif kind == broker.ALERT:
                if data != ORDERLY:
                    raise CutOff(f"alert {data}")
                return b""
            elif data:
                return data
            elif kind is None:
                raise CutOff("a bare FIN")

    def _relayed_end(self):
        try:
            self.ask(broker.END)
        except (broker.BrokerError, broker.Gone, OSError) as error:
            raise CutOff(str(error)) from error
        return b""

    def sendall(self, data):
        self.sock.sendall(data)

    def end(self):
        """As the client library does."""
        if self.relayed:
            self.ask(broker.CLOSE)
        else:
            broker.send_close_notify(self.connection, None)

    def release(self):
        """As a process lets go of it that cannot know who else has it."""
        with contextlib.closing(self._channel()) as client:
            with client.ask(broker.RELEASE, self.sock, number=broker.MAY_TRAVEL):
                self.sock.close()

    def close(self):
        self.sock.close()


class Service:
    """Echoes what comes on connections of `listener`, of which it keeps its own copy, and goes on
    with the next broker when one is gone. `ends`: how each connection ended, in words."""

    def __init__(self, path, listener, backlog=16, room=None):
        self.path = path
        self.listener = listener
        self.backlog = backlog
        self.ends = []
        self.registered = 0
        self.streams = []
        self._room = threading.Semaphore(room or 1000)
        self._stopped = threading.Event()
        self._listening = None
        self._thread = None

    def start(self):
        self._thread = threading.Thread(target=self.run, daemon=True)
        self._thread.start()
        broker.wait_until(lambda: self.registered, "the broker's word")
        return self

    def run(self):
        while not self._stopped.is_set():
            try:
                self._serve_with_this_broker()
            except (broker.Gone, OSError):
                time.sleep(0.02)  # until there is another one

    def _serve_with_this_broker(self):
        with contextlib.closing(broker.BrokerClient(self.path)) as client:
            listening = client.listen(self.listener, self.backlog)
        listening.replies.settimeout(None)
        self._listening = listening
        self.registered += 1
        with contextlib.closing(listening):
            while not self._stopped.is_set():
                self._room.acquire()  # whoever has none leaves the next one with the broker
                try:
                    stream = Stream(self.path, listening.accept())
                except BaseException:
                    self._room.release()
                    raise
                self.streams.append(stream)
                threading.Thread(target=self._echo, args=(stream,), daemon=True).start()

    def _echo(self, stream):
        try:
            with contextlib.closing(stream):
                self.ends.append(self._echo_to_the_end(stream))
        finally:
            self._room.release()

    @staticmethod
    def _echo_to_the_end(stream):
        try:
            while data := stream.recv():
                stream.sendall(data)
            stream.end()
            return "clean"
        except broker.BrokerError as error:
            return error.reason or str(error)
        except (CutOff, broker.Gone, OSError) as error:
            return f"cut off: {error}"

    def stop(self):
        self._stopped.set()
        if self._listening is not None:
            with contextlib.suppress(OSError):
                self._listening.replies.shutdown(socket.SHUT_RDWR)
        if self._thread is not None:
            self._thread.join(PATIENCE_S)


def serve(path, sock):
    """No more at once than it has descriptors for."""
    open_files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    room = max(open_files - DESCRIPTORS_BESIDES, 1) if open_files < 4096 else 1000
    service = Service(path, sock, room=room)
    threading.Thread(target=service.run, daemon=True).start()


def connect(path, sock, name):
    """Answers the stream, which stays open."""
    with contextlib.closing(broker.BrokerClient(path)) as client:
        stream = Stream(path, client.connect(sock, name))
    stream.sendall(b"hello")
    print(stream.recv(), flush=True)
    return stream


def fill(_path, sock):
    """Sends a socket to itself, and takes nothing."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    near.setblocking(False)
    try:
        while True:
            socket.send_fds(near, [b"x"], [sock.fileno()] * FILL_AT_ONCE)
    except OSError as error:
        print(errno.errorcode[error.errno], flush=True)
    sys.stdin.readline()
    return near, far.close()


def become(user, open_files):
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_files, open_files))
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def main():
    path, role, fd = sys.argv[1:4]
    sock = socket.socket(fileno=int(fd))
    if who := os.environ.get("BROKER_STREAM_AS"):
        become(*map(int, who.split(":")))
    act = {"serve": serve, "connect": connect, "fill": fill}[role]
    kept = act(path, sock, *sys.argv[4:])
    sys.stdin.read()  # until whoever started it is gone
    del kept
    os._exit(0)


if __name__ == "__main__":
    main()
