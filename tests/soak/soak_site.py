"""Site: what the soak test loads: the wraps, the files that they read again, and the services
behind them."""

import os
import random
import socket
import ssl
import threading
from pathlib import Path
from types import SimpleNamespace

import proxy_headers
import soak_jobs
import wrap_peers as peers
from revocation import revocation_list
from soak_channel import Channel, TlsCodec
from soak_checks import QUARANTINE_MIB
from soak_jobs import CHAIN, DIRECT, FOREIGN, NONE, OWN, PROXIED, REMOTE, REVOKED
from watched_wrap import Wrap

VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
TICKET_KEY_BYTES = 80
TICKET_KEYS = 3  # the one that seals, and two before it
BACKLOG = 4096  # more than there are clients, so that nobody waits to be accepted


def make_leaf(certificates, name):
    """Another certificate of the same authority: (chain, key)."""
    chain, key, request = (str(certificates.folder / f"{name}.{kind}")
                           for kind in ("pem", "key", "request"))
    peers.openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                  f"/CN={name}", "-keyout", key, "-out", request)
    peers.openssl("x509", "-req", "-in", request, "-CA", certificates.ca, "-CAkey",
                  str(certificates.folder / "ca.key"), "-days", "2", "-extfile",
                  str(certificates.folder / "extensions"), "-out", chain)
    return chain, key


class Files:
    """What SIGHUP reads again. Each is replaced whole, as one should."""

    # Whom a broken file concerns.
    BREAKAGES = (("chain", (DIRECT, PROXIED, CHAIN)), ("ca", (DIRECT, PROXIED, CHAIN, REMOTE)),
                 ("key", (DIRECT, PROXIED, CHAIN)), ("crl", (PROXIED,)))

    def __init__(self, folder):
        self._made = Path(folder) / "made"
        self._used = Path(folder) / "used"
        for each in (self._made, self._made / "foreign", self._used):
            each.mkdir()
        self.authority = peers.Certificates(self._made)
        self.foreign = peers.Certificates(self._made / "foreign")
        self.revoked = make_leaf(self.authority, "revoked")
        self._leaves = [(self.authority.chain, self.authority.key),
                        make_leaf(self.authority, "renewed")]
        self._list = revocation_list(SimpleNamespace(
            chain=self.revoked[0], folder=self._made, ca=self.authority.ca), revoked=True)
        self.ticket_generation = 0
        self._tickets = [self.path(f"tickets{number}") for number in range(TICKET_KEYS)]
        self.install(0)
        for path in self._tickets:
            self._replace(path, os.urandom(TICKET_KEY_BYTES))

    def path(self, name):
        return str(self._used / name)

    def _replace(self, path, content):
        beside = self.path("beside")
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
            file.write(content)
        os.replace(beside, path)

    def install(self, index):
        """The leaf number `index`, and everything else as it should be."""
        chain, key = self._leaves[index % len(self._leaves)]
        for name, source in (("chain", chain), ("key", key), ("ca", self.authority.ca)):
            self._replace(self.path(name), Path(source).read_bytes())
        self._replace(self.path("crl"), self._list)

    def break_one(self, index):
        """Answers whom that concerns."""
        name, routes = self.BREAKAGES[index % len(self.BREAKAGES)]
        self._replace(self.path(name), b"nothing\n")
        return routes

    def rotate_tickets(self):
        """The oldest first: at no moment is the key that seals among none of them."""
        self.ticket_generation += 1
        for older, newer in zip(self._tickets[::-1], self._tickets[-2::-1]):
            self._replace(older, Path(newer).read_bytes())
        self._replace(self._tickets[0], os.urandom(TICKET_KEY_BYTES))

    def still_resumes(self, generation):
        """Whether a session is resumed that began after that many rotations: it may have been
        sealed with the key before, and its opener may know of no newer key than ours."""
        return self.ticket_generation - generation <= 1

    @property
    def server_flags(self):
        tickets = [word for path in self._tickets for word in ("--ticket-keys", path)]
        return ("--cert", self.path("chain"), "--key", self.path("key"),
                "--client-ca", self.path("ca"), *tickets)


