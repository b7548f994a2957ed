#!/usr/bin/env python3
"""Starts a program as a service manager does that passes it sockets: descriptors 3 and up, and the
variables that tell of them.

    activated.py --fds 7,9 --names http:https -- PROGRAM [ARG]...
"""

import argparse
import os

FIRST = 3


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fds", required=True, help="inherited descriptors, with commas between")
    parser.add_argument("--names", default="", help="with colons between")
    parser.add_argument("program", nargs="+")
    arguments = parser.parse_args()
    # Out of the way of those that they become.
    copies = [os.dup(int(number)) for number in arguments.fds.split(",")]
    high = [os.dup(copy) if copy >= FIRST + len(copies) else move_up(copy, len(copies))
            for copy in copies]
    for number, copy in enumerate(high, start=FIRST):
        os.dup2(copy, number, inheritable=True)
    os.closerange(FIRST + len(high), os.sysconf("SC_OPEN_MAX"))
    os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(high)))
    if arguments.names:
        os.environ["LISTEN_FDNAMES"] = arguments.names
    os.execvp(arguments.program[0], arguments.program)


def move_up(descriptor, count):
    """A copy above all of those that will be written over."""
    taken = []
    while (copy := os.dup(descriptor)) < FIRST + count:
        taken.append(copy)
    for each in taken:
        os.close(each)
    return copy


if __name__ == "__main__":
    main()
