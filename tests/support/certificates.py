"""A certificate authority for tests, with one server certificate for each kind of key, all made by
the openssl program."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

_OPENSSL_S = 60
_KEYS = {"ec": ("ec", "-pkeyopt", "ec_paramgen_curve:P-256"), "rsa": ("rsa:2048",)}


@dataclass(frozen=True)
class Certificate:
    certificate: Path
    key: Path


class Authority:
    """Writes into `folder`: `file` is its own certificate, `leaf["ec"]` and `leaf["rsa"]` are for
    localhost and 127.0.0.1, as far as they are among `kinds`."""

    def __init__(self, folder, kinds=("ec", "rsa")):
        self._folder = Path(folder)
        self._root = self._make("ca", _KEYS["ec"], "basicConstraints=critical,CA:TRUE")
        self.file = self._root.certificate
        signed = ("-CA", self._root.certificate, "-CAkey", self._root.key)
        names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
        self.leaf = {kind: self._make(kind, _KEYS[kind], "basicConstraints=critical,CA:FALSE",
                                      names, signed=signed, subject="/CN=localhost")
                     for kind in kinds}

    def _make(self, name, key, *extensions, signed=(), subject="/CN=Test authority"):
        made = Certificate(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        added = [word for extension in extensions for word in ("-addext", extension)]
        subprocess.run(["openssl", "req", "-x509", "-newkey", *key, "-nodes", "-days", "3",
                        "-subj", subject, "-keyout", made.key, "-out", made.certificate,
                        *signed, *added],
                       check=True, timeout=_OPENSSL_S, stdin=subprocess.DEVNULL,
                       capture_output=True)
        return made
