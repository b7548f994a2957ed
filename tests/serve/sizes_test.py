#!/usr/bin/env python3
"""Every size around a record's border, ranges, variants and validators: each byte is the file's."""

import concurrent.futures
import gzip
import hashlib
import re
import shutil
import ssl
import subprocess
import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import report  # noqa: E402
from https_client import parse_head  # noqa: E402
from payload import Payload  # noqa: E402
from served_case import ServedCase  # noqa: E402
from shared_certificates import certificates  # noqa: E402
from watched_serve import IN_GUEST, LOOPS, WAIT_S, data_paths  # noqa: E402

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
RECORD = 16384
RECORDS = range(1, 5)  # up to 64 KiB
CHUNK = MIB  # what sendfile is asked for at once
VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
LARGE_S = 200  # 40 on a busy machine
SPARSE_SIZE = 5 * GIB
ISLAND = 3 * RECORD + 11
# Of data, in a file that is otherwise a hole: where an offset of 31, 32 or 33 bits goes wrong.
ISLANDS = (0, 2 * GIB - ISLAND // 2, 4 * GIB - ISLAND // 2, SPARSE_SIZE - ISLAND)


def sparse_byte_parts(first, last):
    """What the sparse file holds from `first` to `last`."""
    content = bytearray(last - first + 1)
    for index, start in enumerate(ISLANDS):
        begin, end = max(first, start), min(last + 1, start + ISLAND)
        if begin < end:
            island = Payload(ISLAND, seed=index).bytes()
            content[begin - first:end - first] = island[begin - start:end - start]
    return bytes(content)


class SizedCase(ServedCase):
    def finish(self, serve):
        lines = serve.finish()
        if IN_GUEST:
            self.assertEqual({line["tx"] for line in lines}, {"kernel"})
        self.assertEqual({line["ended"] for line in lines}, {"clean"})
        return lines


class Sizes(SizedCase):
    def assert_sizes(self, client, sizes):
        """Answers the size of the heads that came, by the number of digits in the length."""
        heads = {}
        for size in sizes:
            payload = Payload(size, seed=size)
            self.write("sized", payload.bytes())
            client.send("/sized")
            head, digest = client.read_digest()
            self.assertEqual((head.status, head.length, digest), (200, size, payload.sha256))
            heads[len(str(size))] = len(client.head_text)
        return heads

    def test_files_around_each_border_of_a_record(self):
        for name, flags in data_paths(loops_in_guest=LOOPS):
            serve = self.serve(*flags)
            for version in VERSIONS:
                with self.subTest(path=name, version=version.name):
                    client = self.client(serve, version)
                    borders = (*(RECORD * count for count in RECORDS), CHUNK)
                    sizes = (0, 1, *(border + by for border in borders for by in (-1, 0, 1)))
                    heads = self.assert_sizes(client, sizes)
                    # Now those whose head and body together end at a border.
                    joined = {border - heads[len(str(border))] + by
                              for border in borders for by in (-1, 0, 1)}
                    self.assert_sizes(client, sorted(joined))
                    client.end()
            self.finish(serve)

    def test_ranges_around_each_border_of_a_record(self):
        size = 6 * RECORD
        content = Payload(size, seed=77).bytes()
        self.write("ranged", content)
        edges = sorted({RECORD * count + by for count in range(6) for by in (-1, 0, 1)} - {-1})
        for name, flags in data_paths():
            serve = self.serve(*flags)
            with self.subTest(name):
                client = self.client(serve)
                for first in edges[::2 if IN_GUEST else 1]:
                    for last in (first, first + RECORD - 1, first + RECORD, size - 1):
                        last = min(last, size - 1)
                        response = client.ask("/ranged", range=f"bytes={first}-{last}")
                        self.assertEqual(response.status, 206)
                        self.assertEqual(response.field("content-range"),
                                         f"bytes {first}-{last}/{size}")
                        self.assertEqual(response.body, content[first:last + 1])
                client.end()
            self.finish(serve)

    def write_sparse(self):
        with open(self.root / "sparse", "wb") as file:
            file.truncate(SPARSE_SIZE)
            for index, start in enumerate(ISLANDS):
                file.seek(start)
                file.write(Payload(ISLAND, seed=index).bytes())

    def test_ranges_beyond_31_and_32_bits_of_a_sparse_file(self):
        self.write_sparse()
        spans = ((2 * GIB - 1, 2 * GIB - 1), (2 * GIB, 2 * GIB),
                 (2 * GIB - RECORD, 2 * GIB + RECORD), (4 * GIB - 1, 4 * GIB - 1),
                 (4 * GIB - 1, 4 * GIB), (4 * GIB - 40_000, 4 * GIB + 40_000),
                 (SPARSE_SIZE - 100_000, SPARSE_SIZE - 1), (SPARSE_SIZE - 1, SPARSE_SIZE - 1),
                 (0, 70_000))
        for name, flags in data_paths():
            serve = self.serve(*flags)
            with self.subTest(name):
                client = self.client(serve)
                self.assertEqual(client.ask("/sparse", method="HEAD").head.length, SPARSE_SIZE)
                for first, last in spans:
                    response = client.ask("/sparse", range=f"bytes={first}-{last}")
                    self.assertEqual(response.field("content-range"),
                                     f"bytes {first}-{last}/{SPARSE_SIZE}")
                    self.assertTrue(response.body == sparse_byte_parts(first, last),
                                    (first, last))
                suffix = client.ask("/sparse", range="bytes=-5000").body
                self.assertTrue(suffix == sparse_byte_parts(SPARSE_SIZE - 5000, SPARSE_SIZE - 1))
                self.assertEqual(client.ask("/sparse", range=f"bytes={SPARSE_SIZE}-").status, 416)
                client.end()
            self.finish(serve)


class Keys(SizedCase):
    def test_keys_change_in_the_middle_of_a_file(self):
        payload = Payload(4 * MIB + 5, seed=8)
        self.write("long", payload.bytes())
        for name, flags in data_paths(loops_in_guest=LOOPS):
            with self.subTest(name):
                serve = self.serve("--key-records", 40, "--key-interval", 0, *flags)
                ready = serve.records("ready")[0]
                if ready["kernel_tls"] and not ready["kernel_rekey"]:
                    self.skipTest("this kernel cannot change keys")
                client = self.client(serve, ssl.TLSVersion.TLSv1_3)
                for _ in range(2):
                    client.send("/long")
                    self.assertEqual(client.read_digest()[1], payload.sha256)
                client.end()
                line, = serve.wait_for_connections(1)
                self.assertGreaterEqual(line["tx_key_updates"], 2 * 4 * MIB // RECORD // 40)
                self.finish(serve)


@unittest.skipIf(IN_GUEST, "minutes on an emulated processor")
class LargeFile(SizedCase):
    """Holes would hide what has moved within them: there is data every 32 MiB, at odd places."""

    SIZE = 3 * GIB + 12345
    STEP = 32 * MIB + 4099
    ISLAND = MIB + 1

    def test_a_file_of_three_gib(self):
        with open(self.root / "large", "wb") as file:
            file.truncate(self.SIZE)
            for start in range(0, self.SIZE - self.ISLAND, self.STEP):
                file.seek(start)
                file.writelines(Payload(self.ISLAND, seed=start).blocks())
            file.seek(self.SIZE - 5000)
            file.write(Payload(5000, seed=1).bytes())
        serve = self.serve()
        with open(self.root / "large", "rb") as file, \
                concurrent.futures.ThreadPoolExecutor() as pool:
            expected = pool.submit(hashlib.file_digest, file, "sha256")
            received = self.digest_by_curl(serve)
            self.assertEqual(received, (self.SIZE, expected.result(LARGE_S).hexdigest()))
        line, = self.finish(serve)
        self.assertEqual(line["sent"], self.SIZE)

    def digest_by_curl(self, serve):
        """(size, SHA-256) of what curl writes, none of it kept."""
        size, digest = 0, hashlib.sha256()
        with subprocess.Popen(
                ["curl", "--silent", "--show-error", "--fail", "--max-time", str(LARGE_S),
                 "--cacert", certificates().ca, f"https://localhost:{serve.port}/large"],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as curl:
            while part := curl.stdout.read(MIB):
                size += len(part)
                digest.update(part)
            self.assertEqual(curl.wait(WAIT_S), 0)
        return size, digest.hexdigest()


class Ranges(SizedCase):
    def setUp(self):
        super().setUp()
        self.content = Payload(3 * RECORD + 5, seed=9).bytes()
        self.write("part.bin", self.content)

    def parts(self, response):
        """(Content-Range, bytes) of each part of a multipart/byteranges body."""
        kind, boundary = re.fullmatch(r"(.*); boundary=\"?([^\"]*)\"?",
                                      response.field("content-type")).groups()
        self.assertEqual(kind, "multipart/byteranges")
        mark = b"--" + boundary.encode()
        begin, *pieces, end = (b"\r\n" + response.body).split(b"\r\n" + mark)
        self.assertEqual((begin, end), (b"", b"--\r\n"))
        found = []
        for piece in pieces:
            head, _, body = piece.partition(b"\r\n\r\n")
            fields = parse_head("HTTP/1.1 206 part" + head.decode("latin-1"))
            self.assertEqual(fields.one("content-type"), "application/octet-stream")
            found.append((fields.one("content-range"), body))
        return found

    def test_several_ranges_in_one_response(self):
        size = len(self.content)
        wanted = ((0, 0), (RECORD - 1, RECORD), (RECORD * 2 - 7, RECORD * 3 + 1),
                  (size - 3, size - 1))
        written = ",".join(f"{first}-{last}" for first, last in wanted)
        for name, flags in data_paths():
            serve = self.serve(*flags)
            with self.subTest(name):
                client = self.client(serve)
                response = client.ask("/part.bin", range="bytes=" + written)
                self.assertEqual((response.status, response.field("content-range")), (206, None))
                self.assertEqual(self.parts(response),
                                 [(f"bytes {first}-{last}/{size}", self.content[first:last + 1])
                                  for first, last in wanted])
                one = client.ask("/part.bin", range=f"bytes={size - 2}-,{size * 2}-")
                self.assertEqual((one.status, one.body), (206, self.content[-2:]))
                client.end()
            several, single = self.finish(serve)
            self.assertEqual((several["ranges"], single["ranges"]), (4, 1))


@unittest.skipUnless(shutil.which("brotli") and shutil.which("zstd"), "no brotli or zstd here")
class Variants(SizedCase):
    CODINGS = (("zstd", ".zst"), ("br", ".br"), ("gzip", ".gz"))

    def setUp(self):
        super().setUp()
        text = b"".join(b"line %d of a text that can be compressed\n" % line
                        for line in range(4000))
        self.write("text.html", text)
        self.files = {"identity": text, "gzip": gzip.compress(text)}
        self.write("text.html.gz", self.files["gzip"])
        for coding, program in (("zstd", ("zstd", "-q", "-c")), ("br", ("brotli", "-c"))):
            packed = subprocess.run([*program, self.root / "text.html"], check=True,
                                    timeout=WAIT_S, stdin=subprocess.DEVNULL,
                                    capture_output=True).stdout
            self.files[coding] = packed
            self.write("text.html" + dict(self.CODINGS)[coding], packed)

    def test_the_packed_file_that_the_client_takes_is_sent_with_vary(self):
        for name, flags in data_paths():
            serve = self.serve(*flags)
            with self.subTest(name):
                client = self.client(serve)
                tags = set()
                for accepted, coding in ((None, "identity"), ("gzip", "gzip"), ("br", "br"),
                                         ("zstd", "zstd"), ("gzip, br, zstd", "zstd"),
                                         ("br;q=0.5, gzip", "gzip"), ("zstd;q=0", "identity"),
                                         ("deflate", "identity"), ("*", "zstd")):
                    fields = {"accept_encoding": accepted} if accepted else {}
                    response = client.ask("/text.html", **fields)
                    self.assertEqual(response.status, 200)
                    self.assertTrue(response.body == self.files[coding], accepted)
                    self.assertEqual(response.field("content-encoding"),
                                     None if coding == "identity" else coding)
                    self.assertEqual(response.field("vary"), "Accept-Encoding")
                    self.assertEqual(response.field("content-type"), "text/html; charset=utf-8")
                    tags.add((coding, self.settled(response.field("etag"))))
                self.assertEqual(len({tag for _, tag in tags}), 4, "a tag for each coding")
                client.end()
            self.finish(serve)

    @staticmethod
    def settled(tag):
        """What becomes of a weak tag where the file stays as it is: it may while the test runs."""
        return tag.removeprefix("W/").replace('-w"', '"')

    def test_ranges_are_of_the_packed_bytes(self):
        for name, flags in data_paths():
            serve = self.serve(*flags)
            with self.subTest(name):
                client = self.client(serve)
                for coding, _ in self.CODINGS:
                    packed = self.files[coding]
                    half = len(packed) // 2
                    parts = [client.ask("/text.html", accept_encoding=coding, range=asked)
                             for asked in (f"bytes=0-{half}", f"bytes={half + 1}-")]
                    self.assertEqual([part.status for part in parts], [206, 206])
                    self.assertEqual({part.field("content-encoding") for part in parts}, {coding})
                    self.assertTrue(b"".join(part.body for part in parts) == packed)
                client.end()
            self.finish(serve)

    @unittest.skipIf(IN_GUEST, "the same bytes, without curl")
    def test_curl_unpacks_what_it_asked_for(self):
        serve = self.serve()
        for coding in ("gzip", "br", "zstd"):
            got = subprocess.run(
                ["curl", "--silent", "--fail", "--cacert", certificates().ca, "--compressed",
                 "--header", f"Accept-Encoding: {coding}",
                 f"https://localhost:{serve.port}/text.html"],
                stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=WAIT_S).stdout
            self.assertEqual(hashlib.sha256(got).hexdigest(),
                             hashlib.sha256(self.files["identity"]).hexdigest())


if __name__ == "__main__":
    report.main("serve/sizes")
