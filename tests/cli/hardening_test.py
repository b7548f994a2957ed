#!/usr/bin/env python3
"""What `wrap` and `serve` give away once they have begun: the user, system calls, files, and what a
core dump of theirs would hold."""

import contextlib
import ctypes
import os
import platform
import resource
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import report  # noqa: E402
import wrap_peers as peers  # noqa: E402
from memory_search import Number, private_numbers, search  # noqa: E402
from shared_certificates import certificates  # noqa: E402
from watched import BINARY, NOBODY, Watched, run, wait_until  # noqa: E402
from watched_wrap import Wrap  # noqa: E402
from wrap_tls_stream import Truncated  # noqa: E402

LOOPS = ("io_uring", "epoll")
IS_ROOT = os.geteuid() == 0
CORE_PATTERN = Path("/proc/sys/kernel/core_pattern")
RELOADED = "reload"
LIBC = ctypes.CDLL(None)
# System calls by number, and what they are asked for.
SECCOMP = {"x86_64": 317, "aarch64": 277}
SECCOMP_GET_ACTION_AVAIL, SECCOMP_RET_ERRNO = 2, 0x50000
LANDLOCK_CREATE_RULESET, LANDLOCK_CREATE_RULESET_VERSION = 444, 1


def kernel_has_seccomp():
    """And lets this process, and so a service of it, use it."""
    action = ctypes.c_uint32(SECCOMP_RET_ERRNO)
    return LIBC.syscall(ctypes.c_long(SECCOMP[platform.machine()]),
                        ctypes.c_uint(SECCOMP_GET_ACTION_AVAIL), ctypes.c_uint(0),
                        ctypes.byref(action)) == 0


def kernel_has_landlock():
    """Likewise."""
    return LIBC.syscall(ctypes.c_long(LANDLOCK_CREATE_RULESET), None, ctypes.c_size_t(0),
                        ctypes.c_uint32(LANDLOCK_CREATE_RULESET_VERSION)) > 0


def status_of(task):
    """The fields of a task's status, by name."""
    lines = Path(task, "status").read_text(encoding="ascii").splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def unlimited_core():
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))


