#!/usr/bin/env python3
"""`ktls-bridge run`: how a program is started, what reaches it, how it ends, and what is left."""

import contextlib
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import report  # noqa: E402
import wrap_peers as peers  # noqa: E402
from error_case import UNAVAILABLE, USAGE, ErrorCase  # noqa: E402
from shared_certificates import certificates  # noqa: E402
from watched import BINARY, BUILD, NOBODY, PATIENCE_S, hear_hangups, run  # noqa: E402

TOLD_PROGRAM = Path(__file__).resolve().parents[1] / "preload" / "told_program.py"
# Where its cache is empty it compiles the network part of its library.
GO_BUILDS_S = 120

# Says each signal that it gets, and ends by SIGTERM.
SIGNALLED = """
import os, signal, sys, time
def told(number, _):
    os.write(1, f"{signal.Signals(number).name}\\n".encode())
    if number == signal.SIGTERM:
        os._exit(3)
for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2,
             signal.SIGRTMIN):
    signal.signal(each, told)
os.write(1, b"ready\\n")
while True:
    signal.pause()
"""
# Ignores SIGPIPE and SIGCHLD and blocks SIGUSR1, as whoever starts it has chosen.
IGNORING = """
import os, signal, sys
signal.signal(signal.SIGPIPE, signal.SIG_IGN)
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # which Python ignores
signal.pthread_sigmask(signal.SIG_SETMASK, {signal.SIGUSR1})
os.execv(sys.argv[1], sys.argv[1:])
"""
# Leaves orphans that have ended, and waits until whoever is the first process has reaped them all;
# says how many there were.
ORPHANING = """
import os, time
ends = []
for _ in range(3):
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        if os.fork() == 0:
            while os.getppid() != 1:
                time.sleep(0.01)
        else:
            os.close(read)
        os._exit(0)
    os.waitpid(child, 0)
    os.close(write)
    os.read(read, 1)
    ends.append(read)
others = lambda: {each for each in os.listdir("/proc") if each.isdigit()} - {"1", str(os.getpid())}
deadline = time.monotonic() + 10
while others() and time.monotonic() < deadline:
    time.sleep(0.01)
print(len(ends), len(others()), flush=True)
os._exit(7)
"""
# Echoes one connection after the other, until one brings "end".
ECHO = """
import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("ready", flush=True)
data = b""
while data != b"end":
    sock, _ = listener.accept()
    with sock:
        data = sock.recv(100)
        sock.sendall(data)
"""


def python(code, *arguments):
    return sys.executable, "-c", code, *arguments


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


