#!/usr/bin/env python3
"""On this kernel each direction runs where the README's table says: placement_test.py KERNEL."""

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY / "tests" / "support"), str(REPOSITORY / "scripts" / "lib")]

import demo_run  # noqa: E402
import report  # noqa: E402

BUILD = Path(os.environ.get("KTLS_BRIDGE_BUILD", REPOSITORY / "build-test"))
PROGRAM = BUILD / "tools" / "ktls-bridge" / "ktls-bridge"
KERNEL = sys.argv.pop(1) if len(sys.argv) > 1 else "newest"
SIZE = 300_000  # more than a pipe takes at once
TIMEOUT = 120

SUITES = {
    "1.2": ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
            "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES128-CCM"),
    "1.3": ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256",
            "TLS_AES_128_CCM_SHA256"),
}


def told_by_the_readme():
    """(version, policy): what the cell of this kernel's row says."""
    row = re.search(rf"^\| {re.escape(KERNEL)} \|(.*)\|$", (REPOSITORY / "README.md").read_text(),
                    re.MULTILINE)
    both, auto, kernel = (cell.strip() for cell in row.group(1).split("|"))
    return {("1.2", "auto"): both, ("1.2", "kernel"): both,
            ("1.3", "auto"): auto, ("1.3", "kernel"): kernel}


class Placement(unittest.TestCase):
    def setUp(self):
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        self.stack = stack
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        demo_run.make_certificates(self.folder)
        self.digest = demo_run.make_file(self.folder / "data", SIZE)
        server = self.start("server", [sys.executable, "-u", "-m", "http.server", "--bind",
                                       "127.0.0.1", "--directory", str(self.folder), "0"])
        line = server.wait_for(r" port \d+", TIMEOUT)
        self.backend = re.search(r" port (\d+)", line).group(1)

    def start(self, name, command):
        service = demo_run.Service(name, command, self.folder / f"{name}.log")
        self.stack.callback(service.stop)
        return service

    def fetch(self, port, version, suite):
        option = "--ciphers" if version == "1.2" else "--tls13-ciphers"
        found = subprocess.run(
            demo_run.curl(port, "--cacert", str(self.folder / "ca.pem"), f"--tlsv{version}",
                          "--tls-max", version, option, suite),
            capture_output=True, timeout=TIMEOUT, check=True).stdout
        self.assertEqual(found, (self.folder / "data").read_bytes(), suite)

    def check(self, policy):
        wrap = self.start("wrap", [
            str(PROGRAM), "wrap", "--listen", "127.0.0.1:0", "--to", f"127.0.0.1:{self.backend}",
            "--cert", str(self.folder / "chain.pem"), "--key", str(self.folder / "key.pem"),
            "--threads", "1", "--offload", policy, "--log-format", "json"])
        line = json.loads(wrap.wait_for('"event":"listening"', TIMEOUT))
        port = line["address"].rpartition(":")[2]
        told = told_by_the_readme()
        for version, suites in SUITES.items():
            for suite in suites:
                self.fetch(port, version, suite)
                line = json.loads(wrap.wait_for('"event":"connection"', TIMEOUT))
                wrap.forget()
                found = f"tx={line['tx']} rx={line['rx']}"
                print(f"{KERNEL} {policy} TLS {version} {line['suite']}: {found}")
                self.assertEqual(found, told[version, policy], suite)
                self.assertEqual(line["ended"], "clean")

    def test_auto_puts_each_direction_where_the_readme_says(self):
        self.check("auto")

    def test_kernel_puts_each_direction_where_the_readme_says(self):
        self.check("kernel")


if __name__ == "__main__":
    report.main("placement")
