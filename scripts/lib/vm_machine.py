"""The virtual machine of scripts/vm: its initramfs, its file servers, qemu, and one command.

The guest's side is vm_init.c, which says what goes over the ports.
"""

import ctypes
import hashlib
import os
import re
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from vm_images import EMULATOR, VmError, cache_lock, cache_root, cached, require_tool, say

STATUS_TIMEOUT = 124
STATUS_CRASH = 125
BOOT_ATTEMPTS = 3
BOOT_TIMEOUT_S = 120
LOG_TAIL_LINES = 60
PORT_NAMES = ("stdout", "stderr", "status")
VIRTIOFSD = "/usr/lib/qemu/virtiofsd"
GUEST_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Drivers of the machine itself; a kernel has some of them built in.
BASE_MODULES = ["virtio_pci", "virtio_console", "fuse", "virtiofs", "overlay"]
# Everything kernel TLS asks for: the guest has no modprobe, so that a module left out here is
# missing. A kernel has some built in, or has a library in their place.
TLS_MODULES = ["cryptd", "crypto_simd", "aesni_intel", "ghash_generic", "ghash_clmulni_intel",
               "ctr", "gcm", "ccm", "cmac", "seqiv", "echainiv", "chacha", "chacha_generic",
               "chacha_x86_64", "poly1305_generic", "poly1305_x86_64", "chacha20poly1305",
               "sm4_generic", "aria_generic", "tls", "unix_diag", "inet_diag", "tcp_diag"]

KERNEL_OPTIONS = ["console=ttyS0", "panic=-1", "oops=panic", "mitigations=off", "audit=0",
                  "random.trust_cpu=on",
                  # Self-tests of loaded ciphers would steal the CPU for seconds.
                  "cryptomgr.notests"]
# cmpxchg16b of TCG breaks the kernel's free lists; la57 walks longer tables.
CPU = "max,-cx16,-la57"
# `rep movsb` moves a byte at a time in TCG: without these flags the kernel and libc copy by words.
NO_BYTEWISE_COPIES = ",-erms,-fsrm"
ICOUNT_KERNEL_OPTIONS = ["nokaslr", "norandmaps"]


class BootCrash(Exception):
    """The machine ended before the command started."""


class Stopped(Exception):
    """A signal asked the script to end."""

    def __init__(self, signum):
        super().__init__(signum)
        self.signum = signum


class Result:
    def __init__(self, status, nanoseconds=None):
        self.status = status
        self.nanoseconds = nanoseconds


def compiled_init():
    """The guest's first process, compiled once for each version of its source."""
    source = Path(__file__).with_name("vm_init.c")
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:16]
    program = cache_root() / f"init-{digest}"
    if not program.exists():
        compiler = require_tool("gcc", "gcc libc6-dev")
        with tempfile.TemporaryDirectory(dir=cache_root()) as work:
            built = Path(work) / "init"
            done = subprocess.run([compiler, "-std=c17", "-O2", "-Wall", "-Wextra", "-static",
                                   "-o", built, source], capture_output=True, text=True)
            if done.returncode != 0:
                raise VmError(f"{source.name} does not compile (is libc6-dev installed?):\n"
                              f"{done.stderr}")
            built.rename(program)
    return program


class ModuleSet:
    """Chooses modules of an image, in an order in which each finds what it depends on."""

    def __init__(self, image, left_out):
        self.image = image
        self.left_out = {name.replace("-", "_") for name in left_out}
        self.ordered = []

    def add(self, name, required=False):
        name = name.replace("-", "_")
        path = self.image.modules / f"{name}.ko"
        if name in self.left_out or path in self.ordered:
            return
        if not path.exists():
            if required and name not in self.image.builtin:
                raise VmError(f"the kernel {self.image.release} has no module {name}")
            return
        depends = re.search(rb"\0depends=([^\0]*)\0", path.read_bytes())
        for other in (depends.group(1).decode().split(",") if depends else []):
            if other:
                self.add(other)
        self.ordered.append(path)


