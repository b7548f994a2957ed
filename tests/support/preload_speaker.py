"""A plain TCP program that waits for its peer in the way it is told to:

preload_speaker.py serve PORT WAIT          accepts one connection, and answers what it reads
preload_speaker.py connect PORT WAIT        connects to localhost, and answers what it reads
preload_speaker.py send PORT FILE           accepts one connection and sends the file by sendfile,
                                            while a thread reads
preload_speaker.py send-deaf PORT FILE      and reads nothing
preload_speaker.py connect-deaf PORT FILE   connects to localhost, sends the file, and reads nothing

WAIT is `read`, a descriptor that blocks; or `poll`, asked before each read; or `select`, of a
descriptor that does not block. How it ended is told on standard output, `closed` or the name of an
error, and how often there was nothing although something had been promised.
"""

import errno
import os
import select
import socket
import sys
import threading

CHUNK = 65536


class Waiting:
    nothing = 0

    def __init__(self, sock, how):
        self.sock, self.how = sock, how
        self.poll = select.poll()
        self.poll.register(sock, select.POLLIN)
        sock.setblocking(how != "select")

    def read(self):
        """Empty at the end."""
        while True:
            if self.how == "poll":
                self.poll.poll()
            elif self.how == "select":
                select.select([self.sock], [], [])
            try:
                return self.sock.recv(CHUNK)
            except BlockingIOError:
                Waiting.nothing += 1

    def write(self, data):
        """All of it."""
        while data:
            if self.how == "select":
                select.select([], [self.sock], [])
            try:
                data = data[self.sock.send(data):]
            except BlockingIOError:
                continue


def accept(port):
    with socket.create_server(("127.0.0.1", int(port))) as listener:
        return listener.accept()[0]


def echo(sock, how):
    waiting = Waiting(sock, how)
    while data := waiting.read():
        waiting.write(data)


def read_all(sock):
    while sock.recv(CHUNK):
        continue


def send(sock, path, deaf):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, CHUNK)
    reading = threading.Thread(target=read_all, args=(sock,))
    if not deaf:
        reading.start()
    with open(path, "rb") as file:
        size, at = os.fstat(file.fileno()).st_size, 0
        while at < size:
            at += os.sendfile(sock.fileno(), file.fileno(), at, size - at)
    if not deaf:
        sock.shutdown(socket.SHUT_WR)
        reading.join()


def say(port, path):
    with socket.create_connection(("localhost", int(port))) as sock, open(path, "rb") as file:
        sock.sendall(file.read())


def main():
    mode, port, argument = sys.argv[1:]
    try:
        if mode == "connect":
            echo(socket.create_connection(("localhost", int(port))), argument)
        elif mode == "serve":
            echo(accept(port), argument)
        elif mode == "connect-deaf":
            say(port, argument)
        else:
            with accept(port) as sock:
                send(sock, argument, mode == "send-deaf")
    except OSError as error:
        print(errno.errorcode[error.errno], Waiting.nothing)
        return
    print(f"closed {Waiting.nothing}")


if __name__ == "__main__":
    main()
