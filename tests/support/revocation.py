"""What an authority of wrap_peers.Certificates says of its leaf: revocation lists and OCSP
responses, made by the openssl program."""

import ssl
import subprocess
from datetime import datetime, timedelta, timezone
from pathlib import Path

from wrap_peers import openssl


def _time(days):
    return (datetime.now(timezone.utc) + timedelta(days=days)).strftime("%y%m%d%H%M%SZ")


def _write_index(credentials, revoked):
    """The database of `openssl ca`: the leaf alone."""
    shown = subprocess.run(["openssl", "x509", "-in", credentials.chain, "-noout", "-serial"],
                           check=True, capture_output=True, text=True, timeout=60).stdout
    serial = shown.strip().split("=")[1]
    state, when = ("R", _time(-1)) if revoked else ("V", "")
    index = credentials.folder / "index"
    index.write_text(f"{state}\t{_time(2)}\t{when}\t{serial}\tunknown\t/CN=localhost\n")
    return index


def revocation_list(credentials, revoked=False):
    """PEM of the authority's list."""
    index = _write_index(credentials, revoked)
    config = credentials.folder / "ca.cnf"
    config.write_text(f"[ca]\ndefault_ca = tests\n[tests]\ndatabase = {index}\n"
                      "default_md = sha256\ndefault_crl_days = 1\n")
    out = credentials.folder / "list.pem"
    openssl("ca", "-gencrl", "-config", str(config), "-cert", credentials.ca, "-keyfile",
            str(credentials.folder / "ca.key"), "-out", str(out))
    return out.read_bytes()


def ocsp_response(credentials, revoked=False):
    """DER of what is said of the leaf."""
    index = _write_index(credentials, revoked)
    request, out = (str(credentials.folder / name) for name in ("request.der", "response.der"))
    openssl("ocsp", "-issuer", credentials.ca, "-cert", credentials.chain, "-no_nonce",
            "-reqout", request)
    openssl("ocsp", "-index", str(index), "-CA", credentials.ca, "-rsigner", credentials.ca,
            "-rkey", str(credentials.folder / "ca.key"), "-reqin", request, "-ndays", "1",
            "-respout", out)
    return Path(out).read_bytes()


def staple_seen(endpoint, credentials, name="localhost"):
    """What `openssl s_client -status` says of the certificate's status: "good", or "none sent"."""
    host, port = endpoint
    done = subprocess.run(["openssl", "s_client", "-connect", f"{host}:{port}", "-servername", name,
                           "-CAfile", credentials.ca, "-status"], stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=60, check=False)
    text = done.stdout.decode("utf-8", "replace")
    if "OCSP response: no response sent" in text:
        return "none sent"
    lines = [line for line in text.splitlines() if "Cert Status:" in line]
    return lines[0].split(":")[1].strip() if lines else text


def client_context(server, own):
    """Trusts `server`, and shows `own`."""
    context = server.client_context()
    context.load_cert_chain(own.chain, own.key)
    return context


def asking_context(server, clients):
    """Of a server that demands a certificate of `clients`."""
    context = server.server_context()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(clients.ca)
    return context
