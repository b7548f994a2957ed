#!/usr/bin/env python3
"""What scanners find at a wrap of the default configuration: scan.py [--testssl].

sslscan has to see TLS 1.2 and 1.3 alone, and nothing but AEAD suites with forward secrecy.
testssl.sh (with --testssl, as it takes minutes) may find nothing of medium severity or above but
what is said of the test certificate itself.
"""

import argparse
import functools
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support")]

import stack_tools  # noqa: E402
import wrap_peers  # noqa: E402
from certificates import Authority  # noqa: E402
from drained_wrap import DrainedWrap  # noqa: E402

SCAN_S = 120
TESTSSL_S = 1800
# What a service over HTTP/1.0 has to say so that a scanner finds no fault with it but with the TLS.
PAGE = (b"HTTP/1.0 200 OK\r\nStrict-Transport-Security: max-age=31536000\r\n"
        b"X-Frame-Options: DENY\r\nX-Content-Type-Options: nosniff\r\n"
        b"Content-Security-Policy: default-src 'none'\r\nContent-Length: 2\r\n\r\nok")
# Of the test certificate: nobody has a list of what is revoked, and it is valid for three days.
OF_THE_CERTIFICATE = ("cert_revocation", "cert_expirationStatus", "cert_notAfter",
                      "cert_chain_of_trust", "cert_extlifeSpan", "cert_validityPeriod")
# Of the machine that scans.
OF_THE_SCANNER = ("engine_problem", "old_fart", "scanTime")
SEVERE = ("MEDIUM", "HIGH", "CRITICAL", "FATAL")


def report(name, problems):
    for problem in problems:
        print(f"{name}: {problem}")
    print(f"{'FAIL' if problems else 'ok'} {name}", flush=True)
    return not problems


def sslscan(port):
    done = subprocess.run(["sslscan", "--xml=-", f"localhost:{port}"], capture_output=True,
                          timeout=SCAN_S, check=True)
    test = ElementTree.fromstring(done.stdout).find("ssltest")
    enabled = {(each.get("type") + each.get("version"))
               for each in test.iter("protocol") if each.get("enabled") == "1"}
    suites = {(each.get("sslversion"), each.get("cipher")) for each in test.iter("cipher")}
    # Every suite of TLS 1.3 is AEAD and forward-secret.
    weak = [f"{version} {name}" for version, name in sorted(suites) if version != "TLSv1.3"
            and not (name.startswith("ECDHE-") and any(
                part in name for part in ("-GCM-", "-CCM", "-CHACHA20-POLY1305")))]
    print("\n".join(f"{version} {name}" for version, name in sorted(suites)))
    well = report("sslscan sees TLS 1.2 and 1.3 only",
                  [] if enabled == {"tls1.2", "tls1.3"} else [f"it sees {sorted(enabled)}"])
    return report("sslscan sees AEAD with forward secrecy only",
                  weak if suites else ["it sees no suite"]) and well


def testssl(port, authority, folder):
    found = folder / "testssl.json"
    subprocess.run(["testssl", "--add-ca", authority.file, "--severity", "MEDIUM", "--jsonfile",
                    found, "--warnings", "off", "--color", "0", "--nodns", "min",
                    f"https://localhost:{port}"], stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, timeout=TESTSSL_S, check=False)
    findings = json.loads(found.read_text())
    for each in findings:
        print(f"{each['severity']} {each['id']}: {each['finding']}")
    others = [f"{each['severity']} {each['id']}: {each['finding']}" for each in findings
              if each["severity"] in SEVERE
              and not each["id"].startswith(OF_THE_CERTIFICATE + OF_THE_SCANNER)]
    return report("testssl.sh finds nothing but the test certificate", others)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--testssl", action="store_true", help="testssl.sh as well: minutes")
    options = parser.parse_args()
    for program in ("sslscan", *(["testssl"] if options.testssl else [])):
        if not shutil.which(program):
            print(f"FAIL {program} is not installed")
            return 1
    with tempfile.TemporaryDirectory(prefix="ktls-scan-") as name:
        authority = Authority(name)
        own = authority.leaf["ec"]
        backend = wrap_peers.Backend(
            functools.partial(stack_tools.answer_with_page, page=PAGE))
        with DrainedWrap("--cert", own.certificate, "--key", own.key, to=backend.address) as wrap:
            well = sslscan(wrap.port)
            if options.testssl:
                well = testssl(wrap.port, authority, Path(name)) and well
        backend.close()
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
