#!/usr/bin/env python3
"""Keys change in the kernel, again and again, in the middle of sendfile and splice, and the peers'
libraries follow: OpenSSL as fast as it goes, GnuTLS, which ends a connection with more than 8
KeyUpdates a second, at the default pace."""

import argparse
import hashlib
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
TESTS = Path(__file__).resolve().parents[1]
REPOSITORY = TESTS.parent
sys.path[:0] = [str(TESTS / "support")]

from certificates import Authority  # noqa: E402

BUDGET = 4
RECORD = 16384
DEFAULT_INTERVAL_MS = 250
GNUTLS_UPDATES = 20
STARTED_S = 60
DONE_S = 1200
GNUTLS_VERSION = "NORMAL:-VERS-ALL:+VERS-TLS1.3"


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="example: scripts/vm newest --timeout 1200 -- "
                                    "tests/proofs/key_update_proof.py")
    parser.add_argument("--size", type=int, default=64, metavar="MIB", help="for OpenSSL")
    parser.add_argument("--sender", type=Path, metavar="PROGRAM",
                        default=REPOSITORY / "build-test/tests/proofs/key_update_sender")
    return parser.parse_args()


def make_file(path, size):
    """Answers its SHA-256."""
    digest, source = hashlib.sha256(), random.Random(size)
    with open(path, "wb") as file:
        for at in range(0, size, 1 << 20):
            block = source.randbytes(min(1 << 20, size - at))
            digest.update(block)
            file.write(block)
    return digest.hexdigest()


def openssl(port, authority):
    return ["openssl", "s_client", "-quiet", "-tls1_3", "-connect", f"127.0.0.1:{port}",
            "-CAfile", str(authority.file), "-verify_return_error"]


def gnutls(port, authority):
    return ["gnutls-cli", "--priority", GNUTLS_VERSION, "--x509cafile", str(authority.file),
            "--logfile", "/dev/null", "--port", str(port), "127.0.0.1"]


def receive(command):
    """SHA-256 and size of what a peer prints until its connection ends."""
    digest, size = hashlib.sha256(), 0
    peer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL)
    while block := peer.stdout.read(1 << 16):
        digest.update(block)
        size += len(block)
    peer.stdin.close()
    peer.wait(STARTED_S)
    return digest.hexdigest(), size


def prove(options, folder, authority, peer, way, size, interval_ms, least_updates):
    path = folder / "file"
    wanted = make_file(path, size)
    leaf = authority.leaf["ec"]
    with subprocess.Popen([options.sender, way, path, leaf.certificate, leaf.key, str(BUDGET),
                           str(interval_ms)], stdout=subprocess.PIPE, text=True) as sender:
        try:
            port = int(sender.stdout.readline())
            got, received = receive(peer(port, authority))
            said = json.loads(sender.communicate(timeout=DONE_S)[0])
        finally:
            sender.kill()
    right = (not said["error"] and got == wanted and received == size == said["sent"]
             and said["updates"] >= least_updates)
    print(f"{size} bytes to {peer.__name__}, {BUDGET} records a key, interval {interval_ms} ms: "
          f"{said['updates']} KeyUpdates sent, {said['waits']} waited for, SHA-256 "
          f"{'equal' if got == wanted else 'DIFFERS'} {said['error']}")
    print(f"{'ok' if right else 'FAIL'} {peer.__name__} follows {way} through "
          f"{least_updates} changes of the key and more", flush=True)
    return right


def main():
    options = parse()
    # Three records of data a key at most, beside the KeyUpdate.
    size = options.size << 20
    least = size // RECORD // BUDGET
    small = (GNUTLS_UPDATES + 1) * (BUDGET - 1) * RECORD
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        authority = Authority(folder, ("ec",))
        cells = [(openssl, way, size, 0, least) for way in ("sendfile", "splice")]
        cells += [(gnutls, way, small, DEFAULT_INTERVAL_MS, GNUTLS_UPDATES)
                  for way in ("sendfile", "splice")]
        failed = sum(not prove(options, folder, authority, *cell) for cell in cells)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
