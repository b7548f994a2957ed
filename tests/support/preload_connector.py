"""A plain TCP client that tells how its connection came about:

preload_connector.py HOW HOST PORT [NAME...]

Looks up the names, connects to HOST and PORT, and sends SECRET if it may. HOW is `blocking`;
`polled`, a descriptor that does not block, of which poll and SO_ERROR tell; `forked`, the same of
a child as well, which sends first; `fast`, by sendto with
MSG_FASTOPEN alone, `fast-message` and `fast-messages`, the same by sendmsg and sendmmsg through
libc, `fast-number`, by syscall; `deferred`, connect with TCP_FASTOPEN_CONNECT; `race`, while a
thread sends at any time; `shared`, while a child does that has had the socket since before;
`marked`, without the privilege for an option that is set; `repeated`, three times, as long as it
is refused; `connected` to somebody else before, `confined`, the same under Landlock (ENOSYS where
the kernel has no such rules), and `under-way` to him. What it was is told on standard output:
`connected`, or an error's name.
"""

import contextlib
import ctypes
import errno
import os
import select
import socket
import struct
import sys
import threading

SECRET = b"in the clear"
TCP_FASTOPEN_CONNECT = 30
WAIT_MS = 20_000
NOBODY = 65_534
_SYS_SENDTO = {"x86_64": 44, "aarch64": 206}
_LIBC = ctypes.CDLL(None, use_errno=True)


class IoVector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_char_p), ("size", ctypes.c_size_t)]


class Message(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("name_size", ctypes.c_uint32),
                ("parts", ctypes.POINTER(IoVector)), ("part_count", ctypes.c_size_t),
                ("control", ctypes.c_void_p), ("control_size", ctypes.c_size_t),
                ("flags", ctypes.c_int)]


class MessageOfMany(ctypes.Structure):
    _fields_ = [("message", Message), ("size", ctypes.c_uint)]


def address_of(endpoint):
    return struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", endpoint[1],
                                                           socket.inet_aton(endpoint[0]))


def check(answer):
    if answer < 0:
        raise OSError(ctypes.get_errno(), "of the call")
    return answer


def send_messages(sock, endpoint):
    address = address_of(endpoint)
    part = IoVector(SECRET, len(SECRET))
    messages = (MessageOfMany * 2)()
    for each in messages:
        each.message = Message(address, len(address), ctypes.pointer(part), 1, None, 0, 0)
    check(_LIBC.sendmmsg(sock.fileno(), messages, 2, socket.MSG_FASTOPEN))


def send_by_number(sock, endpoint):
    address = address_of(endpoint)
    number = _SYS_SENDTO[os.uname().machine]
    check(_LIBC.syscall(ctypes.c_long(number), ctypes.c_long(sock.fileno()), SECRET,
                        ctypes.c_size_t(len(SECRET)), ctypes.c_long(socket.MSG_FASTOPEN), address,
                        ctypes.c_long(len(address))))


def await_connected(sock):
    poll = select.poll()
    poll.register(sock, select.POLLOUT)
    if not poll.poll(WAIT_MS):
        raise TimeoutError(errno.ETIMEDOUT, "poll")
    if error := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        raise OSError(error, "connect")


def connect_polled(sock, endpoint):
    sock.setblocking(False)
    error = sock.connect_ex(endpoint)
    if error not in (0, errno.EINPROGRESS):
        raise OSError(error, "connect")
    if error:
        await_connected(sock)
    sock.sendall(SECRET)


def connect_forked(sock, endpoint):
    """What a child has that was made while the connection was under way is connected, too, when the
    parent has been told; the child sends."""
    sock.setblocking(False)
    if (error := sock.connect_ex(endpoint)) != errno.EINPROGRESS:
        raise OSError(error, "connect")
    ready, tell = os.pipe()
    if (child := os.fork()) == 0:
        os.read(ready, 1)
        try:
            await_connected(sock)
            sock.sendall(SECRET)
        except OSError as failure:
            os._exit(failure.errno)
        os._exit(0)
    await_connected(sock)
    os.write(tell, b"!")
    if error := os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        raise OSError(error, "of the child")
    sock.sendall(SECRET)


def connect_deferred(sock, endpoint):
    sock.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
    sock.connect(endpoint)
    sock.sendall(SECRET)


def connect_blocking(sock, endpoint):
    sock.connect(endpoint)
    sock.sendall(SECRET)


