"""The TLS stacks of stacks.py: what each needs, has, and cannot do."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import npm_programs
from cells import SUITES, Suite

# The suites that say enough of a stack where not every one is tried: each version and kind of key.
FEW = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
       "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256")


def _more_suites():
    """The AEAD suites of OpenSSL with certificates that wrap takes where they are named, as the
    kernel has no cipher for them, or they have no forward secrecy, or take longer to agree."""
    yield Suite("TLSv1.3", "TLS_AES_128_CCM_8_SHA256", "TLS_AES_128_CCM_8_SHA256", "ec", False)
    for exchange, kind, openssl in (("ECDHE_ECDSA", "ec", "ECDHE-ECDSA-"),
                                    ("ECDHE_RSA", "rsa", "ECDHE-"),
                                    ("DHE_RSA", "rsa", "DHE-RSA-"), ("RSA", "rsa", "")):
        for cipher, short in (("AES_128_GCM_SHA256", "AES128-GCM-SHA256"),
                              ("AES_256_GCM_SHA384", "AES256-GCM-SHA384"),
                              ("CHACHA20_POLY1305_SHA256", "CHACHA20-POLY1305"),
                              ("AES_128_CCM", "AES128-CCM"), ("AES_256_CCM", "AES256-CCM"),
                              ("AES_128_CCM_8", "AES128-CCM8"), ("AES_256_CCM_8", "AES256-CCM8"),
                              ("ARIA_128_GCM_SHA256", "ARIA128-GCM-SHA256"),
                              ("ARIA_256_GCM_SHA384", "ARIA256-GCM-SHA384")):
            name = f"TLS_{exchange}_WITH_{cipher}"
            is_there = not (exchange == "ECDHE_RSA" and "ARIA" not in cipher
                            or exchange == "RSA" and "CHACHA20" in cipher)
            if is_there and name not in {suite.name for suite in SUITES}:
                yield Suite("TLSv1.2", name, openssl + short, kind, False)


MORE_SUITES = tuple(_more_suites())


@dataclass(frozen=True)
class Stack:
    """lacks: parts of the names of suites it does not have; more: parts of the names of those of
    MORE_SUITES that it has; chooses: the versions in which it can be told which suite to take, in
    others wrap takes or offers no other; ends: how wrap may see its clients end; asks: whether its
    server can ask for a certificate; few: the suites it is tried with where not every one is; npm:
    the package that it is; why: what the table says of it."""

    name: str
    needs: tuple
    lacks: tuple = ()
    more: tuple = ()
    chooses: tuple = ("TLSv1.2", "TLSv1.3")
    ends: tuple = ("clean",)
    roles: tuple = ("server", "client")
    asks: bool = True
    few: tuple = FEW
    npm: str = ""
    why: str = ""

    def suites(self, is_full):
        tried = [suite for suite in SUITES if is_full or suite.name in self.few]
        if is_full:
            tried += [suite for suite in MORE_SUITES
                      if any(part in suite.name for part in self.more)]
        return [suite for suite in tried if not any(part in suite.name for part in self.lacks)]

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
                 lacks, chooses=chooses, roles=("client",), few=few, **options)


STACKS = (
    Stack("openssl", ("openssl",), more=("TLS",), few=(),
          why="matrix.py has more of s_client and s_server"),
    Stack("python", (), ("TLS_AES_128_CCM",), ("TLS",), chooses=("TLSv1.2",),
          why="ssl does not choose among the suites of TLS 1.3, of which CCM is off"),
    Stack("go", ("go",), ("CCM", "ARIA"), ("TLS_RSA",), chooses=("TLSv1.2",),
          why="crypto/tls has no CCM, no ARIA and no DHE"),
    Stack("java", ("java", "javac"), ("CCM", "ARIA"), ("TLS_DHE", "TLS_RSA"),
          why="JSSE has no CCM and no ARIA"),
    Stack("node", ("node",), more=("TLS",)),
    # gnutls-cli closes without close_notify, and without reading all tickets.
    Stack("gnutls", ("gnutls-cli", "gnutls-serv"), ("ARIA",), ("TLS",),
          ends=("clean", "truncated", "reset"), why="GnuTLS has no ARIA"),
    Stack("nss", ("strsclnt", "selfserv", "certutil", "pk12util"), ("CCM", "ARIA"),
          ("TLS_DHE", "TLS_RSA"), why="NSS has no CCM and no ARIA"),
    Stack("nginx", ("nginx",), more=("TLS",), roles=("client",)),
    Stack("curl", ("curl", "nginx"), more=("TLS",), roles=("server",), few=FEW[:1],
          why="the service behind wrap is an nginx"),
    _lighttpd("openssl", more=("TLS",), chooses=("TLSv1.2", "TLSv1.3")),
    _lighttpd("gnutls", "ARIA", "TLS_DHE", "AES_128_CCM_8", more=("TLS",),
              why="GnuTLS has no ARIA, and what the module allows no DHE and no AES-128-CCM-8"),
    _lighttpd("mbedtls", "TLS_AES", "TLS_CHACHA20", "ARIA", more=("TLS",), few=FEW[2:3],
              why="Mbed TLS 2.28, as Debian has it, knows no TLS 1.3 and no ARIA"),
    _lighttpd("nss", "CCM", "ARIA", more=("TLS_DHE", "TLS_RSA"), chooses=("TLSv1.2", "TLSv1.3"),
              asks=False, why="NSS has no CCM and no ARIA; the module takes no authority of "
                              "clients (CERT_ImportCAChainTrusted fails)"),
    _lighttpd("wolfssl", chooses=("TLSv1.2",),
              more=("DHE_RSA_WITH_AES_128_GCM", "DHE_RSA_WITH_AES_256_GCM", "DHE_RSA_WITH_CHACHA",
                    "ECDSA_WITH_AES_128_CCM_8", "ECDSA_WITH_AES_256_CCM_8"),
              why="wolfSSL, as Debian has it, has no ARIA and no RSA key exchange, and of CCM what "
                  "is here"),
    Stack("bun", (), ("CCM", "ARIA"), ("TLS_RSA",), chooses=("TLSv1.2",), few=(), npm="bun",
          why="BoringSSL has no CCM, no ARIA and no DHE"),
    Stack("deno", (), ("CCM",), chooses=(), asks=False, few=(), npm="deno",
          why="rustls has CCM only of providers that Deno does not use; a server of Deno does not "
              "ask for certificates"))
