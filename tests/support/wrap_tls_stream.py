"""TlsStream: TLS over a blocking socket, with what ssl.SSLSocket has not: a reset is told from
a FIN without close_notify, and after a close_notify of ours data can still come."""

import socket
import ssl

CHUNK = 65536


class Truncated(Exception):
    """The peer ended its TCP connection without close_notify."""


class TlsStream:
    """The socket's timeout bounds each wait."""

    def __init__(self, sock, context, name=None, server_side=False):
        self.sock = sock
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_side=server_side,
                                    server_hostname=name)
        self._until_done(self.tls.do_handshake)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def close(self):
        self.sock.close()

    def _flush(self):
        if self._outgoing.pending:
            self.sock.sendall(self._outgoing.read())

    def _until_done(self, operation, *arguments):
        while True:
            try:
                result = operation(*arguments)
            except ssl.SSLWantReadError:
                self._flush()
                data = self.sock.recv(CHUNK)
                if not data:
                    raise Truncated("FIN without close_notify") from None
                self._incoming.write(data)
            except ssl.SSLError:
                self._flush()  # the alert
                raise
            else:
                self._flush()
                return result

    def sendall(self, data):
        view = memoryview(data)
        for at in range(0, len(view), CHUNK):
            self._until_done(self.tls.write, view[at:at + CHUNK])

    def recv(self, size):
        """Empty for close_notify."""
        try:
            return self._until_done(self.tls.read, size)
        except ssl.SSLZeroReturnError:
            return b""

    def unwrap(self):
        """Ends both halves, after all data has been received."""
        self._until_done(self.tls.unwrap)

    def send_close_notify(self):
        """Data can still be received."""
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass  # for the peer's
        self._flush()

    def end_sending(self):
        self.send_close_notify()
        self.sock.shutdown(socket.SHUT_WR)

    def send_bare_fin(self):
        self.sock.shutdown(socket.SHUT_WR)
