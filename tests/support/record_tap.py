"""RecordTap: forwards connections and keeps the headers of the TLS records that pass."""

import contextlib
import socket
import threading
from collections import namedtuple

Record = namedtuple("Record", "type size")  # size: of the body

APPLICATION_DATA = 23
_HEADER_SIZE = 5
_CHUNK_SIZE = 1 << 16


class _Direction:
    """Cuts a stream of bytes, in any pieces, into records."""

    def __init__(self):
        self.records = []
        self._rest = b""

    def feed(self, data):
        self._rest += data
        while len(self._rest) >= _HEADER_SIZE:
            size = int.from_bytes(self._rest[3:_HEADER_SIZE], "big")
            if len(self._rest) < _HEADER_SIZE + size:
                return
            self.records.append(Record(self._rest[0], size))
            self._rest = self._rest[_HEADER_SIZE + size:]


class Tapped:
    """What passed on one connection: records of the side that connected, and of the other."""

    def __init__(self):
        self._of_client = _Direction()
        self._of_server = _Direction()

    @property
    def client_records(self):
        return self._of_client.records

    @property
    def server_records(self):
        return self._of_server.records

    def forward(self, client, server):
        for source, sink, direction in ((client, server, self._of_client),
                                        (server, client, self._of_server)):
            threading.Thread(target=self._pump, args=(source, sink, direction),
                             daemon=True).start()

    @staticmethod
    def _pump(source, sink, direction):
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK_SIZE):
                direction.feed(data)  # first: who has got a record finds it counted
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


class RecordTap:
    """Listens on a port of its own and forwards each connection to `endpoint`."""

    def __init__(self, endpoint):
        self.connections = []
        self._endpoint = endpoint
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self):
        return self._listener.getsockname()[1]

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            tapped = Tapped()
            self.connections.append(tapped)
            tapped.forward(client, socket.create_connection(self._endpoint))

    def close(self):
        # close() alone does not end an accept() on another thread.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
