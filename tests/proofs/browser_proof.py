#!/usr/bin/env python3
"""Chromium shows what `serve` gives it: the listing of a directory on a desk and on a phone, and a
page whose film plays. The pictures are for people to look at."""

import argparse
import base64
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "support"), str(TESTS / "serve")]

import chromium  # noqa: E402
import report  # noqa: E402
import wrap_peers as peers  # noqa: E402
from served_case import ServedCase  # noqa: E402
from shared_certificates import certificates  # noqa: E402
from web_site import picture  # noqa: E402

FILM_S = 12
ENCODE_S = 240
MIB = 1 << 20
DESK = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844, "scale": 2, "mobile": True}
FINGER = 44  # CSS pixels: WCAG 2.5.5, target size
# 2026-08-22 10:30 UTC, as every picture is to be the same.
WRITTEN = 1_787_394_600

FILES = {
    "README.md": 4_213, "annual report 2026 (final, really final, signed).pdf": 2_411_724,
    "archive.tar.zst": 48_234_111, "cover.jpg": 384_021, "data.json": 0, "empty": 0,
    "a-name-without-any-place-where-it-could-be-broken-" + "x" * 90 + ".bin": 17,
    "Grüße aus 東京.txt": 1_024, "שלום.txt": 2_048, "film.mp4": 3_221_225_472,
    "notes <b>&amp; \"quotes\".txt": 99, "system.iso": 5_368_709_120,
}
FOLDERS = ("images", "Music", "src", "Übersetzungen")

