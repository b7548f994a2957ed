"""A plaintext HTTP service that answers every upload with a payload and says what was uploaded.

Upload and answer are under way at the same time; only the end of the answer waits for the end of
the upload, so that no client may think that it is done.
"""

import queue
import re
import socket
import threading
from dataclasses import dataclass

from payload import Received

CHUNK_SIZE = 1 << 18
_HEADER_MAX = 1 << 16


def request(payload):
    """The header of an upload, for clients that write it themselves."""
    return (f"PUT /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: {payload.size}\r\n\r\n"
            ).encode()


def response(payload):
    return (f"HTTP/1.1 200 OK\r\nContent-Length: {payload.size}\r\nConnection: close\r\n\r\n"
            ).encode()


@dataclass
class Exchange:
    """One connection, as the service saw it."""

    upload: Received
    received: int = 0  # with headers
    sent: int = 0
    error: str = ""


class PlainService:
    """Listens on 127.0.0.1, port `port`; each connection's Exchange is put into `exchanges`."""

    def __init__(self, answer, timeout_s):
        self.answer = answer
        self.exchanges = queue.Queue()
        self._timeout_s = timeout_s
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listener.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.settimeout(self._timeout_s)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        exchange = Exchange(Received())
        with connection:
            try:
                self._converse(connection, exchange)
            except (OSError, ValueError) as error:
                exchange.error = f"the service saw {type(error).__name__}: {error}"
        self.exchanges.put(exchange)

    def _converse(self, connection, exchange):
        head = b""
        while b"\r\n\r\n" not in head:
            data = connection.recv(CHUNK_SIZE)
            if not data or len(head) > _HEADER_MAX:
                raise ValueError("no HTTP request")
            head += data
        announced = re.search(rb"(?i)\ncontent-length: *(\d+)", head)
        if not announced:
            raise ValueError("an upload without a length")
        size = int(announced.group(1))
        upload = exchange.upload
        upload.feed(head)
        complete = threading.Event()
        sender = threading.Thread(target=self._send, args=(connection, exchange, complete),
                                  daemon=True)
        sender.start()
        while upload.size < size:
            data = connection.recv(CHUNK_SIZE)
            if not data:
                raise ValueError(f"the upload ended after {upload.size} bytes of {size}")
            upload.feed(data)
        complete.set()
        sender.join(self._timeout_s)
        after = connection.recv(CHUNK_SIZE)
        exchange.received = upload.total
        if after:
            raise ValueError("more came than was announced")

    def _send(self, connection, exchange, complete):
        pending = response(self.answer)
        try:
            for block in self.answer.blocks():
                connection.sendall(pending)
                exchange.sent += len(pending)
                pending = block
            complete.wait(self._timeout_s)
            connection.sendall(pending)
            exchange.sent += len(pending)
            connection.shutdown(socket.SHUT_WR)
        except OSError as error:
            exchange.error = f"the service could not send: {error}"
