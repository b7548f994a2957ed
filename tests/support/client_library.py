"""libktls-bridge-client.so by ctypes: what a program calls, with an OSError where it fails."""

import ctypes
import os
import socket

from watched import BUILD

RELAYED, RESUMED = 1, 2


class Info(ctypes.Structure):
    """struct ktlsb_connection."""

    _fields_ = [("size", ctypes.c_size_t), ("tls_version", ctypes.c_uint16),
                ("cipher_suite", ctypes.c_uint16), ("flags", ctypes.c_uint32),
                ("name", ctypes.c_char * 256), ("reason", ctypes.c_char * 32),
                ("alpn_size", ctypes.c_size_t), ("alpn", ctypes.c_uint8 * 256),
                ("local", ctypes.c_uint8 * 128), ("remote", ctypes.c_uint8 * 128)]

    def __init__(self):
        super().__init__(size=ctypes.sizeof(self))

    @staticmethod
    def address_of(storage):
        """(host, port) of IPv4."""
        data = bytes(storage)
        assert int.from_bytes(data[:2], "little") == socket.AF_INET, data[:16]
        return socket.inet_ntoa(data[4:8]), int.from_bytes(data[2:4], "big")


class ClientError(OSError):
    """`reason` is the code."""

    def __init__(self, number, text, reason):
        super().__init__(number, text)
        self.reason = reason


class ClientLibrary:
    def __init__(self, path):
        self._library = ctypes.CDLL(
            str(BUILD / "userspace" / "broker" / "libktls-bridge-client.so.0"), use_errno=True)
        self._library.ktlsb_listen.restype = ctypes.c_void_p
        self._library.ktlsb_accept.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
        self._library.ktlsb_listener_close.argtypes = [ctypes.c_void_p]
        self._library.ktlsb_read.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]
        self._library.ktlsb_read.restype = ctypes.c_ssize_t
        for name in ("ktlsb_error_text", "ktlsb_error_reason"):
            getattr(self._library, name).restype = ctypes.c_char_p
        self._checked(self._library.ktlsb_use_broker(os.fsencode(path)))

    def _checked(self, result):
        if result is None or result < 0:
            raise ClientError(ctypes.get_errno(), self._library.ktlsb_error_text().decode(),
                              self._library.ktlsb_error_reason().decode())
        return result

    def listen(self, listening, backlog=16):
        return self._checked(self._library.ktlsb_listen(listening.fileno(), backlog))

    def accept(self, listener):
        """(descriptor, Info)"""
        info = Info()
        return self._checked(self._library.ktlsb_accept(listener, ctypes.byref(info))), info

    def close_listener(self, listener):
        self._checked(self._library.ktlsb_listener_close(listener))

    def serve(self, fd):
        info = Info()
        self._checked(self._library.ktlsb_serve(fd, -1, ctypes.byref(info)))
        return info

    def connect(self, fd, name):
        info = Info()
        self._checked(self._library.ktlsb_connect(fd, name.encode(), -1, ctypes.byref(info)))
        return info

    def read(self, fd, size=65536):
        buffer = ctypes.create_string_buffer(size)
        got = self._checked(self._library.ktlsb_read(fd, buffer, size))
        return buffer.raw[:got]

    def read_all(self, fd):
        parts = []
        while data := self.read(fd):
            parts.append(data)
        return b"".join(parts)

    def shutdown_write(self, fd):
        self._checked(self._library.ktlsb_shutdown_write(fd))

    def close(self, fd):
        self._checked(self._library.ktlsb_close(fd))
