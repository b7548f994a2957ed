"""A plain TCP server that lets go of each connection in the way that its peer asks for in a line:

preload_closing.py PORT fork      a process for each connection, which its parent has accepted
preload_closing.py PORT prefork   a process that was there before the connection, and accepts it

What it does is told on standard output. A line on standard input ends who has let go and goes on.
"""

import os
import select
import signal
import socket
import sys
import time

SOME = b"all"
LATE = b"late"
AFTERWARDS = b"what the peer says afterwards"
_BLOCK = b"x" * 65536
_STILL_S = 0.3  # for that long nothing more could be written


def tell(text):
    os.write(1, f"{text}\n".encode())


def go_on():
    """What the peer sees is not the end of this process."""
    tell("gone")
    sys.stdin.readline()


def fill(sock):
    """Writes until the peer, which does not read, makes that impossible."""
    written = 0
    sock.setblocking(False)
    while select.select([], [sock], [], _STILL_S)[1]:
        try:
            written += sock.send(_BLOCK)
        except BlockingIOError:
            continue
    tell(written)


def close(sock):
    sock.close()
    go_on()


def shut_down(sock):
    sock.shutdown(socket.SHUT_WR)
    received = b""
    while part := sock.recv(65536):
        received += part
    tell(received.decode())
    sock.close()
    go_on()


def exit_without_closing(sock):
    sock.detach()
    tell("gone")
    sys.exit(0)


def exit_at_once(_sock):
    tell("gone")
    os._exit(0)


def be_killed(_sock):
    tell("gone")
    os.kill(os.getpid(), signal.SIGKILL)


def leave_it_to_a_child(sock):
    """Which ends it when its parent is gone."""
    parent = os.getpid()
    if os.fork() != 0:
        exit_without_closing(sock)
    while os.getppid() == parent:
        time.sleep(0.01)
    sock.sendall(LATE)
    sock.close()


def close_full(sock):
    fill(sock)
    close(sock)


def exit_full(sock):
    fill(sock)
    exit_without_closing(sock)


def be_killed_full(sock):
    fill(sock)
    be_killed(sock)


def close_unread(sock):
    """What the peer sends beside its line is there, and not read."""
    select.select([sock], [], [])
    close(sock)


WAYS = {
    "close": close,
    "shutdown": shut_down,
    "exit": exit_without_closing,
    "_exit": exit_at_once,
    "SIGKILL": be_killed,
    "fork": leave_it_to_a_child,
    "full": close_full,
    "full, exit": exit_full,
    "full, SIGKILL": be_killed_full,
    "unread": close_unread,
}


def act(sock):
    way = b""
    while not way.endswith(b"\n"):
        part = sock.recv(1)
        if not part:
            return
        way += part
    sock.sendall(SOME)
    WAYS[way.decode().strip()](sock)
    sys.exit(0)


def main():
    port, mode = sys.argv[1:3]
    listener = socket.create_server(("127.0.0.1", int(port)))
    tell("listening")
    while True:
        if mode == "fork":
            sock, _ = listener.accept()
        child = os.fork()
        if child == 0:
            if mode == "prefork":
                sock, _ = listener.accept()
            listener.close()
            act(sock)
        if mode == "fork":
            sock.close()
            tell("left")
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
