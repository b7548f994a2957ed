#!/usr/bin/env python3
"""A plain program, told on its command line what to do, one act after the other:

    chroot DIRECTORY   nothing is to be found there
    nobody             become a user who may do nothing
    wait               until a line comes
    ring               ask for an io_uring; say what that answered
    forbid             itself socketpair(2), by a system call filter
    exec               be executed again, with an empty environment, and go on
    become WORD...     that program, with what follows as its arguments
    listen PORT        and say `listening`, or the name of the error
    refused            go on after a listen that failed: say what accept answers, and wait
    pass               be executed again as `exec`, and have the listening socket
    serve              answer what comes, one connection after the other; say `served` of each, or
                       the name of the error
    look-up NAME PORT
    ask TEXT           of what was looked up; say what came back, or the name of the error
    start              connect to what was looked up, without blocking; say what that answered
    await WAY          until that socket is ready, by poll, select or epoll: say how, and SO_ERROR
                       twice
    beside             answer one connection while that socket is waited for: say whether that one
                       was ready by then

It needs no file any more when it has begun."""

import ctypes
import errno
import os
import select
import socket
import struct
import sys

sys.dont_write_bytecode = True
NOBODY = 65534
CHUNK = 65536
WAIT_S = 120
IO_URING_SETUP = 425  # on every architecture
SOCKETPAIR = {"x86_64": 53, "aarch64": 199}
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD_WORD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06  # classic BPF
ALLOW, ERRNO = 0x7FFF0000, 0x00050000


def say(text):
    print(text, flush=True)


def name_of(error):
    return errno.errorcode.get(error.errno, str(error.errno))


def libc():
    return ctypes.CDLL(None, use_errno=True)


class Filter(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p)]


class Program:
    def __init__(self, words):
        self.words = words
        self.listener = None
        self.addresses = []
        self.connection = None

    def run(self):
        while self.words:
            getattr(self, "act_" + self.next_word().replace("-", "_"))()

    def next_word(self):
        return self.words.pop(0)

    def act_chroot(self):
        os.chroot(self.next_word())
        os.chdir("/")

    def act_nobody(self):
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)

    def act_wait(self):
        say("waiting")
        sys.stdin.readline()

    def act_ring(self):
        parameters = ctypes.create_string_buffer(120)  # struct io_uring_params
        made = libc().syscall(ctypes.c_long(IO_URING_SETUP), ctypes.c_long(1), parameters)
        say(errno.errorcode[ctypes.get_errno()] if made < 0 else "a ring")

    def act_forbid(self):
        steps = ((LOAD_WORD, 0, 0, 0),  # seccomp_data.nr
                 (JUMP_IF_EQUAL, 0, 1, SOCKETPAIR[os.uname().machine]),
                 (RETURN, 0, 0, ERRNO | errno.EPERM), (RETURN, 0, 0, ALLOW))
        code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each)
                                                    for each in steps))
        program = Filter(len(steps), ctypes.addressof(code))
        for arguments in ((PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
                          (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0)):
            if libc().prctl(*arguments) != 0:
                say(errno.errorcode[ctypes.get_errno()])

    def act_become(self):
        os.execv(self.words[0], self.words)

    def act_exec(self):
        os.execve(sys.executable, [sys.executable, "-B", __file__, *self.words], {})

    def act_listen(self):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", int(self.next_word())))
        try:
            self.listener.listen(16)
            say("listening")
        except OSError as error:
            say(name_of(error))

    def act_refused(self):
        self.listener.setblocking(False)
        try:
            self.listener.accept()
            say("accepted")
        except OSError as error:
            say(name_of(error))
        self.act_wait()

    def act_pass(self):
        self.listener.set_inheritable(True)
        self.words[:0] = ["inherit", str(self.listener.fileno())]
        self.act_exec()

    def act_inherit(self):
        self.listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM,
                                      fileno=int(self.next_word()))

    def act_serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
                with connection:
                    while data := connection.recv(CHUNK):
                        connection.sendall(data)
                say("served")
            except OSError as error:
                say(name_of(error))

    def act_look_up(self):
        found = socket.getaddrinfo(self.next_word(), int(self.next_word()), socket.AF_INET,
                                   socket.SOCK_STREAM)
        self.addresses = [address for *_, address in found]

    def act_ask(self):
        text = self.next_word().encode()
        try:
            with socket.socket() as connection:
                connection.connect(self.addresses[0])
                connection.sendall(text)
                received = b""
                while len(received) < len(text) and (part := connection.recv(CHUNK)):
                    received += part
                say(received.decode())
        except OSError as error:
            say(name_of(error))

    def act_start(self):
        self.connection = socket.socket()
        self.connection.setblocking(False)
        error = self.connection.connect_ex(self.addresses[0])
        say(errno.errorcode.get(error, str(error)))

    def act_await(self):
        events = {"poll": self.await_by_poll, "select": self.await_by_select,
                  "epoll": self.await_by_epoll}[self.next_word()]()
        errors = [self.connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                  for _ in range(2)]
        say(" ".join([*events, *(errno.errorcode.get(each, str(each)) for each in errors)]))

    def await_by_poll(self):
        waiting = select.poll()
        waiting.register(self.connection, select.POLLOUT)
        ((_, events),) = waiting.poll(WAIT_S * 1000)
        return names_of(events, "POLL")

    def await_by_epoll(self):
        with select.epoll() as waiting:
            waiting.register(self.connection, select.EPOLLOUT)
            ((_, events),) = waiting.poll(WAIT_S)
        return names_of(events, "EPOLL")

    def await_by_select(self):
        _, writable, _ = select.select([], [self.connection], [], WAIT_S)
        return ["OUT"] if writable else []

    def act_beside(self):
        self.listener.setblocking(False)
        with select.epoll() as waiting:
            waiting.register(self.connection, select.EPOLLOUT)
            waiting.register(self.listener, select.EPOLLIN)
            was_ready = False
            served = None
            while True:
                for number, _ in waiting.poll(WAIT_S):
                    if number == self.connection.fileno():
                        was_ready = True
                        waiting.unregister(number)
                    elif number == self.listener.fileno():
                        served, _ = self.listener.accept()
                        waiting.register(served, select.EPOLLIN)
                    elif data := served.recv(CHUNK):
                        served.sendall(data)
                    else:
                        served.close()
                        say("ready" if was_ready else "not ready")
                        return


def names_of(events, prefix):
    return [name for name in ("OUT", "ERR", "HUP") if events & getattr(select, prefix + name)]


if __name__ == "__main__":
    Program(sys.argv[1:]).run()