def write_initramfs(target, image, options):
    modules = ModuleSet(image, options.no_module)
    for name in BASE_MODULES + TLS_MODULES:
        modules.add(name)
    for name in options.module:
        modules.add(name, required=True)
    environment = {"PATH": GUEST_PATH, "HOME": os.path.expanduser("~"),
                   "TERM": os.environ.get("TERM", "dumb")}
    environment.update(assignment.split("=", 1) for assignment in options.env)
    folder = os.getcwd()
    with open(target, "wb") as file:
        archive = Archive(file)
        for name in ("dev", "proc", "sys", "lower", "upper", "root", "config", "modules"):
            archive.add(name, 0o040755)
        archive.add("dev/console", 0o020600, device=(5, 1))
        archive.add("init", 0o100755, compiled_init().read_bytes())
        for path in modules.ordered:
            archive.add(f"modules/{path.name}", 0o100644, path.read_bytes())
        strings = {
            "modules": [path.name for path in modules.ordered],
            "arguments": options.command,
            "environment": [f"{name}={value}" for name, value in environment.items()],
            "folder": [folder],
            "warmed": program_files(options.command) if options.icount else [],
            "binds": hidden_folders(folder, options.command[0]),
        }
        for name, values in strings.items():
            text = b"".join(os.fsencode(value) + b"\0" for value in values)
            archive.add(f"config/{name}", 0o100644, text)
        if options.out:
            archive.add("config/out", 0o100644)
        archive.end()


def hidden_folders(folder, program):
    """What the command needs of the host's /tmp and /run, over which the guest mounts its own."""
    wanted = [folder]
    if os.path.isabs(program):
        wanted.append(os.path.dirname(program))
    return sorted({path for path in wanted if re.match(r"/(tmp|run)/.", path)})


def program_files(command):
    """The program, its libraries and the files among its arguments."""
    program = shutil.which(command[0], path=GUEST_PATH)
    if not program:
        return []
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=False)
    libraries = re.findall(r"(/\S+) \(0x", listed.stdout)
    files = [program, *libraries, *command[1:], "/etc/ld.so.cache",
             "/usr/lib/locale/locale-archive"]
    return [os.path.abspath(path) for path in files if os.path.isfile(path)]


class Archive:
    """A cpio archive of the "newc" format, which the kernel unpacks as its first root."""

    def __init__(self, file):
        self.file = file
        self.inode = 0

    def add(self, name, mode, data=b"", device=(0, 0)):
        self.inode += 1
        encoded = name.encode() + b"\0"
        fields = (self.inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(encoded), 0)
        self.put(b"070701" + b"".join(b"%08x" % field for field in fields) + encoded)
        self.put(data)

    def put(self, data):
        self.file.write(data + b"\0" * (-len(data) % 4))

    def end(self):
        self.add("TRAILER!!!", 0)


LIBC = ctypes.CDLL(None, use_errno=True)


def die_with_parent():
    """So that even a killed script leaves no machine behind."""
    LIBC.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def bind_read_only(source, target):
    """Shows `source` and all mounts under it at `target`, read-only and for this process alone:
    no guest can write to the host. virtiofsd could not make / itself its root, either."""
    clone_newns, sys_mount_setattr, at_fdcwd, at_recursive = 0x20000, 442, -100, 0x8000
    ms_bind, ms_rec, ms_private = 1 << 12, 1 << 14, 1 << 18
    attributes = (ctypes.c_uint64 * 4)(1, 0, 0, 0)  # MOUNT_ATTR_RDONLY

    def mount(origin, place, flags):
        return LIBC.mount(origin, place, None, ctypes.c_ulong(flags), None)

    if (LIBC.unshare(clone_newns) != 0
            or mount(b"none", b"/", ms_rec | ms_private) != 0
            or mount(os.fsencode(source), os.fsencode(target), ms_bind | ms_rec) != 0
            or LIBC.syscall(sys_mount_setattr, at_fdcwd, os.fsencode(target), at_recursive,
                            attributes, 32) != 0):
        raise OSError(ctypes.get_errno(), "read-only mount")


