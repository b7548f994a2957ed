"""The servers that scripts/bench static sets beside each other, and what each of them costs."""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

START_S = 60
STOP_S = 10
# More than any run asks for: a connection that ends in the middle is an error there.
REQUESTS_MAX = 1_000_000_000

# What is not part of this project, and where it comes from.
PEERS = (("nginx", "nginx"), ("lighttpd", "lighttpd"),
         ("/usr/lib/lighttpd/mod_openssl.so", "lighttpd-mod-openssl"))

# One worker, no log, and otherwise what Debian's nginx.conf says. OpenSSL's kTLS is an option of
# its own, which changes nothing where the kernel has none.
NGINX = """
daemon off;
{user}
worker_processes 1;
pid {work}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 768; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests {requests};
  client_body_temp_path {work}/body;
  proxy_temp_path {work}/proxy;
  fastcgi_temp_path {work}/fastcgi;
  uwsgi_temp_path {work}/uwsgi;
  scgi_temp_path {work}/scgi;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    ssl_protocols TLSv1.3;
    ssl_conf_command Options KTLS;
    root {site};
  }}
}}
"""

LIGHTTPD = """
server.modules = ("mod_openssl")
server.document-root = "{site}"
server.bind = "127.0.0.1"
server.port = {port}
server.max-keep-alive-requests = {requests}
mimetype.assign = ("" => "application/octet-stream")
ssl.engine = "enable"
ssl.pemfile = "{certificate}"
ssl.privkey = "{key}"
ssl.openssl.ssl-conf-cmd = ("MinProtocol" => "TLSv1.3", "Options" => "KTLS")
"""


def missing_packages():
    return [package for program, package in PEERS if not shutil.which(program)
            and not Path(program).exists()]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """One server on a port of its own, in a session of its own."""

    def __init__(self, name, command, port, log, cpu=None):
        self.name = name
        self.port = port
        self._log = log
        with open(log, "wb") as output:
            self._process = subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=output,
                stderr=output, start_new_session=True, preexec_fn=lambda: pin(cpu))

    def wait_until_it_listens(self):
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        self.stop()
        raise RuntimeError(f"{self.name} does not listen: {self._log.read_text()}")

    def cpu_ns(self):
        """Time on a CPU so far, of all its processes, and of threads that have ended as well."""
        total = 0
        for folder in self._folders():
            try:
                total += time.clock_gettime_ns(cpu_clock_of(int(folder.name)))
            except OSError:
                continue
        return total

    def peak_kib(self):
        """Resident memory at its highest, the sum over its processes."""
        total = 0
        for folder in self._folders():
            try:
                status = (folder / "status").read_text()
                total += int(status.split("VmHWM:")[1].split()[0])
            except (ProcessLookupError, FileNotFoundError, IndexError):
                continue
        return total

    def proportional_kib(self):
        """Resident memory now, of all its processes, each page shared out among those that have it
        (PSS)."""
        total = 0
        for folder in self._folders():
            try:
                text = (folder / "smaps_rollup").read_text()
                total += int(text.split("\nPss:")[1].split()[0])
            except (ProcessLookupError, FileNotFoundError, IndexError):
                continue
        return total

    def _folders(self):
        """In /proc, of each of its processes: those of its session."""
        for folder in Path("/proc").iterdir():
            try:
                if folder.name.isdigit() and os.getsid(int(folder.name)) == self._process.pid:
                    yield folder
            except ProcessLookupError:
                continue

    def stop(self):
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def cpu_clock_of(pid):
    """The clock of a process's CPU time, as clock_getcpuclockid(3) makes it."""
    scheduler = 2  # CPUCLOCK_SCHED of the kernel's include/linux/posix-timers.h
    return (~pid << 3) | scheduler


def pin(cpu):
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})


def start(name, setting, cpu):
    """The server of that name: it serves setting["site"] from now on."""
    port = free_port()
    work = setting["work"] / name
    work.mkdir()
    values = {**setting, "work": work, "port": port, "requests": REQUESTS_MAX,
              "user": "user root;" if os.geteuid() == 0 else ""}
    if name == "nginx":
        (work / "nginx.conf").write_text(NGINX.format(**values))
        command = ["nginx", "-p", work, "-c", work / "nginx.conf"]
    elif name == "lighttpd":
        (work / "lighttpd.conf").write_text(LIGHTTPD.format(**values))
        command = ["lighttpd", "-D", "-f", work / "lighttpd.conf"]
    elif name == "bare":
        command = [setting["floor"], port, setting["certificate"], setting["key"],
                   setting["site"] / setting["floor_file"]]
    else:
        loop = ("--loop", "epoll") if name == "serve-epoll" else ()
        command = [setting["bridge"], "serve", setting["site"], "--listen", f"127.0.0.1:{port}",
                   "--cert", setting["certificate"], "--key", setting["key"], "--threads", "1",
                   "--max-requests", REQUESTS_MAX, "--quiet", *loop]
    server = Server(name, command, port, work / "output.log", cpu)
    server.wait_until_it_listens()
    return server
