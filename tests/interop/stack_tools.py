"""TLS stacks that stacks.py reaches by programs of others: openssl s_client and s_server,
gnutls-cli and gnutls-serv, NSS's strsclnt and selfserv, nginx, lighttpd with five modules for TLS,
curl, and Deno's fetch. What is exchanged is a page over HTTP, twice, the second time resumed."""

import contextlib
import os
import subprocess
import tempfile
import time
from pathlib import Path

import nginx_configuration
import npm_programs
import wrap_peers
from peers import Reservation, curl_suite_flags

PATIENCE_S = 120
REQUEST = b"GET / HTTP/1.0\r\n\r\n"
BODY = os.urandom(16384).hex().encode() + b"\n"
PAGE = b"HTTP/1.0 200 OK\r\n\r\n" + BODY
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


def be_refused(endpoint):
    """As ask_for_page(), where there is to be no page."""
    with wrap_peers.tcp(endpoint) as plain:
        try:
            plain.sendall(REQUEST)
            page = wrap_peers.receive_all(plain)
        except ConnectionError:
            return
    status = page.split(b"\r\n")[0]
    if b" 200 " in status + b" ":
        raise Failed("a client without a certificate has the page")


def dh_file(authority):
    return Path(authority.file).parent / "dh.pem"


def make_dh_parameters(authority):
    """For servers that would take others: at its security level of 0, which suites with a short tag
    need, libssl chooses 1024 bits, and wrap refuses those."""
    run(["openssl", "genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", "group:ffdhe2048",
         "-out", dh_file(authority)], b"")


def hex_id(suite):
    """As the registry has it: "1301"."""
    return {"TLS_AES_128_GCM_SHA256": "1301", "TLS_AES_256_GCM_SHA384": "1302",
            "TLS_CHACHA20_POLY1305_SHA256": "1303",
            "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "C02B",
            "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "C02C",
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "C02F",
            "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "C030",
            "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "CCA8",
            "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "CCA9",
            "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256": "009E",
            "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384": "009F",
            "TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "CCAA",
            "TLS_RSA_WITH_AES_128_GCM_SHA256": "009C",
            "TLS_RSA_WITH_AES_256_GCM_SHA384": "009D"}[suite.name]


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


class OpenSsl:
    """matrix.py has more of it, but no certificates of clients."""

    @staticmethod
    def chosen(suite):
        return (["-tls1_3", "-ciphersuites", suite.openssl, "-cipher", "DEFAULT:@SECLEVEL=0"]
                if suite.version == "TLSv1.3" else
                ["-tls1_2", "-cipher", f"{suite.openssl}:@SECLEVEL=0"])

    def connect(self, authority, suite, port, shown):
        own = authority.leaf[shown] if shown else None
        flags = ["-cert", own.certificate, "-key", own.key] if own else []
        with tempfile.TemporaryDirectory() as folder:
            for use in ("-sess_out", "-sess_in"):
                page = run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-quiet",
                            "-servername", "localhost", "-CAfile", authority.file,
                            "-verify_return_error", *self.chosen(suite), *flags, use,
                            f"{folder}/session"], REQUEST)
                if page != PAGE:
                    raise Failed(f"s_client has {len(page)} bytes of {len(PAGE)}, or others")

    @contextlib.contextmanager
    def serve(self, authority, suite, asks):
        own = authority.leaf[suite.certificate]
        asking = ["-Verify", 1, "-verify_return_error", "-CAfile", authority.file] if asks else []
        with Reservation() as reserved, tempfile.NamedTemporaryFile() as log:
            command = ["openssl", "s_server", "-accept", f"127.0.0.1:{reserved.port}", "-www",
                       "-cert", own.certificate, "-key", own.key, "-dhparam", dh_file(authority),
                       *self.chosen(suite), *asking]
            with listening(command, reserved.port, log.name) as port:
                yield port