FILM_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>A film</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="style.css"></head>
<body><h1>A film over HTTPS, by sendfile or by hand</h1>
<video src="film.mp4" controls muted playsinline preload="metadata"></video>
<p><img src="picture.png" alt="a picture" width="96" height="96"> One picture, one film.</p>
</body></html>
"""
FILM_STYLE = """body { margin: 2rem auto; max-width: 50rem; font: 1rem/1.5 sans-serif;
  background: #f4f4f0 }
video { width: 100%; background: #000 }
"""
PLAY_UNTIL = """new Promise((done, failed) => {
  const film = document.querySelector('video');
  film.addEventListener('error', () => failed(film.error.message));
  film.addEventListener('timeupdate', () => film.currentTime > %s && done(film.currentTime));
  film.currentTime = %s;
  film.play().catch(failed);
  setTimeout(() => failed('it stands at ' + film.currentTime), 60000);
})"""
COLOURS = """(() => {
  const film = document.querySelector('video');
  const canvas = document.createElement('canvas');
  canvas.width = 64; canvas.height = 36;
  const context = canvas.getContext('2d');
  context.drawImage(film, 0, 0, 64, 36);
  const found = new Set(new Uint32Array(context.getImageData(0, 0, 64, 36).data.buffer));
  return found.size;
})()"""

into = None  # the folder of the pictures


def pin():
    """The hash of the server's public key, as Chromium has it."""
    key = subprocess.run(["openssl", "pkey", "-in", certificates().key, "-pubout", "-outform",
                          "DER"], check=True, capture_output=True, timeout=peers.TIMEOUT_S).stdout
    return base64.b64encode(hashlib.sha256(key).digest()).decode()


def make_film(file):
    """With its index at the end, where nobody finds it who cannot ask for a part of the file."""
    subprocess.run(
        ["ffmpeg", "-loglevel", "error", "-y", "-f", "lavfi", "-i",
         f"testsrc2=size=640x360:rate=25:duration={FILM_S},noise=alls=30:allf=t",
         "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "25",
         "-b:v", "8M", str(file)],
        check=True, stdin=subprocess.DEVNULL, timeout=ENCODE_S)


@unittest.skipUnless(chromium.program(), "no chromium here")
class Browser(ServedCase):
    def setUp(self):
        super().setUp()
        self.browser = chromium.Chromium(trusted=[pin()])
        self.addCleanup(self.browser.close)

    def open(self, serve, path, **screen):
        page = self.browser.page(**screen)
        page.open(f"https://localhost:{serve.port}/{path}")
        return page

    def assert_fits(self, page):
        self.assertEqual(page.complaints(), [])
        self.assertLessEqual(*page.run("[document.documentElement.scrollWidth, innerWidth]"))


class Listing(Browser):
    def setUp(self):
        super().setUp()
        for name, size in FILES.items():
            os.truncate(self.write(f"public files/{name}"), size)
        for name in FOLDERS:
            (self.root / "public files" / name).mkdir()
        for entry in (self.root / "public files").iterdir():
            os.utime(entry, (WRITTEN, WRITTEN))

    def test_a_listing_fits_a_desk_and_a_phone(self):
        serve = self.serve("--listing")
        for name, screen in (("desk", DESK), ("desk-dark", {**DESK, "dark": True}),
                             ("phone", PHONE), ("phone-dark", {**PHONE, "dark": True})):
            with self.subTest(name):
                page = self.open(serve, "public%20files/", **screen)
                page.picture(into / f"listing-{name}.png")
                self.assert_fits(page)
                # Its own style sheet is let through by its own policy.
                self.assertEqual(page.run("getComputedStyle(document.body).maxWidth"), "960px")
                self.assertEqual(page.run("document.querySelectorAll('li').length"),
                                 1 + len(FILES) + len(FOLDERS))
                least = page.run("Math.min(...[...document.querySelectorAll('li')]"
                                 ".map(row => row.getBoundingClientRect().height))")
                self.assertGreaterEqual(least, FINGER)

    def test_a_finger_on_a_row_follows_it(self):
        self.write("public files/images/cat.txt", b"a cat")
        serve = self.serve("--listing")
        page = self.open(serve, "public%20files/", **PHONE)
        # Where the row's date stands: the link covers all of it.
        page.run("""(() => {
          const row = [...document.querySelectorAll('li')].find(
              each => each.textContent.startsWith('images'));
          const box = row.querySelector('time').getBoundingClientRect();
          document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2).click();
        })()""")
        self.wait_for(page, "location.pathname == '/public%20files/images/'")
        self.assertIn("cat.txt", page.run("document.body.textContent"))
        page.picture(into / "listing-folder-phone.png")

    def wait_for(self, page, condition):
        for _ in range(600):
            try:
                if page.run(f"document.readyState == 'complete' && {condition}"):
                    return
            except chromium.ChromiumFailed:
                pass  # between two pages there is none to ask
            page.run("new Promise(done => setTimeout(done, 50))")
        self.fail(f"never: {condition}")

    def test_an_error_page_fits_a_phone(self):
        page = self.browser.page(**PHONE)
        serve = self.serve("--listing")
        page.open(f"https://localhost:{serve.port}/gone")
        page.picture(into / "error-phone.png")
        self.assertLessEqual(*page.run("[document.documentElement.scrollWidth, innerWidth]"))
        self.assertIn("404", page.run("document.title"))


@unittest.skipUnless(shutil.which("ffmpeg"), "no ffmpeg here")
class Film(Browser):
    def test_a_film_plays_and_can_be_searched(self):
        make_film(self.root / "film.mp4")
        size = (self.root / "film.mp4").stat().st_size
        self.assertGreater(size, 4 * MIB)
        self.write("index.html", FILM_PAGE.encode())
        self.write("style.css", FILM_STYLE.encode())
        self.write("picture.png", picture(3))
        serve = self.serve()
        page = self.open(serve, "", **DESK)
        self.assertGreater(page.run(PLAY_UNTIL % (1, 0)), 1)
        page.picture(into / "film-playing.png")
        # Two seconds before its end: far behind what has been loaded.
        self.assertGreater(page.run(PLAY_UNTIL % (FILM_S - 1, FILM_S - 2)), FILM_S - 1)
        self.assertGreater(page.run(COLOURS), 50)
        page.picture(into / "film-searched.png")
        self.assertEqual(page.run("document.querySelector('img').naturalWidth"), 96)
        self.assertEqual([each for each in page.complaints() if "favicon" not in each], [])
        lines = [line for line in serve.finish() if line["target"] == "/film.mp4"]
        print(*((line["status"], line["sent"], line["ended"]) for line in lines))
        self.assertEqual({line["status"] for line in lines}, {206})
        self.assertGreater(len(lines), 1, "the index at the end, and the film")


def main():
    global into
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="example: tests/proofs/browser_proof.py --out /tmp/pictures")
    parser.add_argument("--out", type=Path, metavar="DIR", help="keep the pictures there")
    options, sys.argv[1:] = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as scratch:
        into = options.out or Path(scratch)
        into.mkdir(parents=True, exist_ok=True)
        report.main("serve/browser")


if __name__ == "__main__":
    main()
