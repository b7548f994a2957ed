"""What a process did with its descriptors: from strace's output, and from the io_uring events of
the kernel's tracefs."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

TRANSFERS = ("read", "readv", "pread64", "preadv", "recvfrom", "recvmsg", "recvmmsg",
             "write", "writev", "pwrite64", "pwritev", "sendto", "sendmsg", "sendmmsg",
             "sendfile")
# -D: the program is the child, so that a signal to the child reaches it; strace ends with it.
STRACE = ("strace", "-D", "-f", "-s", "0", "--seccomp-bpf", "-e",
          "trace=" + ",".join((*TRANSFERS, "splice", "tee", "vmsplice", "setsockopt", "socket",
                               "accept4", "close")), "-o")
_TRACING = Path("/sys/kernel/tracing")
_SOL_TLS = 282
_TLS_KEYS = {1: "TLS_TX", 2: "TLS_RX"}


@dataclass(frozen=True)
class Call:
    """One system call that succeeded: `arguments` as strace writes them, `thread` by its id."""

    name: str
    arguments: str
    result: int
    thread: int = 0

    @property
    def descriptor(self):
        first = self.arguments.split(",", 1)[0]
        return int(first) if first.isdigit() else -1

    @property
    def output(self):
        """The second descriptor of a splice."""
        return int(self.arguments.split(", ")[2])


def calls(path):
    """The calls in a file of strace -f -o, those that were interrupted by another thread joined."""
    pending = {}
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            pid, _, text = line.rstrip("\n").partition(" ")
            text = text.strip()
            if text.endswith("<unfinished ...>"):
                pending[pid] = text.removesuffix("<unfinished ...>")
                continue
            if resumed := re.match(r"<\.\.\. \w+ resumed>(.*)", text):
                text = pending.pop(pid, "") + resumed.group(1)
            if match := re.match(r"(\w+)\((.*)\)\s+= (\d+)", text):
                yield Call(match.group(1), match.group(2), int(match.group(3)), int(pid))


class Traffic:
    """Of one connection through wrap, after its keys were installed: calls and bytes by name and
    descriptor. `tls` is the socket that has the keys, `plain` the one that was opened next."""

    def __init__(self, traced):
        traced = list(traced)
        installs = [(index, call.descriptor, key) for index, call in enumerate(traced)
                    if call.name == "setsockopt" for key in _TLS_KEYS.values()
                    if re.match(rf"\d+, SOL_TLS, {key},", call.arguments)]
        if len(installs) < 2 or {key for _, _, key in installs[-2:]} != {"TLS_TX", "TLS_RX"} or \
                installs[-1][1] != installs[-2][1]:
            raise ValueError(f"no socket with keys for both directions: {installs[-2:]}")
        self.tls = installs[-1][1]
        after = traced[installs[-1][0] + 1:]
        opened = [call.result for call in after if call.name == "socket"]
        if len(opened) != 1:
            raise ValueError(f"not one socket was opened after the keys were installed: {opened}")
        self.plain = opened[0]
        self.counts, self.bytes = Counter(), Counter()
        self._count(after)

    def _count(self, after):
        closed = set()
        for call in after:
            if call.name == "close":
                closed.add(call.descriptor)
            if call.descriptor in closed or call.name not in (*TRANSFERS, "splice"):
                continue
            if call.name == "splice":
                route = (f"{self.name(call.descriptor, 'pipe')} to "
                         f"{self.name(call.output, 'pipe')}")
            else:
                route = self.name(call.descriptor)
            self.counts[call.name, route] += 1
            self.bytes[call.name, route] += call.result

    def name(self, descriptor, other="other"):
        return {self.tls: "tls socket", self.plain: "plain socket"}.get(descriptor, other)

    def copied(self):
        """Bytes that the read and write families carried on the two sockets."""
        return sum(size for (name, route), size in self.bytes.items()
                   if name in TRANSFERS and route.endswith("socket"))

    def spliced(self, route):
        return self.bytes["splice", route]


class RingTrace:
    """Records what is submitted to io_uring in this kernel while the `with` block lasts."""

    _EVENTS = ("io_uring/io_uring_submit_req", "io_uring/io_uring_file_get",
               "io_uring/io_uring_complete", "syscalls/sys_enter_setsockopt")

    def __init__(self, buffer_kib):
        self._buffer_kib = buffer_kib

    def __enter__(self):
        if not (_TRACING / "tracing_on").exists():
            raise ValueError(f"there is no tracefs at {_TRACING}")
        (_TRACING / "tracing_on").write_text("0")
        (_TRACING / "buffer_size_kb").write_text(str(self._buffer_kib))
        (_TRACING / "trace").write_text("")
        self._switch("1")
        (_TRACING / "tracing_on").write_text("1")
        return self

    def __exit__(self, *_):
        (_TRACING / "tracing_on").write_text("0")
        self._switch("0")

    def _switch(self, value):
        for event in self._EVENTS:
            (_TRACING / "events" / event / "enable").write_text(value)

    def lines(self):
        lost = [line for stats in _TRACING.glob("per_cpu/cpu*/stats")
                for line in stats.read_text().splitlines()
                if re.match(r"(overrun|dropped events): [1-9]", line)]
        if lost:
            raise ValueError(f"the trace buffer was too small: {lost}")
        with open(_TRACING / "trace", encoding="utf-8", errors="replace") as file:
            yield from file


class RingTraffic:
    """Requests after the last installation of keys, by opcode and descriptor: how many, and what
    those that move data moved."""

    _MOVES = ("READ", "WRITE", "RECV", "SEND", "SPLICE", "TEE")

    def __init__(self, lines):
        self.counts, self.bytes = Counter(), Counter()
        self._opcodes, self._requests = {}, {}
        for line in lines:
            event = re.search(r": (\w+)(?:\(|: )(.*)", line)
            if event:
                self._take(event.group(1).removeprefix("sys_"), event.group(2))

    def _take(self, event, text):
        if event == "setsockopt":
            level = re.search(r"level: (?:0x)?([0-9a-f]+)", text)
            if level and int(level.group(1), 16) == _SOL_TLS:
                self.counts.clear()
                self.bytes.clear()
            return
        request = re.search(r"req(?:uest)? ([0-9a-f]+)", text)
        if not request:
            return
        key = request.group(1)
        if event == "io_uring_submit_req":
            self._requests[key] = None
            self._opcodes[key] = re.search(r"opcode (\w+)", text).group(1)
            self.counts[self._opcodes[key], None] += 1
        elif event == "io_uring_file_get" and self._opcodes.get(key):
            self._name(key, int(re.search(r"fd (-?\d+)", text).group(1)))
        elif event == "io_uring_complete" and key in self._opcodes:
            result = int(re.search(r"result (-?\d+)", text).group(1))
            opcode = self._opcodes[key]
            if result > 0 and opcode.startswith(self._MOVES):
                self.bytes[opcode, self._requests[key]] += result

    def _name(self, key, descriptor):
        """The descriptor of a request is known once its file is looked up."""
        if self._requests[key] is None:
            self._requests[key] = descriptor
            self.counts[self._opcodes[key], None] -= 1
            self.counts[self._opcodes[key], descriptor] += 1

    def copied(self, descriptors):
        return sum(size for (_, descriptor), size in self.bytes.items()
                   if descriptor is None or descriptor in descriptors)
