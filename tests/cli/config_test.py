#!/usr/bin/env python3
"""A configuration file says what a command line would, for one service and for several."""

import contextlib
import json
import os
import re
import signal
import socket
import sys
import threading
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests" / "support"))

import report  # noqa: E402
import watched  # noqa: E402
import wrap_peers as peers  # noqa: E402
from error_case import BAD_CERTIFICATE, NO_INPUT, OS_ERROR, USAGE, ErrorCase  # noqa: E402
from shared_certificates import certificates  # noqa: E402
from watched import PATIENCE_S, Watched, wait_until  # noqa: E402
from watched_wrap import Wrap  # noqa: E402

EXAMPLE = REPOSITORY / "tools" / "examples" / "config" / "ktls-bridge.toml"
LISTEN = 'listen = "127.0.0.1:0"\n'


def quoted(text):
    """A string in TOML."""
    return json.dumps(str(text))


def credentials():
    own = certificates()
    return f"cert = {quoted(own.chain)}\nkey = {quoted(own.key)}\n"


def is_alive(pid):
    """And no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


class ConfigCase(ErrorCase):
    def config(self, text, name="services.toml"):
        return self.file(name, text.encode())

    def assert_refused(self, place, said, text, status=USAGE, command=(), **options):
        """By one line that names the place, `place` being what follows the file's name."""
        path = self.config(text)
        ended = watched.run(*command, "--config", path, **options)
        self.assert_line(said, said, status, *ended)
        self.assertIn(f"{path}:{place}: ", ended[2])

    def backend(self, serve=peers.echo, **options):
        backend = peers.Backend(serve, **options)
        self.addCleanup(backend.close)
        return backend

    def started(self, *words, ready="started", **options):
        process = Watched(words, bare=True, ready=False, **options)
        self.addCleanup(process.kill)
        process.wait_for_event(ready)
        return process

    def client(self, address):
        host, port = address.rsplit(":", 1)
        client = peers.tls(certificates().client_context(), (host, int(port)))
        self.addCleanup(client.close)
        return client

    def exchange(self, client, data=b"hello"):
        client.sendall(data)
        self.assertEqual(peers.receive_exactly(client, len(data)), data)


