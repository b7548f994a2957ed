#!/usr/bin/env python3
"""`wrap --exec`: a program for each connection, which speaks TLS and does not know it."""

import hashlib
import json
import os
import signal
import ssl
import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import report  # noqa: E402
import wrap_peers as peers  # noqa: E402
from exec_case import ExecCase, LOOPS, REQUIRES_KTLS, wait_until  # noqa: E402
from shared_certificates import certificates  # noqa: E402
from watched import hear_hangups  # noqa: E402
from wrap_tls_stream import Truncated  # noqa: E402

# More than the buffers of a socket hold.
LARGE = 8 << 20
RECEIVE_BUFFER = 65536
SOME = os.urandom(100_000)

DESCRIPTORS = """\
import json, os, resource, signal
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
here = os.listdir("/proc/self/fd")
print(json.dumps({
    "descriptors": sorted(int(each) for each in here if os.path.exists(f"/proc/self/fd/{each}")),
    "blocked": int(status["SigBlk"], 16),
    "ignored": int(status["SigIgn"], 16),
    "core": resource.getrlimit(resource.RLIMIT_CORE)[1],
    "blocking": os.get_blocking(1),
    "leads": os.getpgid(0) == os.getpid(),
}), flush=True)
"""


class Programs(ExecCase):
    def test_a_program_reads_and_writes_as_on_any_socket(self):
        for loop in LOOPS:
            with self.subTest(loop=loop):
                wrap = self.wrap("cat", loop=loop)
                with self.connect(wrap) as client:
                    client.sendall(SOME)
                    client.end_sending()
                    self.assertEqual(self.all_of(client), SOME)
                self.assert_clean(wrap.connection())

    def test_each_version_of_tls_is_handed_out(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with self.subTest(version=version.name):
                wrap = self.wrap("sh", "-c", "read line; echo \"$SSL_PROTOCOL $line\"")
                with self.connect(wrap, version=version) as client:
                    client.sendall(b"hello\n")
                    name = version.name.replace("_", ".")
                    self.assertEqual(self.all_of(client), f"{name} hello\n".encode())
                line = wrap.connection()
                self.assert_clean(line)
                self.assertEqual(line["handed_out"], self.expected_hand_out)

    def test_the_environment_says_who_is_there(self):
        wrap = self.wrap("env", "-0", environment={"TCPREMOTEHOST": "forged", "KEPT": "yes"})
        with self.connect(wrap, name="server.test") as client:
            text = self.all_of(client).decode()
            port = client.sock.getsockname()[1]
            cipher = client.tls.cipher()[0]
        found = dict(each.split("=", 1) for each in text.split("\0") if each)
        expected = {"PROTO": "TCP", "TCPREMOTEIP": "127.0.0.1", "TCPREMOTEPORT": str(port),
                    "TCPLOCALIP": "127.0.0.1", "TCPLOCALPORT": str(wrap.port),
                    "SSL_PROTOCOL": "TLSv1.3", "SSL_CIPHER": cipher, "KEPT": "yes",
                    "SSL_TLS_SNI_SERVERNAME": "server.test", "SSL_CLIENT_VERIFY": "NONE"}
        self.assertEqual({name: found.get(name) for name in expected}, expected)
        self.assertNotIn("TCPREMOTEHOST", found)

    def test_a_program_has_nothing_of_ours_but_its_connection(self):
        hear_hangups(self)
        wrap = self.wrap(sys.executable, "-c", DESCRIPTORS)
        with self.connect(wrap) as client:
            told = json.loads(self.all_of(client))
        self.assertEqual(told, {"descriptors": [0, 1, 2], "blocked": 0, "ignored": told["ignored"],
                                "core": told["core"], "blocking": True, "leads": True})
        self.assertEqual(told["ignored"] >> (signal.SIGHUP - 1) & 1, 0)

    def test_signals_that_were_ignored_before_are_ignored_in_the_program(self):
        hear_hangups(self)
        ignoring = ("sh", "-c", "trap '' PIPE; exec \"$@\"", "sh")
        wrap = self.wrap("grep", "SigIgn", "/proc/self/status", before=ignoring)
        with self.connect(wrap) as client:
            ignored = int(self.all_of(client).split()[1], 16)
        self.assertEqual(ignored, 1 << (signal.SIGPIPE - 1))
        self.assertEqual(wrap.connection()["exit"], 0)

    def test_a_program_that_cannot_be_run_is_told_of_at_once(self):
        status, _, errors = self.run_wrap("--listen", "127.0.0.1:0", "--exec", "--", "/no/such")
        self.assertEqual(status, 66)
        self.assertIn("/no/such: No such file or directory", errors)


DIRECT_READER = """\
import os
try:
    while data := os.read(0, 65536): os.write(1, b'heard ' + data)
    os.write(1, b'the end')
except OSError as error:
    os.write(1, os.strerror(error.errno).encode())
"""


@unittest.skipUnless(REQUIRES_KTLS, "only a kernel with TLS has a socket to read from")
class Direct(ExecCase):
    def test_a_program_that_reads_the_tls_socket_meets_close_notify_as_eio(self):
        wrap = self.wrap(sys.executable, "-S", "-c", DIRECT_READER, flags=("--read", "direct"))
        with self.connect(wrap) as client:
            client.sendall(b"data")
            self.assertEqual(client.recv(100), b"heard data")
            client.send_close_notify()
            self.assertEqual(self.all_of(client), b"Input/output error")
        self.assertEqual(wrap.connection()["handed_out"], "direct")


class Draining(ExecCase):
    def test_programs_get_sigterm_when_the_time_to_drain_is_over(self):
        wrap = self.wrap("sh", "-c", "trap 'exit 5' TERM; echo ready; while :; do sleep 0.1; done",
                         flags=("--drain-timeout", "0ms"))
        with self.connect(wrap) as client:
            self.assertEqual(client.recv(100), b"ready\n")
            self.assertEqual(wrap.stop(), 0)
        line = wrap.connection()
        self.assertEqual((line["ended"], line["exit"]), ("cancelled", 5), line)


class WhoIsServed(ExecCase):
    """By its certificate, and by how many connections it has."""

    def wrap_env(self, *flags):
        return self.wrap("env", "-0", flags=("--client-ca", certificates().ca, *flags))

    def told(self, wrap, certificate=None):
        context = certificates().client_context()
        if certificate:
            context.load_cert_chain(*certificate)
        with self.connect(wrap, context=context) as client:
            text = self.all_of(client).decode()
        return dict(each.split("=", 1) for each in text.split("\0") if each)

    def test_a_client_certificate_is_shown_to_the_program(self):
        ours = certificates()
        der = ssl.PEM_cert_to_DER_cert(Path(ours.chain).read_text(encoding="ascii"))
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with self.subTest(version=version.name):
                wrap = self.wrap_env("--max-version", version.name[-3:].replace("_", "."))
                found = self.told(wrap, (ours.chain, ours.key))
                expected = {"SSL_CLIENT_VERIFY": "SUCCESS", "SSL_CLIENT_S_DN": "CN=localhost",
                            "SSL_CLIENT_S_DN_CN": "localhost",
                            "SSL_CLIENT_I_DN": "CN=a CA for tests",
                            "SSL_PEER_CERT_SUBJECT": "CN=localhost",
                            "SSL_PEER_CERT_HASH": "SHA256:" + hashlib.sha256(der).hexdigest()}
                self.assertEqual({name: found.get(name) for name in expected}, expected)

    def test_an_optional_certificate_may_be_absent(self):
        found = self.told(self.wrap_env("--client-auth", "optional"))
        self.assertEqual(found["SSL_CLIENT_VERIFY"], "NONE")
        self.assertFalse([name for name in found if name.startswith("SSL_CLIENT_S")])

    def test_a_client_without_the_certificate_that_is_asked_for_starts_no_program(self):
        ran = self.folder / "ran"
        stranger = (str(self.folder / "stranger.pem"), str(self.folder / "stranger.key"))
        certificates().make_self_signed(*stranger, "/CN=a stranger")
        for certificate, auth in ((None, "required"), (stranger, "required"),
                                  (stranger, "optional")):
            with self.subTest(certificate=certificate, auth=auth):
                wrap = self.wrap("touch", str(ran), flags=("--client-ca", certificates().ca,
                                                           "--client-auth", auth))
                with self.assertRaises((ssl.SSLError, Truncated, ConnectionError)):
                    self.told(wrap, certificate)
                self.assertEqual(wrap.connection()["ended"], "handshake")
                self.assertFalse(ran.exists())

    def test_an_address_has_no_more_connections_than_it_may(self):
        wrap = self.wrap("cat", flags=("--max-per-address", "2"))
        held = [self.connect(wrap) for _ in range(2)]
        with self.assertRaises((ConnectionError, Truncated)):
            self.connect(wrap)
        refused, = wrap.wait_for_event("refused")
        self.assertEqual(refused["reason"], "max_per_address")
        held[0].end_sending()
        self.all_of(held[0])
        again = wait_until(lambda: self.connect_if_there_is_room(wrap), "room for one more")
        again.sendall(b"again")
        self.assertEqual(again.recv(100), b"again")

    def connect_if_there_is_room(self, wrap):
        try:
            return self.connect(wrap)
        except (ConnectionError, Truncated):
            return None


class Ends(ExecCase):
    """How a peer learns that it was all, or that it was not."""

    def ends(self, *program):
        wrap = self.wrap(*program)
        with self.connect(wrap) as client:
            try:
                got = self.all_of(client)
                end = "close_notify"
            except ssl.SSLError as error:
                got, end = b"", error.reason
            except Truncated:
                got, end = b"", "truncated"
        return got, end, wrap.connection()

    def test_a_program_that_exits_ends_its_connection_in_order(self):
        for status in (0, 3):
            with self.subTest(status=status):
                got, end, line = self.ends("sh", "-c", f"echo all; exit {status}")
                self.assertEqual((got, end), (b"all\n", "close_notify"))
                self.assertEqual(line["exit"], status)
                self.assert_clean(line)

    def test_a_client_that_stays_does_not_hold_the_place_of_a_program_that_has_ended(self):
        wraps = [self.wrap("sh", "-c", "echo done", loop=loop, flags=("--idle-timeout", "60s"))
                 for loop in LOOPS]
        streams = [self.connect(wrap) for wrap in wraps]
        for stream in streams:
            self.assertEqual(peers.receive_all(stream), b"done\n")  # and says nothing itself
        for wrap in wraps:
            self.assertEqual(wrap.connection()["ended"], "clean")

    def test_a_program_that_is_killed_never_ends_it_in_order(self):
        for number, name in ((signal.SIGKILL, "SIGKILL"), (signal.SIGRTMIN, "SIGRTMIN+0")):
            with self.subTest(name=name):
                _, end, line = self.ends("sh", "-c", f"echo some; kill -{int(number)} $$")
                self.assertEqual(end, "TLSV1_ALERT_INTERNAL_ERROR")
                self.assertEqual((line["ended"], line["exit"]), ("alert", 128 + number))
                self.assertIn(f"killed by {name}", line["detail"])

    def test_what_is_started_in_the_background_has_the_last_word(self):
        got, end, line = self.ends("sh", "-c", "(sleep 1; echo late) & echo early")
        self.assertEqual((got, end), (b"early\nlate\n", "close_notify"))
        self.assert_clean(line)

    def test_what_a_program_wrote_last_arrives_though_nobody_read_it_in_time(self):
        wrap = self.wrap(sys.executable, "-c",
                         f"import os; os.writev(1, [b'x' * 65536]); "
                         f"[os.write(1, b'x' * 65536) for _ in range({LARGE >> 16} - 1)]")
        with self.connect(wrap, receive_buffer=RECEIVE_BUFFER) as client:
            self.wait_until_still(client)
            self.assertEqual(len(self.all_of(client)), LARGE)
        self.assert_clean(wrap.connection())

    def test_a_program_reads_to_the_end_of_a_peer_that_closes_in_order(self):
        wrap = self.wrap("sh", "-c", "cat >/dev/null; echo heard")
        with self.connect(wrap) as client:
            client.sendall(SOME)
            client.end_sending()
            self.assertEqual(self.all_of(client), b"heard\n")
        self.assertEqual(wrap.connection()["received"], len(SOME))

    def test_a_program_never_takes_a_peer_that_vanishes_for_the_end(self):
        told = self.folder / "told"
        wrap = self.wrap(sys.executable, "-c",
                         "import os, sys\n"
                         "try:\n"
                         "    while os.read(0, 65536): pass\n"
                         "    end = 'end of file'\n"
                         "except ConnectionResetError:\n"
                         "    end = 'reset'\n"
                         f"open({str(told)!r}, 'w').write(end)\n")
        with self.connect(wrap) as client:
            client.sendall(SOME)
            client.send_bare_fin()
            self.assertEqual(wrap.connection()["ended"], "truncated")
        self.assertEqual(told.read_text(encoding="ascii"), "reset")


if __name__ == "__main__":
    report.main("handover/exec")
