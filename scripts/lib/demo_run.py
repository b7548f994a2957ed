"""What scripts/demo shows: a file fetched over TLS through `ktls-bridge wrap`, here and in a VM.

The part inside the virtual machine is this program once more, with --inside-vm.
"""

import argparse
import contextlib
import hashlib
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
GUEST_KERNEL = "newest"
GUEST_SIZE = 64 << 20
CHUNK = 4 << 20
RANDOM_MAX = 1 << 30  # openssl rand takes less than 2^31

# Deadlines in seconds. Inside the virtual machine everything is some thirty times slower.
READY_TIMEOUT = 60
FETCH_TIMEOUT = 900
GUEST_TIMEOUT = 900
BOOT_TIMEOUT = 900  # the first time the kernel is downloaded

COUNTERS = ("TlsTxSw", "TlsRxSw", "TlsTxDevice", "TlsRxDevice", "TlsDecryptError")
TLS_STAT = Path("/proc/net/tls_stat")
RESULT = "result: "


class DemoError(Exception):
    """What failed, in one line."""


def say(text):
    print(text, flush=True)


def step(text):
    say(f"==> {text}")


def size_text(size):
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size % factor == 0:
            return f"{size // factor} {unit}"
    return f"{size} bytes"


class Service:
    """A program in the background, whose output is read line by line."""

    def __init__(self, name, command, log):
        self.name = name
        self._lines = []
        self._changed = threading.Condition()
        self._ended = False
        self._log = open(log, "w", encoding="utf-8")
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, text=True,
                                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self._process.stdout:
            self._log.write(line)
            self._log.flush()
            with self._changed:
                self._lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def wait_for(self, pattern, timeout):
        """The first line that `pattern` matches, as soon as it is there."""
        deadline = time.monotonic() + timeout
        seen = 0
        with self._changed:
            while True:
                for line in self._lines[seen:]:
                    if re.search(pattern, line):
                        return line
                seen = len(self._lines)
                rest = deadline - time.monotonic()
                if self._ended or rest <= 0:
                    why = "ended" if self._ended else f"was silent for {timeout} s"
                    raise DemoError(f"{self.name} {why} before saying {pattern!r}; it said:\n"
                                    + "\n".join(self._lines[-20:]))
                self._changed.wait(rest)

    def forget(self):
        """What it said until now is not waited for any more."""
        with self._changed:
            self._lines.clear()

    def stop(self):
        """Ends it, and answers its exit status."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            status = self._process.wait(READY_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        self._reader.join(READY_TIMEOUT)
        self._process.stdout.close()
        self._log.close()
        return status


def run(*command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=READY_TIMEOUT, check=False)
    if done.returncode != 0:
        raise DemoError(f"{shlex.join(map(str, command))}\n{done.stderr.strip()}")


def make_certificates(folder):
    """A CA, and a certificate from it for localhost: ca.pem, chain.pem, key.pem."""
    def request(key, certificate, subject, *more):
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-noenc", "-days", "2", "-subj", subject, "-keyout", folder / key,
            "-out", folder / certificate, *more)
    request("ca-key.pem", "ca.pem", "/CN=ktls-bridge demo CA",
            "-addext", "keyUsage=critical,keyCertSign")
    request("key.pem", "chain.pem", "/CN=localhost", "-CA", folder / "ca.pem",
            "-CAkey", folder / "ca-key.pem", "-addext", "subjectAltName=DNS:localhost",
            "-addext", "basicConstraints=critical,CA:FALSE",
            "-addext", "extendedKeyUsage=serverAuth")


def make_file(path, size):
    """Random bytes, so that nothing on the way can be clever about them. Answers their digest."""
    digest = hashlib.sha256()
    with open(path, "wb") as file:
        while size:
            part = min(size, RANDOM_MAX)
            with subprocess.Popen(["openssl", "rand", str(part)], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE) as process:
                while piece := process.stdout.read(CHUNK):
                    file.write(piece)
                    digest.update(piece)
                    size -= len(piece)
            if process.returncode != 0:
                raise DemoError("openssl rand failed")
    return digest.hexdigest()


def counters():
    """The kernel's TLS counters, none where its module is not loaded."""
    if not TLS_STAT.exists():
        return {}
    found = dict(line.split() for line in TLS_STAT.read_text().splitlines())
    return {name: int(found[name]) for name in COUNTERS if name in found}


