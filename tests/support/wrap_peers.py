"""The peers of `wrap` in tests: certificates, plain and TLS backends, TLS clients."""

import contextlib
import socket
import ssl
import struct
import subprocess
import threading
from pathlib import Path

from wrap_tls_stream import TlsStream, Truncated

TIMEOUT_S = 20
CHUNK = 65536
OWN_NAMES = "DNS:localhost,IP:127.0.0.1,IP:::1"


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True,
                   stdin=subprocess.DEVNULL, timeout=60)


class Certificates:
    """A CA and a leaf for `names`, as files in `folder`."""

    def __init__(self, folder, names=OWN_NAMES):
        self.folder = Path(folder)
        self.ca = str(self.folder / "ca.pem")
        self.chain = str(self.folder / "chain.pem")
        self.key = str(self.folder / "key.pem")
        extensions = self.folder / "extensions"
        extensions.write_text(f"subjectAltName={names}\n")
        ca_key, request = str(self.folder / "ca.key"), str(self.folder / "request.pem")
        self.make_self_signed(self.ca, ca_key, "/CN=a CA for tests")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-subj", "/CN=localhost", "-keyout", self.key, "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", ca_key, "-days", "2",
                "-extfile", str(extensions), "-out", self.chain)

    @staticmethod
    def make_self_signed(certificate, key, subject):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-days", "2", "-subj", subject, "-keyout", key, "-out", certificate)

    @property
    def server_flags(self):
        return ("--cert", self.chain, "--key", self.key)

    def server_context(self, alpn=()):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain, self.key)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context

    def client_context(self, version=None, alpn=()):
        context = ssl.create_default_context(cafile=self.ca)
        if version is not None:
            context.minimum_version = context.maximum_version = version
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context


def tcp(endpoint, timeout=TIMEOUT_S, receive_buffer=0):
    family = socket.AF_INET6 if ":" in endpoint[0] else socket.AF_INET
    client = socket.socket(family, socket.SOCK_STREAM)
    client.settimeout(timeout)
    if receive_buffer:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    client.connect(endpoint)
    return client


def tls(context, endpoint, name="localhost", **options):
    raw = tcp(endpoint, **options)
    try:
        return TlsStream(raw, context, name)
    except BaseException:
        raw.close()
        raise


def reset(sock):
    """Closes with a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def receive_all(sock):
    parts = []
    while part := sock.recv(CHUNK):
        parts.append(part)
    return b"".join(parts)


def receive_exactly(sock, size):
    data = b""
    while len(data) < size:
        part = sock.recv(size - len(data))
        if not part:
            raise AssertionError(f"the end after {len(data)} of {size} bytes")
        data += part
    return data


def how_it_ends(sock):
    """("eof" or "reset" or an error's name, what came before)."""
    received = b""
    try:
        while part := sock.recv(CHUNK):
            received += part
        return "eof", received
    except ConnectionResetError:
        return "reset", received
    except Truncated:
        return "truncated", received
    except ssl.SSLError as error:
        return error.reason, received
    except TimeoutError:
        return "nothing", received


def echo(sock):
    while data := sock.recv(CHUNK):
        sock.sendall(data)
    if isinstance(sock, TlsStream):
        sock.end_sending()


class Backend:
    """Listens at once and serves each connection by `serve(socket)` on a thread of its own.

    With `context` it speaks TLS. `errors` collects what the threads raise.
    """

    def __init__(self, serve=echo, context=None, listener=None):
        self.serve = serve
        self.context = context
        self.errors = []
        self.served = 0
        self.listener = listener or socket.create_server(("127.0.0.1", 0), backlog=512)
        self.listener.listen(512)
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def endpoint(self):
        return self.listener.getsockname()

    @property
    def address(self):
        if self.listener.family == socket.AF_UNIX:
            return "unix:" + self.listener.getsockname()
        host, port = self.endpoint[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._run, args=(client,), daemon=True).start()

    def _run(self, client):
        client.settimeout(TIMEOUT_S * 3)
        with contextlib.ExitStack() as stack:
            stack.callback(client.close)
            try:
                if self.context is not None:
                    client = TlsStream(client, self.context, server_side=True)
                self.serve(client)
                self.served += 1
            except Exception as error:  # whatever a test's peer provokes; the test reads it
                self.errors.append(error)

    def close(self):
        # close() alone does not end an accept() on another thread.
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def bound_listener():
    """A port of our own where nothing listens yet: connections to it are refused."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("127.0.0.1", 0))
    return listener