class GnuTls:
    BULK = (("AES_128_GCM", "AES-128-GCM"), ("AES_256_GCM", "AES-256-GCM"),
            ("CHACHA20", "CHACHA20-POLY1305"), ("AES_128_CCM_8", "AES-128-CCM-8"),
            ("AES_256_CCM_8", "AES-256-CCM-8"), ("AES_128_CCM", "AES-128-CCM"),
            ("AES_256_CCM", "AES-256-CCM"))
    EXCHANGES = (("ECDHE_ECDSA", "ECDHE-ECDSA"), ("ECDHE_RSA", "ECDHE-RSA"),
                 ("DHE_RSA", "DHE-RSA"), ("RSA", "RSA"))

    def priority(self, suite):
        cipher = next(name for part, name in self.BULK if part in suite.name)
        version = suite.version.replace("TLSv", "TLS")
        kx = ""
        if suite.version == "TLSv1.2":
            kx = ":-KX-ALL:+" + next(name for part, name in self.EXCHANGES if part in suite.name)
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
            # It tells of the parameters of DHE there, too.
            if status or PAGE not in page:
                raise Failed(f"gnutls-cli ended with {status}: {log.read()[-1000:]}")

    @contextlib.contextmanager
    def serve(self, authority, suite, asks):
        own = authority.leaf[suite.certificate]
        with Reservation() as reserved, tempfile.NamedTemporaryFile() as log:
            asking = ["--require-client-cert", "--x509cafile", authority.file] if asks else []
            command = ["gnutls-serv", "--http", "--x509certfile", own.certificate,
                       "--x509keyfile", own.key, "--priority", self.priority(suite), *asking,
                       "--port", reserved.port]
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
    def serve(self, authority, suite, asks):
        kind = "-e" if suite.certificate == "ec" else "-n"
        with Reservation() as reserved, tempfile.NamedTemporaryFile() as log:
            command = ["selfserv", kind, suite.certificate, "-p", reserved.port, "-d",
                       self.database(authority, suite.certificate),
                       *self.protocol(suite, "-c"), "-u", "-G", *(["-rr"] if asks else [])]
            with listening(command, reserved.port, log.name) as port:
                yield port


class Nginx:
    SERVER = """\
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {own.certificate};
    ssl_certificate_key {own.key};
    ssl_protocols {suite.version};
    ssl_dhparam {dh};
    {chosen};
    {asks}
    location / {{ return 200 "a page"; }}
  }}
"""

    @contextlib.contextmanager
    def serve(self, authority, suite, asks):
        own = authority.leaf[suite.certificate]
        chosen = (f"ssl_ciphers {suite.openssl}:@SECLEVEL=0" if suite.version == "TLSv1.2"
                  else f"ssl_conf_command Ciphersuites {suite.openssl}; "
                       "ssl_ciphers DEFAULT:@SECLEVEL=0")
        asks = f"ssl_verify_client on; ssl_client_certificate {authority.file};" if asks else ""
        with Reservation() as reserved, tempfile.TemporaryDirectory() as folder:
            words = nginx_configuration.start_words(
                Path(folder), self.SERVER.format(port=reserved.port, own=own, suite=suite,
                                                 chosen=chosen, asks=asks,
                                                 dh=dh_file(authority)),
                nginx_configuration.AS_WE_ARE)
            with listening(words, reserved.port, Path(folder) / "log") as port:
                yield port


