"""TLS stacks that stacks.py reaches by programs of others: gnutls-cli and gnutls-serv, NSS's
strsclnt and selfserv, and nginx. What is exchanged is a page over HTTP/1.0, twice, the second time
resumed."""

import contextlib
import os
import subprocess
import tempfile
import time
from pathlib import Path

import wrap_peers
from peers import Reservation

PATIENCE_S = 120
REQUEST = b"GET / HTTP/1.0\r\n\r\n"
PAGE = b"HTTP/1.0 200 OK\r\n\r\n" + os.urandom(16384).hex().encode() + b"\n"
PASSPHRASE = "stacks"


class Failed(Exception):
    """A tool that did something else; the text has its own words."""


def answer_with_page(sock, page=PAGE):
    """The service behind wrap. gnutls-cli asks for nothing on the connection that it resumes."""
    got = b""
    while not got.endswith(b"\r\n\r\n"):
        piece = sock.recv(4096)
        if not piece:
            return
        got += piece
    sock.sendall(page)


def ask_for_page(endpoint):
    """A plaintext client of wrap's client role."""
    with wrap_peers.tcp(endpoint) as plain:
        plain.sendall(REQUEST)
        page = wrap_peers.receive_all(plain)
    status = page.split(b"\r\n")[0]
    if not status.startswith(b"HTTP/1.") or b" 200 " not in status + b" ":
        raise Failed(f"not a page: {page[:200]}")


def hex_id(suite):
    """As the registry has it: "1301"."""
    return {"TLS_AES_128_GCM_SHA256": "1301", "TLS_AES_256_GCM_SHA384": "1302",
            "TLS_CHACHA20_POLY1305_SHA256": "1303",
            "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "C02B",
            "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "C02C",
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "C02F",
            "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "C030",
            "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "CCA8",
            "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "CCA9"}[suite.name]


def run(command, text, **options):
    done = subprocess.run([str(word) for word in command], input=text, capture_output=True,
                          timeout=PATIENCE_S, check=False, **options)
    if done.returncode:
        raise Failed(f"{command[0]} ended with {done.returncode}: "
                     f"{(done.stdout[-500:] + done.stderr[-1000:]).decode(errors='replace')}")
    return done.stdout


@contextlib.contextmanager
def listening(command, port, log):
    """The program while it runs, from when its port can be connected to."""
    with open(log, "wb") as output:
        server = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL,
                                  stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            with contextlib.suppress(OSError):
                wrap_peers.tcp(("127.0.0.1", port)).close()
                break
            if server.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"{command[0]} does not listen: {Path(log).read_text()}")
            time.sleep(0.05)
        yield port
    finally:
        server.terminate()
        server.wait()


class GnuTls:
    BULK = (("AES_128_GCM", "AES-128-GCM"), ("AES_256_GCM", "AES-256-GCM"),
            ("CHACHA20", "CHACHA20-POLY1305"), ("AES_128_CCM", "AES-128-CCM"))

    def priority(self, suite):
        cipher = next(name for part, name in self.BULK if part in suite.name)
        version = suite.version.replace("TLSv", "TLS")
        exchange = {"ec": "ECDHE-ECDSA", "rsa": "ECDHE-RSA"}[suite.certificate]
        kx = f":-KX-ALL:+{exchange}" if suite.version == "TLSv1.2" else ""
        return f"NORMAL:-VERS-ALL:+VERS-{version}:-CIPHER-ALL:+{cipher}{kx}"

    def connect(self, authority, suite, port, shown):
        own = authority.leaf[shown] if shown else None
        flags = ["--x509certfile", own.certificate, "--x509keyfile", own.key] if own else []
        with tempfile.NamedTemporaryFile() as log:
            command = ["gnutls-cli", "--x509cafile", authority.file, "--priority",
                       self.priority(suite), "--resume", "--waitresumption", "--logfile",
                       log.name, *flags, "--port", port, "localhost"]
            client = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            # It ends when its standard input does, so that stays open until it has all.
            with client, client.stdin:
                try:
                    client.stdin.write(REQUEST)
                    client.stdin.flush()
                    page = client.stdout.read()
                    status = client.wait(PATIENCE_S)
                finally:
                    client.kill()
            if status or page != PAGE:
                raise Failed(f"gnutls-cli ended with {status}: {log.read()[-1000:]}")

    @contextlib.contextmanager
    def serve(self, authority, suite):
        own = authority.leaf[suite.certificate]
        with Reservation() as reserved, tempfile.NamedTemporaryFile() as log:
            command = ["gnutls-serv", "--http", "--x509certfile", own.certificate,
                       "--x509keyfile", own.key, "--priority", self.priority(suite), "--port",
                       reserved.port]
            with listening(command, reserved.port, log.name) as port:
                yield port


