"""Python's ssl as a peer of stacks.py, which says how it is called and what it prints."""

import os
import socket
import ssl
import sys

SIZE = 65536
TIMEOUT_S = 60
ROLE, PORT, VERSION, _, SUITE, CA, CERTIFICATE, KEY, COUNT = sys.argv[1:]
VERSIONS = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}


def make_context():
    is_client = ROLE == "client"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT if is_client else ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = context.maximum_version = VERSIONS[VERSION]
    if VERSION == "TLSv1.2":
        context.set_ciphers(f"{SUITE}:@SECLEVEL=0")
    context.load_verify_locations(CA)
    if not is_client:
        context.load_dh_params(os.path.join(os.path.dirname(CA), "dh.pem"))
    if CERTIFICATE != "-":
        context.load_cert_chain(CERTIFICATE, KEY)
    if ROLE == "asking-server":
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def say(stream):
    name, version, _ = stream.cipher()
    print(version if version == "TLSv1.2" else stream.version(), name,
          "resumed" if stream.session_reused else "full",
          *(["shown"] if ROLE != "client" and stream.getpeercert() else []), flush=True)


def converse(stream):
    data = os.urandom(SIZE)
    stream.sendall(data)
    got = b""
    while len(got) < SIZE:
        piece = stream.recv(SIZE)
        if not piece:
            sys.exit("the connection ended")
        got += piece
    if got != data:
        sys.exit("other bytes came back")


def run_client(context):
    session = None
    for _ in range(int(COUNT)):
        with socket.create_connection(("127.0.0.1", int(PORT)), TIMEOUT_S) as tcp:
            with context.wrap_socket(tcp, server_hostname="localhost", session=session) as stream:
                converse(stream)
                say(stream)
                session = stream.session
                stream.unwrap().close()


def run_server(context):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        for _ in range(int(COUNT)):
            tcp, _ = listener.accept()
            tcp.settimeout(TIMEOUT_S)
            with context.wrap_socket(tcp, server_side=True) as stream:
                while data := stream.recv(SIZE):
                    stream.sendall(data)
                say(stream)
                stream.unwrap().close()


(run_client if ROLE == "client" else run_server)(make_context())
