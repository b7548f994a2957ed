"""What the matrix is made of, and what the connection line of each cell must say."""

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Suite:
    version: str
    name: str  # IANA's
    openssl: str
    certificate: str  # the kind of key it is tried with
    curl: bool  # also tried with curl when not all cells are


SUITES = (
    Suite("TLSv1.3", "TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256", "ec", True),
    Suite("TLSv1.3", "TLS_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384", "rsa", True),
    Suite("TLSv1.3", "TLS_CHACHA20_POLY1305_SHA256", "TLS_CHACHA20_POLY1305_SHA256", "ec", True),
    Suite("TLSv1.3", "TLS_AES_128_CCM_SHA256", "TLS_AES_128_CCM_SHA256", "rsa", False),
    Suite("TLSv1.2", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256",
          "ec", True),
    Suite("TLSv1.2", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384",
          "ec", False),
    Suite("TLSv1.2", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
          "ECDHE-ECDSA-CHACHA20-POLY1305", "ec", False),
    Suite("TLSv1.2", "TLS_ECDHE_ECDSA_WITH_AES_128_CCM", "ECDHE-ECDSA-AES128-CCM", "ec", False),
    Suite("TLSv1.2", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256",
          "rsa", False),
    Suite("TLSv1.2", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "ECDHE-RSA-AES256-GCM-SHA384",
          "rsa", True),
    Suite("TLSv1.2", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
          "ECDHE-RSA-CHACHA20-POLY1305", "rsa", True),
)


@dataclass(frozen=True)
class Policy:
    """How a wrap is started."""

    offload: str = "auto"
    loop: str = "auto"

    @property
    def flags(self):
        return ("--offload", self.offload, "--loop", self.loop)

    def __str__(self):
        named = [f" {key}={value}" for key, value in vars(self).items() if value != "auto"]
        return "".join(named)


# With the default, each offload and each loop; the full set has each pair.
POLICIES = (Policy("kernel", "epoll"), Policy("never", "io_uring"), Policy("auto", "epoll"))
ALL_POLICIES = POLICIES + (Policy("kernel", "io_uring"), Policy("never", "epoll"))
POLICY_SUITES = (SUITES[0], SUITES[4])


@dataclass(frozen=True)
class Cell:
    role: str  # wrap's: server or client
    peer: str
    suite: Suite
    resumed: bool
    policy: Policy = Policy()

    def __str__(self):
        return (f"{self.suite.version} {self.suite.openssl} {self.role} role with {self.peer} "
                f"{'resumed' if self.resumed else 'full'}{self.policy}")


def expected_placement(cell, ready):
    """(tx, its reason, rx, its reason) by what wrap said of this kernel when it started."""
    if cell.policy.offload == "never":
        return ("userspace", "policy_never") * 2
    if not ready["kernel_tls"]:
        return ("userspace", ready["reason"]) * 2
    stays = (cell.policy.offload == "auto" and cell.suite.version == "TLSv1.3"
             and not ready["kernel_rekey"])
    return ("kernel", "") + (("userspace", "rekey_impossible") if stays else ("kernel", ""))


def _differences(expected, found):
    return [f"{key} is {found.get(key)!r}, not {value!r}"
            for key, value in expected.items() if found.get(key, "") != value]


def line_problems(cell, ready, line, received, sent):
    """What is wrong with wrap's connection line."""
    tx, tx_reason, rx, rx_reason = expected_placement(cell, ready)
    return _differences({
        "version": cell.suite.version, "suite": cell.suite.name, "resumed": cell.resumed,
        "ended": "clean", "name": "localhost",
        "tx": tx, "tx_reason": tx_reason, "rx": rx, "rx_reason": rx_reason,
        "tx_remark": "", "rx_remark": "", "received": received, "sent": sent}, line)


def peer_problems(cell, outcome):
    """What the peer says that is not so; what it does not say is not held against it."""
    problems = list(outcome.errors)
    if not outcome.verified:
        problems.append("the peer did not verify the certificate")
    said = {"version": outcome.version or cell.suite.version,
            "suite": outcome.suite or cell.suite.openssl,
            "resumed": cell.resumed if outcome.resumed is None else outcome.resumed}
    meant = {"version": cell.suite.version, "suite": cell.suite.openssl, "resumed": cell.resumed}
    return problems + [f"by the peer, {each}" for each in _differences(meant, said)]


def row(cell, line, tx_bytes, rx_bytes):
    """One connection for the table."""
    return {"kernel": os.uname().release, "role": cell.role, "peer": cell.peer,
            "version": cell.suite.version, "suite": cell.suite.name, "resumed": cell.resumed,
            "offload": cell.policy.offload, "loop": cell.policy.loop,
            "tx_bytes": tx_bytes, "rx_bytes": rx_bytes,
            **{key: line[key] for key in ("tx", "rx", "tx_reason", "rx_reason") if key in line}}
