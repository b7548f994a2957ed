"""scripts/vm --full: the whole conformance matrix in one kernel after the other."""

import copy
import os
import subprocess
from pathlib import Path

import vm_machine
from vm_images import VmError, say

REPOSITORY = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("KTLS_BRIDGE_BUILD", REPOSITORY / "build-test"))
MATRIX = REPOSITORY / "tests" / "conformance" / "matrix.py"
# Ten minutes where nothing else runs; a machine that is shared takes several times that.
TIMEOUT_S = 2 * 3600


def build():
    if not (BUILD / "build.ninja").exists():
        raise VmError(f"{BUILD} is not configured: scripts/test does it, or "
                      "meson setup build-test -Dtests=enabled")
    if subprocess.run(["ninja", "-C", BUILD, "--quiet"], check=False).returncode:
        raise VmError("the build failed, see above")


def run(kernels, options):
    """The command of the options is more words for matrix.py. Answers 0 if every cell passed in
    every kernel. Writes conformance.json for each kernel and for all, and table.txt."""
    build()
    out = Path(options.out or BUILD / "conformance")
    written, passed = [], True
    for kernel in kernels:
        folder = out / kernel
        folder.mkdir(parents=True, exist_ok=True)
        rows = folder / "conformance.json"
        rows.unlink(missing_ok=True)
        try:
            status = vm_machine.run(kernel, _command(options, folder)).status
        except VmError as error:
            say(str(error))
            status = vm_machine.STATUS_CRASH
        passed = passed and status == 0
        if rows.exists():
            written.append(rows)
    if written:
        _merge(written, out)
    return 0 if passed else 1


def _command(options, folder):
    options = copy.copy(options)
    options.command = [str(MATRIX), "--full", "--json", "/out/conformance.json", *options.command]
    options.out = str(folder)
    options.timeout = options.timeout or TIMEOUT_S
    options.env = [*options.env, f"KTLS_BRIDGE_BUILD={BUILD}", "KTLS_BRIDGE_REQUIRE_KTLS=1"]
    return options


def _merge(files, out):
    table = subprocess.run([MATRIX, "--merge", *files, "--json", out / "conformance.json"],
                           check=True, stdout=subprocess.PIPE, text=True).stdout
    (out / "table.txt").write_text(table)
    print(table, end="", flush=True)
    print(f"written: {out / 'conformance.json'}, {out / 'table.txt'}", flush=True)