def curl(port, *arguments):
    return ["curl", "--silent", "--show-error", "--fail", "--noproxy", "*", "--max-time",
            str(FETCH_TIMEOUT), "--connect-to", f"localhost::127.0.0.1:{port}", *arguments,
            f"https://localhost:{port}/data"]


def refuse_without_ca(port):
    """That verification is on shows best when it fails."""
    done = subprocess.run(curl(port, "--output", os.devnull), capture_output=True, text=True,
                          check=False, timeout=FETCH_TIMEOUT)
    if done.returncode != 60:  # CURLE_PEER_FAILED_VERIFICATION
        raise DemoError(f"curl without the CA ended with {done.returncode} instead of refusing "
                        f"the certificate (60): {done.stderr.strip()}")
    step("curl without the CA refuses the certificate (exit status 60)")


def fetch(port, authority, digest, size):
    """Through curl into the digest: nothing is written, whatever the size."""
    step(f"curl --cacert ca.pem https://localhost:{port}/data")
    started = time.monotonic()
    received, found = 0, hashlib.sha256()
    with subprocess.Popen(curl(port, "--cacert", str(authority)), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE) as process:
        while piece := process.stdout.read(CHUNK):
            received += len(piece)
            found.update(piece)
    if process.returncode != 0:
        raise DemoError(f"curl ended with {process.returncode} after {received} bytes")
    say(f"    {received} bytes in {time.monotonic() - started:.1f} s, SHA-256 {found.hexdigest()}")
    if (received, found.hexdigest()) != (size, digest):
        raise DemoError(f"that is not what the server has: {size} bytes, SHA-256 {digest}")
    say("    the same as on the server")


def fields_of(line):
    return dict(word.split("=", 1) for word in shlex.split(line) if "=" in word)


def explain(ready, connection):
    """Says in words what the connection line says about this kernel."""
    for direction, doing in (("tx", "encrypted"), ("rx", "decrypted")):
        if connection[direction] == "userspace":
            reason = connection[f"{direction}_reason"]
            say(f"    {direction}: {doing} in userspace, because of {reason}")
        else:
            say(f"    {direction}: {doing} by this kernel")
    if "remedy" in ready:
        say(f"    what would change it: {ready['remedy']}")


def show_counters(before, after):
    """Answers how far each rose."""
    if not after:
        say(f"    {TLS_STAT}: not there, as the tls module is not loaded")
        return {}
    step(f"{TLS_STAT}, before and after the connection")
    for name in COUNTERS:
        if name in after:
            say(f"    {name:16} {before.get(name, 0):4} -> {after[name]}")
    return {name: after[name] - before.get(name, 0) for name in after}


def check_line(connection, size, rises, expect_kernel):
    # HTTP's header comes on top of the file.
    if connection["ended"] != "clean" or int(connection["sent"]) < size:
        raise DemoError("the connection did not end clean with all bytes sent")
    if not expect_kernel:
        return
    if (connection["tx"], connection["rx"]) != ("kernel", "kernel"):
        raise DemoError("the connection line does not say tx=kernel rx=kernel")
    for name in ("TlsTxSw", "TlsRxSw"):
        if rises.get(name, 0) < 1:
            raise DemoError(f"{name} did not rise: the kernel took no keys")


