"""Requests that are not HTTP, or not quite: a grammar of what is known to confuse servers, and
mutations of good ones. What comes out depends on the random generator alone."""

import string
from dataclasses import dataclass

GOOD = b"GET /index.html HTTP/1.1\r\nHost: localhost\r\n\r\n"
LINE = b"GET /index.html HTTP/1.1\r\n"
HOST = b"Host: localhost\r\n"
POST = b"POST /index.html HTTP/1.1\r\nHost: localhost\r\n"

# What the client does when all is sent.
CLOSE, HALF_CLOSE, SILENCE, RESET = "close", "half-close", "silence", "reset"


@dataclass(frozen=True)
class Attempt:
    kind: str
    raw: bytes
    then: str = HALF_CLOSE
    good: int = 0  # requests in front that are to be answered by 200
    in_tls: bool = True


def _smuggled(rng):
    """Two readers disagree about where the body ends."""
    te = rng.choice((b"Transfer-Encoding: chunked", b"Transfer-Encoding:\tchunked",
                     b"transfer-encoding: Chunked"))
    hidden = rng.choice((b"Transfer-Encoding: xchunked", b"Transfer-Encoding: chunked, identity",
                         b"Transfer-Encoding: chunked\r\nTransfer-Encoding: cow",
                         b"Transfer-Encoding: \x0bchunked", b"Transfer-Encoding: 'chunked'",
                         b"Transfer-Encoding : chunked", b"Transfer-Encoding\t: chunked",
                         b"X: y\nTransfer-Encoding: chunked", b"X: y\rTransfer-Encoding: chunked",
                         b"Transfer-Encoding: chunked\r\n , x", b" Transfer-Encoding: chunked",
                         b"Transfer-Encoding: chunked;q=1", b"Transfer-Encoding: chunked\0"))
    length = rng.choice((b"Content-Length: 4", b"Content-Length: 0", b"Content-Length:\t30"))
    two = rng.choice((b"Content-Length: 4\r\nContent-Length: 5",
                      b"Content-Length: 4\r\nContent-Length: 4", b"Content-Length: 4, 4",
                      b"Content-Length: 4 4", b"Content-Length: +4", b"Content-Length: -4",
                      b"Content-Length: 0x4", b"Content-Length: 4\r\n 5", b"Content-Length: 4_0",
                      b"Content-Length: ", b"Content-Length: 4.0", b"Content-Length : 4",
                      b"Content-Length: 99999999999999999999", b"Content-Length\0: 4",
                      b"Content-Length: \xd9\xa4"))
    fields = rng.choice((te + b"\r\n" + length, length + b"\r\n" + te, hidden, two,
                         te + b"\r\n" + two))
    body = rng.choice((b"0\r\n\r\n", b"5c\r\n", b"", b"4\r\nabcd\r\n0\r\n\r\n"))
    return Attempt("smuggling", POST + fields + b"\r\n\r\n" + body + GOOD)


def _line_ends(rng):
    field = rng.choice((b"A: b", b"Accept: text/html", b"Range: bytes=0-1"))
    raw = rng.choice((LINE[:-2] + b"\n" + HOST + b"\r\n", LINE + HOST[:-2] + b"\n\r\n",
                      LINE + HOST + b"\n", LINE[:-2] + b"\r" + HOST + b"\r\n",
                      LINE + HOST + field + b"\r" + field + b"\r\n\r\n",
                      LINE + HOST + field + b"\r\r\n\r\n", LINE + HOST + field + b"\r\n\r\r\n",
                      LINE + HOST + field + b"\r\n\t" + field + b"\r\n\r\n",
                      LINE + b" " + HOST + b"\r\n", LINE + b"\r" + HOST + b"\r\n",
                      LINE + HOST + field + b"\0\r\n\r\n", LINE + HOST + b"\0\r\n\r\n",
                      b"\r\n" * rng.randint(5, 50) + LINE + HOST + b"\r\n",
                      b"\n" * rng.randint(1, 9) + LINE + HOST + b"\r\n",
                      b"\0" + LINE + HOST + b"\r\n"))
    return Attempt("line ends", raw)


