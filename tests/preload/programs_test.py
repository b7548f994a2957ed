#!/usr/bin/env python3
"""Programs as they are, under `ktls-bridge run`: servers that openssl, curl and gnutls-cli ask, and
clients of TLS servers. Every byte is compared, and every connection is where it belongs."""

import hashlib
import os
import signal
import socket
import subprocess
import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import report  # noqa: E402
import web_servers  # noqa: E402
from payload import Payload  # noqa: E402
from preload_case import PreloadCase, REQUIRES_KTLS, WAIT_S, free_port, talk  # noqa: E402
from shared_certificates import certificates  # noqa: E402
from watched import NOBODY, Watched  # noqa: E402

SIZE = (256 << 10) if REQUIRES_KTLS else (3 << 20)
SPOKEN = (64 << 10) if REQUIRES_KTLS else (1 << 20)
SLOWLY = (8 << 10) if REQUIRES_KTLS else (64 << 10)  # gnutls-cli has seconds for a megabyte
POSTGRESQL = Path("/usr/lib/postgresql/15/bin")
HEADER_SIZES = (200, 1536, 7168)
# Requests, and connections: enough of the former that the latter have all been made before they are
# through.
BENCHMARK = (400, 4) if REQUIRES_KTLS else (2000, 20)
URLLIB = """\
import sys, urllib.request
sys.stdout.buffer.write(urllib.request.urlopen(sys.argv[1]).read())
"""


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class ProgramCase(PreloadCase):
    def setUp(self):
        super().setUp()
        self.site = self.folder / "site"
        self.site.mkdir(mode=0o755)
        self.content = os.urandom(SIZE)
        (self.site / "file").write_bytes(self.content)
        (self.site / "some").write_bytes(self.content[:SLOWLY])
        (self.site / "short").write_bytes(b"in short\n")
        self.port = free_port()

    def assert_same(self, received, sent):
        self.assertEqual((len(received), sha256(received)), (len(sent), sha256(sent)))

    def curl(self, *words):
        ran = subprocess.run(["curl", "--silent", "--show-error", "--cacert", certificates().ca,
                              "--max-time", str(WAIT_S), *words], stdin=subprocess.DEVNULL,
                             capture_output=True, check=False)
        self.assertEqual((ran.returncode, ran.stderr), (0, b""))
        return ran.stdout

    def url(self, name):
        return f"https://localhost:{self.port}/{name}"

    def peer(self, *command, send, size=0):
        """What a TLS peer wrote that was satisfied in the end."""
        with (self.folder / "peer.log").open("wb+") as log:
            process = self.start(*command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 stderr=log)
            output, status = talk(process, send, size)
            log.seek(0)
            self.assertEqual(status, 0, log.read() + output[-1000:])
        return output

    def openssl(self, send, size=0):
        """With `size`, it ends the conversation; or else the server does."""
        return self.peer("openssl", "s_client", "-quiet", *(["-no_ign_eof"] if size else []),
                         "-connect", f"localhost:{self.port}", "-CAfile", certificates().ca,
                         "-verify_return_error", send=send, size=size)

    def gnutls(self, send, size):
        """Ends when its input does."""
        return self.peer("gnutls-cli", "--x509cafile", certificates().ca, "--logfile",
                         self.folder / "gnutls.log", "--port", self.port, "localhost",
                         send=send, size=size)


