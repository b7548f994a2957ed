"""Debian's kernels and emulator for scripts/vm: fetched by a private apt, unpacked into a cache.

Nothing is installed on the host: apt works on its own lists and sources, dpkg-deb unpacks.
A cached kernel is a folder with `vmlinux`, `config`, `modules/NAME.ko`, `builtin` (the names of
what might be modules but is not) and `image.json`; the emulator one with `tree` and `image.json`.
"""

import contextlib
import ctypes
import fcntl
import json
import lzma
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

SUITES = {"6.1": "bookworm", "6.12": "bookworm-backports", "newest": "trixie-backports"}
META_PACKAGE = "linux-image-cloud-amd64"
# Programs start in it in about half the time that they take in Debian 12's own qemu 7.2, which
# lends it its libraries: backports are built on the same release.
EMULATOR = "qemu"
EMULATOR_SUITE = "bookworm-backports"
EMULATOR_PACKAGES = ("qemu-system-x86", "qemu-system-data", "seabios")
DEFAULT_MIRROR = "http://deb.debian.org/debian"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
FETCH_ATTEMPTS = 4
# Raised when the layout of a cached kernel changes, so that an old cache is fetched anew.
LAYOUT = 3


class VmError(Exception):
    """A failure that the user can understand; the text names what would mend it."""


def cache_root():
    base = os.environ.get("KTLS_BRIDGE_CACHE")
    if not base:
        xdg = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
        base = os.path.join(xdg, "ktls-bridge")
    root = Path(base).absolute() / "vm"
    root.mkdir(parents=True, exist_ok=True)
    return root


def require_tool(name, package):
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if not path:
        raise VmError(f"{name} not found: run scripts/setup, or apt-get install {package}")
    return path


