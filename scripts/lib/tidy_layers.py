"""Which folder may see which: the floors, their rooms, and who may use which library."""

import re

_KERNEL = {"ktls/base", "ktls/core"}
_SUITE = _KERNEL | {"userspace/suite"}
_CRYPTO = _SUITE | {"userspace/crypto"}
_SCHEDULE = _CRYPTO | {"userspace/schedule"}
_RECORD = _SCHEDULE | {"userspace/record"}
_WORK = _RECORD | {"userspace/handshake", "userspace/io", "userspace/broker"}
_BRIDGE = _WORK | {"userspace/bridge", "ktls/observe"}
_LIBRARIES = _BRIDGE | {"userspace/api"}

_TABLE = "scripts/lib/tidy_layers.py"

# A room may include itself and what its row names. handshake, io and broker do not see each
# other: each can be used, tested and replaced without the other two.
ROOMS = {
    "ktls/base": set(),
    "ktls/core": {"ktls/base"},
    "ktls/observe": _KERNEL,
    "userspace/suite": _KERNEL,
    "userspace/crypto": _SUITE,
    "userspace/schedule": _CRYPTO,
    "userspace/record": _SCHEDULE,
    "userspace/handshake": _RECORD,
    "userspace/io": _RECORD,
    "userspace/broker": _KERNEL,
    "userspace/bridge": _WORK | {"ktls/observe"},
    "userspace/api": _BRIDGE,
    "tools": _LIBRARIES,
    "tests": _LIBRARIES | {"tools"},
}

# (header, rooms that may include it, why not the others). A header ending in / means all below.
HEADERS = [
    ("openssl/", ("userspace/crypto", "userspace/handshake", "tests"),
     "libcrypto has two doors, so that it can be replaced behind them"),
    ("intel-ipsec-mb.h", ("userspace/crypto",),
     "a bulk engine is chosen in the crypto room, by a table"),
    ("linux/tls.h", ("ktls", "tests"),
     "the kernel's ABI stays on the kernel floor: use ktls/core/crypto_info.h"),
    ("netlink/", ("ktls/observe",), "netlink is spoken in one room"),
    ("liburing.h", ("userspace/io", "tests"),
     "only the loops do I/O: use the awaitables of userspace/io"),
    ("sys/epoll.h", ("userspace/io", "tools/preload", "tests"),
     "only the loops do I/O: use the awaitables of userspace/io"),
    ("tl/expected.hpp", ("ktls/base/result.h",),
     "use ktls::Result, so that the type behind it can change"),
    ("spdlog/", ("tools",), "libraries never log: return an Error or tell an Observer"),
    ("CLI/", ("tools", "tests"), "only tools parse arguments"),
    ("toml++/", ("tools",), "only tools read configuration"),
    ("nlohmann/", ("tools", "tests"), "only tools write JSON"),
    ("seccomp.h", ("tools/hardening/seccomp_filter.cpp",),
     "the filter has one place: say in the tables there what a process may call"),
    ("boost/", ("tools/http/request.cpp", "tools/proxy_protocol/crc32c.cpp"),
     "Beast's parser and its checksums have one door each: use http::RequestReader and "
     "proxy_protocol::crc32c()"),
]


def room_of(path):
    """The room of a path: "userspace/io/loop.h" is in "userspace/io", "loop.h" is in None."""
    parts = str(path).split("/")
    if parts[0] in ("ktls", "userspace"):
        return "/".join(parts[:2]) if len(parts) > 2 else None
    return parts[0] if parts[0] in ROOMS else None


def check_layers(file):
    """No include points upwards or sideways."""
    room = room_of(file.path)
    if room not in ROOMS:
        yield 1, f"{file.path.parent} is no room: name it, and what it may see, in {_TABLE}"
        return
    for line, header in file.includes:
        target = room_of(header)
        if target in ROOMS:
            if target != room and target not in ROOMS[room]:
                yield line, f'{room} may not include "{header}": {_permitted(room)}'
        elif re.match(r"(ktls|userspace)/", header):
            yield line, f'"{header}" is in no room that {_TABLE} knows'


def _permitted(room):
    floors = ", ".join(sorted(ROOMS[room])) or "nothing else"
    return f"it sees only itself and {floors}" if ROOMS[room] else "it sees only itself"


def check_full_paths(file):
    """Quoted includes are named from the root, so that a reader knows the room."""
    for line, header in file.includes:
        if f'"{header}"' in file.lines[line - 1] and room_of(header) is None:
            yield line, f'include "{header}" by its full path from the root'


def check_headers(file):
    """Each foreign library is used only in its own rooms."""
    for line, header in file.includes:
        for name, rooms, why in HEADERS:
            if header == name or (name.endswith("/") and header.startswith(name)):
                if not any(_within(str(file.path), room) for room in rooms):
                    yield line, f"<{header}> only in {', '.join(rooms)}: {why}"


def _within(path, room):
    return path == room or path.startswith(room + "/")