class RunCase(ErrorCase):
    subcommand = "run"

    def start(self, *words, before=(), **options):
        """Of the program, standard output; of both, standard error."""
        process = subprocess.Popen([*before, BINARY, "run", *words], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
        self.addCleanup(self.end, process)
        return process

    def ran_ignoring(self, *words):
        """As ran(), of a `run` that was started with other signals than is usual."""
        return self.wait(self.start(*words, before=python(IGNORING)))

    @staticmethod
    def end(process):
        if process.poll() is None:
            process.kill()
            process.wait()
        for stream in (process.stdout, process.stderr):
            stream.close()

    @staticmethod
    def wait(process):
        """(status, the rest of standard output, standard error)."""
        output, errors = process.communicate(timeout=PATIENCE_S)
        return process.returncode, output.decode(), errors.decode()

    def ran(self, *words, **options):
        return self.wait(self.start(*words, **options))


class Starting(RunCase):
    def test_what_is_wrong_is_said_in_one_line(self):
        for said, arguments in (
                ("a program is needed", ("--listen", "443")),
                ("--listen and --connect", ("--", "true")),
                ("'0' is no port", ("--listen", "0", "--", "true")),
                ("'http' is no port", ("--listen", "80,http", "--", "true")),
                ("needs []", ("--connect", "::1", "--", "true")),
                ("--ca needs --connect", ("--listen", "1", "--ca", "x", "--", "true")),
                ("need --listen", ("--connect", "*", "--cert", "x", "--", "true"))):
            with self.subTest(arguments=arguments):
                self.assert_one_line("the fault", said, USAGE, *arguments)

    def test_programs_that_cannot_be_run_have_the_statuses_of_a_shell(self):
        text = self.file("text", b"no program\n")
        self.assert_one_line("its name", "nosuchprogram", 127, "--connect", "*", "--",
                             "nosuchprogram")
        self.assert_one_line("its path", "/no/such", 127, "--connect", "*", "--", "/no/such")
        self.assert_one_line("its path", text, 126, "--connect", "*", "--", text)
        os.chmod(text, 0o755)
        self.assert_one_line("its path", text, 126, "--connect", "*", "--", text)

    def test_a_library_that_is_not_there_is_said_with_both_its_places(self):
        folder = self.folder / "bin" / "ktls-bridge"
        folder.mkdir(parents=True)
        binary = shutil.copy(BINARY, folder)
        code, output, errors = run("run", "--connect", "*", "--", "true", binary=binary)
        self.assert_line("the places", "/preload/libktls-bridge-preload.so", UNAVAILABLE, code,
                         output, errors)
        self.assertEqual(errors.count("libktls-bridge-preload.so"), 2, errors)

    @unittest.skipUnless(shutil.which("cc"), "no C compiler")
    def test_a_program_that_the_library_cannot_be_loaded_into_is_refused(self):
        source = self.file("static.c", b"int main(void) { return 0; }\n")
        program = str(self.folder / "static")
        subprocess.run(["cc", "-static", "-o", program, source], check=True, timeout=PATIENCE_S)
        self.assert_one_line("why", "statically linked", UNAVAILABLE, "--connect", "*", "--",
                             program)
        self.assert_one_line("what to do", "`ktls-bridge wrap`", UNAVAILABLE, "--listen", "1",
                             "--", program)

    def assert_refuses(self, said, program, before=()):
        for arguments in (("--connect", "*"), ("--listen", "1")):
            code, output, errors = run("run", *arguments, "--", program, before=before)
            self.assert_line("why", said, UNAVAILABLE, code, output, errors)

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_a_program_with_the_rights_of_another_user_is_refused(self):
        program = shutil.copy(shutil.which("true"), self.folder / "other")
        os.chown(program, NOBODY, NOBODY)
        os.chmod(program, 0o4755)
        self.assert_refuses("is setuid", program)
        os.chmod(program, 0o2755)
        self.assert_refuses("is setgid", program)

    @unittest.skipUnless(shutil.which("cc"), "no C compiler")
    def test_a_program_that_is_linked_with_liburing_is_refused(self):
        program = str(self.folder / "rings")
        subprocess.run(["cc", "-x", "c", "-", "-o", program, "-Wl,--no-as-needed", "-luring"],
                       check=True, input=b"int main(void) { return 0; }\n", timeout=PATIENCE_S)
        self.assert_refuses("uses io_uring (liburing.so", program)

    @unittest.skipUnless(shutil.which("go"), "no Go here")
    def test_a_program_of_go_is_refused(self):
        source = self.file("plain.go", b'package main\nimport _ "net"\nfunc main() {}\n')
        program = str(self.folder / "plain")
        subprocess.run(["go", "build", "-o", program, source], check=True, timeout=GO_BUILDS_S,
                       env={**os.environ, "GO111MODULE": "off", "GOFLAGS": "",
                            "GOCACHE": str(BUILD.resolve() / "go-cache")})
        self.assert_refuses("is a Go program", program)

    def test_under_a_filter_that_forbids_what_the_library_needs_nothing_is_run(self):
        before = (sys.executable, "-B", str(TOLD_PROGRAM), "forbid", "become")
        self.assert_refuses("would inherit a seccomp filter that forbids socketpair", "true",
                            before)

    def test_the_environment_tells_the_library_what_to_do(self):
        told = ("printenv LD_PRELOAD KTLS_BRIDGE_LISTEN KTLS_BRIDGE_CONNECT; "
                "readlink /proc/self/fd/$KTLS_BRIDGE_CHANNEL; echo ${KTLS_BRIDGE_BROKER-none}")
        code, output, _ = self.ran("--listen", "1,2", *certificates().server_flags, "--connect",
                                   "*:3,[::1]", "--", "sh", "-c", told,
                                   env={**os.environ, "KTLS_BRIDGE_BROKER": "/elsewhere"})
        self.assertEqual(code, 0)
        library, listen, connect, channel, broker = output.splitlines()
        self.assertTrue(library.endswith("/libktls-bridge-preload.so"), library)
        self.assertEqual((listen, connect, broker), ("1,2", "*:3,[::1]", "none"))
        self.assertTrue(channel.startswith("socket:"), channel)

    def test_inherited_descriptors_are_the_programs(self):
        read, write = os.pipe()
        with open(read, "rb") as pipe:
            code, _, errors = self.ran("--connect", "*", "--", "sh", "-c", f"echo hi >&{write}",
                                       pass_fds=(write,))
            os.close(write)
            self.assertEqual((code, errors, pipe.read()), (0, "", b"hi\n"))


class Ending(RunCase):
    def test_the_exit_status_is_that_of_the_program(self):
        for script, status in (("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137),
                               ("kill -TERM $$", 143)):
            with self.subTest(script=script):
                code, output, errors = self.ran("--connect", "*", "--", "sh", "-c", script)
                self.assertEqual((code, output, errors), (status, "", ""))

    def test_nothing_is_left_when_the_program_has_ended(self):
        process = self.start("--connect", "*", "--", "true", start_new_session=True)
        self.assertEqual(self.wait(process)[0], 0)
        with self.assertRaises(ProcessLookupError):
            os.killpg(process.pid, 0)

    def leave_a_child(self):
        """A run whose program has ended with status 5, and the child that goes on."""
        process = self.start("--connect", "*", "--log-level", "info", "--", "sh", "-c",
                             "sleep 1000 >/dev/null 2>&1 & echo $!; exit 5")
        child = int(process.stdout.readline())
        self.addCleanup(self.kill, child)
        for line in process.stderr:
            if b" program_ended " in line:
                self.assertIn(b"exit=5", line)
                return process, child
        raise AssertionError("ended without the line program_ended")

    @staticmethod
    def kill(child):
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)

    def test_the_broker_goes_on_while_children_of_the_program_do(self):
        process, child = self.leave_a_child()
        self.assertIsNone(process.poll())
        os.kill(child, signal.SIGKILL)
        self.assertEqual(self.wait(process)[0], 5)

    def test_a_signal_ends_it_after_the_program(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number=number):
                process, child = self.leave_a_child()
                process.send_signal(number)
                self.assertEqual(self.wait(process)[0], 5)
                os.kill(child, 0)  # which is another's business

    def test_ports_on_which_nobody_has_listened_are_named(self):
        code, _, errors = self.ran("--listen", "7,9", *certificates().server_flags, "--", "true")
        self.assertEqual(code, 0)
        self.assertEqual(re.findall(r"warning unused listen=(\d+)", errors), ["7", "9"], errors)


@unittest.skipUnless(os.geteuid() == 0, "a namespace of processes needs root")
class FirstProcess(RunCase):
    def test_it_reaps_whoever_was_left_and_knows_how_the_program_ended(self):
        isolated = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
        if subprocess.run([*isolated, "true"], capture_output=True, timeout=PATIENCE_S,
                          check=False).returncode != 0:
            self.skipTest("namespaces of processes are not allowed here")
        process = self.start("--connect", "*", "--", *python(ORPHANING), before=isolated)
        self.assertEqual(self.wait(process), (7, "3 0\n", ""))


class Signals(RunCase):
    def test_signals_that_processes_send_are_passed_on(self):
        process = self.start("--connect", "*", "--", *python(SIGNALLED))
        self.assertEqual(process.stdout.readline(), b"ready\n")
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2,
                       signal.SIGRTMIN, signal.SIGTERM):
            process.send_signal(number)
            self.assertEqual(process.stdout.readline().decode().strip(), number.name)
        self.assertEqual(self.wait(process), (3, "", ""))

    def test_what_the_program_sends_to_its_group_does_not_come_back(self):
        script = SIGNALLED.replace("while True:", "os.killpg(0, signal.SIGUSR1)\nwhile True:")
        process = self.start("--connect", "*", "--", *python(script), start_new_session=True)
        self.assertEqual(process.stdout.readline(), b"ready\n")
        self.assertEqual(process.stdout.readline(), b"SIGUSR1\n")
        process.terminate()
        self.assertEqual(self.wait(process)[1], "SIGTERM\n")

    def test_what_a_terminal_sends_reaches_the_program_once(self):
        pid, terminal = pty.fork()
        if pid == 0:
            os.execv(BINARY, [BINARY, "run", "--connect", "*", "--", *python(SIGNALLED)])
        self.addCleanup(os.close, terminal)
        seen = self.read_until(terminal, b"ready")
        os.write(terminal, b"\x03")
        seen += self.read_until(terminal, b"SIGINT")
        # Signals are passed on in the order of their numbers: one more SIGINT would be seen first.
        os.kill(pid, signal.SIGUSR1)
        seen += self.read_until(terminal, b"SIGUSR1")
        os.kill(pid, signal.SIGTERM)
        seen += self.read_until(terminal, b"SIGTERM")
        self.assertEqual(seen.count(b"SIGINT"), 1, seen)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 3)

    def read_until(self, terminal, wanted):
        seen = b""
        deadline = time.monotonic() + PATIENCE_S
        while wanted not in seen:
            self.assertLess(time.monotonic(), deadline, seen)
            seen += os.read(terminal, 1000)
        return seen


    def test_what_was_ignored_or_blocked_before_is_so_in_the_program(self):
        hear_hangups(self)
        words = ("--connect", "*", "--", "grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status")
        bits = [1 << (number - 1) for number in (signal.SIGUSR1, signal.SIGPIPE, signal.SIGCHLD)]
        for ran, blocked, ignored in ((self.ran, 0, 0),
                                      (self.ran_ignoring, bits[0], bits[1] | bits[2])):
            code, output, errors = ran(*words)
            self.assertEqual((code, errors), (0, ""))
            self.assertEqual(output.split(),
                             ["SigBlk:", f"{blocked:016x}", "SigIgn:", f"{ignored:016x}"])

    def test_the_exit_status_is_known_where_the_end_of_children_was_ignored(self):
        code, _, errors = self.ran_ignoring("--connect", "*", "--", "sh", "-c", "exit 7")
        self.assertEqual((code, errors), (7, ""))