@contextlib.contextmanager
def cache_lock(name, exclusive):
    """Held shared while what has that name is read, exclusively while it is replaced."""
    with open(cache_root() / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
        yield


class Image:
    """One unpacked kernel in the cache."""

    def __init__(self, folder):
        self.folder = folder
        facts = json.loads((folder / "image.json").read_text())
        self.release = facts["release"]
        self.version = facts["version"]
        self.vmlinux = folder / "vmlinux"
        self.modules = folder / "modules"
        self.builtin = set((folder / "builtin").read_text().split())
        if facts["layout"] != LAYOUT:
            raise ValueError("another layout")


class Emulator:
    """One unpacked qemu in the cache."""

    def __init__(self, folder):
        facts = json.loads((folder / "image.json").read_text())
        self.release = facts["release"]
        self.version = facts["version"]
        share = folder / "tree" / "usr" / "share"
        self.command = [str(folder / "tree" / "usr" / "bin" / "qemu-system-x86_64"),
                        "-L", str(share / "qemu"), "-L", str(share / "seabios")]
        if facts["layout"] != LAYOUT:
            raise ValueError("another layout")


def cached(name):
    try:
        return SOURCES[name].opened(cache_root() / name)
    except (OSError, ValueError, KeyError):
        return None


def ensure(name, update=False):
    """Returns the cached image, fetching it where it is missing or `update` finds a newer one."""
    with cache_lock(name, exclusive=False):
        image = cached(name)
    if image and not update:
        return image
    with cache_lock(name, exclusive=True):
        image = cached(name)
        if image and not update:
            return image
        return fetch(name, image)


def fetch(name, current):
    source = SOURCES[name]
    for tool, package in (("apt-get", "apt"), ("apt-cache", "apt"), ("dpkg-deb", "dpkg")):
        require_tool(tool, package)
    if not KEYRING.exists():
        raise VmError(f"{KEYRING} not found: apt-get install debian-archive-keyring")
    sweep(name)
    with tempfile.TemporaryDirectory(prefix=f"{name}.partial-", dir=cache_root()) as temporary:
        work = Path(temporary)
        apt = PrivateApt(work / "apt", source.suite)
        apt.update()
        packages = source.packages(apt)
        version = packages[0][1]
        if current and current.version == version:
            say(f"{name}: {current.release} ({version}) is current")
            return current
        say(f"{name}: fetching {version} from {apt.mirror} ({source.suite})")
        source.build(apt.download(packages), work, version)
        target = cache_root() / name
        if target.exists():
            target.rename(work / "old")
        (work / "image").rename(target)
    say(f"{name}: {cached(name).release} is ready in {cache_root() / name}")
    return cached(name)


def sweep(name):
    """Removes what an interrupted fetch left; the caller holds the exclusive lock."""
    for leftover in cache_root().glob(f"{name}.partial-*"):
        shutil.rmtree(leftover, ignore_errors=True)


def say(text):
    print(f"vm: {text}", file=sys.stderr, flush=True)


class PrivateApt:
    """An apt with lists, sources and cache of its own, for one suite."""

    def __init__(self, root, suite):
        self.root = root
        self.suite = suite
        self.mirror = None
        (root / "lists" / "partial").mkdir(parents=True)
        (root / "cache" / "archives" / "partial").mkdir(parents=True)
        (root / "status").touch()
        # The host's settings stay, for the sake of its proxies, but not its hooks.
        (root / "apt.conf").write_text("#clear APT::Update::Pre-Invoke;\n"
                                       "#clear APT::Update::Post-Invoke;\n"
                                       "#clear APT::Update::Post-Invoke-Success;\n")
        self.options = [
            f"-c={root}/apt.conf",
            f"-oDir::Etc::sourcelist={root}/sources.list",
            "-oDir::Etc::sourceparts=/dev/null",
            "-oDir::Etc::preferences=/dev/null",
            "-oDir::Etc::preferencesparts=/dev/null",
            f"-oDir::State={root}",
            f"-oDir::State::lists={root}/lists",
            f"-oDir::State::status={root}/status",
            f"-oDir::Cache={root}/cache",
            "-oAPT::Architecture=amd64",
            "-oAPT::Architectures=amd64",
            "-oAPT::Sandbox::User=root",
            "-oAcquire::Languages=none",
            "-oAcquire::Retries=3",
        ]

    def run(self, tool, *arguments):
        return subprocess.run([tool, *self.options, *arguments], cwd=self.root, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)

    def retried(self, *arguments):
        for attempt in range(FETCH_ATTEMPTS):
            result = self.run("apt-get", "-q", *arguments)
            if result.returncode == 0:
                return
            if attempt + 1 < FETCH_ATTEMPTS:
                time.sleep(2 ** attempt)
        raise VmError(f"apt-get {arguments[0]} failed {FETCH_ATTEMPTS} times:\n{result.stdout}"
                      f"is {self.mirror} reachable? then run scripts/vm --fetch again")

    def update(self):
        """Takes the host's own mirror, and Debian's default where that lacks the suite."""
        mirrors = list(dict.fromkeys([host_mirror(), DEFAULT_MIRROR]))
        for mirror in mirrors:
            self.mirror = mirror
            (self.root / "sources.list").write_text(
                f"deb [arch=amd64 signed-by={KEYRING}] {mirror} {self.suite} main\n")
            try:
                # Without Error-Mode apt-get update ends with 0 on a transient failure.
                return self.retried("update", "-oAPT::Update::Error-Mode=any")
            except VmError as error:
                if mirror == mirrors[-1]:
                    raise
                say(f"{error}\nvm: trying {mirrors[-1]}")

    def field(self, package, name):
        """The values of that field in what the suite tells of the package."""
        shown = self.run("apt-cache", "show", "--no-all-versions", package).stdout
        return re.findall(rf"^{name}: (.*)$", shown, re.MULTILINE)

    def kernel_packages(self):
        """(name, version) of every package that the meta package's kernel consists of."""
        pattern = re.compile(
            r"(linux-(?:image|binary|modules|base)-\d[^\s,(]*)\s*\(=\s*([^)\s]+)\)")
        found, pending = [], [META_PACKAGE]
        while pending:
            for line in self.field(pending.pop(0), "Depends"):
                for package in pattern.findall(line):
                    if package not in found:
                        found.append(package)
                        pending.append(package[0])
        if not found:
            raise VmError(f"{META_PACKAGE} in {self.suite} on {self.mirror} names no kernel: "
                          "is the suite still on this mirror?")
        return found

    def emulator_packages(self):
        """(name, version) of what the emulator consists of, the program first."""
        found = [(name, version) for name in EMULATOR_PACKAGES
                 for version in self.field(name, "Version")]
        if len(found) != len(EMULATOR_PACKAGES):
            raise VmError(f"{self.suite} on {self.mirror} lacks one of "
                          f"{', '.join(EMULATOR_PACKAGES)}: is the suite still on this mirror?")
        return found

    def download(self, packages):
        self.retried("download", *[f"{name}={version}" for name, version in packages])
        archives = sorted(self.root.glob("*.deb"))
        if len(archives) != len(packages):
            raise VmError(f"expected {len(packages)} packages, found {len(archives)}")
        return archives


def host_mirror():
    """The first Debian archive that the host's own apt sources name."""
    etc = Path("/etc/apt")
    lines = []
    for path in [etc / "sources.list", *sorted(etc.glob("sources.list.d/*.list"))]:
        if path.exists():
            lines += re.findall(r"^deb\s+(?:\[[^]]*\]\s+)?(\S+)", path.read_text(), re.MULTILINE)
    for path in sorted(etc.glob("sources.list.d/*.sources")):
        for stanza in path.read_text().split("\n\n"):
            if not re.search(r"^Enabled:\s*no", stanza, re.MULTILINE):
                for value in re.findall(r"^URIs:\s*(.*)$", stanza, re.MULTILINE):
                    lines += value.split()
    for uri in lines:
        if re.match(r"https?://\S+/debian/?$", uri):
            return uri.rstrip("/")
    return DEFAULT_MIRROR


def unpack(archives, tree):
    tree.mkdir(parents=True)
    for archive in archives:
        done = subprocess.run(["dpkg-deb", "-x", archive, tree], capture_output=True, text=True,
                              check=False)
        if done.returncode:
            raise VmError(f"{archive.name} cannot be unpacked: {done.stderr.strip()}")


def build_kernel(archives, work, version):
    """Unpacks into work/image; the caller renames it into place when all is there."""
    tree, image = work / "tree", work / "image"
    image.mkdir()
    unpack(archives, tree)
    kernels = sorted(tree.glob("**/vmlinuz*"))
    folders = [path for path in tree.glob("**/modules/*/kernel")]
    if not kernels or not folders:
        raise VmError(f"the packages of {version} hold no kernel where it was expected")
    release = folders[0].parent.name
    (image / "vmlinux").write_bytes(extract_vmlinux(kernels[0].read_bytes()))
    (image / "modules").mkdir()
    for path in sorted(folders[0].glob("**/*.ko*")):
        target = image / "modules" / f"{module_name(path)}.ko"
        target.write_bytes(decompress(path.read_bytes()))
    builtin = [module_name(Path(line)) for path in tree.glob("**/modules.builtin")
               for line in path.read_text().split()]
    (image / "builtin").write_text("\n".join(builtin) + "\n")
    for config in [*tree.glob("**/config-*"), *tree.glob("**/modules/*/config")][:1]:
        shutil.copy(config, image / "config")
    facts = {"layout": LAYOUT, "release": release, "version": version,
             "packages": [path.name for path in archives]}
    (image / "image.json").write_text(json.dumps(facts, indent=2) + "\n")


def build_emulator(archives, work, version):
    """The same for the emulator, which has to run here."""
    image = work / "image"
    unpack(archives, image / "tree")
    program = image / "tree" / "usr" / "bin" / "qemu-system-x86_64"
    try:
        told = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    except OSError as error:
        raise VmError(f"the packages of qemu {version} hold no program for this machine: "
                      f"{error}") from error
    if told.returncode:
        raise VmError(f"qemu {version} does not run here: {told.stderr.strip()}\n"
                      "its libraries come with Debian 12's own: apt-get install qemu-system-x86")
    facts = {"layout": LAYOUT, "release": " ".join(told.stdout.split()[:4]), "version": version,
             "packages": [path.name for path in archives]}
    (image / "image.json").write_text(json.dumps(facts, indent=2) + "\n")


def module_name(path):
    return path.name.split(".ko")[0].replace("-", "_")


def extract_vmlinux(image):
    """The ELF inside a bzImage: booted by PVH it saves the guest the decompression."""
    if image[:4] == b"\x7fELF":
        return image
    if image[0x202:0x206] != b"HdrS":
        raise VmError("the kernel is no bzImage")
    setup_sectors = image[0x1F1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (setup_sectors + 1) * 512 + offset
    payload = image[start:start + length]
    # The kernel's build appends the uncompressed size to the payload.
    size = struct.unpack("<I", payload[-4:])[0]
    vmlinux = decompress(payload, size)
    if vmlinux[:4] != b"\x7fELF":
        raise VmError("the kernel image holds no ELF file: its compression is unknown")
    return vmlinux


def decompress(data, size=None):
    if data[:2] == b"\x1f\x8b":
        return zlib.decompressobj(31).decompress(data)
    if data[:6] == b"\xfd7zXZ\x00":
        return lzma.LZMADecompressor().decompress(data)
    if data[:4] == b"\x28\xb5\x2f\xfd":
        return decompress_zstd(data, size)
    if data[:4] == b"\x02\x21\x4c\x18":
        return decompress_lz4_legacy(data, size)
    return data


def library(name):
    try:
        return ctypes.CDLL(name)
    except OSError as error:
        raise VmError(f"{name} not found ({error}): apt-get install "
                      f"{name.split('.so.')[0]}-{name.split('.so.')[1]}") from error


def decompress_zstd(data, size):
    zstd = library("libzstd.so.1")
    for function in (zstd.ZSTD_findFrameCompressedSize, zstd.ZSTD_decompress):
        function.restype = ctypes.c_size_t
    zstd.ZSTD_getFrameContentSize.restype = ctypes.c_ulonglong
    frame = ctypes.c_size_t(zstd.ZSTD_findFrameCompressedSize(data, ctypes.c_size_t(len(data))))
    if zstd.ZSTD_isError(frame):
        raise VmError("a zstd frame of the kernel is damaged")
    if size is None:
        size = zstd.ZSTD_getFrameContentSize(data, ctypes.c_size_t(len(data)))
        if size >= 2**32:
            raise VmError("a zstd frame of the kernel does not say its size")
    output = ctypes.create_string_buffer(size)
    written = zstd.ZSTD_decompress(output, ctypes.c_size_t(size), data, frame)
    if written != size:
        raise VmError("a zstd frame of the kernel is damaged")
    return output.raw


def decompress_lz4_legacy(data, size):
    """The block format of `lz4 -l`, which neither Python nor zstd's program can read."""
    lz4 = library("liblz4.so.1")
    output = bytearray()
    block = ctypes.create_string_buffer(8 << 20)
    offset = 4
    while len(output) < size:
        length = struct.unpack_from("<I", data, offset)[0]
        offset += 4
        written = lz4.LZ4_decompress_safe(data[offset:offset + length], block, length, len(block))
        if written <= 0:
            raise VmError("an lz4 block of the kernel is damaged")
        output += block.raw[:written]
        offset += length
    return bytes(output)


@dataclass(frozen=True)
class Source:
    """Where something in the cache comes from.

    suite      of Debian
    packages   of a PrivateApt, returns [(name, version)]; the first one's version is its own
    build      (archives, work, version): unpacks into work/image
    opened     (folder): reads it; OSError, ValueError or KeyError where it is not what it should be
    """

    suite: str
    packages: Callable
    build: Callable
    opened: Callable


SOURCES = {
    **{name: Source(suite, PrivateApt.kernel_packages, build_kernel, Image)
       for name, suite in SUITES.items()},
    EMULATOR: Source(EMULATOR_SUITE, PrivateApt.emulator_packages, build_emulator, Emulator),
}