def _fields(rng):
    bad = rng.choice((b": b", b"A b: c", b"A : b", b"A\t: b", b"A", b"A\xe9: b", b"(A): b",
                      b"A@: b",
                      b"A: \x01", b"A: \x7f", b"A: b\x0bc", b"\"A\": b", b"A: " + b"\x1b[2J",
                      b"Host: localhost", b"\xef\xbb\xbfA: b", b"{}: b", b"A/b: c"))
    front = [HOST.rstrip(), b"Accept: */*", bad]
    rng.shuffle(front)
    return Attempt("fields", LINE + b"\r\n".join(front) + b"\r\n\r\n")


def _host(rng):
    host = rng.choice((b"", b"Host: a b\r\n", b"Host: a/b\r\n", b"Host: u@a\r\n", b"Host: a:x\r\n",
                       b"Host: [::1\r\n", b"Host: a,b\r\nHost: a\r\n", b"Host: \"a\"\r\n",
                       b"Host: a?b\r\n", b"Host: \xc3\xa4\r\n", b"Host: a%zz\r\n", b"Host: <a>\r\n",
                       b"Host: a\\b\r\n", b"Host: ://\r\n", b"Host: a#b\r\n"))
    return Attempt("host", LINE + host + b"\r\n")


def _large(rng):
    size = rng.choice((16_385, 20_000, 70_000, 200_000))
    raw = rng.choice((LINE + HOST + b"A: " + b"b" * size, LINE + HOST + b"A" * size,
                      LINE + HOST + b"A: b\r\n" * rng.randint(101, 3000) + b"\r\n",
                      LINE + HOST + b":\r\n" * 200 + b"\r\n", b"A" * size + b" / HTTP/1.1\r\n",
                      b"GET /" + b"a" * 8000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
                      b"GET /" + b"a" * size + b" HTTP/1.1\r\n" + HOST + b"\r\n",
                      b"GET /?" + b"%41" * (size // 3) + b" HTTP/1.1\r\n" + HOST + b"\r\n",
                      b"GET " + b"/" * size, b" " * size, b"\r\n" * size,
                      LINE + HOST + b"Range: bytes=" + b"0-0," * size))
    return Attempt("large", raw)


def _version(rng):
    version = rng.choice((b"HTTP/1.2", b"HTTP/2.0", b"HTTP/0.9", b"HTTP/3", b"HTTP/1", b"HTTP/1.",
                          b"HTTP/.1", b"HTTP/1.10", b"HTTP/01.1", b"HTTP/1.1.1", b"http/1.1",
                          b"HTTP/1,1", b"HTTP 1.1", b"HTTP/-1.1", b"HTCPCP/1.0", b"ICY", b"",
                          b"HTTP/1.1 ", b"HTTP/1.1\t", b"HTTP/1.1 x", b"HTTP/\xd9\xa1.1"))
    return Attempt("version", b"GET /index.html " + version + b"\r\n" + HOST + b"\r\n")


def _request_line(rng):
    line = rng.choice((b"GET", b"GET ", b"GET\t/index.html\tHTTP/1.1", b" GET / HTTP/1.1",
                       b"GET  / HTTP/1.1", b"GET /  HTTP/1.1", b"GET / index.html HTTP/1.1",
                       b"G\xe9T / HTTP/1.1", b"G(T / HTTP/1.1", b"/ GET HTTP/1.1", b"GET HTTP/1.1",
                       b"GET /index.html#a HTTP/1.1", b"GET /\x00 HTTP/1.1", b"GET /\xff HTTP/1.1",
                       b"GET /a\x7f HTTP/1.1", b"HTTP/1.1 200 OK", b"GET / HTTP/1.1 HTTP/1.1"))
    return Attempt("request line", line + b"\r\n" + HOST + b"\r\n")


def _escapes(rng):
    bad = rng.choice((b"%", b"%2", b"%zz", b"%2g", b"%%20", b"%u002e", b"%-1", b"%\x41", b"%2f",
                      b"%2F", b"%00", b"%0", b"a%", b"% 20", b"%+1"))
    target = b"/" + rng.choice((b"", b"index.html", b"directory/")) + bad
    return Attempt("escapes", b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"\r\n")


def _dots(rng):
    """`..` in whatever spelling; what some other decoder would make of it is a name of no file."""
    dot = (b".", b"%2e", b"%2E", b"%252e", b"%c0%ae", b"%e0%80%ae", b"%c0%2e",
           b"%uff0e", b"%ef%bc%8e")
    slash = (b"/", b"%2f", b"\\", b"%5c", b"%252f", b"%c0%af", b"//", b"/./", b"/.;/", b"%00/")
    climb = b"".join(rng.choice(dot) + rng.choice(dot) + rng.choice(slash)
                     for _ in range(rng.randint(1, 12)))
    start = rng.choice((b"/", b"/", b"//", b"/./", b"/directory/../", b"/none/../",
                        b"/.hidden/../"))
    name = rng.choice((b"secret.txt", b"site/../secret.txt", b"etc/passwd", b"proc/self/environ",
                       b"proc/self/fd/0", b"secret.txt%00.html", b"secret.txt?x"))
    return Attempt("dots", b"GET " + start + climb + name + b" HTTP/1.1\r\n" + HOST + b"\r\n")


def _absolute(rng):
    target = rng.choice((b"ftp://localhost/", b"http:/index.html", b"http:index.html", b"https://",
                         b"https:///index.html", b"https://user@localhost/index.html",
                         b"file:///etc/passwd",
                         b"https://localhost:x/", b"https://[::1/", b"://localhost/", b"index.html",
                         b"localhost:443", b"*", b"\\index.html", b"http://local host/", b"?a",
                         b"..",
                         b"https://localhost/../../secret.txt", b"https://localhost%00/",
                         b"data:text/html,a", b"javascript:alert(1)", b"https://:443/",
                         b"../secret.txt"))
    return Attempt("absolute", b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"\r\n")


def _partial(rng):
    whole = rng.choice((GOOD, LINE + HOST + b"Range: bytes=0-1\r\nIf-Range: \"a\"\r\n\r\n"))
    raw = whole[:rng.randint(0, len(whole) - 1)]
    return Attempt("partial", raw, then=rng.choice((CLOSE, HALF_CLOSE, RESET, SILENCE)))


def _garbage(rng):
    raw = rng.randbytes(rng.choice((1, 7, 100, 5000, 40_000)))
    return Attempt("garbage", raw.replace(b"GET", b""), then=rng.choice((CLOSE, HALF_CLOSE, RESET)))


CLIENT_HELLO = bytes.fromhex(
    "16030100320100002e0303" + "5a" * 32 + "000004c02fc030010000010000")


def _other_protocol(rng):
    raw = rng.choice((CLIENT_HELLO, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
                      b"SSH-2.0-OpenSSH_9.9\r\n", b"EHLO localhost\r\n",
                      b"\x80\x2e\x01\0\x02\0\x15",
                      b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n" + GOOD, b"\0\x0c\0\0\x10\0\0\0\0\0",
                      b"\r\n\r\n\0\r\nQUIT\n" + GOOD, b"*1\r\n$4\r\nPING\r\n",
                      b"DESCRIBE rtsp://localhost/ RTSP/1.0\r\nCSeq: 1\r\n\r\n"))
    return Attempt("other protocol", raw)


def _behind_good(rng):
    inner = rng.choice(KINDS)(rng)
    count = rng.randint(1, 5)
    return Attempt(f"good, then {inner.kind}", GOOD * count + inner.raw, inner.then, count)


def _bad_body(rng):
    chunked = GOOD[:-2] + b"Transfer-Encoding: chunked\r\n\r\n"
    raw = rng.choice((chunked + b"x\r\n", chunked + b"-1\r\n",
                      chunked + b"5\r\nabcdefg\r\n0\r\n\r\n",
                      chunked + b"10000000000000000\r\n", chunked + b"0x5\r\n", chunked + b"5\n",
                      chunked + b"5;" + b"a" * 70_000, chunked + b"fffff\r\n" + b"a" * 70_000,
                      chunked + b"0\r\nA: \x01\r\n\r\n", chunked + b"1\r\na\r\n" * 20_000,
                      chunked + b"5\r\nab", GOOD[:-2] + b"Content-Length: 5\r\n\r\nab",
                      GOOD[:-2] + b"Content-Length: 70000\r\n\r\n" + GOOD))
    return Attempt("body", raw, good=1)


def _no_tls(rng):
    hello = bytearray(CLIENT_HELLO)
    for _ in range(rng.randint(1, 6)):
        hello[rng.randrange(5, len(hello))] = rng.randrange(256)
    raw = rng.choice((GOOD, rng.randbytes(200), bytes(hello), b"\x16\x03\x01\xff\xff" + b"a" * 500,
                      b"\x16\x03\x01\0\0" * 50, b"\x17\x03\x03\0\x05hello", b"\x80\x2e\x01\0\x02",
                      CLIENT_HELLO[:rng.randrange(len(CLIENT_HELLO))], b"",
                      b"\x15\x03\x03\0\2\2\0"))
    return Attempt("no TLS", raw, then=rng.choice((CLOSE, HALF_CLOSE, RESET)), in_tls=False)


TEMPLATES = (
    GOOD,
    LINE + HOST + b"Range: bytes=0-3, 5-\r\nIf-Range: \"abc\"\r\n"
    b"Accept-Encoding: gzip, *;q=0\r\n\r\n",
    b"GET /directory/../index.html?q=%20 HTTP/1.1\r\nHost: localhost:443\r\n"
    b"Connection: close\r\n\r\n",
    POST + b"Content-Length: 5\r\n\r\nhello" + GOOD,
    LINE + HOST + b"Transfer-Encoding: chunked\r\n\r\n5;x=\"y\"\r\nhello\r\n"
    b"0\r\nT: u\r\n\r\n" + GOOD,
    b"GET https://localhost/index.html HTTP/1.1\r\nHost: localhost\r\n"
    b"If-None-Match: W/\"a\", *\r\n\r\n",
    b"GET /index.html HTTP/1.0\r\nConnection: keep-alive\r\n"
    b"If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n",
)
INSERTS = (b"\r", b"\n", b"\r\n", b"\0", b" ", b"\t", b":", b"%", b"..", b"/", b"\xff", b",", b";",
           b"%2f", b"%00", b"\r\n\r\n", b"0", b"chunked", b"Content-Length: 1\r\n", b"HTTP/1.1")


def _mutated(rng):
    raw = bytearray(rng.choice(TEMPLATES))
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(raw)) if raw else 0
        how = rng.randrange(5)
        if how == 0 and raw:
            raw[at] ^= 1 << rng.randrange(8)
        elif how == 1:
            raw[at:at] = rng.choice(INSERTS)
        elif how == 2:
            del raw[at:at + rng.randint(1, 4)]
        elif how == 3:
            raw[at:at] = raw[at:at + rng.randint(1, 40)]
        elif raw:
            raw[at] = ord(rng.choice(string.printable))
    return Attempt("mutation", bytes(raw))


KINDS = (_smuggled, _line_ends, _fields, _host, _large, _version, _request_line, _escapes, _dots,
         _absolute, _partial, _garbage, _other_protocol)
ALL = (*KINDS, _smuggled, _dots, _behind_good, _behind_good, _bad_body, _no_tls,
       _mutated, _mutated, _mutated, _mutated, _mutated)


def attempts(rng, count):
    return [rng.choice(ALL)(rng) for _ in range(count)]