class HardeningCase(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.keys = self.folder / "keys"
        self.keys.mkdir()
        self.chain, self.key = self.keys / "chain.pem", self.keys / "key.pem"
        self.install(certificates(copy=1))

    def install(self, credentials):
        for source, target in ((credentials.chain, self.chain), (credentials.key, self.key)):
            beside = self.folder / "beside"
            shutil.copy(source, beside)
            os.replace(beside, target)

    def started(self, kind, *arguments, **options):
        service = kind(*arguments, **options)
        self.addCleanup(service.kill)
        return service

    def wrap(self, *arguments, **options):
        if "to" not in options:
            backend = peers.Backend(peers.echo)
            self.addCleanup(backend.close)
            options["to"] = backend.address
        return self.started(Wrap, "--cert", str(self.chain), "--key", str(self.key), *arguments,
                            **options)

    def exchange(self, service, credentials=None):
        context = (credentials or certificates(copy=1)).client_context()
        with peers.tls(context, service.endpoint) as client:
            client.sendall(b"hello")
            self.assertEqual(peers.receive_exactly(client, 5), b"hello")
            client.unwrap()

    def reload(self, service):
        """The line that answers one SIGHUP."""
        before = len(service.records(RELOADED))
        service.send_signal(signal.SIGHUP)
        return service.wait_for_event(RELOADED, before + 1)[before]

    @staticmethod
    def tasks(service):
        return [status_of(task) for task in Path(f"/proc/{service.pid}/task").iterdir()]

    def sandbox_line(self, service):
        lines = service.records("sandbox")
        self.assertEqual(len(lines), 1)
        return lines[0]


class Sandbox(HardeningCase):
    def require(self, service, what, is_there):
        """Skips where the service has to do without, and fails where it could have had it."""
        line = self.sandbox_line(service)
        if "reason" in line:
            self.skipTest(line["reason"])
        if not is_there:
            self.assertFalse(line[what], line)
            self.skipTest(line[f"{what}_reason"])
        self.assertTrue(line[what], line)

    def assert_filtered(self, service):
        self.require(service, "seccomp", kernel_has_seccomp())
        for task in self.tasks(service):
            self.assertEqual((task["Seccomp"], task["NoNewPrivs"]), ("2", "1"), task["Name"])

    def require_landlock(self, service):
        self.require(service, "landlock", kernel_has_landlock())

    def test_every_thread_of_wrap_has_the_filter_and_serves(self):
        for loop in LOOPS:
            with self.subTest(loop=loop):
                wrap = self.wrap("--loop", loop, threads=3)
                self.exchange(wrap)
                self.assert_filtered(wrap)
                self.assertEqual(wrap.stop(), 0)

    def test_every_thread_of_serve_has_the_filter_and_its_log_is_opened_again(self):
        (self.folder / "site").mkdir()
        (self.folder / "site" / "index.html").write_text("hello")
        (self.folder / "logs").mkdir()
        log = self.folder / "logs" / "access.log"
        serve = self.started(Watched, ("serve", str(self.folder / "site")), "--cert",
                             str(self.chain), "--key", str(self.key), "--access-log", str(log))
        self.assert_filtered(serve)
        for number in (1, 2):
            with peers.tls(certificates(copy=1).client_context(), serve.endpoint) as client:
                client.sendall(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
                self.assertIn(b"hello", peers.receive_all(client))
            if number == 1:
                wait_until(log.read_text, "a line in the access log")
                log.rename(log.with_suffix(".1"))
                self.reload(serve)
        wait_until(lambda: log.exists() and log.read_text(), "a line in the new log")
        self.assertEqual(serve.records("access_log"), [])
        self.assertEqual(serve.stop(), 0)

    def test_no_sandbox_turns_both_off_and_says_so(self):
        wrap = self.wrap("--no-sandbox")
        line = self.sandbox_line(wrap)
        self.assertEqual((line["seccomp"], line["landlock"], line["reason"]),
                         (False, False, "--no-sandbox"))
        for task in self.tasks(wrap):
            self.assertEqual((task["Seccomp"], task["NoNewPrivs"]), ("0", "0"))

    def test_certificates_are_reloaded_from_where_they_are(self):
        for loop in LOOPS:
            with self.subTest(loop=loop):
                self.install(certificates(copy=1))
                wrap = self.wrap("--loop", loop)
                self.install(certificates(copy=2))
                self.assertEqual(self.reload(wrap)["level"], "info")
                self.exchange(wrap, certificates(copy=2))

    def link_elsewhere(self):
        """As a deployment that puts each release into a new directory."""
        elsewhere = self.folder / "elsewhere"
        elsewhere.mkdir()
        for file in (self.chain, self.key):
            shutil.copy(file, elsewhere / file.name)
            file.unlink()
            file.symlink_to(elsewhere / file.name)
        return elsewhere

    def test_a_link_to_elsewhere_is_not_followed_and_the_old_certificate_stays(self):
        wrap = self.wrap()
        self.require_landlock(wrap)
        self.link_elsewhere()
        line = self.reload(wrap)
        self.assertEqual(line["level"], "error")
        self.assertIn("Permission denied", line["error"])
        self.assertIn("name the place by --sandbox-read", line["hint"])
        self.exchange(wrap)

    def test_a_link_is_followed_to_where_sandbox_read_names(self):
        wrap = self.wrap("--sandbox-read", str(self.folder))
        self.link_elsewhere()
        self.assertEqual(self.reload(wrap)["level"], "info")
        self.exchange(wrap)

    def test_a_new_version_beside_the_file_that_was_linked_to_is_found(self):
        elsewhere = self.link_elsewhere()
        wrap = self.wrap()
        for name, source in (("chain.pem", certificates(copy=2).chain),
                             ("key.pem", certificates(copy=2).key)):
            shutil.copy(source, elsewhere / f"2-{name}")
            (self.keys / name).unlink()
            (self.keys / name).symlink_to(elsewhere / f"2-{name}")
        self.assertEqual(self.reload(wrap)["level"], "info")
        self.exchange(wrap, certificates(copy=2))

    def test_each_link_on_the_way_to_the_file_may_be_replaced(self):
        elsewhere = self.link_elsewhere()
        between = self.folder / "between"
        between.mkdir()
        for name in ("chain.pem", "key.pem"):
            (between / name).symlink_to(f"../elsewhere/{name}")
            (self.keys / name).unlink()
            (self.keys / name).symlink_to(between / name)
        wrap = self.wrap()
        for folder, copy in ((between, 2), (elsewhere, 3), (self.keys, 1)):
            for name, source in (("chain.pem", certificates(copy=copy).chain),
                                 ("key.pem", certificates(copy=copy).key)):
                shutil.copy(source, beside := self.folder / "beside")
                os.replace(beside, folder / name)
            if folder is elsewhere:
                for name in ("chain.pem", "key.pem"):
                    (between / name).unlink()
                    (between / name).symlink_to(elsewhere / name)
            self.assertEqual(self.reload(wrap)["level"], "info", folder)
            self.exchange(wrap, certificates(copy=copy))

    def test_the_files_of_unix_sockets_are_removed_at_the_end(self):
        path = self.folder / "sockets" / "wrap.sock"
        path.parent.mkdir()
        wrap = self.wrap(listen=f"unix:{path}")
        self.assertTrue(path.exists())
        self.assertEqual(wrap.stop(), 0)
        self.assertFalse(path.exists())

    def test_the_system_s_trust_store_is_read_when_a_certificate_asks_for_it(self):
        server = peers.Backend(context=certificates().server_context())
        self.addCleanup(server.close)
        store, links = self.folder / "authorities", self.folder / "links"
        store.mkdir()
        links.mkdir()
        shutil.copy(certificates().ca, store / "test.pem")
        name = subprocess.run(["openssl", "x509", "-in", certificates().ca, "-noout",
                               "-subject_hash"], check=True, capture_output=True,
                              timeout=60).stdout.decode().strip()
        (links / f"{name}.0").symlink_to(store / "test.pem")
        wrap = self.started(Wrap, "--client", "--name", "localhost", to=server.address,
                            env={**os.environ, "SSL_CERT_DIR": str(links),
                                 "SSL_CERT_FILE": str(self.folder / "none")})
        with peers.tcp(wrap.endpoint) as client:
            client.sendall(b"hello")
            self.assertEqual(peers.receive_exactly(client, 5), b"hello")

    def test_programs_of_exec_have_no_filter(self):
        words = ("sh", "-c", "grep -E '^(Seccomp|NoNewPrivs):' /proc/self/status")
        wrap = self.started(Watched, ("wrap", "--exec", "--cert", str(self.chain), "--key",
                                      str(self.key)), "--", *words)
        with peers.tls(certificates(copy=1).client_context(), wrap.endpoint) as client:
            self.assertEqual(peers.receive_all(client).split(),
                             [b"NoNewPrivs:", b"0", b"Seccomp:", b"0"])
        line = self.sandbox_line(wrap)
        self.assertEqual((line["seccomp"], line["landlock"]), (False, False))
        self.assertIn("inherit", line["reason"])


class User(HardeningCase):
    def readable(self, is_readable):
        os.chmod(self.folder, 0o755)
        for file in (self.chain, self.key):
            os.chown(file, NOBODY if is_readable else 0, -1)
            os.chmod(file, 0o400)

    @unittest.skipUnless(IS_ROOT, "only root becomes somebody else")
    def test_the_service_goes_on_as_the_user_with_no_other_groups(self):
        for loop in LOOPS:
            with self.subTest(loop=loop):
                self.readable(True)
                wrap = self.wrap("--loop", loop, "--user", str(NOBODY), "--group", str(NOBODY),
                                 extra_groups=(0, 1), listen=(f"unix:{self.folder}/socket",
                                                              "127.0.0.1:0"))
                ids = "\t".join([str(NOBODY)] * 4)
                for task in self.tasks(wrap):
                    self.assertEqual((task["Uid"], task["Gid"], task["Groups"].strip()),
                                     (ids, ids, ""))
                    self.assertEqual(int(task["CapEff"], 16), 0)
                line = self.sandbox_line(wrap)
                self.assertEqual((line["uid"], line["gid"]), (NOBODY, NOBODY))
                self.assertEqual(wrap.records("unreadable"), [])
                self.assertEqual(self.reload(wrap)["level"], "info")
                port = int(wrap.addresses[1].rsplit(":", 1)[1])
                with peers.tls(certificates(copy=1).client_context(),
                               ("127.0.0.1", port)) as client:
                    client.sendall(b"hello")
                    self.assertEqual(peers.receive_exactly(client, 5), b"hello")
                # The file of the socket stays, because nobody may not write to its directory; the
                # next one takes its place.
                self.assertEqual(wrap.stop(), 0)
                self.assertTrue((self.folder / "socket").exists())

    @unittest.skipUnless(IS_ROOT, "only root becomes somebody else")
    def test_what_the_user_cannot_read_again_is_named(self):
        self.readable(False)
        wrap = self.wrap("--user", str(NOBODY), "--group", str(NOBODY))
        lines = wrap.records("unreadable")
        self.assertEqual([line["file"] for line in lines], [str(self.chain), str(self.key)])
        self.assertEqual({line["error"] for line in lines}, {"Permission denied"})
        self.assertEqual(self.reload(wrap)["level"], "error")
        self.exchange(wrap)

    def test_a_user_that_is_not_there_is_an_error_of_usage(self):
        for command in (("wrap", "--to", "127.0.0.1:1"), ("serve", str(self.folder))):
            status, _, error = run(*command, "--listen", "127.0.0.1:0", "--user", "nobody-at-all")
            self.assertEqual((status, error.splitlines()),
                             (64, [f"ktls-bridge {command[0]}: --user: there is no user "
                                   "'nobody-at-all'"]))

    def test_whoever_is_not_root_cannot_become_somebody_else(self):
        if IS_ROOT:
            os.chmod(self.folder, 0o755)
            somebody = {"binary": shutil.copy(BINARY, self.folder), "user": NOBODY,
                        "group": NOBODY, "extra_groups": ()}
        else:
            somebody = {}
        status, _, error = run("wrap", "--to", "127.0.0.1:1", "--listen", "127.0.0.1:0", "--user",
                               "root", **somebody)
        self.assertEqual(status, 71)
        self.assertIn("--user root: setgroups: Operation not permitted", error)


class Core(HardeningCase):
    def crash(self, wrap):
        """While handshakes go on; the cores that there are then."""
        ending = threading.Event()

        def visit():
            while not ending.is_set():
                with contextlib.suppress(OSError, ssl.SSLError, Truncated):
                    self.exchange(wrap)

        visitor = threading.Thread(target=visit, daemon=True)
        visitor.start()
        wait_until(lambda: len(wrap.connections()) > 5, "handshakes")
        os.kill(wrap.pid, signal.SIGSEGV)
        self.assertEqual(wrap.wait(), -signal.SIGSEGV)
        ending.set()
        visitor.join()
        return sorted(self.folder.glob("core*"))

    def require_core_files(self):
        if not IS_ROOT and resource.getrlimit(resource.RLIMIT_CORE)[1] == 0:
            self.skipTest("the limit of core dumps is 0")
        pattern = CORE_PATTERN.read_text(encoding="utf-8")
        if pattern[0] in "|/@":
            self.skipTest("cores go elsewhere: " + pattern.strip())

    def busy_wrap(self, *flags):
        wrap = self.wrap("--offload", "never", *flags, cwd=self.folder,
                         preexec_fn=unlimited_core)
        if "sanitizer" in self.sandbox_line(wrap).get("reason", ""):
            self.skipTest("a sanitizer ends the process itself, without a core")
        return wrap

    def test_a_crash_leaves_no_core(self):
        wrap = self.busy_wrap()
        limits = Path(f"/proc/{wrap.pid}/limits").read_text(encoding="ascii")
        core = next(line for line in limits.splitlines() if line.startswith("Max core"))
        self.assertEqual(core.split()[4:6], ["0", "0"])
        self.assertEqual(self.crash(wrap), [])

    def traffic_secrets(self, log):
        words = [line.split() for line in log.read_text(encoding="ascii").splitlines()]
        return [Number(line[0], int(line[2], 16), len(line[2]) // 2) for line in words
                if line[0].endswith("TRAFFIC_SECRET_0")]

    def secrets(self, wrap, log):
        """{name of a form: bytes} of those of a connection that goes on, and the private key."""
        context = certificates(copy=1).client_context()
        context.keylog_filename = str(log)
        steady = peers.tls(context, wrap.endpoint)
        self.addCleanup(steady.close)
        steady.sendall(b"hello")
        self.assertEqual(peers.receive_exactly(steady, 5), b"hello")
        numbers = [*private_numbers(self.key), *self.traffic_secrets(log)]
        self.assertEqual(len(numbers), 3)
        forms = {f"{number.name}, {form}": value for number in numbers
                 for form, value in number.forms.items()}
        found, _ = search(wrap.pid, forms)
        for number in numbers:
            self.assertTrue(any(found[f"{number.name}, {form}"] for form in number.forms),
                            f"{number.name} is not even in the process: {found}")
        return {**forms, "the file of the key": self.key.read_bytes()[40:80]}

    def core_of(self, wrap):
        cores = self.crash(wrap)
        self.assertEqual(len(cores), 1)
        content = cores[0].read_bytes()
        cores[0].unlink()
        self.assertEqual(content[:4], b"\x7fELF")
        self.assertIn(b"ktls-bridge", content)  # the list of files: it is no empty core
        return content

    @unittest.skipUnless(IS_ROOT, "reading the memory of others needs root")
    def test_a_core_of_a_busy_process_has_no_secrets(self):
        self.require_core_files()
        os.chmod(self.folder, 0o777)  # the core is written as the user
        another = ("--user", str(NOBODY), "--group", str(NOBODY))
        for loop, user in zip(LOOPS, ((), another)):
            with self.subTest(loop=loop, user=user):
                wrap = self.busy_wrap("--core", "--loop", loop, *user)
                forms = self.secrets(wrap, self.folder / f"{loop}.log")
                content = self.core_of(wrap)
                self.assertEqual([name for name, form in forms.items() if form in content], [])

    @unittest.skipUnless(IS_ROOT, "changing the filter of others needs root")
    def test_a_core_with_memory_would_have_them(self):
        self.require_core_files()
        wrap = self.busy_wrap("--core")
        Path(f"/proc/{wrap.pid}/coredump_filter").write_text("0x33", encoding="ascii")
        forms = self.secrets(wrap, self.folder / "log")
        content = self.core_of(wrap)
        found = {name.split(",")[0] for name, form in forms.items() if form in content}
        self.assertLessEqual({"scalar", "CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0"},
                             found)

    def test_programs_of_exec_can_leave_a_core_with_memory(self):
        default = Path("/proc/self/coredump_filter").read_text(encoding="ascii").strip()
        words = ("sh", "-c", "read line; ulimit -c; cat /proc/$$/coredump_filter")
        for flags in ((), ("--core",)):
            with self.subTest(flags=flags):
                wrap = self.started(Watched, ("wrap", "--exec", "--cert", str(self.chain), "--key",
                                              str(self.key), *flags), "--", *words,
                                    preexec_fn=unlimited_core)
                with peers.tls(certificates(copy=1).client_context(), wrap.endpoint) as client:
                    client.sendall(b"\n")
                    limit, core_filter = peers.receive_all(client).decode().split()
                self.assertEqual(core_filter, default)
                hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
                self.assertEqual(limit, "unlimited" if hard == resource.RLIM_INFINITY
                                 else str(hard // 512))


if __name__ == "__main__":
    report.main("cli/hardening")
