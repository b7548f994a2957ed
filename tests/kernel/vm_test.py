#!/usr/bin/env python3
"""Checks scripts/vm on one kernel, the newest or the one given: vm_test.py [KERNEL]."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time

VM = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "scripts", "vm")
KERNEL = sys.argv[1] if len(sys.argv) > 1 else "newest"
ATTACH_TLS = """
import errno, socket
listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
try:
    client.setsockopt(socket.SOL_TCP, 31, b"tls")
    print("attached")
except OSError as error:
    print(errno.errorcode[error.errno])
"""
SET_UP_IO_URING = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
ring = libc.syscall(425, 8, ctypes.create_string_buffer(120))
print("ring" if ring >= 0 else os.strerror(ctypes.get_errno()))
"""


def vm(*arguments, command):
    return subprocess.run([VM, KERNEL, *arguments, "--", *command], stdin=subprocess.DEVNULL,
                          capture_output=True, check=False)


def python(*arguments, program):
    return vm(*arguments, command=["/usr/bin/python3", "-c", program])


def runs_the_chosen_kernel():
    result = vm(command=["uname", "-r"])
    prefix = b"" if KERNEL == "newest" else KERNEL.encode() + b"."
    return result.stdout.startswith(prefix) and result.stdout.endswith(b"-amd64\n")


def has_kernel_tls():
    return python(program=ATTACH_TLS).stdout == b"attached\n" and \
        vm(command=["cat", "/proc/net/tls_stat"]).stdout.startswith(b"TlsCurrTxSw")


def leaves_a_module_out():
    return python("--no-module", "tls", program=ATTACH_TLS).stdout == b"ENOENT\n"


def has_io_uring():
    return python(program=SET_UP_IO_URING).stdout == b"ring\n"


def returns_the_exit_status():
    return vm(command=["sh", "-c", "exit 7"]).returncode == 7 and \
        vm(command=["sh", "-c", "kill -SEGV $$"]).returncode == 139


def carries_every_byte_on_its_own_stream():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "random")
        content = os.urandom(1 << 20)
        with open(path, "wb") as file:
            file.write(content)
        os.chdir(folder)
        result = vm(command=["sh", "-c", "cat random; printf '\\r\\n\\0' >&2"])
        os.chdir("/")
    return result.stdout == content and result.stderr == b"\r\n\0"


def ends_with_the_command_whatever_it_left_running():
    result = vm("--timeout", "60", command=["sh", "-c", "yes & sleep 1; echo last >&2"])
    return result.returncode == 0 and result.stderr == b"last\n" and len(result.stdout) > 4096


def passes_folder_environment_and_arguments():
    os.chdir("/usr/share")
    result = vm("--env", "A=b  c", command=["sh", "-c", 'pwd; echo "$A-$1"', "x", "d  'e"])
    return result.stdout == b"/usr/share\nb  c-d  'e\n"


def writes_to_the_output_folder_alone():
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        outside = os.path.join(folder, "outside")
        out = os.path.join(folder, "out")
        result = vm("--out", out, command=["sh", "-c", f"echo 1 > {outside} && echo 2 > /out/in"])
        with open(os.path.join(out, "in"), encoding="ascii") as file:
            return result.returncode == 0 and file.read() == "2\n" and not os.path.exists(outside)


def ends_at_the_timeout():
    result = vm("--timeout", "1", command=["sleep", "100"])
    return result.returncode == 124 and b"timeout" in result.stderr


def reports_a_panic():
    result = vm(command=["sh", "-c", "echo c > /proc/sysrq-trigger"])
    return result.returncode == 125 and b"sysrq triggered crash" in result.stderr


def counts_instructions():
    counts = []
    # A run on a crowded host may count some background work of the kernel, so look for a pair.
    for _ in range(4):
        result = vm("--icount", command=["sha256sum", "/bin/bash"])
        count = int(re.search(rb"icount: (\d+) instructions", result.stderr).group(1))
        if any(abs(count - other) < 0.01 * other for other in counts):
            return True
        counts.append(count)
    return False


def has_slow_string_instructions_only_where_it_counts():
    has_them = ["grep", "-qw", "erms", "/proc/cpuinfo"]
    return vm(command=has_them).returncode == 1 and \
        vm("--icount", command=has_them).returncode == 0


def ends_its_processes_when_terminated():
    with subprocess.Popen([VM, KERNEL, "--", "sh", "-c", "echo started; sleep 100"],
                          stdout=subprocess.PIPE) as script:
        script.stdout.readline()
        with open(f"/proc/{script.pid}/task/{script.pid}/children", encoding="ascii") as file:
            children = file.read().split()
        script.send_signal(signal.SIGTERM)
        status = script.wait()
    time.sleep(0.1)
    return status == 143 and len(children) == 2 and \
        not any(os.path.exists(f"/proc/{child}") for child in children)


OF_EACH_KERNEL = [runs_the_chosen_kernel, has_kernel_tls, leaves_a_module_out, has_io_uring]
# What the script does itself, whatever it boots.
OF_THE_SCRIPT = [returns_the_exit_status, carries_every_byte_on_its_own_stream,
                 ends_with_the_command_whatever_it_left_running,
                 passes_folder_environment_and_arguments, writes_to_the_output_folder_alone,
                 ends_at_the_timeout, reports_a_panic, counts_instructions,
                 has_slow_string_instructions_only_where_it_counts,
                 ends_its_processes_when_terminated]


def main():
    failed = 0
    for check in OF_EACH_KERNEL + (OF_THE_SCRIPT if KERNEL == "newest" else []):
        start = time.monotonic()
        good = check()
        failed += not good
        print(f"{'ok' if good else 'FAIL'} {check.__name__} on {KERNEL} "
              f"({time.monotonic() - start:.1f} s)", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