def show(program, size, folder, expect_kernel):
    """One part of the demonstration, on the kernel that this runs on. Answers its summary."""
    with contextlib.ExitStack() as stack:
        step(f"on Linux {platform.release()}: {size_text(size)} of random bytes")
        digest = make_file(folder / "data", size)
        make_certificates(folder)

        server = Service("the HTTP server", [
            sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "--directory",
            str(folder), "0"], folder / "http.log")
        stack.callback(server.stop)
        backend = re.search(r" port (\d+)", server.wait_for(r" port \d+", READY_TIMEOUT)).group(1)
        step(f"python3 -m http.server on 127.0.0.1:{backend}, plaintext")

        command = ["ktls-bridge", "wrap", "--listen", "127.0.0.1:0", "--cert", "chain.pem",
                   "--key", "key.pem", "--to", f"127.0.0.1:{backend}"]
        step(shlex.join(command))
        files = [str(folder / word) if word.endswith(".pem") else word for word in command]
        wrap = Service("ktls-bridge", [str(program), *files[1:]], folder / "wrap.log")
        stack.callback(wrap.stop)
        ready = fields_of(wrap.wait_for(r" ready ", READY_TIMEOUT))
        listening = fields_of(wrap.wait_for(r" listening ", READY_TIMEOUT))
        port = listening["address"].rpartition(":")[2]
        say(f"    listening on {listening['address']}")

        refuse_without_ca(port)
        before = counters()
        fetch(port, folder / "ca.pem", digest, size)
        # Of all connections this one got as far as sending.
        line = wrap.wait_for(r" connection .* sent=[1-9]", READY_TIMEOUT)
        step("the line that the connection left")
        say(line)
        connection = fields_of(line)
        explain(ready, connection)
        rises = show_counters(before, counters())
        check_line(connection, size, rises, expect_kernel)
        if wrap.stop() != 0:
            raise DemoError("ktls-bridge did not end with status 0 after SIGTERM")
    place = " ".join(f"{key}={connection[key]}" for key in
                     ("tx", "tx_reason", "rx", "rx_reason") if key in connection)
    risen = "".join(f", {name} +{rises[name]}" for name in ("TlsTxSw", "TlsRxSw") if name in rises)
    return f"{size_text(size)} on Linux {platform.release()}: {place}{risen}"


def show_in_vm(program):
    """The same inside the newest kernel. Answers its summary, or why it was left out."""
    step(f"the same with {size_text(GUEST_SIZE)} inside the {GUEST_KERNEL} kernel, by scripts/vm")
    command = [str(REPOSITORY / "scripts" / "vm"), GUEST_KERNEL, "--timeout", str(GUEST_TIMEOUT),
               "--", sys.executable, str(Path(__file__).resolve()), "--inside-vm",
               "--program", str(program), "--size", str(GUEST_SIZE)]
    if os.geteuid() != 0:
        if not shutil.which("sudo"):
            raise DemoError("scripts/vm needs root, and there is no sudo: run scripts/demo as "
                            "root, or with --no-vm")
        command.insert(0, "sudo")
    summary = None
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          text=True) as process:
        watchdog = threading.Timer(BOOT_TIMEOUT + GUEST_TIMEOUT, process.terminate)
        watchdog.start()
        try:
            for line in process.stdout:
                if line.startswith(RESULT):
                    summary = line.removeprefix(RESULT).strip()
                else:
                    say(f"  {line.rstrip()}")
        except BaseException:
            process.terminate()  # scripts/vm ends its machine; leaving the block waits for it
            raise
        finally:
            watchdog.cancel()
    if process.returncode != 0 or summary is None:
        raise DemoError(f"the part inside the virtual machine failed ({process.returncode})")
    return summary


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", type=Path, required=True)
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--no-vm", action="store_true")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--inside-vm", action="store_true")
    options = parser.parse_args()
    options.program = options.program.absolute()
    return options


@contextlib.contextmanager
def work_folder(keep):
    folder = Path(tempfile.mkdtemp(prefix="ktls-bridge-demo-"))
    try:
        yield folder
    finally:
        if keep:
            say(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


def stop_on(signum, _frame):
    raise SystemExit(128 + signum)


def main():
    options = parse()
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, stop_on)
    try:
        if not os.access(options.program, os.X_OK):
            raise DemoError(f"{options.program} is not there: build it first")
        with work_folder(options.keep) as folder:
            summaries = [show(options.program, options.size, folder, options.inside_vm)]
        if options.inside_vm:
            say(RESULT + summaries[0])
            return 0
        if not options.no_vm:
            summaries.append(show_in_vm(options.program))
    except (DemoError, OSError, subprocess.TimeoutExpired) as error:
        say(f"FAIL: {error}")
        return 1
    say("")
    for summary in summaries:
        say(f"PASS: {summary}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