class Machine:
    """One boot of one kernel; a context manager which ends every process it started."""

    def __init__(self, image, options, work):
        self.image = image
        self.options = options
        self.work = work
        self.processes = []
        self.ports = {}
        self.qemu = None
        self.kernel_log = work / "kernel.log"
        self.kernel_log.touch()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # A second Ctrl-C must not leave half of them.
        signals = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        for process in reversed(self.processes):
            process.kill()
        for process in self.processes:
            process.wait()
        for port in self.ports.values():
            port.close()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)

    def spawn(self, name, command, pass_fds=(), preexec=die_with_parent):
        with open(self.work / f"{name}.log", "wb") as log:
            # A session of its own: Ctrl-C reaches the script, and the script ends the machine.
            try:
                process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                                           stderr=log, pass_fds=pass_fds, preexec_fn=preexec,
                                           start_new_session=True)
            except subprocess.SubprocessError as error:
                raise VmError("no read-only view of the file system can be made: scripts/vm "
                              "needs CAP_SYS_ADMIN, which containers often lack") from error
        self.processes.append(process)
        return process

    def share(self, tag, folder, read_only):
        """Serves a host folder; returns qemu's options for it."""
        path = self.work / f"{tag}.sock"
        source = folder
        if read_only:
            source = self.work / tag
            source.mkdir()

        def prepare():
            die_with_parent()
            if read_only:
                bind_read_only(folder, source)

        # A read-only share may be cached for good: it is not meant to change under a run.
        cache = "always" if read_only else "auto"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen(1)
            self.spawn(f"virtiofsd-{tag}",
                       [VIRTIOFSD, f"--fd={listener.fileno()}", "-f", "--thread-pool-size=1",
                        "-o", f"source={source}", "-o", f"cache={cache},log_level=warn"],
                       pass_fds=[listener.fileno()], preexec=prepare)
        return ["-chardev", f"socket,id={tag},path={path}",
                "-device", f"vhost-user-fs-pci,chardev={tag},tag={tag},queue-size=1024"]

    def start(self):
        options = self.options
        write_initramfs(self.work / "initramfs", self.image, options)
        command = [*emulator(options), "-nodefaults",
                   "-no-user-config", "-display", "none", "-no-reboot",
                   "-cpu", CPU + ("" if options.icount else NO_BYTEWISE_COPIES),
                   "-machine", "pc-i440fx-7.1,memory-backend=memory,usb=off,vmport=off",
                   "-object", f"memory-backend-memfd,id=memory,size={options.memory}M,share=on",
                   "-m", str(options.memory), "-smp", str(options.cpus),
                   "-serial", f"file:{self.kernel_log}",
                   "-kernel", str(self.image.vmlinux), "-initrd", str(self.work / "initramfs")]
        kernel_options = list(KERNEL_OPTIONS)
        if options.icount:
            # The same input for every run; the machine's version hands over no random seed.
            command += ["-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off",
                        "-seed", "1", "-rtc", "base=2025-01-01T00:00:00,clock=vm"]
            kernel_options += ICOUNT_KERNEL_OPTIONS
        else:
            command += ["-accel", "tcg"]
        command += ["-append", " ".join(kernel_options)]
        command += self.share("root", "/", read_only=True)
        if options.out:
            command += self.share("out", options.out, read_only=False)
        command += ["-device", "virtio-serial-pci,max_ports=4"]
        guest_ends = []
        for number, name in enumerate(PORT_NAMES, start=1):
            self.ports[name], guest_end = socket.socketpair()
            guest_ends.append(guest_end)
            command += ["-chardev", f"socket,id={name},fd={guest_end.fileno()}",
                        "-device", f"virtserialport,chardev={name},nr={number}"]
        self.qemu = self.spawn("qemu", command, [end.fileno() for end in guest_ends])
        for end in guest_ends:
            end.close()

    def follow(self):
        """Copies the command's output until it ends; returns its Result."""
        selector = selectors.DefaultSelector()
        for name, port in self.ports.items():
            selector.register(port, selectors.EVENT_READ, name)
        sinks = {"stdout": 1, "stderr": 2}
        received = {"stdout": 0, "stderr": 0}
        status_text, ready = b"", False
        deadline = time.monotonic() + BOOT_TIMEOUT_S
        while selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                return self.timed_out(ready)
            for key, _ in selector.select(left):
                data = key.fileobj.recv(1 << 16)
                if not data:
                    selector.unregister(key.fileobj)
                elif key.data == "status":
                    status_text += data
                else:
                    received[key.data] += len(data)
                    write_all(sinks[key.data], data)
            if not ready and status_text.startswith(b"ready\n"):
                ready = True
                deadline = time.monotonic() + self.options.timeout
            done = re.search(rb"done (\d+) (\d+) (\d+) (\d+)\n", status_text)
            if done:
                status, output, error, nanoseconds = map(int, done.groups())
                if received == {"stdout": output, "stderr": error}:
                    return Result(status, nanoseconds)
        if not ready:
            raise BootCrash("the kernel ended before the command started")
        say(f"the kernel ended while the command ran; the end of its log:\n{self.log_tail()}")
        return Result(STATUS_CRASH)

    def timed_out(self, ready):
        if not ready:
            raise BootCrash(f"no command was started within {BOOT_TIMEOUT_S} s")
        say(f"timeout: the command did not end within {self.options.timeout:g} s")
        return Result(STATUS_TIMEOUT)

    def log_tail(self):
        """The ends of all logs, the kernel's last."""
        text = ""
        for path in sorted(self.work.glob("*.log"), key=lambda path: path == self.kernel_log):
            lines = path.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
            # What virtiofsd says whenever qemu goes before it.
            lines = [line for line in lines
                     if not re.match("fv_remove_watch|virtio_loop: Unexpected poll", line)]
            if lines:
                text += "\n".join([f"--- {path.name}", *lines]) + "\n"
        return text

    def another_boot_is_vain(self):
        """Whether qemu did not start, or the guest ended by its own decision."""
        log = self.kernel_log.read_text(errors="replace")
        return not log or re.search(r"\] vm: .*: ", log)


