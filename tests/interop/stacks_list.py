"""The TLS stacks of stacks.py: what each needs, has, and cannot do."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import npm_programs

# The suites that say enough of a stack where not every one is tried: each version and kind of key.
FEW = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
       "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256")


@dataclass(frozen=True)
class Stack:
    """lacks: parts of the names of suites it does not have; chooses: the versions in which it can
    be told which suite to take, in others wrap takes or offers no other; ends: how wrap may see its
    clients end; asks: whether its server can ask for a certificate; few: the suites it is tried
    with where not every one is; why: what the table says of it."""

    name: str
    needs: tuple
    lacks: tuple = ()
    chooses: tuple = ("TLSv1.2", "TLSv1.3")
    ends: tuple = ("clean",)
    roles: tuple = ("server", "client")
    asks: bool = True
    few: tuple = FEW
    npm: str = ""
    why: str = ""

    def suites(self, of):
        return [suite for suite in of if not any(part in suite.name for part in self.lacks)]

    def absence(self):
        """Why it cannot be tried here; nothing where it can."""
        for need in self.needs:
            if not (Path(need).exists() if need.startswith("/") else shutil.which(need)):
                return f"{need} is not installed"
        try:
            if self.npm:
                npm_programs.words(self.npm)
        except npm_programs.Unavailable as error:
            return str(error)
        return None


def _lighttpd(module, *lacks, chooses=(), few=FEW[1:2], **options):
    return Stack(f"lighttpd-{module}", ("lighttpd", f"/usr/lib/lighttpd/mod_{module}.so"),
                 lacks, chooses, roles=("client",), few=few, **options)


STACKS = (
    Stack("openssl", ("openssl",), few=(), why="matrix.py has more of s_client and s_server"),
    Stack("python", (), ("TLS_AES_128_CCM",), chooses=("TLSv1.2",)),
    Stack("go", ("go",), ("CCM",), chooses=("TLSv1.2",), why="crypto/tls has no CCM"),
    Stack("java", ("java", "javac"), ("CCM",), why="JSSE has no CCM"),
    Stack("node", ("node",)),
    # gnutls-cli closes without close_notify, and without reading all tickets.
    Stack("gnutls", ("gnutls-cli", "gnutls-serv"), ends=("clean", "truncated", "reset")),
    Stack("nss", ("strsclnt", "selfserv", "certutil", "pk12util"), ("CCM",),
          why="NSS has no CCM"),
    Stack("nginx", ("nginx",), roles=("client",)),
    Stack("curl", ("curl", "nginx"), roles=("server",), few=FEW[:1],
          why="the service behind wrap is an nginx"),
    _lighttpd("openssl", chooses=("TLSv1.2", "TLSv1.3")), _lighttpd("gnutls"),
    _lighttpd("mbedtls", "TLS_AES", "TLS_CHACHA20", few=FEW[2:3],
              why="Mbed TLS 2.28, which the module has, knows no TLS 1.3"),
    _lighttpd("nss", "CCM", chooses=("TLSv1.2", "TLSv1.3"), asks=False,
              why="NSS has no CCM; the module takes no authority of clients "
                  "(CERT_ImportCAChainTrusted fails)"),
    _lighttpd("wolfssl", chooses=("TLSv1.2",)),
    Stack("bun", (), ("CCM",), chooses=("TLSv1.2",), few=(), npm="bun",
          why="BoringSSL has no CCM"),
    Stack("deno", (), ("CCM",), chooses=(), asks=False, few=(), npm="deno",
          why="rustls has no CCM; a server of Deno does not ask for certificates"))
