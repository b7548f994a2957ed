#!/usr/bin/env python3
"""Service managers: what systemd, s6 and others hear of `wrap`, `serve` and `broker`, the sockets
that they pass, and the units that come along."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import report  # noqa: E402
import watched  # noqa: E402
import wrap_peers as peers  # noqa: E402
from broker_client import SERVE, Broker, BrokerClient, receive  # noqa: E402
from error_case import UNAVAILABLE, USAGE, ErrorCase  # noqa: E402
from fake_systemd import VARIABLES, FakeSystemd, passing  # noqa: E402
from shared_certificates import certificates  # noqa: E402
from stopped_thread import stopped_thread  # noqa: E402
from watched import BINARY, BUILD, Watched, wait_until  # noqa: E402
from watched_wrap import Wrap  # noqa: E402
from wrap_tls_stream import TlsStream  # noqa: E402

TLS13 = 0x0304
LOOPS = ("io_uring", "epoll")
WATCHDOG_S = 0.4
UNITS = BUILD / "tools" / "systemd"
SOURCES = watched.REPOSITORY / "tools" / "systemd"
EXPOSURE_MAX = {"ktls-bridge@.service": 20, "ktls-bridge-broker.service": 35}  # of 100


class ManagedCase(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def manager(self, **options):
        manager = FakeSystemd(**options)
        self.addCleanup(shutil.rmtree, manager.folder, ignore_errors=True)
        self.addCleanup(manager.close)
        return manager

    def started(self, service):
        self.addCleanup(service.kill)
        return service

    def wrap(self, *arguments, **options):
        backend = peers.Backend()
        self.addCleanup(backend.close)
        return self.started(Wrap(*certificates().server_flags, *arguments, to=backend.address,
                                 **options))

    def serve(self, *arguments, **options):
        return self.started(Watched(("serve", str(self.folder)), *certificates().server_flags,
                                    *arguments, **options))

    def broker(self, *arguments, **options):
        options.setdefault("path", self.folder / "broker.sock")
        return self.started(Broker(*certificates().server_flags, *arguments, **options))

    def listener(self, **options):
        listener = socket.create_server(("127.0.0.1", 0), **options)
        self.addCleanup(listener.close)
        return listener

    def exchange(self, endpoint, data=b"hello"):
        with peers.tls(certificates().client_context(), endpoint) as client:
            client.sendall(data)
            self.assertEqual(peers.receive_exactly(client, len(data)), data)
            client.unwrap()


class Notification(ManagedCase):
    def test_a_manager_hears_of_the_start_of_each_reload_and_of_the_end(self):
        for start in (self.wrap, self.serve, self.broker):
            for abstract in (False, True):
                with self.subTest(command=start.__name__, abstract=abstract):
                    manager = self.manager(abstract=abstract)
                    service = start("--drain-timeout", "7s", env=manager.environment())
                    where = getattr(service, "path", None) or service.addresses[0]
                    self.assertEqual(manager.wait_for("READY"),
                                     {"READY": "1", "STATUS": f"serving on {where}"})
                    service.send_signal(signal.SIGHUP)
                    self.assertEqual(manager.wait_for("RELOADING")["RELOADING"], "1")
                    manager.wait_for("READY", 2)
                    service.wait_for_event("reload")
                    self.assertEqual(service.stop(), 0)
                    self.assertEqual(manager.wait_for("STOPPING")["EXTEND_TIMEOUT_USEC"],
                                     "17000000")
                    self.assertEqual(["READY" in each for each in manager.messages],
                                     [True, False, True, False])

    def test_who_is_told_that_it_is_ready_can_connect_at_once(self):
        manager = self.manager()
        wrap = self.wrap(env=manager.environment(), ready=False)
        manager.wait_for("READY")
        wrap.wait_for_event("listening")  # which it has said, and we may not have read yet
        self.exchange(wrap.endpoint)

    def test_a_mistake_at_the_start_is_never_ready(self):
        manager = self.manager()
        status, _, _ = watched.run("wrap", "--listen", "127.0.0.1:0", "--to", "127.0.0.1:9",
                                   "--cert", "/nonexistent", env=manager.environment())
        self.assertNotEqual(status, 0)
        self.assertEqual(manager.messages, [])

    def test_a_manager_that_is_gone_ends_nothing(self):
        wrap = self.wrap(env={**os.environ, "NOTIFY_SOCKET": str(self.folder / "nobody")})
        self.assertIn("nobody", wrap.wait_for_event("supervisor")[0]["error"])
        self.exchange(wrap.endpoint)
        self.assertEqual(wrap.stop(), 0)

    def test_a_line_and_the_end_come_from_the_ready_descriptor(self):
        for start in (self.wrap, self.serve, self.broker):
            with self.subTest(command=start.__name__):
                read, write = os.pipe()
                with open(read, "rb") as reader:
                    service = start("--ready-fd", str(write), pass_fds=[write], ready=False)
                    os.close(write)
                    self.assertEqual(reader.read(), b"\n")
                self.assertEqual(service.stop(), 0)


class Watchdog(ManagedCase):
    def loops(self, service):
        """The threads of its loops, by number."""
        return [int(each) for each in os.listdir(f"/proc/{service.pid}/task")
                if int(each) != service.pid]

    def test_every_service_pings_again_and_again(self):
        for start in (self.wrap, self.serve, self.broker):
            for loop in LOOPS:
                with self.subTest(command=start.__name__, loop=loop):
                    manager = self.manager(watchdog_s=WATCHDOG_S)
                    service = start("--loop", loop, env=manager.environment())
                    manager.wait_for("WATCHDOG", 3)
                    self.assertEqual(service.stop(), 0)

    def test_without_a_deadline_nobody_pings(self):
        manager = self.manager()
        self.wrap(env={**manager.environment(), "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"})
        manager.wait_for("READY")
        time.sleep(0.1)
        self.assertEqual(manager.heard("WATCHDOG"), [])

    def test_one_loop_that_stands_still_ends_the_pings_until_it_goes_on(self):
        manager = self.manager(watchdog_s=WATCHDOG_S)
        wrap = self.wrap("--loop", "epoll", env=manager.environment(), threads=2)
        manager.wait_for("WATCHDOG")
        loops = self.loops(wrap)
        self.assertEqual(len(loops), 2)
        for loop in loops:
            try:
                with stopped_thread(loop):
                    self.assert_no_more_pings(manager)
            except PermissionError:
                self.skipTest("this user may not stop a single thread")
            manager.wait_for("WATCHDOG", len(manager.heard("WATCHDOG")) + 1)
        self.assertEqual(wrap.stop(), 0)

    def assert_no_more_pings(self, manager):
        time.sleep(WATCHDOG_S)  # the loop may have turned just before it stopped
        before = len(manager.heard("WATCHDOG"))
        time.sleep(WATCHDOG_S / 2)
        self.assertEqual(len(manager.heard("WATCHDOG")), before)

    def test_one_of_several_services_that_stands_still_ends_their_pings_until_it_goes_on(self):
        manager = self.manager(watchdog_s=WATCHDOG_S)
        table = "[[wrap]]\nlisten = '127.0.0.1:0'\nto = '127.0.0.1:9'\n"
        config = self.folder / "services.toml"
        config.write_text(f"log-format = 'json'\n{table}{table}")
        services = self.started(Watched(("--config", str(config)), bare=True, ready=False,
                                        env=manager.environment()))
        manager.wait_for("WATCHDOG", 2)
        children = Path(f"/proc/{services.pid}/task/{services.pid}/children").read_text().split()
        self.assertEqual(len(children), 2)
        stopped = int(children[1])
        os.kill(stopped, signal.SIGSTOP)
        try:
            self.assert_no_more_pings(manager)
        finally:
            os.kill(stopped, signal.SIGCONT)
        manager.wait_for("WATCHDOG", len(manager.heard("WATCHDOG")) + 2)
        self.assertEqual(services.stop(), 0)

    def test_a_drain_with_a_connection_goes_on_pinging(self):
        manager = self.manager(watchdog_s=WATCHDOG_S)
        wrap = self.wrap(env=manager.environment(), threads=2)
        with peers.tls(certificates().client_context(), wrap.endpoint) as client:
            client.sendall(b"hello")
            peers.receive_exactly(client, 5)
            wrap.send_signal(signal.SIGTERM)
            manager.wait_for("STOPPING")
            manager.wait_for("WATCHDOG", len(manager.heard("WATCHDOG")) + 3)
            client.unwrap()
        self.assertEqual(wrap.wait(), 0)


class Activation(ManagedCase):
    def test_a_socket_that_was_passed_is_served_by_every_thread_and_outlives_the_service(self):
        for loop in LOOPS:
            with self.subTest(loop=loop):
                listener = self.listener(backlog=64)
                first = self.wrap("--loop", loop, listen="systemd", **passing([listener]))
                for _ in range(4):
                    self.exchange(listener.getsockname())
                self.assertEqual(first.addresses, [f"127.0.0.1:{listener.getsockname()[1]}"])
                self.assertEqual(first.stop(), 0)
                # It waits in the queue of the manager's copy.
                raw = peers.tcp(listener.getsockname())
                self.addCleanup(raw.close)
                second = self.wrap("--loop", loop, listen="systemd", **passing([listener]))
                with TlsStream(raw, certificates().client_context(), "localhost") as client:
                    client.sendall(b"waited")
                    self.assertEqual(peers.receive_exactly(client, 6), b"waited")
                self.assertEqual(second.stop(), 0)

    def test_a_socket_is_chosen_by_its_name_or_its_number(self):
        sockets = [self.listener() for _ in range(3)]
        wrap = self.wrap(listen=("systemd:mail", "fd:3"),
                         **passing(sockets, "www:mail:unused"))
        for each in sockets[:2]:
            self.exchange(each.getsockname())
        warned = wrap.wait_for_event("inherited")
        self.assertEqual([line["address"] for line in warned], ["fd:5 (unused)"])

    def test_a_descriptor_that_a_shell_has_left_open_is_served(self):
        listener = self.listener()
        number = listener.fileno()
        self.wrap(listen=f"fd:{number}", pass_fds=[number])
        self.exchange(listener.getsockname())

    def test_a_unix_socket_that_was_passed_keeps_its_file(self):
        path = self.folder / "wrap.sock"
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(str(path))
            listener.listen()
            wrap = self.wrap(listen="systemd", **passing([listener]))
            self.assertEqual(wrap.addresses, [f"unix:{path}"])
            self.assertEqual(wrap.stop(), 0)
            self.assertTrue(path.exists())

    def test_serve_redirects_from_one_passed_socket_to_the_other(self):
        (self.folder / "page").write_bytes(b"a page\n")
        plain, secure = self.listener(), self.listener()
        self.serve("--http", "systemd:http", listen="systemd:https",
                   **passing([plain, secure], "http:https"))
        with peers.tcp(plain.getsockname()) as client:
            client.sendall(b"GET /page HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            self.assertIn(f"Location: https://localhost:{secure.getsockname()[1]}/page".encode(),
                          peers.receive_all(client))
        with peers.tls(certificates().client_context(), secure.getsockname()) as client:
            client.sendall(b"GET /page HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            self.assertTrue(peers.receive_all(client).endswith(b"a page\n"))

    def test_the_socket_of_a_broker_is_passed_and_keeps_its_file(self):
        path = self.folder / "passed.sock"
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(str(path))
            listener.listen()
            broker = self.broker(path="systemd", **passing([listener]))
            self.assertEqual(broker.records("ready")[0]["socket"], str(path))
            with contextlib.closing(BrokerClient(path)) as client:
                self.assert_handshakes(client)
            self.assertEqual(broker.stop(), 0)
            self.assertEqual(list(self.folder.glob("*.sock*")), [path])

    def assert_handshakes(self, client):
        listener = self.listener()
        raw = peers.tcp(listener.getsockname())
        accepted, _ = listener.accept()
        replies = client.ask(SERVE, accepted)
        accepted.close()
        with replies, TlsStream(raw, certificates().client_context(), "localhost"):
            self.assertEqual(receive(replies).version, TLS13)

    def test_systemd_s_own_activator_starts_it_with_the_first_connection(self):
        activate = shutil.which("systemd-socket-activate")
        if activate is None:
            self.skipTest("systemd-socket-activate is not here")
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        with contextlib.closing(peers.Backend()) as backend:
            activator = subprocess.Popen(
                [activate, "--fdname=www", "--listen", f"127.0.0.1:{port}", BINARY, "wrap",
                 "--listen", "systemd:www", "--to", backend.address,
                 *certificates().server_flags],
                stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            self.addCleanup(activator.wait)
            self.addCleanup(activator.kill)
            wait_until(lambda: self.is_listened_on(port), "the activator to listen")
            self.exchange(("127.0.0.1", port))

    @staticmethod
    def is_listened_on(port):
        table = Path("/proc/net/tcp").read_text(encoding="ascii")
        return f"0100007F:{port:04X} 00000000:0000 0A" in table


class Programs(ManagedCase):
    def test_a_program_for_each_connection_has_nothing_of_the_manager_s(self):
        manager = self.manager(watchdog_s=60)
        listener = self.listener()
        activation = passing([listener], "www")
        self.started(Watched(
            ("wrap", "--exec", *certificates().server_flags), "--", "sh", "-c",
            "read -r line; env; echo; cd /proc/self/fd; echo *", listen="systemd:www",
            env=manager.environment(), **activation))
        manager.wait_for("READY")
        with peers.tls(certificates().client_context(), listener.getsockname()) as client:
            client.sendall(b"go\n")
            environment, descriptors = peers.receive_all(client).decode().split("\n\n")
        names = {line.split("=", 1)[0] for line in environment.splitlines()}
        self.assertIn("PROTO", names)
        self.assertEqual(names.intersection(VARIABLES), set())
        self.assertEqual([each for each in descriptors.split() if int(each) > 2][1:], [])

    def test_a_program_in_our_place_has_all_of_the_manager_s(self):
        manager = self.manager(watchdog_s=60)
        _, output, errors = watched.run(
            "run", "--connect", "*", "--", "sh", "-c",
            "echo $NOTIFY_SOCKET $WATCHDOG_USEC; [ $WATCHDOG_PID = $$ ] && echo mine",
            before=("sh", "-c", 'WATCHDOG_PID=$$ exec "$@"', "sh"), env=manager.environment())
        self.assertEqual(output.split(), [manager.address, "60000000", "mine"], errors)


class Refusal(ErrorCase):
    def flags(self, *listen):
        return ("--to", "127.0.0.1:9", *(word for each in listen for word in ("--listen", each)))

    def test_no_socket_that_is_not_there_is_listened_on(self):
        for said, listen in (
                ("LISTEN_FDS is not set", "systemd"), ("LISTEN_FDS is not set", "systemd:www"),
                ("fd:77: descriptor 77: Bad file descriptor", "fd:77")):
            self.assert_one_line(listen, said, UNAVAILABLE, *self.flags(listen))
        for listen in ("fd:", "fd:x", "fd:-1", "systemd:"):
            self.assert_one_line(listen, f"address '{listen}': expected", USAGE,
                                 *self.flags(listen))

    def test_no_socket_of_another_process_is_listened_on(self):
        environment = {**os.environ, "LISTEN_PID": "1", "LISTEN_FDS": "1"}
        ended = watched.run("wrap", *self.flags("systemd"), env=environment)
        self.assert_line("another's", "LISTEN_PID is '1'", UNAVAILABLE, *ended)

    def test_what_does_not_listen_is_refused_by_its_name(self):
        with socket.socket() as unbound:
            options = passing([unbound], "www")
            ended = watched.run("wrap", *self.flags("systemd"), **options)
            self.assert_line("no listener", "fd:3 (www) does not listen", UNAVAILABLE, *ended)
            ended = watched.run("broker", "--socket", "systemd:www", **options)
            self.assert_line("a stream", "ListenSequentialPacket=", UNAVAILABLE, *ended)

    def test_a_descriptor_that_cannot_be_written_to_is_refused(self):
        said = "--ready-fd: descriptor 77: Bad file descriptor"
        self.assert_one_line("not open", said, USAGE, *self.flags("127.0.0.1:0"), "--ready-fd",
                             "77")
        self.assert_one_line("standard error", "--ready-fd", USAGE, *self.flags("127.0.0.1:0"),
                             "--ready-fd", "2")
        self.assert_one_line("with --fd", "--ready-fd needs --listen", USAGE, "--fd", "0",
                             "--ready-fd", "7", "--", "true")

    def test_serve_redirects_to_no_socket_without_a_port(self):
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self.folder / "sock"))
            listener.listen()
            ended = watched.run("serve", str(self.folder), "--listen", "systemd", "--http",
                                "127.0.0.1:0", **passing([listener]))
            self.assert_line("no port", "--http needs a --listen with a port", USAGE, *ended)


class Units(ManagedCase):
    """The files that are installed."""

    def analyze(self, *words):
        if shutil.which("systemd-analyze") is None:
            self.skipTest("systemd-analyze is not here")
        for each in (*UNITS.glob("*.service"), *SOURCES.glob("*.socket")):
            # A program that is there.
            text = each.read_text(encoding="utf-8")
            lines = [f"ExecStart={BINARY} {line.split(' ', 1)[1]}"
                     if line.startswith("ExecStart=") else line for line in text.splitlines()]
            (self.folder / each.name).write_text("\n".join(lines) + "\n", encoding="utf-8")
        return subprocess.run(["systemd-analyze", *words], cwd=self.folder, capture_output=True,
                              text=True, timeout=60, check=False)

    def test_systemd_understands_all_of_them(self):
        done = self.analyze("verify", "--man=no", "--recursive-errors=no",
                            "./ktls-bridge@www.service", "./ktls-bridge-broker.service",
                            "./ktls-bridge-broker.socket")
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_they_expose_no_more_than_they_did(self):
        for name, threshold in EXPOSURE_MAX.items():
            done = self.analyze("security", "--offline=true", "--no-pager",
                                f"--threshold={threshold}", f"./{name.replace('@', '@www')}")
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_the_flags_that_they_give_are_those_of_the_program(self):
        for path in UNITS.glob("*.service"):
            (start,) = [line for line in path.read_text(encoding="utf-8").splitlines()
                        if line.startswith("ExecStart=")]
            program, *words = start.removeprefix("ExecStart=").split()
            self.assertTrue(program.endswith("/bin/ktls-bridge"), program)
            self.assertEqual(words.pop(), "$ARGUMENTS")
            status, output, _ = watched.run(*words[:1], "--help")
            self.assertEqual(status, 0)
            for flag in words:
                if flag.startswith("--"):
                    self.assertIn(flag, output)


if __name__ == "__main__":
    report.main("cli/supervision")
