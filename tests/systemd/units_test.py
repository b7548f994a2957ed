#!/usr/bin/env python3
"""The units of tools/systemd under systemd itself, with all of their confinement: a service of the
machine begins, reloads, is watched and ends, and sockets of systemd start what they are for."""

import os
import shutil
import signal
import socket
import sys
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import real_systemd  # noqa: E402
import report  # noqa: E402
import wrap_peers as peers  # noqa: E402
from broker_client import BrokerClient  # noqa: E402
from real_systemd import FOLDER, LOG, SETTINGS, Manager, drop_in  # noqa: E402
from shared_certificates import certificates  # noqa: E402
from watched import wait_until  # noqa: E402

SERVICE = "ktls-bridge@www.service"
BROKER = "ktls-bridge-broker.service"
NO_INPUT = 66  # EX_NOINPUT
PORT = 443
WATCHED_S = 20


def place(keys):
    """Where the user of the service reads them."""
    for name, source in (("chain.pem", keys.chain), ("key.pem", keys.key)):
        shutil.copy(source, SETTINGS / f"{name}.new")
        shutil.chown(SETTINGS / f"{name}.new", group="ktls-bridge")
        (SETTINGS / f"{name}.new").chmod(0o640)
        (SETTINGS / f"{name}.new").rename(SETTINGS / name)


class UnitCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.backend = peers.Backend()
        cls.systemd = Manager()
        cls.addClassCleanup(cls.backend.close)

    def write(self, service, arguments):
        (SETTINGS / f"{service}.conf").write_text(f"ARGUMENTS={arguments}\n", encoding="utf-8")

    def setUp(self):
        LOG.write_text("", encoding="utf-8")

    def wait_for_line(self, part):
        wait_until(lambda: part in LOG.read_text(encoding="utf-8"), part)

    def call(self, *words, status=0):
        found, output = self.systemd.call(*words)
        log = LOG.read_text(encoding="utf-8")
        self.assertEqual(found, status, f"{words}: {output}\n{log}")

    def configure(self, listen):
        place(certificates())
        self.write("www", f"wrap --listen {listen} --cert {SETTINGS}/chain.pem "
                          f"--key {SETTINGS}/key.pem --to {self.backend.address}")
        self.addCleanup(self.systemd.call, "reset-failed", SERVICE)
        self.addCleanup(self.systemd.call, "stop", SERVICE)

    def start_service(self):
        self.configure(f"127.0.0.1:{PORT}")
        self.call("start", SERVICE)

    def process(self):
        return int(self.systemd.show(SERVICE, "MainPID"))

    def exchange(self, keys=None, port=PORT):
        with peers.tls((keys or certificates()).client_context(), ("127.0.0.1", port)) as client:
            client.sendall(b"hello")
            self.assertEqual(peers.receive_exactly(client, 5), b"hello")
            client.unwrap()


class Service(UnitCase):
    def test_it_serves_a_low_port_as_a_user_of_its_own(self):
        self.start_service()
        self.assertEqual(self.systemd.show(SERVICE, "StatusText"), f"serving on 127.0.0.1:{PORT}")
        self.assertNotEqual(Path(f"/proc/{self.process()}").stat().st_uid, 0)
        self.exchange()
        self.wait_for_line("tx=kernel rx=kernel")

    def test_a_reload_changes_the_certificate_and_not_the_process(self):
        self.start_service()
        process = self.process()
        other = certificates(copy=1)
        place(other)
        self.call("reload", SERVICE)
        self.wait_for_line(" reload ")
        self.exchange(other)
        self.assertEqual(self.process(), process)

    def test_the_watchdog_replaces_one_that_hangs(self):
        path = drop_in("ktls-bridge@.service", "watchdog",
                       "[Service]\nWatchdogSec=2s\nRestartSec=100ms\n")
        self.addCleanup(self.systemd.call, "daemon-reload")
        self.addCleanup(path.unlink)
        self.call("daemon-reload")
        self.start_service()
        process = self.process()
        os.kill(process, signal.SIGSTOP)
        wait_until(lambda: self.process() not in (process, 0)
                   and self.systemd.show(SERVICE, "ActiveState") == "active",
                   "another process", WATCHED_S)
        self.assertEqual(self.systemd.show(SERVICE, "NRestarts"), "1")
        self.exchange()

    def test_a_mistake_is_not_tried_again(self):
        self.start_service()
        self.call("stop", SERVICE)
        self.assertEqual(self.systemd.show(SERVICE, "Result"), "success")
        (SETTINGS / "key.pem").unlink()
        self.call("start", SERVICE, status=1)
        self.assertEqual(self.systemd.show(SERVICE, "ExecMainStatus"), str(NO_INPUT))
        self.assertEqual(self.systemd.show(SERVICE, "NRestarts"), "0")
        self.assertEqual(self.systemd.show(SERVICE, "ActiveState"), "failed")


class Sockets(UnitCase):
    def test_a_connection_starts_the_service_of_its_socket(self):
        (FOLDER / "ktls-bridge-www.socket").write_text(
            f"[Socket]\nListenStream=127.0.0.1:8443\nService={SERVICE}\n", encoding="utf-8")
        self.addCleanup(self.systemd.call, "stop", "ktls-bridge-www.socket")
        self.call("daemon-reload")
        self.configure("systemd")
        self.call("start", "ktls-bridge-www.socket")
        self.assertEqual(self.systemd.show(SERVICE, "ActiveState"), "inactive")
        self.exchange(port=8443)
        self.assertEqual(self.systemd.show(SERVICE, "ActiveState"), "active")


class TheBroker(UnitCase):
    def test_a_program_that_connects_starts_it_and_gets_a_tls_socket(self):
        place(certificates())
        self.write("broker", f"--cert {SETTINGS}/chain.pem --key {SETTINGS}/key.pem")
        self.addCleanup(self.systemd.call, "stop", "ktls-bridge-broker.socket", BROKER)
        self.call("start", "ktls-bridge-broker.socket")
        self.assertEqual(self.systemd.show(BROKER, "ActiveState"), "inactive")
        program = BrokerClient("/run/ktls-bridge/broker.sock")
        self.addCleanup(program.close)
        with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor() as pool:
            peer = pool.submit(self.read_all, listener.getsockname())
            accepted, _ = listener.accept()
            connection = program.serve(accepted)
            self.assertFalse(connection.relayed)
            connection.sock.sendall(b"hello")
            self.assertEqual(peer.result(), b"hello")
            connection.sock.close()
        self.assertEqual(self.systemd.show(BROKER, "ActiveState"), "active")

    @staticmethod
    def read_all(endpoint):
        with peers.tls(certificates().client_context(), endpoint) as client:
            return peers.receive_exactly(client, 5)


def main():
    inside = "--inside"
    if inside in sys.argv:
        sys.argv.remove(inside)
        report.main("systemd/units")
    if not os.environ.get("KTLS_BRIDGE_REQUIRE_KTLS"):
        print("skip all: what it installs is for a guest: scripts/vm")
        return 0
    real_systemd.install()
    return real_systemd.run_inside(sys.executable, __file__, inside, *sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