class Nss:
    def __init__(self):
        self._folders = {}

    def database(self, authority, kind):
        """With the authority, and what it vouches for by the name of its kind. One each, since NSS
        has one name for all certificates of a subject."""
        if kind not in self._folders:
            folder = Path(authority.file).parent / f"nss-{kind}"
            folder.mkdir()
            store = f"sql:{folder}"
            run(["certutil", "-N", "-d", store, "--empty-password"], b"")
            run(["certutil", "-A", "-d", store, "-n", "authority", "-t", "CT,C,C", "-i",
                 authority.file], b"")
            run(["pk12util", "-i", f"{authority.leaf[kind].certificate}.p12", "-d", store, "-W",
                 PASSPHRASE], b"")
            self._folders[kind] = store
        return self._folders[kind]

    @staticmethod
    def protocol(suite, flag):
        version = suite.version.replace("TLSv", "tls")
        return ["-V", f"{version}:{version}", flag, f":{hex_id(suite)}"]

    def connect(self, authority, suite, port, shown):
        own = ["-n", shown] if shown else []
        run(["strsclnt", "-4", "-p", port, "-d", self.database(authority, shown or "ec"),
             *self.protocol(suite, "-C"), "-u", "-c", 2, "-t", 1, *own, "localhost"], b"")

    @contextlib.contextmanager
    def serve(self, authority, suite):
        kind = "-e" if suite.certificate == "ec" else "-n"
        with Reservation() as reserved, tempfile.NamedTemporaryFile() as log:
            command = ["selfserv", kind, suite.certificate, "-p", reserved.port, "-d",
                       self.database(authority, suite.certificate),
                       *self.protocol(suite, "-c"), "-u", "-G"]
            with listening(command, reserved.port, log.name) as port:
                yield port


class Nginx:
    CONFIGURATION = """
daemon off;
{user}
pid {work}/nginx.pid;
error_log stderr warn;
events {{ }}
http {{
  access_log off;
  client_body_temp_path {work}/body;
  proxy_temp_path {work}/proxy;
  fastcgi_temp_path {work}/fastcgi;
  uwsgi_temp_path {work}/uwsgi;
  scgi_temp_path {work}/scgi;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    ssl_protocols {version};
    {suites};
    location / {{ return 200 "a page"; }}
  }}
}}
"""

    @contextlib.contextmanager
    def serve(self, authority, suite):
        own = authority.leaf[suite.certificate]
        suites = (f"ssl_ciphers {suite.openssl}" if suite.version == "TLSv1.2"
                  else f"ssl_conf_command Ciphersuites {suite.openssl}")
        with Reservation() as reserved, tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "nginx.conf"
            file.write_text(self.CONFIGURATION.format(
                work=folder, port=reserved.port, certificate=own.certificate, key=own.key,
                version=suite.version, suites=suites,
                user="user root;" if os.geteuid() == 0 else ""))
            with listening(["nginx", "-p", folder, "-c", file], reserved.port,
                           Path(folder) / "log") as port:
                yield port


TOOLS = {"gnutls": GnuTls(), "nss": Nss(), "nginx": Nginx()}
