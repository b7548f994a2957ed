#!/usr/bin/env python3
"""curl, wget, aria2c and Python load a site with a film from `serve`, byte for byte."""

import hashlib
import http.client
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from urllib.parse import quote, unquote

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import report  # noqa: E402
from https_client import HttpsClient, request  # noqa: E402
from shared_certificates import certificates, scratch_folder  # noqa: E402
from watched_serve import IN_GUEST, WAIT_S, Serve, data_paths, tls_statistics  # noqa: E402
from web_site import write_site  # noqa: E402

MIB = 1 << 20
FILM_SIZE = (3 if IN_GUEST else 24) * MIB + 4321
FILM = "media/film.mp4"
PARTS = 4  # at once, of one file
PIPELINED = 12
PROGRAM_S = WAIT_S * 2

folder, root, hashes = None, None, None


def setUpModule():
    global folder, root, hashes
    folder = scratch_folder()
    root = folder / "site"
    hashes = write_site(root, FILM_SIZE)


def sha256(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


class Clients(unittest.TestCase):
    def setUp(self):
        self.into = Path(tempfile.mkdtemp(dir=folder))
        self.addCleanup(shutil.rmtree, self.into)

    def server(self, flags):
        serve = Serve(root, *certificates().server_flags, *flags, folder=self.into)
        # Now, as a start counts as well: it tries each cipher.
        self.before = tls_statistics()
        return serve

    def finish(self, serve, ended=("clean",)):
        """The responses. Each says where it was encrypted; in a guest that is the kernel, which
        has counted the connections itself."""
        lines = serve.finish()
        self.assertTrue(lines)
        self.assertLessEqual({line["ended"] for line in lines}, set(ended))
        if IN_GUEST:
            self.assertEqual({line["tx"] for line in lines}, {"kernel"})
            now = tls_statistics()
            connections = len({line["peer_port"] for line in lines})
            self.assertGreaterEqual(now["TlsTxSw"] - self.before["TlsTxSw"], connections)
            self.assertEqual(now["TlsDecryptError"], self.before["TlsDecryptError"])
        elif not serve.records("ready")[0]["kernel_tls"]:
            self.assertEqual({line["tx"] for line in lines}, {"userspace"})
        return lines

    def run_program(self, *command):
        ended = subprocess.run([*map(str, command)], stdin=subprocess.DEVNULL, check=False,
                               capture_output=True, timeout=PROGRAM_S, cwd=self.into)
        self.assertEqual(ended.returncode, 0, (command, ended.stdout, ended.stderr))

    def url(self, serve, path=""):
        return f"https://localhost:{serve.port}/{quote(path)}"

    def assert_site(self, at):
        self.assertEqual({path: sha256(at / path) for path in hashes}, hashes)

    def fresh(self):
        return Path(tempfile.mkdtemp(dir=self.into))

    def partial(self, size):
        """The beginning of the film, as a broken download leaves it."""
        file = self.fresh() / "film.mp4"
        file.write_bytes((root / FILM).read_bytes()[:size])
        return file

    def assert_film(self, file):
        self.assertEqual(sha256(file), hashes[FILM])

    def test_curl_loads_the_site_over_one_connection(self):
        for name, flags in data_paths():
            with self.subTest(name), self.server(flags) as serve:
                for version in ("1.2", "1.3"):
                    into = self.fresh()
                    words = [word for path in hashes
                             for word in (self.url(serve, path), "--output", into / path)]
                    self.run_program("curl", "--fail", "--silent", "--show-error",
                                     "--create-dirs", "--cacert", certificates().ca,
                                     f"--tlsv{version}", "--tls-max", version, *words)
                    self.assert_site(into)
                lines = self.finish(serve)
                self.assertEqual(len(lines), 2 * len(hashes))
                self.assertEqual({line["version"] for line in lines}, {"TLSv1.2", "TLSv1.3"})
                self.assertEqual(len({line["peer_port"] for line in lines}), 2)

    def test_curl_resumes_a_download(self):
        for name, flags in data_paths():
            with self.subTest(name), self.server(flags) as serve:
                file = self.partial(FILM_SIZE // 3)
                self.run_program("curl", "--fail", "--silent", "--cacert", certificates().ca,
                                 "--continue-at", "-", self.url(serve, FILM), "--output", file)
                self.assert_film(file)
                line, = self.finish(serve)
                self.assertEqual((line["status"], line["sent"]),
                                 (206, FILM_SIZE - FILM_SIZE // 3))

    @unittest.skipUnless(shutil.which("wget"), "no wget here")
    def test_wget_copies_the_site_by_its_links(self):
        for name, flags in data_paths():
            with self.subTest(name), self.server(flags) as serve:
                into = self.fresh()
                self.run_program("wget", "--quiet", "--recursive", "--page-requisites",
                                 "--no-host-directories", "--execute", "robots=off",
                                 "--restrict-file-names=nocontrol", "--ca-certificate",
                                 certificates().ca, "--directory-prefix", into, self.url(serve))
                self.assert_site(into)
                self.finish(serve)

    @unittest.skipUnless(shutil.which("wget"), "no wget here")
    def test_wget_continues_a_partial_file(self):
        sizes = (1, FILM_SIZE // 2, FILM_SIZE - 1, FILM_SIZE)
        for name, flags in data_paths():
            with self.subTest(name), self.server(flags) as serve:
                for size in sizes:
                    file = self.partial(size)
                    self.run_program("wget", "--quiet", "--continue", "--ca-certificate",
                                     certificates().ca, "--directory-prefix", file.parent,
                                     self.url(serve, FILM))
                    self.assert_film(file)
                lines = self.finish(serve)
                self.assertEqual([line["status"] for line in lines], [206, 206, 206, 416])
                self.assertEqual([line["sent"] for line in lines[:3]],
                                 [FILM_SIZE - size for size in sizes[:3]])

    @unittest.skipUnless(shutil.which("aria2c"), "no aria2c here")
    def test_aria2c_loads_ranges_in_parallel(self):
        for name, flags in data_paths():
            with self.subTest(name), self.server(flags) as serve:
                into = self.fresh()
                self.run_program("aria2c", "--no-conf", "--async-dns=false", "--quiet",
                                 "--file-allocation=none", f"--ca-certificate={certificates().ca}",
                                 f"-x{PARTS}", f"-s{PARTS}", "-k1M", "--dir", into,
                                 self.url(serve, FILM))
                self.assert_film(into / "film.mp4")
                # A connection whose part another one has taken over is reset.
                lines = self.finish(serve, ended={"clean", "reset"})
                self.assertGreater(len({line["peer_port"] for line in lines}), 1)
                self.assertIn(206, {line["status"] for line in lines})

    def test_python_keeps_its_connection(self):
        for name, flags in data_paths():
            with self.subTest(name), self.server(flags) as serve:
                connection = http.client.HTTPSConnection(
                    "localhost", serve.port, timeout=WAIT_S,
                    context=certificates().client_context())
                for path, digest in hashes.items():
                    connection.request("GET", "/" + quote(path))
                    response = connection.getresponse()
                    self.assertEqual(response.status, 200)
                    self.assertEqual(hashlib.sha256(response.read()).hexdigest(), digest)
                connection.close()
                ended, = serve.wait_for_connections(1)
                self.assertEqual(ended["requests"], len(hashes))
                self.assertEqual(len(self.finish(serve)), len(hashes))

    def test_pipelined_requests_are_answered_in_their_order(self):
        asked = ["/" + quote(path) for path in (list(hashes) * PIPELINED)[:PIPELINED]]
        for name, flags in data_paths():
            with self.subTest(name), self.server(flags) as serve:
                with HttpsClient(serve.endpoint, certificates().client_context(),
                                 timeout=WAIT_S) as client:
                    client.stream.sendall(b"".join(request(path) for path in asked))
                    for path in asked:
                        head, digest = client.read_digest()
                        self.assertEqual((head.status, digest),
                                         (200, hashes[unquote(path).removeprefix("/")]))
                    client.end()
                lines = self.finish(serve)
                self.assertEqual([line["target"] for line in lines], asked)


if __name__ == "__main__":
    report.main("serve/clients")
