"""A program that a broker serves, and that lets go of each connection in the way that its peer asks
for in a line: broker_closing.py PATH FD. What it does is told on standard output.

Each connection is a child's, so that it may be killed; the parent has closed its own copy.
"""

import contextlib
import os
import select
import signal
import socket
import sys
import time

import broker_client as broker
from broker_stream import CutOff, Stream

SOME = b"all"
LATE = b"late"
_BLOCK = b"x" * 65536
_STILL_S = 0.3  # for that long nothing more could be written


def tell(text):
    os.write(1, f"{text}\n".encode())


def fill(stream):
    """Writes until the peer, which does not read, makes that impossible."""
    sock, written = stream.sock, 0
    sock.setblocking(False)
    while select.select([], [sock], [], _STILL_S)[1]:
        try:
            written += sock.send(_BLOCK)
        except BlockingIOError:
            continue
    tell(written)


def close_in_order(stream):
    stream.end()
    stream.close()


def close_plainly(stream):
    stream.close()


def shut_down(stream):
    stream.sock.shutdown(socket.SHUT_WR)
    with contextlib.suppress(CutOff, OSError):
        stream.recv()  # until the peer has gone


def exit_without_cleaning(_stream):
    os._exit(0)


def be_killed(_stream):
    os.kill(os.getpid(), signal.SIGKILL)


def leave_it_to_a_child(stream):
    """Which ends in order when its parent is gone."""
    parent = os.getpid()
    if os.fork() != 0:
        return
    while os.getppid() == parent:
        time.sleep(0.01)
    stream.sendall(LATE)
    close_in_order(stream)


def release(stream):
    stream.release()


def release_after_the_parent(stream):
    """Both say that this was all, one after the other, and it is when both have."""
    if leave(stream):
        stream.sendall(LATE)
        stream.release()


def be_killed_after_the_parent(stream):
    """The parent leaves in order; the child goes on when the peer says so."""
    if leave(stream):
        stream.recv(1)
        stream.sendall(LATE)
        be_killed(stream)


def leave(stream):
    """Whether this is a child whose parent has released the stream, and is gone."""
    parent = os.getpid()
    if os.fork() != 0:
        stream.release()
        return False
    while os.getppid() == parent:
        time.sleep(0.01)
    return True


def send_to_a_child(stream):
    """Which takes the socket only when its parent has released it, and is gone."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    parent = os.getpid()
    if os.fork() != 0:
        socket.send_fds(near, [b"x"], [stream.sock.fileno()])
        stream.release()
        return
    stream.sock.close()
    near.close()
    while os.getppid() == parent:
        time.sleep(0.01)
    stream.sock = socket.socket(fileno=socket.recv_fds(far, 1, 1)[1][0])
    stream.sendall(LATE)
    stream.release()


def close_full_in_order(stream):
    fill(stream)
    stream.ask(broker.CLOSE)
    stream.close()


def be_killed_full(stream):
    fill(stream)
    be_killed(stream)


def close_unread(stream):
    """What the peer sends beside its line is there, and not read."""
    select.select([stream.sock], [], [])
    stream.close()


WAYS = {
    "close_notify": close_in_order,
    "close": close_plainly,
    "shutdown": shut_down,
    "exit": lambda stream: sys.exit(0),
    "_exit": exit_without_cleaning,
    "SIGKILL": be_killed,
    "fork": leave_it_to_a_child,
    "release": release,
    "release, fork": release_after_the_parent,
    "release, SCM_RIGHTS": send_to_a_child,
    "release, SIGKILL": be_killed_after_the_parent,
    "full": close_full_in_order,
    "full, SIGKILL": be_killed_full,
    "unread": close_unread,
}


def act(path, connection):
    stream = Stream(path, connection)
    way = b""
    while not way.endswith(b"\n"):
        way += stream.recv(1)
    stream.sendall(SOME)
    WAYS[way.decode().strip()](stream)


def main():
    path, fd = sys.argv[1:3]
    listening = broker.BrokerClient(path).listen(socket.socket(fileno=int(fd)))
    listening.replies.settimeout(None)
    while True:
        connection = listening.accept()
        child = os.fork()
        if child == 0:
            listening.close()
            act(path, connection)
            sys.exit(0)
        connection.sock.close()
        os.waitpid(child, 0)
        tell("gone")


if __name__ == "__main__":
    main()