class Sessions:
    """Of the clients, to be resumed: the newest for each context."""

    def __init__(self):
        self._newest = {}

    def take(self, context):
        """(session or None, how many rotations there had been)"""
        return self._newest.get(context, (None, 0))

    def keep(self, context, session, generation):
        if session is not None and session.has_ticket:
            self._newest[context] = session, generation


class Service:
    """Serves jobs by their numbers, in plain or, with certificates, in TLS."""

    def __init__(self, jobs, patience, certificates=None, reads_header=False):
        self.jobs, self.patience, self.reads_header = jobs, patience, reads_header
        self.contexts = [certificates.server_context() for _ in VERSIONS] if certificates else []
        for context, version in zip(self.contexts, VERSIONS):
            context.minimum_version = context.maximum_version = version
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._run, args=(sock,), daemon=True).start()

    def _run(self, sock):
        sock.settimeout(self.patience)
        job = None
        with sock:
            try:
                header = proxy_headers.read_header(sock) if self.reads_header else None
                codec = TlsCodec(random.choice(self.contexts)) if self.contexts else None
                channel = Channel(sock, codec)
                channel.handshake()
                line = channel.receive_line()
                job = self.jobs[int(line)]
                if header is not None:
                    soak_jobs.check_header(job, header)
                job.kind.service(job, channel)
            except Exception as error:  # whatever it is, it is the job's problem
                if job is not None:
                    job.complain("the service", error)
        if job is not None:
            job.service_is_done.set()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


class Site:
    """`patience` is how long an honest connection may stand still, in seconds."""

    def __init__(self, arguments, folder, jobs, patience, handshake_timeout):
        self._arguments, self._patience = arguments, patience
        self._handshake_timeout = handshake_timeout
        self.files = Files(folder)
        self.sessions = Sessions()
        authority = self.files.authority
        self._contexts = self._make_contexts()
        self.services = [Service(jobs, patience), Service(jobs, patience, authority),
                         Service(jobs, patience, reads_header=True)]
        plain, secure, told = (service.address for service in self.services)
        client = ("--client", "--ca", self.files.path("ca"))
        own = ("--cert", self.files.path("chain"), "--key", self.files.path("key"))
        server = self.files.server_flags
        self.wraps = {}
        try:
            self._start(DIRECT, *server, "--client-auth", "optional", to=plain)
            self._start(PROXIED, *server, "--client-crl", self.files.path("crl"),
                        "--accept-proxy", "--send-proxy", "v2", to=told)
            self._start(CHAIN, *client, *own, "--name", "localhost",
                        to=self.wraps[DIRECT].addresses[0])
            self._start(REMOTE, *client, to=secure)
        except BaseException:
            self.close()
            raise

    def _start(self, route, *flags, to):
        # A small quarantine is soon full, and then the memory has to be as flat as without one.
        options = f"quarantine_size_mb={QUARANTINE_MIB}:{os.environ.get('ASAN_OPTIONS', '')}"
        self.wraps[route] = Wrap(
            *flags, "--loop", self._arguments.loop, "--offload", self._arguments.offload,
            "--handshake-timeout", f"{int(self._handshake_timeout * 1000)}ms",
            "--connect-timeout", f"{int(self._patience)}s", "--metrics", "127.0.0.1:0",
            to=to, threads=self._arguments.threads, binary=self._arguments.binary,
            env={**os.environ, "ASAN_OPTIONS": options})

    def _make_contexts(self):
        """One for each route, kind of credentials and version: a session belongs to one."""
        files = self.files
        shown = {NONE: None, OWN: (files.authority.chain, files.authority.key),
                 FOREIGN: (files.foreign.chain, files.foreign.key), REVOKED: files.revoked}
        contexts = {}
        for route in soak_jobs.TLS_ROUTES:
            for credentials, pair in shown.items():
                for version in VERSIONS:
                    context = files.authority.client_context(version)
                    if pair is not None:
                        context.load_cert_chain(*pair)
                    contexts[route, credentials, version] = context
        return contexts

    def context(self, job, rng):
        return self._contexts[job.route, job.credentials, rng.choice(VERSIONS)]

    def close(self):
        for wrap in self.wraps.values():
            wrap.kill()
        for service in self.services:
            service.close()
