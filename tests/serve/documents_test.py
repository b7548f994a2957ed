#!/usr/bin/env python3
"""What `serve` gives away and what it keeps: listings, dot files, links, special files, fields."""

import html
import os
import re
import socket
import stat
import sys
import unittest
from pathlib import Path
from urllib.parse import quote

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import report  # noqa: E402
import wrap_peers as peers  # noqa: E402
from served_case import ServedCase  # noqa: E402
from watched import as_nobody, wait_until  # noqa: E402
from watched_serve import WAIT_S  # noqa: E402

SECRET = b"nobody may read this"
ODD_NAMES = ("a b.txt", "100%.txt", "%41.txt", "a?b.txt", "a#b.txt", "a&amp;b.txt", "<b>.txt",
             "\"quoted\".txt", "'quoted'.txt", "a\\b.txt", "line\nbreak.txt", "Grüße.txt",
             "東京.txt", "a;b=c.txt", "javascript:alert(1)", "-rf", "a:b", "~", "a..",
             "+.txt", b"\xff\xfe.txt".decode("utf-8", "surrogateescape"))


def referred(page):
    """The names that a listing refers to, as a browser would ask for them."""
    return [html.unescape(name).removeprefix("./")
            for name in re.findall(r'<li><a href="([^"]*)"', page.decode())]


class DocumentCase(ServedCase):
    def assert_not_there(self, client, path):
        response = client.ask(path)
        self.assertEqual(response.status, 404, path)
        self.assertNotIn(SECRET, response.body)


class Listing(DocumentCase):
    def test_it_is_made_only_where_it_was_asked_for(self):
        self.write("a.txt")
        self.assertEqual(self.ask(self.serve(), "/").status, 403)
        response = self.ask(self.serve("--listing"), "/")
        self.assertEqual(response.status, 200)
        self.assertEqual(response.field("content-type"), "text/html; charset=utf-8")
        self.assertIn("default-src 'none'", response.field("content-security-policy"))
        self.assertEqual(referred(response.body), ["a.txt"])

    def test_a_page_of_the_directory_itself_comes_first(self):
        self.write("index.html", b"own page")
        self.write("other.htm", b"other page")
        self.assertEqual(self.ask(self.serve("--listing"), "/").body, b"own page")
        self.assertEqual(self.ask(self.serve("--index", "none.html,other.htm"), "/").body,
                         b"other page")

    def test_every_name_can_be_followed(self):
        for name in ODD_NAMES:
            self.write(name, os.fsencode(name))
        (self.root / "a folder").mkdir()
        self.write("a folder/inside.txt", b"inside")
        client = self.client(self.serve("--listing"))
        page = client.ask("/").body
        found = set()
        for name in referred(page):
            response = client.ask("/" + name)
            self.assertEqual(response.status, 200, name)
            if not name.endswith("/"):
                found.add(response.body)
        self.assertEqual(found, {os.fsencode(name) for name in ODD_NAMES})
        self.assertNotIn(b"<b>", page)
        self.assertNotIn(b'href="javascript:', page)
        self.assertEqual(referred(client.ask("/a%20folder/").body), ["../", "inside.txt"])
        missing = client.ask("/a%20folder?x=1")
        self.assertEqual((missing.status, missing.field("location")), (308, "/a%20folder/?x=1"))
        client.end()

    def test_it_names_only_what_would_be_served(self):
        self.write("seen.txt")
        self.write(".hidden")
        (self.folder / "outside").write_bytes(SECRET)
        (self.root / "out").symlink_to(self.folder / "outside")
        (self.root / "in").symlink_to("seen.txt")
        (self.root / "nowhere").symlink_to("gone")
        os.mkfifo(self.root / "fifo")
        names = referred(self.ask(self.serve("--listing"), "/").body)
        self.assertEqual(names, ["in", "seen.txt"])
        names = referred(self.ask(self.serve("--listing", "--dot-files"), "/").body)
        self.assertEqual(names, [".hidden", "in", "seen.txt"])
        names = referred(self.ask(self.serve("--listing", "--symlinks", "never"), "/").body)
        self.assertEqual(names, ["seen.txt"])


