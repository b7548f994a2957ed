"""FdCase: `wrap --fd`, started with a connection, or by whoever accepts them."""

import os
import socket
import subprocess

import wrap_peers as peers
from exec_case import ExecCase
from shared_certificates import certificates
from watched import BINARY, wait_until
from wrap_tls_stream import TlsStream


class FdCase(ExecCase):
    def accepted(self):
        """(our end, the other end) of one TCP connection."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            client = peers.tcp(listener.getsockname())
            server, _ = listener.accept()
        self.addCleanup(client.close)
        return client, server

    def command(self, fd, *program, flags=()):
        return [BINARY, "wrap", "--fd", str(fd), *certificates().server_flags, *flags, "--",
                *program]

    def start(self, server, fd, *program, flags=(), as_inetd=False, **options):
        """With the connection as descriptor `fd`, or as 0, 1 and 2."""
        command = self.command(fd, *program, flags=flags)
        if as_inetd:
            process = subprocess.Popen(command, stdin=server, stdout=server, stderr=server,
                                       **options)
        else:
            os.dup2(server.fileno(), fd, inheritable=True)
            with open(self.folder / "log", "wb") as log:
                process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log,
                                           stdout=subprocess.DEVNULL, pass_fds=(fd,), **options)
            os.close(fd)
        server.close()
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        if process.poll() is None:
            process.kill()
            process.wait()

    def stream(self, client):
        return TlsStream(client, certificates().client_context(), "localhost")

    @staticmethod
    def free_port():
        with socket.create_server(("127.0.0.1", 0)) as probe:
            return probe.getsockname()[1]

    def start_listener(self, port, *command, **options):
        process = subprocess.Popen(command, **options)
        self.addCleanup(self.end, process)
        wait_until(lambda: is_listened_on(port), command[0])

    def start_activator(self, *flags, fd, program):
        """systemd-socket-activate. Answers the port."""
        port = self.free_port()
        self.start_listener(port, "systemd-socket-activate", "--accept", *flags, "--listen",
                            f"127.0.0.1:{port}", *self.command(fd, *program),
                            stderr=subprocess.DEVNULL)
        return port

    def start_inetd(self, *program):
        """Answers the port."""
        port = self.free_port()
        words = " ".join(self.command(0, *program)[1:])
        configuration = self.folder / "inetd.conf"
        configuration.write_text(f"127.0.0.1:{port} stream tcp nowait root {BINARY} "
                                 f"ktls-bridge {words}\n", encoding="ascii")
        self.start_listener(port, "inetd", "-i", str(configuration))
        return port


def is_listened_on(port):
    """Asked without a connection, which would start a program."""
    wanted = f"0100007F:{port:04X} 00000000:0000 0A"
    with open("/proc/net/tcp", encoding="ascii") as table:
        return any(wanted in line for line in table)