class Mistakes(ConfigCase):
    def test_each_is_reported_with_its_line_and_column(self):
        wrap = f"[[wrap]]\n{LISTEN}"
        for place, said, text in (
                ("2:1", "unknown key 'listn' in [[wrap]]: is listen meant?",
                 '[[wrap]]\nlistn = ":1"\n'),
                ("3:6", "'8080': there is no port", f'{wrap}to = "8080"\n'),
                ("3:11", "--threads", f"{wrap}threads = 0\nto = ':1'\n"),
                ("3:16", "'soon' is not a duration", f"{wrap}idle-timeout = 'soon'\n"),
                ("3:9", "quiet is a switch", f"{wrap}quiet = 'yes'\n"),
                ("3:6", "to takes ADDRESS, not a boolean", f"{wrap}to = true\n"),
                ("3:14", "to takes one value", f"{wrap}to = ['a:1', 'b:2']\n"),
                ("4:6", "cannot redefine", f"{wrap}to = 'a:1'\nto = 'b:1'\n"),
                ("1:11", "--threads", f"threads = 0\n{wrap}to = 'a:1'\n"),
                ("1:1", "unknown key 'dir' above the tables", f"dir = '/'\n{wrap}to = 'a:1'\n"),
                ("1:1", "one of --to, --exec and --fd", wrap),
                ("1:1", "--listen is required", "[[serve]]\ndir = '/'\n"),
                ("3:1", "--key needs --cert", f"{wrap}key = 'x'\nto = 'a:1'\n"),
                ("3:1", "--quiet excludes --verbose",
                 f"{wrap}quiet = true\nverbose = true\nto = 'a:1'\n"),
                ("3:1", "--fd is for one connection", "[[wrap]]\nexec = false\nfd = 0\n"),
                ("3:1", "check is for the command line alone", f"{wrap}check = true\n"),
                ("1:3", "there is no command 'warp'", "[[warp]]\nto = 'a:1'\n")):
            with self.subTest(text=text):
                self.assert_refused(place, said, text)

    def test_one_that_shows_only_in_the_running_is_reported_with_its_place_too(self):
        gone = str(self.folder / "gone.pem")
        path = self.file("bad.pem", b"no certificate")
        wrap = f"[[wrap]]\n{LISTEN}to = '127.0.0.1:9'\n"
        self.assert_refused("4:8", gone, f"{wrap}cert = '{gone}'\n", NO_INPUT)
        self.assert_refused("4:8", path, f"{wrap}cert = '{path}'\n", BAD_CERTIFICATE)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = "%s:%d" % taken.getsockname()
            self.assert_refused("2:11", "Address already in use",
                                f"[[wrap]]\nlisten = ['{address}']\nto = '127.0.0.1:9'\n", OS_ERROR)

    def test_a_file_that_cannot_be_read_is_named(self):
        gone = str(self.folder / "gone.toml")
        for command in ((), ("wrap",), ("serve",)):
            self.assert_line("the file", f"--config {gone}: No such file", NO_INPUT,
                             *watched.run(*command, "--config", gone))

    def test_a_file_without_a_service_is_refused(self):
        path = self.config("threads = 2\n")
        self.assert_line("what is missing", f"{path}: there is no service", USAGE,
                         *watched.run("--config", path))

    def test_two_services_of_one_address_are_refused(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = "127.0.0.1:%d" % free.getsockname()[1]
        table = f"[[wrap]]\nlisten = '{address}'\nto = '127.0.0.1:9'\n"
        self.assert_refused("5:10", "listens there, too", table + table)

    def test_two_services_of_one_inherited_socket_are_refused(self):
        def table(address):
            return f"[[wrap]]\nlisten = '{address}'\nto = '127.0.0.1:9'\n"
        passed = {**os.environ, "LISTEN_FDS": "2", "LISTEN_FDNAMES": "a:b"}
        for one, other, environment in (("fd:3", "fd:3", None), ("systemd", "systemd", None),
                                        ("fd:3", "systemd", passed), ("systemd:b", "fd:4", passed),
                                        ("systemd", "systemd:a", passed)):
            with self.subTest(one=one, other=other):
                self.assert_refused("5:10", "listens there, too", table(one) + table(other),
                                    env=environment)

    def test_files_and_commands_that_do_not_go_together_are_refused(self):
        one = self.config(f"[[serve]]\n{LISTEN}dir = '/'\n")
        two = self.config(f"[[wrap]]\n{LISTEN}[[wrap]]\n{LISTEN}", "two.toml")
        for words, said in ((("wrap", "--config", one), "is for ktls-bridge --config"),
                            (("wrap", "--config", two), "several services"),
                            (("--config", one, "serve"), "exclude each other"),
                            (("--config", one, "--check-config", one), "exclude each other")):
            with self.subTest(words=words):
                self.assert_line("why", said, USAGE, *watched.run(*words))


class OneService(ConfigCase):
    def test_a_command_takes_the_rest_from_its_file_and_the_command_line_wins(self):
        backend = self.backend()
        path = self.config(f"{credentials()}{LISTEN}to = '127.0.0.1:9'\nlog-format = 'json'\n"
                           "max-version = 1.2\nquiet = true\n")
        wrap = self.started("wrap", "--to", backend.address, "--config", path, "--verbose",
                            ready="ready")
        with self.client(wrap.addresses[0]) as client:
            self.exchange(client)
            client.unwrap()
        line = wrap.connection()
        self.assertEqual((line["to"], line["version"][-3:]), (backend.address, "1.2"))
        self.assertNotIn("service", line)
        self.assertEqual(wrap.stop(), 0)

    def test_a_program_and_its_arguments_are_a_key(self):
        path = self.config(f"[wrap]\n{credentials()}{LISTEN}log-format = 'json'\nexec = true\n"
                           "program = ['cat', '-u']\n")
        wrap = self.started("wrap", "--config", path, ready="ready")
        with self.client(wrap.addresses[0]) as client:
            self.exchange(client)
        self.assertEqual(wrap.stop(), 0)

    def test_a_directory_is_a_key_that_the_command_line_replaces(self):
        path = self.config(f"{credentials()}{LISTEN}dir = '/nowhere'\nlog-format = 'json'\n")
        code, _, errors = watched.run("serve", "--config", path, "--check")
        self.assertEqual(code, NO_INPUT, errors)
        self.assertIn(f"{path}:4:7: ", errors)
        code, _, errors = watched.run("serve", str(self.folder), "--config", path, "--check")
        self.assertEqual(code, 0, errors)

    def test_a_file_of_one_service_runs_in_the_process_that_was_started(self):
        path = self.config(f"[[wrap]]\n{credentials()}{LISTEN}to = '{self.backend().address}'\n"
                           "log-format = 'json'\n")
        wrap = self.started("--config", path, ready="ready")
        self.assertEqual(children_of(wrap.pid), [])
        with self.client(wrap.addresses[0]) as client:
            self.exchange(client)
        self.assertEqual(wrap.stop(), 0)


def children_of(pid):
    return [int(word) for word in
            Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class Services(ConfigCase):
    """Several, of both kinds."""

    def start(self, backend=None, wrap="", serve="", **options):
        (self.folder / "hello").write_bytes(b"hello from a file")
        path = self.config(
            f"log-format = 'json'\nthreads = 1\n{credentials()}"
            f"[[wrap]]\nservice = 'echo'\n{LISTEN}to = '{(backend or self.backend()).address}'\n"
            f"{wrap}[[serve]]\ndir = {quoted(self.folder)}\n{LISTEN}{serve}")
        return self.started("--config", path, **options)

    @staticmethod
    def address_of(services, name):
        return next(record["address"] for record in services.records("listening")
                    if record["service"] == name)

    def assert_all_gone(self, pids):
        wait_until(lambda: not any(map(is_alive, pids)), "all services to end")

    def test_who_reads_the_ready_descriptor_of_one_sees_its_end(self):
        read, write = os.pipe()
        with open(read, "rb") as readiness:
            try:
                self.start(wrap=f"ready-fd = {write}\n", pass_fds=[write])
            finally:
                os.close(write)
            ended = threading.Thread(target=readiness.read, daemon=True)
            ended.start()
            ended.join(watched.PATIENCE_S)
            self.assertFalse(ended.is_alive(), "somebody has it open")

    def test_a_ready_descriptor_that_is_none_ends_all(self):
        table = f"[[wrap]]\n{LISTEN}to = '127.0.0.1:9'\nready-fd = %d\n"
        for number in (3, 4, 5, 6, 7, 8, 99):
            with self.subTest(number=number):
                path = self.config(credentials() + table % number + table % (number + 1))
                status, _, errors = watched.run("--config", path)
                self.assertEqual(status, USAGE, errors)
                self.assertIn("--ready-fd: descriptor", errors)

    def test_run_each_in_its_own_process_and_name_themselves_in_the_log(self):
        services = self.start()
        pids = children_of(services.pid)
        self.assertEqual(len(pids), 2)
        with self.client(self.address_of(services, "echo")) as client:
            self.exchange(client)
            client.unwrap()
        with self.client(self.address_of(services, "serve-1")) as client:
            client.sendall(b"GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            self.assertIn(b"hello from a file", peers.receive_all(client))
        lines = services.wait_for_event("connection", 2)
        self.assertEqual({line["service"] for line in lines}, {"echo", "serve-1"})
        self.assertEqual(services.stop(), 0)
        self.assert_all_gone(pids)

    def test_of_both_roles_share_what_stands_above_their_tables(self):
        services = self.start(wrap=f"[[wrap]]\nservice = 'out'\ncert = []\nkey = []\n{LISTEN}"
                              "client = true\nto = '127.0.0.1:9'\nname = 'localhost'\n")
        self.assertEqual(len(children_of(services.pid)), 3)
        self.assertEqual(services.stop(), 0)

    def test_all_reload_on_sighup_sent_to_the_first_process(self):
        services = self.start()
        services.send_signal(signal.SIGHUP)
        lines = services.wait_for_event("reload", 2)
        self.assertEqual({line["service"] for line in lines}, {"echo", "serve-1"})
        self.assertNotIn("error", {key for line in lines for key in line})
        self.assertEqual(services.stop(), 0)

    def test_drain_once_when_the_whole_group_is_sent_sigterm_twice_over(self):
        services = self.start(start_new_session=True)
        with self.client(self.address_of(services, "echo")) as client:
            self.exchange(client)
            os.killpg(services.pid, signal.SIGTERM)
            services.wait_for_event("draining", 3)
            for pid in children_of(services.pid):
                with contextlib.suppress(ProcessLookupError):  # one has nothing to drain
                    os.kill(pid, signal.SIGTERM)
            self.exchange(client)
            client.unwrap()
        self.assertEqual(services.wait(), 0)

    def test_a_second_signal_to_the_first_process_ends_all_at_once(self):
        services = self.start()
        pids = children_of(services.pid)
        with self.client(self.address_of(services, "echo")) as client:
            self.exchange(client)
            services.send_signal(signal.SIGTERM)
            services.wait_for_event("draining", 2)
            services.send_signal(signal.SIGINT)
            self.assertEqual(services.wait(), 128 + signal.SIGINT)
        self.assert_all_gone(pids)

    def test_none_starts_when_one_cannot(self):
        gone = str(self.folder / "gone.pem")
        path = self.config(
            f"[[wrap]]\nlog-format = 'json'\n{LISTEN}to = '{self.backend().address}'\n"
            f"[[wrap]]\n{LISTEN}to = '127.0.0.1:9'\ncert = '{gone}'\n")
        process = Watched(("--config", path), bare=True, ready=False)
        self.addCleanup(process.kill)
        self.assertEqual(process.wait(), NO_INPUT)
        complaints = [line for line in process.lines if line.startswith("ktls-bridge")]
        self.assertEqual(len(complaints), 1, process.text())
        self.assertTrue(complaints[0].startswith(f"ktls-bridge wrap: {path}:8:8: "), complaints)
        self.assertEqual(process.records("started"), [])

    def test_the_others_end_with_one_that_ends_unasked(self):
        services = self.start()
        pids = children_of(services.pid)
        os.kill(pids[0], signal.SIGKILL)
        self.assertEqual(services.wait(), OS_ERROR)
        (line,) = services.records("service_ended")
        self.assertEqual(line["signal"], "SIGKILL")
        self.assert_all_gone(pids)

    def test_all_end_when_the_first_process_is_killed(self):
        services = self.start()
        pids = children_of(services.pid)
        services.send_signal(signal.SIGKILL)
        self.assert_all_gone(pids)

    def test_a_signal_before_all_are_ready_ends_all(self):
        held_back = self.folder / "held-back.pem"  # by whoever reads what nobody writes
        os.mkfifo(held_back)
        table = f"[[wrap]]\n{LISTEN}to = '127.0.0.1:9'\n"
        path = self.config(f"log-format = 'json'\n{table}{table}{table}"
                           f"cert = {quoted(held_back)}\n")
        process = Watched(("--config", path), bare=True, ready=False)
        self.addCleanup(process.kill)
        wait_until(lambda: len(children_of(process.pid)) == 3, "all services to begin")
        pids = children_of(process.pid)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(), 0, process.text())
        self.assertEqual(len(process.records("draining")), 1, process.text())
        self.assertEqual(process.records("started"), [])
        self.assert_all_gone(pids)


class Checked(ConfigCase):
    def check(self, text):
        return watched.run("--check-config", self.config(text))

    def test_a_good_file_is_said_to_be_good(self):
        code, output, errors = self.check(
            f"[[wrap]]\n{credentials()}{LISTEN}to = '{self.backend().address}'\n"
            f"[[serve]]\n{credentials()}{LISTEN}dir = '/'\n")
        self.assertEqual((code, output), (0, ""), errors)
        self.assertTrue(errors.endswith("services.toml is good\n"), errors)

    def test_a_service_that_runs_is_no_mistake(self):
        to = self.backend().address
        with Wrap(to=to) as one, Wrap(to=to) as other:
            busy = {"wrap": one.addresses[0], "serve": other.addresses[0]}
            code, output, errors = self.check(
                f"[[wrap]]\n{credentials()}listen = '{busy['wrap']}'\nto = '{to}'\n"
                f"[[serve]]\n{credentials()}listen = '{busy['serve']}'\ndir = '/'\n")
        self.assertEqual((code, output), (0, ""), errors)
        for command, address in busy.items():
            self.assertIn(f"ktls-bridge {command}: {address} is in use, ", errors)
        self.assertTrue(errors.endswith("services.toml is good\n"), errors)

    def test_what_check_finds_of_each_service_has_its_place(self):
        with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as closed:
            address = "127.0.0.1:%d" % closed.getsockname()[1]
        code, _, errors = self.check(
            f"[[wrap]]\n{LISTEN}to = '{address}'\n[[serve]]\n{LISTEN}dir = '/nowhere'\n")
        self.assertEqual(code, 69, errors)
        self.assertIn("services.toml:3:6: ", errors)
        self.assertIn("services.toml:6:7: ", errors)
        self.assertNotIn("is good", errors)

    def test_the_example_is_good_where_its_files_are(self):
        text = EXAMPLE.read_text()
        own = certificates()
        for suffix, path in (("key", own.key), ("pem", own.chain)):
            text = re.sub(rf'"/etc/ktls-bridge/[\w-]+\.{suffix}"', quoted(path), text)
        text = text.replace('"/srv/www"', quoted(self.folder))
        text = text.replace("/var/log/ktls-bridge", str(self.folder))
        text = re.sub(r'"(0\.0\.0\.0|127\.0\.0\.1|\[::\])?:(993|5432|443|80)"',
                      '"127.0.0.1:0"', text)
        for port in (143, 5433):
            text = re.sub(rf'"[\w.]+:{port}"', quoted(self.backend().address), text)
        self.assertNotIn("/etc/", text.split("\n", 2)[2])
        code, _, errors = self.check(text)
        self.assertEqual(code, 0, errors)


if __name__ == "__main__":
    report.main("cli/config")