def write_all(fd, data):
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view):]


def emulator(options):
    """The words that start qemu. Instructions are counted in Debian 12's own, and on the processor
    that it has: what was counted once stays comparable."""
    if options.icount:
        return [require_tool("qemu-system-x86_64", "qemu-system-x86")]
    return cached(EMULATOR).command


def check_host():
    require_tool("qemu-system-x86_64", "qemu-system-x86")
    if not os.access(VIRTIOFSD, os.X_OK):
        raise VmError(f"{VIRTIOFSD} not found: run scripts/setup, or apt-get install "
                      "qemu-system-common")
    if os.geteuid() != 0:
        raise VmError("virtiofsd needs root to share the file system: run scripts/vm by sudo")


def run(kernel, options):
    """Runs the command in a fresh machine, booting again where the boot itself crashed."""
    check_host()
    for attempt in range(1, BOOT_ATTEMPTS + 1):
        work = Path(tempfile.mkdtemp(prefix="ktls-vm-"))
        try:
            with cache_lock(kernel, exclusive=False), cache_lock(EMULATOR, exclusive=False):
                machine = Machine(cached(kernel), options, work)
                with machine:
                    machine.start()
                    result = machine.follow()
            if options.dmesg:
                sys.stderr.write(machine.kernel_log.read_text(errors="replace"))
            return result
        except BootCrash as crash:
            say(f"boot {attempt} of {BOOT_ATTEMPTS}: {crash}")
            if attempt == BOOT_ATTEMPTS or machine.another_boot_is_vain():
                raise VmError(f"the kernel does not boot:\n{machine.log_tail()}") from crash
        finally:
            shutil.rmtree(work, ignore_errors=True)
