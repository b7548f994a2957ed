#!/usr/bin/env python3
"""Programs that are handed sockets have no private key and no traffic secret in their memory."""

import os
import subprocess
import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import report  # noqa: E402
import wrap_peers as peers  # noqa: E402
from broker_case import BrokerCase, REQUIRES_KTLS, WAIT_S, wait_until  # noqa: E402
from certificates import Authority  # noqa: E402
from memory_search import Number, private_numbers, search  # noqa: E402
from shared_certificates import certificates  # noqa: E402
from watched import BINARY, Watched  # noqa: E402
from wrap_tls_stream import TlsStream  # noqa: E402

# Record keys are in the kernel, and so with the program; or in the broker or the bridge alone.
MODES = {"direct": ()} if REQUIRES_KTLS else {"relayed": ()}
HELLO = b"hello"
# Python is a few megabytes, and a search that saw less saw nothing.
SEARCHED_MIN = 1 << 20


def children(pid):
    """Of all its threads, and only those that are what they were started to be by now."""
    own = os.readlink(f"/proc/{pid}/exe")
    listed = [each for tasks in Path(f"/proc/{pid}/task").glob("*/children")
              for each in tasks.read_text(encoding="ascii").split()]
    return [int(each) for each in listed if os.readlink(f"/proc/{each}/exe") != own]


@unittest.skipUnless(os.geteuid() == 0, "reading the memory of others needs root")
class Secrets(BrokerCase):
    def assert_only_with(self, keeper, programs, numbers):
        """The keeper has each, or the search would prove nothing; the programs have none."""
        forms = {f"{number.name}, {form}": value
                 for number in numbers for form, value in number.forms.items()}
        kept, _ = search(keeper, forms)
        for number in numbers:
            self.assertTrue(any(kept[f"{number.name}, {form}"] for form in number.forms),
                            f"{number.name} is not even where it has to be: {kept}")
        for pid in programs:
            found, searched = search(pid, forms)
            self.assertEqual({name: count for name, count in found.items() if count}, {})
            self.assertGreater(searched, SEARCHED_MIN if "python" in os.readlink(
                f"/proc/{pid}/exe") else 0)

    def traffic_secrets(self, log):
        """Of a TLS 1.3 connection, by its client's word."""
        lines = [line.split() for line in log.read_text(encoding="ascii").splitlines()]
        found = {words[0]: int(words[2], 16) for words in lines if "TRAFFIC_SECRET_0" in words[0]}
        return [Number(name, found[name], 48) for name in
                ("CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0")]

    def listening_program(self, broker):
        listener = self.listener()
        fd = listener.fileno()
        process = self.program(broker.path, "serve", str(fd), pass_fds=(fd,))
        broker.wait_for_event("listening", patience=WAIT_S)
        return process.pid, listener

    def connecting_program(self, broker):
        server = peers.Backend(context=certificates().server_context())
        self.addCleanup(server.close)
        sock = peers.tcp(server.endpoint, timeout=WAIT_S)
        with sock:
            fd = sock.fileno()
            process = self.program(broker.path, "connect", str(fd), "localhost", pass_fds=(fd,),
                                   stdout=subprocess.PIPE)
        self.assertEqual(process.stdout.readline(), b"%r\n" % HELLO)
        return process.pid

    def test_programs_of_a_broker_have_no_private_scalar(self):
        for mode, flags in MODES.items():
            with self.subTest(mode=mode):
                broker = self.broker(*flags)
                listening, listener = self.listening_program(broker)
                stream = self.tls(listener)
                self.assert_echo(stream, HELLO)
                connecting = self.connecting_program(broker)
                self.assert_only_with(broker.pid, (listening, connecting),
                                      private_numbers(certificates().key))
                broker.kill()

    def test_programs_of_a_broker_have_no_traffic_secret(self):
        for mode, flags in MODES.items():
            with self.subTest(mode=mode):
                broker = self.broker(*flags)
                listening, listener = self.listening_program(broker)
                log = self.folder / f"keys-{mode}"
                context = certificates().client_context()
                context.keylog_filename = str(log)
                with TlsStream(self.tcp(listener), context, "localhost") as stream:
                    self.assert_echo(stream, HELLO)
                    self.assert_only_with(broker.pid, (listening,), self.traffic_secrets(log))
                broker.kill()

    def test_programs_of_a_broker_have_no_rsa_primes(self):
        leaf = Authority(self.folder, ("rsa",)).leaf["rsa"]
        broker = self.broker(credentials=("--cert", str(leaf.certificate), "--key", str(leaf.key)))
        listening, listener = self.listening_program(broker)
        with TlsStream(self.tcp(listener), peers.accepts_anything(), "localhost") as stream:
            self.assert_echo(stream, HELLO)
            self.assert_only_with(broker.pid, (listening,), private_numbers(leaf.key))

    def wrap(self, *flags):
        wrap = Watched(("wrap", "--exec", *certificates().server_flags, *flags), "--", "cat",
                       patience=WAIT_S, threads=0)
        self.addCleanup(wrap.kill)
        return wrap

    def test_programs_of_wrap_exec_have_no_private_scalar(self):
        for mode, flags in MODES.items():
            with self.subTest(mode=mode):
                wrap = self.wrap(*flags)
                with TlsStream(peers.tcp(wrap.endpoint, timeout=WAIT_S),
                               certificates().client_context(), "localhost") as stream:
                    self.assert_echo(stream, HELLO)
                    programs = wait_until(lambda pid=wrap.pid: children(pid), "the program")
                    self.assert_only_with(wrap.pid, programs, private_numbers(certificates().key))
                wrap.kill()

    def test_a_program_of_wrap_fd_has_no_private_scalar(self):
        near, far = self.tcp_pair()
        fd = far.fileno()
        bridge = subprocess.Popen(
            [BINARY, "wrap", "--fd", str(fd), *certificates().server_flags, "--", "sh", "-c",
             f"exec cat <&{fd} >&{fd}"], stdin=subprocess.DEVNULL, pass_fds=(fd,))
        self.addCleanup(self.end_bridge, bridge)
        far.close()
        with TlsStream(near, certificates().client_context(), "localhost") as stream:
            self.assert_echo(stream, HELLO)
            programs = wait_until(lambda: children(bridge.pid), "the program")
            self.assert_only_with(bridge.pid, programs, private_numbers(certificates().key))

    @staticmethod
    def end_bridge(process):
        if process.poll() is None:
            process.kill()
            process.wait()


if __name__ == "__main__":
    report.main("handover/secrets")
