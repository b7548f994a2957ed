"""A program that hands its listening socket to a broker and forks, after which both processes
release it: broker_listeners.py PATH ROUNDS. Of each round a line tells what binding the port said
as soon as the first had released the socket, and as soon as the last had."""

import errno
import os
import socket
import sys

import broker_client as broker


def bound(address):
    """Whether somebody has the port."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(address)
            sock.listen()
        except OSError as error:
            return errno.errorcode[error.errno]
    return "free"


def release_when_told(client, listener, listening, told):
    """Of the child: answers what it finds by its exit status."""
    address = listener.getsockname()
    told.recv(1)
    client.release(listener, listening)
    os._exit(0 if bound(address) == "free" else 1)


def one_round(client):
    listener = socket.create_server(("127.0.0.1", 0))
    address = listener.getsockname()
    listening = client.listen(listener)
    tell, told = socket.socketpair()
    child = os.fork()
    if child == 0:
        tell.close()
        release_when_told(client, listener, listening, told)
    told.close()
    client.release(listener, listening)
    first = bound(address)
    tell.close()
    _, status = os.waitpid(child, 0)
    print(first, "free" if status == 0 else f"status {status}", flush=True)


def main():
    path, rounds = sys.argv[1:]
    client = broker.BrokerClient(path)
    for _ in range(int(rounds)):
        one_round(client)


if __name__ == "__main__":
    main()