class Servers(ProgramCase):
    def assert_serves_files(self, run):
        """Two to curl, over one connection where the server agrees to that."""
        first, second = self.folder / "first", self.folder / "second"
        opened = self.curl("--output", first, self.url("file"), "--output", second,
                           self.url("short"), "--write-out", "%{num_connects} ")
        self.assert_same(first.read_bytes(), self.content)
        self.assertEqual(second.read_bytes(), b"in short\n")
        text = self.openssl(b"GET /short HTTP/1.0\r\n\r\n")
        self.assertRegex(text, rb"(?s)\AHTTP/1\.[01] 200 OK\r\n.*\r\n\r\nin short\n\Z")
        text = self.gnutls(b"GET /some HTTP/1.0\r\n\r\n", SLOWLY)
        self.assert_same(text.partition(b"\r\n\r\n")[2], self.content[:SLOWLY])
        connections = sum(map(int, opened.split()))
        self.assert_placed(run, connections + 2)
        return connections

    def test_http_server_of_python_serves_files(self):
        run = self.serve(sys.executable, "-m", "http.server", "--bind", "127.0.0.1",
                         "--directory", self.site, self.port, port=self.port)
        self.assert_serves_files(run)

    def test_httpd_of_busybox_serves_files(self):
        run = self.serve("busybox", "httpd", "-f", "-p", f"127.0.0.1:{self.port}", "-h",
                         self.site, port=self.port)
        self.assert_serves_files(run)

    def test_nginx_with_two_workers_serves_files_and_headers_of_all_sizes(self):
        run = self.serve(*web_servers.nginx(self.folder, self.port), port=self.port)
        self.assertEqual(self.assert_serves_files(run), 1)  # for both files of curl
        words = []
        for size in HEADER_SIZES:
            if words:
                words.append("--next")
            words += ["--silent", "--show-error", "--cacert", certificates().ca, "--header",
                      f"X-Filler: {self.filler(size)}", "--write-out", " %{num_connects}\n",
                      self.url("heard")]
        told = self.curl(*words).decode().split("\n")
        expected = [f"{self.filler(size)} {int(size == HEADER_SIZES[0])}" for size in HEADER_SIZES]
        self.assertEqual(told, [*expected, ""])
        self.assert_placed(run, 4)

    @staticmethod
    def filler(size):
        return "".join(f"{number:07} ".replace(" ", "-") for number in range(size // 8))

    def test_apache_with_processes_forked_before_serves_files(self):
        run = self.serve(*web_servers.apache(self.folder, self.port), port=self.port)
        self.assertEqual(self.assert_serves_files(run), 1)

    def start_redis(self):
        return self.serve("redis-server", "--port", self.port, "--bind", "127.0.0.1", "--save", "",
                          "--appendonly", "no", "--dir", self.folder, port=self.port)

    def test_redis_keeps_what_openssl_says(self):
        run = self.start_redis()
        value = Payload(SPOKEN, seed=1).bytes()
        sent = b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$%d\r\n%s\r\nGET key\r\n" % (SPOKEN, value)
        answer = b"+OK\r\n$%d\r\n%s\r\n" % (SPOKEN, value)
        self.assert_same(self.openssl(sent, len(answer)), answer)
        self.assert_placed(run, 1)

    def test_redis_benchmark_measures_a_redis_both_wrapped(self):
        run = self.start_redis()
        requests, connections = map(str, BENCHMARK)
        output, bench = self.client(
            "redis-benchmark", "-h", "localhost", "-p", self.port, "-n", requests, "-c",
            connections, "-d", "1000", "-t", "set,get", "--csv",
            connect=(f"localhost:{self.port}",))
        self.assertEqual([line.split(b",")[0] for line in output.splitlines()[-2:]],
                         [b'"SET"', b'"GET"'], output)
        # It asks for the configuration first, and connects anew for each test.
        self.assert_placed(run, 1 + 2 * BENCHMARK[1])
        self.assert_placed(bench, 1 + 2 * BENCHMARK[1])
        stored = self.openssl(b"STRLEN key:__rand_int__\r\n", len(b":1000\r\n"))
        self.assertEqual(stored, b":1000\r\n")

    def test_nc_listens_and_speaks_in_both_directions(self):
        there, back = (Payload(SPOKEN, seed=seed).bytes() for seed in (1, 2))
        sent, received = self.folder / "sent", self.folder / "received"
        sent.write_bytes(there)
        run = self.serve("nc", "-l", "-N", "127.0.0.1", self.port, port=self.port,
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        with sent.open("rb") as source, received.open("wb") as sink:
            peer = self.start("openssl", "s_client", "-quiet", "-connect",
                              f"localhost:{self.port}", "-CAfile", certificates().ca,
                              "-verify_return_error", stdin=source, stdout=sink)
        # nc ends its sending when its input ends, which is when it has told us everything.
        heard, status = talk(run.process, back, len(there))
        self.assertEqual((status, peer.wait(WAIT_S)), (0, 0), run.text())
        self.assert_same(heard, there)
        self.assert_same(received.read_bytes(), back)
        self.assert_placed(run, 1)

    def test_socat_forks_for_each_connection(self):
        run = self.serve("socat", f"TCP-LISTEN:{self.port},bind=127.0.0.1,reuseaddr,fork",
                         "EXEC:cat", port=self.port)
        data = Payload(SPOKEN, seed=3).bytes()
        self.assert_same(self.openssl(data, SPOKEN), data)
        self.assert_same(self.gnutls(data[:SLOWLY], SLOWLY), data[:SLOWLY])
        self.assert_placed(run, 2)


class Clients(ProgramCase):
    def start_openssl_server(self):
        """Of the files of the site, at the first address of localhost: wget tries no other."""
        keys = certificates()
        address = socket.getaddrinfo("localhost", self.port, type=socket.SOCK_STREAM)[0][4][0]
        self.start("openssl", "s_server", "-accept",
                   f"[{address}]:{self.port}" if ":" in address else f"{address}:{self.port}",
                   "-cert", keys.chain, "-key", keys.key, "-WWW", "-quiet", port=self.port,
                   cwd=self.site)

    @property
    def target(self):
        return f"localhost:{self.port}"

    def assert_fetches(self, *program):
        self.start_openssl_server()
        output, run = self.client(*program, f"http://{self.target}/file", connect=(self.target,))
        self.assert_same(output, self.content)
        self.assert_placed(run, 1)

    def test_wget_of_busybox_fetches_a_file(self):
        self.assert_fetches("busybox", "wget", "-q", "-O", "-")

    def test_urllib_of_python_fetches_a_file(self):
        self.assert_fetches(sys.executable, "-c", URLLIB)

    def test_nc_has_an_echo_from_gnutls(self):
        keys = certificates()
        self.start("gnutls-serv", "--echo", "--quiet", "--x509certfile", keys.chain,
                   "--x509keyfile", keys.key, "--port", self.port, port=self.port)
        data = Payload(SPOKEN, seed=4).bytes().replace(b"\x8a", b"\n") + b"\n"  # it echoes lines
        output, run = self.client("nc", "-N", "localhost", self.port, connect=(self.target,),
                                  send=data, size=len(data))
        self.assert_same(output, data)
        self.assert_placed(run, 1)

    def test_redis_cli_stores_and_reads_by_tls(self):
        keys = certificates()
        self.start("redis-server", "--port", 0, "--tls-port", self.port, "--bind", "127.0.0.1",
                   "--save", "", "--appendonly", "no", "--dir", self.folder, "--tls-cert-file",
                   keys.chain, "--tls-key-file", keys.key, "--tls-ca-cert-file", keys.ca,
                   "--tls-auth-clients", "no", port=self.port)
        value = Payload(SPOKEN, seed=5).bytes()
        words = ("redis-cli", "-h", "localhost", "-p", self.port, "--raw")
        stored, run = self.client(*words, "-x", "SET", "key", connect=(self.target,), send=value)
        self.assertEqual(stored, b"OK\n")
        read, second = self.client(*words, "GET", "key", connect=(self.target,))
        self.assert_same(read, value + b"\n")
        self.assert_placed(run, 1)
        self.assert_placed(second, 1)


class Database(ProgramCase):
    """PostgreSQL behind `wrap`: no client of it can speak TLS from the first byte by itself."""

    def setUp(self):
        super().setUp()
        self.user = {"user": NOBODY, "group": NOBODY, "extra_groups": (), "cwd": "/"}
        self.data = self.folder / "data"
        self.data.mkdir()
        os.chown(self.data, NOBODY, NOBODY)

    def start_database(self):
        """Answers the port where it speaks TLS."""
        made = subprocess.run([POSTGRESQL / "initdb", "-D", self.data, "-U", "test", "-A", "trust",
                               "--no-sync", "--locale=C", "--encoding=UTF8"],
                              stdin=subprocess.DEVNULL, capture_output=True, check=False,
                              timeout=2 * WAIT_S, **self.user)
        self.assertEqual(made.returncode, 0, made.stderr)
        database = self.start(POSTGRESQL / "postgres", "-D", self.data, "-p", self.port, "-c",
                              "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
                              "-c", "fsync=off", port=self.port, **self.user)
        self.addCleanup(self.stop_database, database)
        # It is not to be seen in the kernel's counts: the program under `run` is.
        wrap = Watched(("wrap", "--to", f"127.0.0.1:{self.port}"), *certificates().server_flags,
                       "--offload", "never", patience=WAIT_S)
        self.addCleanup(wrap.kill)
        return wrap.port

    @staticmethod
    def stop_database(process):
        """It takes its processes with it."""
        process.send_signal(signal.SIGINT)
        process.wait(WAIT_S)

    def test_psql_stores_and_reads_rows(self):
        port = self.start_database()
        lines = [sha256(str(number).encode()) * 20 for number in range(SIZE // 2560)]
        rows = self.folder / "rows"
        rows.write_text("".join(f"{line}\n" for line in lines), encoding="ascii")
        script = f"""\
create temporary table rows(number serial, line text);
\\copy rows(line) from '{rows}'
select line from rows order by number;
"""
        address = (f"host=localhost port={port} user=test dbname=postgres sslmode=disable "
                   f"gssencmode=disable")
        output, run = self.client("psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align",
                                  "--set=ON_ERROR_STOP=1", address, connect=(f"localhost:{port}",),
                                  send=script.encode())
        self.assert_same(output, rows.read_bytes())
        self.assert_placed(run, 1)


def load_tests(loader, _tests, _pattern):
    cases = [Servers, Clients, Database]
    return unittest.TestSuite([loader.loadTestsFromTestCase(case) for case in cases])


if __name__ == "__main__":
    report.main("preload/programs")
