#!/usr/bin/env python3
"""A program that has its connections from a broker: brokered_program.py BROKER MODE [ARGUMENT...]

    echo              listens, and answers what it reads until close_notify
    send FILE         listens, sends FILE by sendfile(2) without a pause, and reads meanwhile
    drip RECORDS PACE listens, and writes so many records of 100 bytes, PACE of them a second
    connect PORT SIZE connects to localhost and reads SIZE bytes

It says one line of JSON when it listens, and one when it has ended."""

import json
import os
import socket
import sys
import threading
import time

sys.dont_write_bytecode = True

import broker_client as broker  # noqa: E402

CHUNK = 65536
DRIP = 100
DRIPS_A_SECOND = 10


class Reader:
    """Plain reads, and what has to be done where one of them answers EIO."""

    def __init__(self, client, connection):
        self.client, self.sock, self.relayed = client, connection.sock, connection.relayed
        self.controls = 0

    def read(self):
        """Empty for close_notify."""
        while True:
            try:
                data = self.sock.recv(CHUNK)
            except OSError as error:
                if error.errno != 5:
                    raise
                if not self._take_control():
                    return b""
                continue
            if not data and not self.relayed:
                raise ConnectionResetError("cut off")
            return data

    def _take_control(self):
        kind, content = broker.receive_record(self.sock)
        if kind == broker.ALERT:
            assert content == b"\1\0", content
            return False
        assert kind == broker.HANDSHAKE, kind
        self.controls += 1
        self.client.answer(broker.CONTROL, self.sock, payload=content, record_type=kind)
        return True


def say(**values):
    print(json.dumps(values), flush=True)


def listen_for_one(client):
    listener = socket.create_server(("127.0.0.1", 0))
    listening = client.listen(listener)
    say(port=listener.getsockname()[1])
    connection = listening.accept()
    listening.stop()
    listener.close()
    connection.sock.settimeout(None)
    return connection


def echo(client):
    connection = listen_for_one(client)
    reader = Reader(client, connection)
    while data := reader.read():
        connection.sock.sendall(data)
    return connection, reader


def send(client, path):
    connection = listen_for_one(client)
    reader = Reader(client, connection)
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    reading = threading.Thread(target=reader.read)
    reading.start()
    with open(path, "rb") as file:
        size, at = os.fstat(file.fileno()).st_size, 0
        while at < size:
            at += os.sendfile(connection.sock.fileno(), file.fileno(), at, size - at)
    broker.send_close_notify(connection, client)
    reading.join()
    return connection, reader


def drip(client, records, pace):
    connection = listen_for_one(client)
    at_once = int(pace) // DRIPS_A_SECOND
    for number in range(int(records)):
        connection.sock.sendall(b"%0*d\n" % (DRIP - 1, number))
        if number % at_once == at_once - 1:
            time.sleep(1 / DRIPS_A_SECOND)
    return connection, Reader(client, connection)


def connect(client, port, size):
    sock = socket.create_connection(("127.0.0.1", int(port)))
    connection = client.connect(sock, "localhost")
    connection.sock.settimeout(None)
    reader = Reader(client, connection)
    received = b""
    while len(received) < int(size):
        received += reader.read()
    say(received=received.decode("latin-1"))
    return connection, reader


def main():
    path, mode, *arguments = sys.argv[1:]
    client = broker.BrokerClient(path)
    client.channel.settimeout(None)
    try:
        connection, reader = {"echo": echo, "send": send, "drip": drip,
                              "connect": connect}[mode](client, *arguments)
        if mode != "send":
            # Where the broker has ended a connection, the kernel takes writes and drops them.
            broker.send_close_notify(connection, client)
    except broker.BrokerError as error:
        say(ended="refused", reason=error.reason, text=error.text)
        return
    except OSError as error:
        say(ended="error", error=str(error))
        return
    connection.sock.close()
    say(ended="closed", controls=reader.controls, relayed=connection.relayed,
        resumed=connection.resumed, version=connection.version)


if __name__ == "__main__":
    main()
