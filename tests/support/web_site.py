"""A web site as a test serves it: pages that link to each other, styles, a script, pictures, and a
video of the size that the test can afford."""

import hashlib
import struct
import zlib
from pathlib import Path

from payload import Payload

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title>
<link rel="stylesheet" href="/style/site.css"><script src="/script/site.js" defer></script></head>
<body><h1>{title}</h1><p>{text}</p>
{content}
</body></html>
"""
_PICTURES = 4
_PICTURE_SIZE = 96  # pixels each way


def picture(seed):
    """A PNG: each pixel's colour follows from its place, and from `seed`."""
    rows = bytearray()
    for y in range(_PICTURE_SIZE):
        rows.append(0)  # no filter
        for x in range(_PICTURE_SIZE):
            rows += bytes(((x * 2 + seed * 40) & 255, (y * 2) & 255, (x ^ y) & 255))

    def chunk(kind, data):
        return (struct.pack(">I", len(data)) + kind + data
                + struct.pack(">I", zlib.crc32(kind + data)))

    header = struct.pack(">IIBBBBB", _PICTURE_SIZE, _PICTURE_SIZE, 8, 2, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
            + chunk(b"IDAT", zlib.compress(bytes(rows))) + chunk(b"IEND", b""))


def write_site(folder, video_size):
    """Writes it into `folder`. Answers {path: SHA-256}, the page of the root first."""
    pictures = {f"pictures/{index}.png": picture(index) for index in range(_PICTURES)}
    shown = "\n".join(f'<img src="/{path}" alt="a picture">' for path in pictures)
    links = ('<a href="/about/">About</a> <a href="/media/film.mp4">The film</a> '
             '<a href="/Gr%C3%BC%C3%9Fe%20aus%20%E6%9D%B1%E4%BA%AC.html">Greetings</a>')
    files = {
        "index.html": _PAGE.format(title="A site", text="Nothing but files.",
                                   content=shown + links).encode(),
        "about/index.html": _PAGE.format(title="About", text="It was made by a test.",
                                         content="<a href='../'>Back</a>").encode(),
        "Grüße aus 東京.html": _PAGE.format(title="Grüße", text="東京", content="").encode(),
        "style/site.css": b"body { font: 1rem sans-serif }\n" * 64,
        "script/site.js": b"document.title += '.';\n" * 1000,
        **pictures,
        "media/film.mp4": Payload(video_size, seed=5).bytes(),
    }
    for path, content in files.items():
        file = Path(folder) / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}
