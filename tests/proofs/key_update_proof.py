#!/usr/bin/env python3
"""Keys change in the kernel, again and again, in the middle of sendfile and splice, and the peers'
libraries follow: OpenSSL as fast as it goes, GnuTLS, which ends a connection with more than 8
KeyUpdates a second, at the default pace. A peer that asks for a key in the middle of a file gets
it, and one that floods with its own is cut off before it costs much."""

import argparse
import hashlib
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

sys.dont_write_bytecode = True
TESTS = Path(__file__).resolve().parents[1]
REPOSITORY = TESTS.parent
sys.path[:0] = [str(TESTS / "support")]

from certificates import Authority  # noqa: E402
from drained_wrap import DrainedWrap  # noqa: E402

BUDGET = 4
RECORD = 16384
DEFAULT_INTERVAL_MS = 250
GNUTLS_UPDATES = 20
STARTED_S = 60
DONE_S = 1200
GNUTLS_VERSION = "NORMAL:-VERS-ALL:+VERS-TLS1.3"
ASK_EVERY = 512 << 10  # beside what is on its way when it is asked
ASKS_LEAST = 3
FLOOD = 100_000
ALERT_UNEXPECTED_MESSAGE = 10
# For a handshake and a second's allowance of KeyUpdates, on an emulated machine.
FLOOD_CPU_S = 5


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="example: scripts/vm newest --timeout 1200 -- "
                                    "tests/proofs/key_update_proof.py")
    parser.add_argument("--size", type=int, default=64, metavar="MIB", help="for OpenSSL")
    parser.add_argument("--flood", type=int, default=FLOOD, metavar="N",
                        help="KeyUpdates (default %(default)s)")
    parser.add_argument("--only", choices=PARTS, action="append", metavar="PART",
                        help=f"of {', '.join(PARTS)}")
    return parser.parse_args()


def program(name):
    return REPOSITORY / os.environ.get("KTLS_BRIDGE_BUILD", "build-test") / "tests/proofs" / name


def report(right, name):
    print(f"{'ok' if right else 'FAIL'} {name}", flush=True)
    return right


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


def send(proof, way, size, records, interval_ms, receiver):
    """What a key_update_sender says, the file's SHA-256, and what receiver(port) answers."""
    path = proof.folder / "file"
    digest = make_file(path, size)
    leaf = proof.authority.leaf["ec"]
    with subprocess.Popen([program("key_update_sender"), way, path, leaf.certificate, leaf.key,
                           str(records), str(interval_ms)],
                          stdout=subprocess.PIPE, text=True) as sender:
        try:
            port = int(sender.stdout.readline())
            answer = receiver(port)
            said = json.loads(sender.communicate(timeout=DONE_S)[0])
        finally:
            sender.kill()
    return said, digest, answer


def ask_peer(proof, what, port, number):
    ran = subprocess.run([program("key_update_peer"), what, str(port), proof.authority.file,
                          str(number)], stdout=subprocess.PIPE, timeout=DONE_S, check=True)
    return json.loads(ran.stdout)


def follow(proof, way, peer, size, interval_ms, least_updates):
    said, wanted, (got, received) = send(proof, way, size, BUDGET, interval_ms,
                                         lambda port: receive(peer(port, proof.authority)))
    right = (not said["error"] and got == wanted and received == size == said["sent"]
             and said["updates"] >= least_updates)
    print(f"{size} bytes to {peer.__name__}, {BUDGET} records a key, interval {interval_ms} ms: "
          f"{said['updates']} KeyUpdates sent, {said['waits']} waited for, SHA-256 "
          f"{'equal' if got == wanted else 'DIFFERS'} {said['error']}")
    return report(right, f"{peer.__name__} follows {way} through {least_updates} changes of the "
                         "key and more")


def openssl_follows(proof, way):
    # Three records of data a key at most, beside the KeyUpdate.
    size = proof.size
    return follow(proof, way, openssl, size, 0, size // RECORD // BUDGET)


def gnutls_follows(proof, way):
    size = (GNUTLS_UPDATES + 1) * (BUDGET - 1) * RECORD
    return follow(proof, way, gnutls, size, DEFAULT_INTERVAL_MS, GNUTLS_UPDATES)


def peer_asks(proof, way):
    """The budget is the AEAD's: no KeyUpdate comes but those that the peer asks for."""
    said, wanted, peer = send(proof, way, proof.size, 0, DEFAULT_INTERVAL_MS,
                              lambda port: ask_peer(proof, "ask", port, ASK_EVERY))
    asked, answered = peer["asked_at"], peer["answered_at"]
    print(f"{peer['received']} bytes, SHA-256 "
          f"{'equal' if peer['sha256'] == wanted else 'DIFFERS'} {said['error']}\n"
          f"asked at byte {asked}, answered at {answered}")
    right = (not said["error"] and peer["sha256"] == wanted and peer["closed"]
             and len(answered) <= len(asked) <= len(answered) + 1
             and said["updates"] == len(answered)
             and sum(at < proof.size for at in answered) >= ASKS_LEAST)
    return report(right, f"a peer that asks in the middle of {way} gets {ASKS_LEAST} keys and more")


def cpu_s(pid):
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def peer_floods(proof, loop):
    leaf = proof.authority.leaf["ec"]
    # A service that says nothing and has all the time that the peer takes to seal its flood.
    with socket.create_server(("127.0.0.1", 0)) as service, \
            DrainedWrap("--offload", "kernel", "--loop", loop, "--cert", leaf.certificate,
                        "--key", leaf.key,
                        to=f"127.0.0.1:{service.getsockname()[1]}") as wrap:
        before_s = cpu_s(wrap.pid)
        peer = ask_peer(proof, "flood", wrap.port, proof.flood)
        line, = wrap.next_connections(1, DONE_S)
        used_s = cpu_s(wrap.pid) - before_s
    print(f"{peer['sealed']} KeyUpdates ready, {peer['sent_before_alert']} sent before alert "
          f"{peer['alert']} came, {peer['sent']} sent in all, {line['rx_key_updates']} followed, "
          f"{used_s:.2f} s of CPU time; the log says {line}")
    right = (peer["alert"] == ALERT_UNEXPECTED_MESSAGE and used_s < FLOOD_CPU_S
             and (line["tx"], line["rx"]) == ("kernel", "kernel")
             and (line["ended"], line["reason"]) == ("alert", "key_update_flood")
             and 100 <= line["rx_key_updates"] < proof.flood // 50)
    return report(right, f"a flood of KeyUpdates is cut off after {FLOOD_CPU_S} s of CPU time at "
                         f"most, {loop}")


PARTS = {
    **{f"openssl-{way}": partial(openssl_follows, way=way) for way in ("sendfile", "splice")},
    **{f"gnutls-{way}": partial(gnutls_follows, way=way) for way in ("sendfile", "splice")},
    **{f"ask-{way}": partial(peer_asks, way=way) for way in ("sendfile", "splice")},
    **{f"flood-{loop}": partial(peer_floods, loop=loop) for loop in ("io_uring", "epoll")},
}


class Proof:
    def __init__(self, options, folder):
        self.size = options.size << 20
        self.flood = options.flood
        self.folder = folder
        self.authority = Authority(folder, ("ec",))


def main():
    options = parse()
    with tempfile.TemporaryDirectory() as name:
        proof = Proof(options, Path(name))
        held = [PARTS[part](proof) for part in options.only or PARTS]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