class Kept(DocumentCase):
    def test_dot_files_are_there_only_if_asked_for_and_well_known_always(self):
        self.write(".env", SECRET)
        self.write(".git/config", SECRET)
        self.write("folder/.htpasswd", SECRET)
        self.write(".well-known/acme-challenge/token", b"answer")
        client = self.client(self.serve())
        for path in ("/.env", "/%2eenv", "/.git/config", "/folder/.htpasswd",
                     "/folder/../.env", "/./.env", "/.well-known/../.env"):
            self.assert_not_there(client, path)
        self.assertEqual(client.ask("/.well-known/acme-challenge/token").body, b"answer")
        client.end()
        client = self.client(self.serve("--dot-files"))
        for path in ("/.env", "/.git/config", "/folder/.htpasswd"):
            self.assertEqual(client.ask(path).body, SECRET)
        client.end()

    def test_no_path_leads_out_of_the_directory(self):
        (self.folder / "outside").write_bytes(SECRET)
        self.write("folder/inside.txt")
        client = self.client(self.serve("--dot-files"))
        for path in ("/../outside", "/..%2foutside", "/%2e%2e/outside", "/%2e%2e%2foutside",
                     "/folder/../../outside", "/folder/%2e%2e/%2e%2e/outside", "/....//outside",
                     "/..\\outside", "//../outside", "/folder/..%00/outside",
                     quote(str(self.folder / "outside")), "/%2fetc%2fpasswd", "//etc/passwd"):
            response = client.ask(path)
            self.assertIn(response.status, (400, 404), path)
            self.assertNotIn(SECRET, response.body)
        client.end()

    def test_symbolic_links_are_followed_by_policy(self):
        self.write("target.txt", b"the target")
        self.write("folder/deep.txt", b"deep")
        (self.folder / "outside").mkdir()
        (self.folder / "outside" / "secret").write_bytes(SECRET)
        for name, target in (("inside", "target.txt"), ("up", "folder/../target.txt"),
                             ("folder/back", "../target.txt"), ("directory", "folder"),
                             ("out", "../outside/secret"), ("outdir", "../outside"),
                             ("absolute", str(self.folder / "outside" / "secret")),
                             ("magic", "/proc/self/cwd"), ("circle", "circle")):
            (self.root / name).symlink_to(target)
        good = ("/inside", "/up", "/folder/back")
        bad = ("/out", "/outdir/secret", "/absolute", "/magic/etc/passwd", "/circle")
        client = self.client(self.serve())
        for path in good:
            self.assertEqual(client.ask(path).body, b"the target", path)
        self.assertEqual(client.ask("/directory/deep.txt").body, b"deep")
        for path in bad:
            self.assert_not_there(client, path)
        client.end()
        client = self.client(self.serve("--symlinks", "never"))
        for path in (*good, *bad, "/directory/deep.txt"):
            self.assert_not_there(client, path)
        self.assertEqual(client.ask("/target.txt").status, 200)
        client.end()

    def test_special_files_are_not_there_and_hold_nobody_up(self):
        os.mkfifo(self.root / "fifo")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self.root / "socket"))
        self.write("index.html/never")  # a directory by the name of a page
        paths = ["/fifo", "/socket"]
        if os.geteuid() == 0:
            os.mknod(self.root / "zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))
            paths.append("/zero")
        serve = self.serve("--listing", threads=1)
        for _ in range(2):  # one thread: a request that hangs hangs the next one
            client = self.client(serve)
            for path in paths:
                for method in ("GET", "HEAD"):
                    self.assertEqual(client.ask(path, method=method).status, 404, path)
            self.assertEqual(client.ask("/").status, 200)
            client.end()
        # Nobody has opened it for reading: a writer that does not wait is refused.
        with self.assertRaises(OSError):
            os.open(self.root / "fifo", os.O_WRONLY | os.O_NONBLOCK)

    def test_descriptors_are_given_back(self):
        self.write("file.txt")
        os.mkfifo(self.root / "fifo")
        serve = self.serve("--listing")
        self.ask(serve, "/file.txt")
        serve.wait_for_connections(1)
        before = wait_until(serve.descriptors, "a count")
        client = self.client(serve)
        for path in ("/file.txt", "/", "/fifo", "/gone", "/file.txt") * 20:
            client.ask(path)
            client.ask(path, method="HEAD")
            client.ask(path, range="bytes=0-0")
        client.end()
        wait_until(lambda: serve.descriptors() <= before, "descriptors to be closed", WAIT_S)

    @unittest.skipUnless(os.geteuid() == 0, "needs root, to become somebody else")
    def test_a_file_without_permission_is_forbidden(self):
        self.write("secret.txt", SECRET).chmod(0)
        self.write("fine.txt")
        nobody = as_nobody(self.folder)
        for path in (self.folder, self.root):
            path.chmod(0o777)
        serve = self.serve(credentials=(), **nobody)
        client = self.client(serve, context=peers.accepts_anything())
        response = client.ask("/secret.txt")
        self.assertEqual(response.status, 403)
        self.assertNotIn(SECRET, response.body)
        self.assertEqual(client.ask("/fine.txt").status, 200)
        client.end()


class Fields(DocumentCase):
    def test_own_fields_and_hsts_are_in_every_response(self):
        self.write("file.txt")
        serve = self.serve("--hsts", 31536000, "--header", "X-Own: one",
                           "--header", "Referrer-Policy:no-referrer")
        client = self.client(serve)
        tag = client.ask("/file.txt").field("etag")
        for path, fields, status in (("/file.txt", {}, 200), ("/gone", {}, 404), ("/", {}, 403),
                                     ("/file.txt", {"range": "bytes=0-1"}, 206),
                                     ("/file.txt", {"range": "bytes=99-"}, 416),
                                     ("/file.txt", {"if_none_match": tag}, 304)):
            response = client.ask(path, **fields)
            self.assertEqual(response.status, status)
            self.assertEqual([response.field(name) for name in
                              ("strict-transport-security", "x-own", "referrer-policy",
                               "x-content-type-options")],
                             ["max-age=31536000", "one", "no-referrer", "nosniff"])
        client.end()

    def test_cache_rules_by_path_the_first_that_matches(self):
        for name in ("assets/app.js", "assets/deep/app.css", "index.html", "data.json"):
            self.write(name)
        serve = self.serve("--cache", "/assets/**=public, max-age=31536000, immutable",
                           "--cache", "*.html=no-cache", "--cache", "/**=max-age=60")
        client = self.client(serve)
        for path, value in (("/assets/app.js", "public, max-age=31536000, immutable"),
                            ("/assets/deep/app.css", "public, max-age=31536000, immutable"),
                            ("/index.html", "no-cache"), ("/data.json", "max-age=60")):
            self.assertEqual(client.ask(path).field("cache-control"), value, path)
        client.end()

    def test_types_with_charset_of_the_system_and_of_ones_own(self):
        for name in ("a.html", "a.css", "a.js", "a.png", "a.mp4", "a.json", "a.svg", "a.wasm",
                     "a.txt", "a.unheard-of", "noextension", "a.own"):
            self.write(name)
        client = self.client(self.serve("--type", "own=application/x-own"))
        for name, media_type in (("a.html", "text/html; charset=utf-8"),
                                 ("a.css", "text/css; charset=utf-8"), ("a.png", "image/png"),
                                 ("a.mp4", "video/mp4"), ("a.wasm", "application/wasm"),
                                 ("a.txt", "text/plain; charset=utf-8"),
                                 ("a.unheard-of", "application/octet-stream"),
                                 ("noextension", "application/octet-stream"),
                                 ("a.own", "application/x-own")):
            self.assertEqual(client.ask("/" + name).field("content-type"), media_type, name)
        client.end()

    def test_errors_are_pages_for_browsers_and_lines_for_others(self):
        client = self.client(self.serve())
        page = client.ask("/<gone>?x=<script>", accept="text/html,*/*")
        self.assertEqual((page.status, page.field("content-type")),
                         (404, "text/html; charset=utf-8"))
        self.assertNotIn(b"<script>", page.body)
        line = client.ask("/gone")
        self.assertEqual(line.field("content-type"), "text/plain; charset=utf-8")
        self.assertEqual(line.body.count(b"\n"), 1)
        for method, status, allow in (("POST", 405, "GET, HEAD"), ("DELETE", 405, "GET, HEAD"),
                                      ("OPTIONS", 405, "GET, HEAD"), ("BREW", 501, None)):
            response = client.ask("/gone", method=method)
            self.assertEqual((response.status, response.field("allow")), (status, allow))
            self.assertNotIn(b"OPTIONS", response.body)
        client.end()


if __name__ == "__main__":
    report.main("serve/documents")
