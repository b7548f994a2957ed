"""A second opinion on requests: what RFC 9112 lets a strict server make of the bytes of one
connection, written without a look at the server's own reader."""

import re

SERVED, REFUSED = "served", "refused"
_HEAD_MAX, _TARGET_MAX, _FIELDS_MAX, _BODY_MAX = 16_384, 8000, 100, 65_536
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_LINE = re.compile(rb"(" + _TOKEN + rb") ([!\"$-~]+) HTTP/1\.([01])")
_FIELD = re.compile(rb"(" + _TOKEN + rb"):[ \t]*([\t -~\x80-\xff]*)")
_NAME = rb"(?:[0-9A-Za-z._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})"
_AUTHORITY = re.compile(rb"(?:" + _NAME + rb"*|\[[0-9A-Za-z._~!$&'()*+,;=:-]+\])(?::[0-9]*)?")
_ABSOLUTE = re.compile(rb"(?i:https?)://(?!:)(" + _AUTHORITY.pattern + rb")(?<!//)((?:[/?].*)?)")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})(?:[ \t;][^\x00-\x08\x0a-\x1f\x7f]*)?\r\n")
_TRAILERS = re.compile(rb"(?:[^\x00-\x08\x0a-\x1f\x7f]+\r\n)*\r\n")


def _stays_below(target):
    """Whether the path of a target names something below the root, by one decoding."""
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute:
        target = absolute.group(2) or b"/"
    elif not target.startswith(b"/"):
        return False
    path = target.partition(b"?")[0]
    depth = 0
    for segment in path.split(b"/"):
        if re.search(rb"%(?![0-9A-Fa-f]{2})|%2[fF]|%00", segment):
            return False
        name = re.sub(rb"%([0-9A-Fa-f]{2})", lambda hit: bytes([int(hit.group(1), 16)]), segment)
        depth += -1 if name == b".." else 0 if name in (b"", b".") else 1
        if depth < 0:
            return False
    return True


def _chunks_end(raw, at):
    """Where the chunks that begin at `at` end; None if they do not, or not soon."""
    begin = at
    while chunk := _CHUNK.match(raw, at):
        at = chunk.end()
        size = int(chunk.group(1), 16)
        if size == 0:
            trailers = _TRAILERS.match(raw, at)
            return trailers.end() if trailers and trailers.end() - begin <= _BODY_MAX else None
        at += size + 2
        if raw[at - 2:at] != b"\r\n" or at - begin > _BODY_MAX:
            return None
    return None


def _body_end(raw, at, fields, minor):
    """Where the body ends; None if that is not known. Raises ValueError for a faulty framing."""
    lengths = fields.get(b"content-length", [])
    codings = fields.get(b"transfer-encoding", [])
    if len(lengths) + len(codings) > 1:
        raise ValueError("framed twice")
    if codings:
        if minor == b"0" or codings[0].lower() != b"chunked":
            raise ValueError("another coding")
        return _chunks_end(raw, at)
    if not lengths:
        return at
    if not re.fullmatch(rb"[0-9]+", lengths[0]) or int(lengths[0]) >= 1 << 64:
        raise ValueError("no length")
    size = int(lengths[0])
    return at + size if size <= _BODY_MAX and at + size <= len(raw) else None


def _members(fields, name):
    return [word.strip().lower() for value in fields.get(name, ()) for word in value.split(b",")]


def _read(raw, at):
    """(verdict, where the next request begins or None)."""
    begin = at
    while raw[at:at + 2] == b"\r\n":
        at += 2
    end = raw.find(b"\r\n\r\n", at)
    if end < 0 or end + 4 - begin > _HEAD_MAX:
        return REFUSED, None
    lines = raw[at:end].split(b"\r\n")
    line = _LINE.fullmatch(lines[0])
    pairs = [_FIELD.fullmatch(each) for each in lines[1:]]
    if not line or not all(pairs) or len(pairs) > _FIELDS_MAX:
        return REFUSED, None
    method, target, minor = line.groups()
    fields = {}
    for pair in pairs:
        fields.setdefault(pair.group(1).lower(), []).append(pair.group(2).rstrip(b" \t"))
    hosts = fields.get(b"host", [])
    if (len(hosts) > 1 or (minor == b"1" and not hosts) or len(target) > _TARGET_MAX
            or not all(_AUTHORITY.fullmatch(host) for host in hosts)):
        return REFUSED, None
    try:
        following = _body_end(raw, end + 4, fields, minor)
    except ValueError:
        return REFUSED, None
    options = _members(fields, b"connection")
    if b"close" in options or (minor == b"0" and b"keep-alive" not in options):
        following = None
    waits = following is not None and following > end + 4 and minor == b"1"
    if waits and b"100-continue" in _members(fields, b"expect"):
        following = None
    is_served = method in (b"GET", b"HEAD") and _stays_below(target)
    return (SERVED if is_served else REFUSED), following


def verdicts(raw):
    """One for each request that may be answered, in order. SERVED: no answer would be wrong."""
    found, at = [], 0
    while at is not None and at < len(raw):
        verdict, at = _read(raw, at)
        found.append(verdict)
    return found
