#!/usr/bin/env python3
"""Sends a file to all who connect, by TLS and without a key: a thread for each of them.

serve.py PORT FILE
"""
import ctypes
import errno
import os
import socket
import sys
import threading

library = ctypes.CDLL("libktls-bridge-client.so.0", use_errno=True)
library.ktlsb_listen.restype = ctypes.c_void_p
library.ktlsb_accept.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
library.ktlsb_read.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]
library.ktlsb_error_text.restype = ctypes.c_char_p


def checked(result):
    if result is None or result < 0:
        raise OSError(ctypes.get_errno(), library.ktlsb_error_text().decode())
    return result


def send_file(fd, path):
    rest = ctypes.create_string_buffer(4096)
    with open(fd, "wb"), open(path, "rb") as file:
        while os.sendfile(fd, file.fileno(), None, 1 << 20):
            pass
        checked(library.ktlsb_shutdown_write(fd))
        while checked(library.ktlsb_read(fd, rest, len(rest))):
            pass  # the request, and the client's end


port, path = sys.argv[1:]
listening = socket.create_server(("", int(port)), backlog=128)
listener = checked(library.ktlsb_listen(listening.fileno(), 16))
print("serving on port", listening.getsockname()[1], flush=True)
while True:
    try:
        connection = checked(library.ktlsb_accept(listener, None))
        threading.Thread(target=send_file, args=(connection, path)).start()
    except OSError as error:  # the broker may be restarted at any time
        if error.errno not in (errno.ECONNABORTED, errno.ECONNREFUSED):
            raise