class Serving(RunCase):
    def test_a_connection_becomes_tls_and_one_line_says_that_the_kernel_does_none(self):
        port = free_port()
        process = self.start("--listen", str(port), *certificates().server_flags, "--",
                             *python(ECHO, str(port)))
        self.assertEqual(process.stdout.readline(), b"ready\n")
        for text in (b"one", b"two", b"end"):
            with peers.tls(certificates().client_context(), ("127.0.0.1", port)) as stream:
                stream.sendall(text)
                self.assertEqual(stream.recv(100), text)
                self.assertEqual(stream.recv(100), b"")  # close_notify
        code, _, errors = self.wait(process)
        self.assertEqual(code, 0, errors)
        if errors:
            self.assertEqual(errors.count("\n"), 1, errors)
            self.assertRegex(errors, r" warning relayed reason=\w+ detail=")
        else:
            self.assertTrue(has_kernel_tls(), "nothing said that there is no kernel TLS")

    def test_what_is_relayed_is_said_once_for_all_connections(self):
        port = free_port()
        process = self.start("--listen", str(port), "--offload", "never",
                             *certificates().server_flags, "--", *python(ECHO, str(port)))
        self.assertEqual(process.stdout.readline(), b"ready\n")
        for text in (b"one", b"two", b"end"):
            with peers.tls(certificates().client_context(), ("127.0.0.1", port)) as stream:
                stream.sendall(text)
                self.assertEqual(stream.recv(100), text)
                self.assertEqual(stream.recv(100), b"")
        code, _, errors = self.wait(process)
        self.assertEqual((code, errors.count("\n")), (0, 1), errors)
        self.assertRegex(errors, r" warning relayed reason=\w+ detail=")


def has_kernel_tls():
    available = Path("/proc/sys/net/ipv4/tcp_available_ulp").read_text(encoding="ascii")
    return "tls" in available.split()


if __name__ == "__main__":
    report.main("cli/run")
