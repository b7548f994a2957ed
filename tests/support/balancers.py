"""haproxy and nginx with a configuration of their own, before and behind a `wrap` that speaks the
PROXY protocol: what they are started with."""

import socket
import subprocess

import nginx_configuration
import wrap_peers as peers

# One process, in the foreground, on sockets that it inherits: no port is taken by chance.
_HAPROXY = """\
defaults
  timeout connect 20s
  timeout client 20s
  timeout server 20s
listen tcp
  mode tcp
  bind fd@{front}
  server wrap {to} {send}
frontend http
  mode http
  bind fd@{back} accept-proxy
  http-request return status 200 content-type text/plain lf-string \
"%[src]:%[src_port] %[dst]:%[dst_port] %[fc_pp_authority]"
"""
_NGINX = """\
  server {{
    listen unix:{folder}/nginx proxy_protocol;
    default_type text/plain;
    return 200 "$proxy_protocol_addr:$proxy_protocol_port \
$proxy_protocol_server_addr:$proxy_protocol_server_port ";
  }}
"""


def _listener():
    return socket.create_server(("127.0.0.1", 0))


class Haproxy:
    """`front` passes on to `to` with the header that `send` names, as haproxy writes it; `back`
    takes a header and answers each request with what it was told."""

    def __init__(self, folder, to="127.0.0.1:9", send=""):
        with _listener() as front, _listener() as back:
            self.front, self.back = front.getsockname(), back.getsockname()
            path = folder / "haproxy.cfg"
            path.write_text(_HAPROXY.format(front=front.fileno(), back=back.fileno(), to=to,
                                            send=send))
            self.process = subprocess.Popen(
                ["haproxy", "-db", "-f", path], stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                pass_fds=(front.fileno(), back.fileno()))

    def close(self):
        self.process.kill()
        self.process.wait()


class Nginx:
    """Listens on the unix socket `path`, takes a header and answers each request with what it was
    told."""

    def __init__(self, folder):
        self.path = folder / "nginx"
        words = nginx_configuration.start_words(folder, _NGINX.format(folder=folder),
                                                nginx_configuration.IN_ONE_PROCESS)
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def listens(self):
        with socket.socket(socket.AF_UNIX) as trial:
            trial.settimeout(peers.TIMEOUT_S)
            return trial.connect_ex(str(self.path)) == 0

    def close(self):
        self.process.kill()
        self.process.wait()