def connect_in_a_race(sock, endpoint):
    """What the thread sends is told by how it is answered as well."""
    is_over = threading.Event()

    def send():
        while not is_over.is_set():
            try:
                sock.send(SECRET, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
            except OSError:
                continue

    thread = threading.Thread(target=send)
    thread.start()
    try:
        connect_blocking(sock, endpoint)
    finally:
        is_over.set()
        thread.join()


def connect_shared(sock, endpoint):
    """A child that has had the socket since before writes to it all the time. It is no connection's
    there: what a write does that the kernel has begun before connect, and goes on with later."""
    over, end = os.pipe()
    if (child := os.fork()) == 0:
        os.close(end)
        written = 0
        while not select.select([over], [], [], 0)[0]:
            with contextlib.suppress(OSError):
                written += sock.send(SECRET, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        os._exit(errno.EBADMSG if written else 0)
    os.close(over)
    try:
        connect_blocking(sock, endpoint)
    finally:
        os.close(end)
        error = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if error:
        raise OSError(error, "of the child")


def connect_marked(sock, endpoint):
    """With an option that takes a privilege, which is gone by then."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, 1)
    os.setuid(NOBODY)
    connect_blocking(sock, endpoint)


def connect_repeatedly(sock, endpoint):
    for left in range(2, -1, -1):
        try:
            sock.connect(endpoint)
        except OSError as error:
            if left == 0 or error.errno != errno.ECONNREFUSED:
                raise


def connect_what_is_connected(sock, endpoint):
    with socket.create_server(("127.0.0.1", 0)) as other:
        sock.connect(other.getsockname())
        connect_blocking(sock, endpoint)


def confine(*ports):
    """By Landlock, to connections to these ports: linux/landlock.h. OSError where it cannot."""
    create, add, restrict = (ctypes.c_long(number) for number in (444, 445, 446))
    connects = 2  # LANDLOCK_ACCESS_NET_CONNECT_TCP
    none, port_rule = ctypes.c_long(0), ctypes.c_long(2)
    handled = struct.pack("=QQ", 0, connects)
    size = ctypes.c_size_t(len(handled))
    rules = ctypes.c_long(check(_LIBC.syscall(create, handled, size, none)))
    for port in ports:
        check(_LIBC.syscall(add, rules, port_rule, struct.pack("=QQ", connects, port), none))
    no_new_privileges = 38
    check(_LIBC.prctl(no_new_privileges, 1, 0, 0, 0))
    check(_LIBC.syscall(restrict, rules, none))


def connect_confined(sock, endpoint):
    with socket.create_server(("127.0.0.1", 0)) as other:
        try:
            confine(endpoint[1], other.getsockname()[1])
        except OSError as error:
            raise OSError(errno.ENOSYS, "no rules for the network") from error
        sock.connect(other.getsockname())
        connect_blocking(sock, endpoint)


def connect_what_is_under_way(sock, endpoint):
    """To somebody whose queue is full."""
    with contextlib.ExitStack() as stack:
        other = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        stack.enter_context(socket.create_connection(other.getsockname()))
        sock.setblocking(False)
        if sock.connect_ex(other.getsockname()) != errno.EINPROGRESS:
            raise OSError(errno.EPROTO, "it is connected at once")
        sock.settimeout(None)
        connect_blocking(sock, endpoint)


WAYS = {
    "blocking": connect_blocking,
    "polled": connect_polled,
    "forked": connect_forked,
    "deferred": connect_deferred,
    "race": connect_in_a_race,
    "shared": connect_shared,
    "marked": connect_marked,
    "repeated": connect_repeatedly,
    "connected": connect_what_is_connected,
    "confined": connect_confined,
    "under-way": connect_what_is_under_way,
    "fast": lambda sock, endpoint: sock.sendto(SECRET, socket.MSG_FASTOPEN, endpoint),
    "fast-message": lambda sock, endpoint: sock.sendmsg([SECRET], [], socket.MSG_FASTOPEN,
                                                        endpoint),
    "fast-messages": send_messages,
    "fast-number": send_by_number,
}


def main():
    how, host, port, *names = sys.argv[1:]
    address = socket.getaddrinfo(host, int(port), socket.AF_INET, socket.SOCK_STREAM)[0][4]
    for name in names:
        socket.getaddrinfo(name, int(port), socket.AF_INET, socket.SOCK_STREAM)
    with socket.socket() as sock:
        try:
            WAYS[how](sock, address)
        except OSError as error:
            print(errno.errorcode[error.errno])
        else:
            print("connected")


if __name__ == "__main__":
    main()
