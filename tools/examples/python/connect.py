#!/usr/bin/env python3
"""Shows what a TLS server sends; the broker verifies its certificate and does the handshake.

connect.py HOST PORT NAME          NAME: what the certificate is to say
"""
import ctypes
import os
import socket
import sys

library = ctypes.CDLL("libktls-bridge-client.so.0", use_errno=True)
library.ktlsb_read.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]
library.ktlsb_read.restype = ctypes.c_ssize_t
library.ktlsb_error_text.restype = ctypes.c_char_p


def checked(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), library.ktlsb_error_text().decode())
    return result


host, port, name = sys.argv[1:]
fd = socket.create_connection((host, int(port))).detach()
checked(library.ktlsb_connect(fd, name.encode(), -1, None))
os.write(fd, b"GET / HTTP/1.0\r\n\r\n")
buffer = ctypes.create_string_buffer(16384)
while size := checked(library.ktlsb_read(fd, buffer, len(buffer))):
    sys.stdout.buffer.write(buffer[:size])
checked(library.ktlsb_close(fd))
