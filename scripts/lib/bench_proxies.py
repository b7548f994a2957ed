"""The TLS proxies that scripts/bench proxy sets beside each other, all in front of one plaintext
server."""

import os
import shutil
from pathlib import Path

import bench_servers

# What is not part of this project, and where it comes from.
PEERS = (("nginx", "nginx"), ("/usr/lib/nginx/modules/ngx_stream_module.so", "libnginx-mod-stream"),
         ("haproxy", "haproxy"), ("stunnel4", "stunnel4"), ("hitch", "hitch"))
CONNECTIONS_MAX = 6000

# Each with one worker or thread, no log of connections, and resumption by tickets.
NGINX = """
load_module modules/ngx_stream_module.so;
daemon off;
{user}
worker_processes 1;
pid {work}/nginx.pid;
error_log stderr warn;
worker_rlimit_nofile {descriptors};
events {{ worker_connections {descriptors}; }}
stream {{
  server {{
    listen 127.0.0.1:{port} ssl backlog=1024;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache none;
    ssl_session_tickets on;
    proxy_pass 127.0.0.1:{sink};
  }}
}}
"""

HAPROXY = """
global
  nbthread 1
  maxconn {connections}
  tune.ssl.default-dh-param 2048
defaults
  mode tcp
  timeout connect 10s
  timeout client 600s
  timeout server 600s
listen tls
  bind 127.0.0.1:{port} ssl crt {pem} backlog 1024
  server sink 127.0.0.1:{sink}
"""

STUNNEL = """
foreground = yes
syslog = no
debug = warning
pid =
socket = l:TCP_NODELAY=1
socket = r:TCP_NODELAY=1
[tls]
accept = 127.0.0.1:{port}
connect = 127.0.0.1:{sink}
cert = {certificate}
key = {key}
sslVersionMin = TLSv1.2
"""

HITCH = """
frontend = "[127.0.0.1]:{port}"
backend = "[127.0.0.1]:{sink}"
pem-file = "{pem}"
workers = 1
daemon = off
quiet = on
backlog = 1024
tls-protos = TLSv1.2 TLSv1.3
"""


def missing_packages():
    return [package for program, package in PEERS
            if not shutil.which(program) and not Path(program).exists()]


def _nginx(work, values):
    (work / "nginx.conf").write_text(NGINX.format(**values))
    # Where Debian's modules are is relative to the prefix.
    (work / "modules").symlink_to("/usr/lib/nginx/modules")
    return ["nginx", "-p", work, "-c", work / "nginx.conf"]


def _haproxy(work, values):
    (work / "haproxy.cfg").write_text(HAPROXY.format(**values))
    return ["haproxy", "-db", "-q", "-f", work / "haproxy.cfg"]


def _stunnel(work, values):
    (work / "stunnel.conf").write_text(STUNNEL.format(**values))
    return ["stunnel4", work / "stunnel.conf"]


def _hitch(work, values):
    (work / "hitch.conf").write_text(HITCH.format(**values))
    user = ["--user=_hitch"] if os.geteuid() == 0 else []
    return ["hitch", f"--config={work / 'hitch.conf'}", *user]


def _bridge(loop):
    def command(_, values):
        return [values["bridge"], "wrap", "--listen", f"127.0.0.1:{values['port']}", "--to",
                f"127.0.0.1:{values['sink']}", "--cert", values["certificate"], "--key",
                values["key"], "--threads", "1", "--loop", loop, "--max-connections",
                CONNECTIONS_MAX, "--quiet"]
    return command


PROXIES = {"wrap io_uring": _bridge("io_uring"), "wrap epoll": _bridge("epoll"),
           "nginx": _nginx, "haproxy": _haproxy, "stunnel": _stunnel, "hitch": _hitch}
OURS = tuple(name for name in PROXIES if name.startswith("wrap"))


def start(name, setting, cpu):
    """The proxy of that name: it speaks TLS in front of setting["sink"] from now on."""
    port = bench_servers.free_port()
    work = setting["work"] / name.replace(" ", "-")
    work.mkdir()
    pem = work / "both.pem"
    pem.write_text(setting["key"].read_text() + setting["certificate"].read_text())
    values = {**setting, "work": work, "port": port, "pem": pem, "connections": CONNECTIONS_MAX,
              "descriptors": 2 * CONNECTIONS_MAX + 64,
              "user": "user root;" if os.geteuid() == 0 else ""}
    command = PROXIES[name](work, values)
    server = bench_servers.Server(name, command, port, work / "output.log", cpu)
    server.wait_until_it_listens()
    return server