class Lighttpd:
    """With one of its modules for TLS, each of which has another library, and its own idea of how a
    suite is named."""

    CONFIGURATION = """\
server.modules = ("mod_{module}")
server.bind = "127.0.0.1"
server.port = {port}
server.document-root = "{folder}"
index-file.names = ("index.html")
ssl.engine = "enable"
ssl.pemfile = "{own.certificate}"
ssl.privkey = "{own.key}"
ssl.dh-file = "{dh}"
ssl.openssl.ssl-conf-cmd = ("MinProtocol" => "{version}", "MaxProtocol" => "{version}")
ssl.openssl.ssl-conf-cmd += ({chosen})
"""
    ASKS = """\
ssl.verifyclient.ca-file = "{authority.file}"
ssl.verifyclient.activate = "enable"
ssl.verifyclient.enforce = "enable"
"""

    def __init__(self, module, tls12="", tls13=""):
        """What chooses a suite of each version, where anything can."""
        self._module = module
        self._choices = {"TLSv1.2": tls12, "TLSv1.3": tls13}

    @contextlib.contextmanager
    def serve(self, authority, suite, asks):
        nss = suite.openssl.removeprefix("TLS_").lower().replace("sha", "sha_")
        chosen = self._choices[suite.version].format(openssl=suite.openssl, nss=nss)
        with Reservation() as reserved, tempfile.TemporaryDirectory() as folder:
            text = self.CONFIGURATION.format(
                module=self._module, port=reserved.port, folder=folder, chosen=chosen,
                own=authority.leaf[suite.certificate], version=suite.version,
                dh=dh_file(authority))
            text += self.ASKS.format(authority=authority) if asks else ""
            (Path(folder) / "index.html").write_bytes(BODY)
            file = Path(folder) / "lighttpd.conf"
            file.write_text(text, encoding="ascii")
            with listening(["lighttpd", "-D", "-f", file], reserved.port,
                           Path(folder) / "log") as port:
                yield port


class Curl:
    """The service behind wrap is an nginx."""

    @staticmethod
    @contextlib.contextmanager
    def backend():
        with Reservation() as reserved, tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "index.html").write_bytes(BODY)
            words = nginx_configuration.start_words(
                Path(folder), f"keepalive_timeout 0; "
                f"server {{ listen 127.0.0.1:{reserved.port}; root {folder}; }}",
                nginx_configuration.AS_WE_ARE)
            with listening(words, reserved.port, Path(folder) / "log") as port:
                yield f"127.0.0.1:{port}"

    def connect(self, authority, suite, port, shown):
        own = authority.leaf[shown] if shown else None
        flags = ["--cert", own.certificate, "--key", own.key] if own else []
        url = f"https://localhost:{port}/"
        pages = run(["curl", "-q", "--silent", "--show-error", "--fail", "--noproxy", "*",
                     "--ipv4", "--max-time", PATIENCE_S, *curl_suite_flags(suite, authority),
                     *flags, url, url], b"")
        if pages != 2 * BODY:
            raise Failed(f"curl has {len(pages)} bytes of {2 * len(BODY)}, or others")


class Deno:
    """As a client of rustls. As a server it is one of the small programs."""

    def connect(self, authority, _suite, port, shown):
        own = authority.leaf[shown] if shown else None
        shown = (own.certificate, own.key) if own else ("-", "-")
        program = Path(__file__).resolve().parent / "stacks" / "fetch.mjs"
        pages = run(npm_programs.words("deno", "run", "--allow-all", "--no-config", program, port,
                                       authority.file, *shown, 2), b"")
        if pages != 2 * BODY:
            raise Failed(f"deno has {len(pages)} bytes of {2 * len(BODY)}, or others")


BY_NAME = '"CipherString" => "{openssl}"'
TOOLS = {"openssl": OpenSsl(), "gnutls": GnuTls(), "nss": Nss(), "nginx": Nginx(),
         "curl": Curl(), "deno": Deno(),
         "lighttpd-openssl": Lighttpd(
             "openssl", '"CipherString" => "{openssl}:@SECLEVEL=0"',
             '"Ciphersuites" => "{openssl}", "CipherString" => "DEFAULT:@SECLEVEL=0"'),
         "lighttpd-gnutls": Lighttpd("gnutls"),
         "lighttpd-mbedtls": Lighttpd("mbedtls", '"CipherString" => "HIGH"'),
         "lighttpd-nss": Lighttpd("nss", BY_NAME, '"CipherString" => "+{nss}"'),
         "lighttpd-wolfssl": Lighttpd("wolfssl", BY_NAME)}
