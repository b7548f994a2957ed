"""LoopbackCapture: every packet of loopback, searched for words. Needs root."""

import ctypes
import fcntl
import os
import socket
import struct
import threading

_CLONE_NEWNET = 0x40000000
_SIOCGIFFLAGS, _SIOCSIFFLAGS = 0x8913, 0x8914
_IFF_UP = 1
_ETH_P_ALL = 3
_SOL_PACKET, _PACKET_STATISTICS = 263, 6
_BUFFER = 64 << 20  # what comes while Python does something else
_PACKET_MAX = 1 << 17


def enter_own_network():
    """From here on this process and what it starts have a loopback of their own. To be called
    before there are threads."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        name = b"lo".ljust(16, b"\0")
        flags = struct.unpack("16sh", fcntl.ioctl(sock, _SIOCGIFFLAGS, name + b"\0" * 16)[:18])[1]
        fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sh14x", name, flags | _IFF_UP))


class LoopbackCapture:
    """`found[word]`: packets that had it."""

    def __init__(self, *words):
        self.found = dict.fromkeys(words, 0)
        self.packets = 0
        self._sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
        self._sock.setsockopt(socket.SOL_SOCKET, 33, _BUFFER)  # SO_RCVBUFFORCE
        self._sock.bind(("lo", _ETH_P_ALL))
        self._sock.settimeout(0.2)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        while True:
            try:
                packet = self._sock.recv(_PACKET_MAX)
            except TimeoutError:
                if self._stopped.is_set():
                    return
                continue
            self.packets += 1
            for word in self.found:
                if word in packet:
                    self.found[word] += 1

    def stop(self):
        """Takes what is still on its way. Answers how many packets were lost."""
        self._stopped.set()
        self._thread.join()
        statistics = self._sock.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)
        self._sock.close()
        return struct.unpack("II", statistics)[1]


def may_capture():
    return os.geteuid() == 0
