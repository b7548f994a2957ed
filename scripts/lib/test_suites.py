"""The table of test suites. To add one, add a row to SUITES: tests/README.md says what it means."""

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
BUILD = REPOSITORY / "build-test"
# The kernels of scripts/vm, oldest first.
KERNELS = ("6.1", "6.12", "newest")
# As scripts/fuzz --list names them.
FUZZ_TARGETS = ("c_api", "http_request", "record_ssl2", "record_tls")
# Under tests/handover. Those in a kernel share one boot; the newest has all that kernels differ in,
# and the older ones what differs there.
BROKER_TESTS = ("broker_close", "broker_connect", "broker_limits", "broker_restart",
                "broker_robustness", "broker_unlisten", "secrets")
HANDOVER_IN_GUESTS = {
    "6.1": ("programs", "close", "rekey", "broker_rekey"),
    "6.12": ("programs", "rekey", "broker_rekey"),
    "newest": ("programs", "close", "fd", "rekey", "broker_rekey", "broker_close",
               "broker_connect", "broker_restart", "broker_unlisten", "secrets", "client",
               "examples"),
}
# The same of tests/preload.
PRELOAD_TESTS = ("programs", "close", "rekey", "thousand")
PRELOAD_IN_GUESTS = {
    "6.1": ("socket_suite", "programs", "rekey"),
    "6.12": ("socket_suite", "programs"),
    "newest": ("socket_suite", "symbols", "programs", "failing_closed", "clear_text", "close",
               "sendfile", "rekey"),
}
PRELOAD_NEEDS = ("openssl", "curl", "gnutls-cli", "gnutls-serv", "busybox", "nginx", "apache2",
                 "redis-server", "redis-cli", "redis-benchmark", "nc", "socat", "psql",
                 "postgresql")
# Which loop asks differs on no kernel: the newest has both where keys change.
LEFT_OUT = {("6.1", "bridge_test"): {"GTEST_FILTER": "-*/io_uring*"},
            ("6.12", "bridge_test"): {"GTEST_FILTER": "-*/epoll*"},
            ("newest", "bridge_test"): {"GTEST_FILTER": "-*/epoll*Tls12*"}}
UNIT_TIMEOUT_S = 300
# A guest runs on an emulated processor, some thirty times slower than the machine under it.
VM_TIMEOUT_S = 1200
VM_BOOT_S = 400  # three attempts to boot
# The first fuzzer that runs builds all that it needs with clang, the others wait for it.
FUZZ_TIMEOUT_S = 1200

# A kernel that is here for its TLS and has none is a failure, no reason to skip or to do without.
REQUIRE_KTLS = {"KTLS_BRIDGE_REQUIRE_KTLS": "1"}

# How the results of a suite are told: by lines `ok NAME`, `FAIL NAME`, `skip NAME: reason`; by
# GoogleTest's JSON file; or by the exit status alone, as one result.
LINES, GTEST, STATUS = "lines", "gtest", "status"


@dataclass(frozen=True)
class Suite:
    """One row.

    command    words; the first is a path from the root of the repository, or a program
    needs      names of NEEDS; where one is not met the suite is skipped, or fails under CI
    timeout_s  after which the suite is killed and counts as failed
    kernel     run the command inside scripts/vm with this kernel
    modules    of that kernel, to be loaded besides those that kernel TLS asks for
    cpus       virtual ones of that kernel
    alone      nothing else runs at the same time: for what measures time
    tells      what passed is named, too: of a suite that takes few of many
    """

    name: str
    command: tuple
    results: str = LINES
    needs: tuple = ()
    timeout_s: int = 300
    kernel: str = ""
    modules: tuple = ()
    cpus: int = 1
    alone: bool = False
    tells: bool = False
    environment: dict = field(default_factory=dict)


SUITES = [
    Suite("tidy", ("scripts/tidy",), results=STATUS, timeout_s=30),
    Suite("format", ("scripts/format", "--check"), results=STATUS, needs=("clang-format",),
          timeout_s=60),
    Suite("house/tidy", ("tests/house/tidy_test.py",), timeout_s=60),
    Suite("house/tidy-build", ("tests/house/tidy_build_test.py",), timeout_s=120),
    Suite("house/runner", ("tests/house/runner_test.py",), timeout_s=120),
    Suite("house/guards", ("tests/house/guards_test.py",), timeout_s=120),
    Suite("house/setup", ("tests/house/setup_test.py",), timeout_s=60),
    Suite("cli/errors", ("tests/cli/errors_test.py",), needs=("openssl",), timeout_s=180),
    Suite("cli/log", ("tests/cli/log_test.py",), needs=("openssl",), timeout_s=120),
    Suite("cli/serving", ("tests/cli/serving_test.py",), needs=("openssl",), timeout_s=240),
    Suite("cli/reload", ("tests/cli/reload_test.py",), needs=("openssl",), timeout_s=180),
    Suite("cli/certificates", ("tests/cli/certificates_test.py",), needs=("openssl",),
          timeout_s=180),
    Suite("cli/metrics", ("tests/cli/metrics_test.py",), needs=("openssl",), timeout_s=180),
    Suite("cli/supervision", ("tests/cli/supervision_test.py",), needs=("openssl",),
          timeout_s=180),
    Suite("cli/hardening", ("tests/cli/hardening_test.py",), needs=("openssl",), timeout_s=240),
    Suite("cli/config", ("tests/cli/config_test.py",), needs=("openssl",), timeout_s=180),
    Suite("cli/completion", ("tests/cli/completion_test.py",), timeout_s=120),
    Suite("cli/run", ("tests/cli/run_test.py",), needs=("openssl",), timeout_s=300),
    Suite("handover/private-broker", ("tests/handover/private_broker_test.py",),
          needs=("openssl", "cc"), timeout_s=120),
    Suite("cli/client-role", ("tests/cli/client_role_test.py",), needs=("openssl",),
          timeout_s=180),
    Suite("cli/proxy-protocol", ("tests/cli/proxy_protocol_test.py",),
          needs=("openssl", "haproxy", "nginx"), timeout_s=180),
    Suite("serve/requirements", ("tests/serve/requirements_test.py",), needs=("openssl",),
          timeout_s=180),
    Suite("serve/malformed", ("tests/serve/malformed_test.py",), needs=("openssl",),
          timeout_s=240),
    Suite("serve/clients", ("tests/serve/clients_test.py",),
          needs=("openssl", "curl", "wget", "aria2c"), timeout_s=180),
    Suite("serve/sizes", ("tests/serve/sizes_test.py",),
          needs=("openssl", "curl", "brotli", "zstd"), timeout_s=300),
    Suite("serve/changing-files", ("tests/serve/changing_files_test.py",),
          needs=("openssl", "curl", "strace"), timeout_s=180),
    *(Suite(f"serve/{name}", (f"tests/serve/{name}_test.py",), needs=("openssl",), timeout_s=240)
      for name in ("certificates", "documents", "serving", "errors", "last_bytes",
                   "redirects")),
    # chromium and ffmpeg are large, and no part of scripts/setup: where they are not, it skips.
    Suite("serve/browser", ("tests/proofs/browser_proof.py",), needs=("openssl",), timeout_s=400),
    Suite("handover/broker-latency", ("tests/handover/broker_latency_test.py",),
          needs=("openssl",), timeout_s=120, alone=True),
    *(Suite(f"handover/{script.replace('_', '-')}", (f"tests/handover/{script}_test.py",),
            needs=("openssl", "root"), timeout_s=120)
      for script in BROKER_TESTS),
    *(Suite(f"soak/{loop}", ("tests/soak/soak.py", "--loop", loop, "--seconds", "20",
                             "--connections", "100"), needs=("openssl",), timeout_s=600)
      for loop in ("io_uring", "epoll")),
    *(Suite(f"handover/{name}", (f"tests/handover/{name}_test.py",),
            needs=("openssl", "curl", "busybox", "inetd", "systemd-socket-activate"),
            timeout_s=180) for name in ("exec", "fd", "programs", "close")),
    # On two processors the program writes while the guard stops it.
    *(Suite(f"kernel/{kernel}/handover", ("tests/support/in_kernel.py", "handover", kernel,
                                                  *scripts),
            needs=("vm", "openssl", "curl", "strace", "busybox", "inetd",
                   "systemd-socket-activate"),
            timeout_s=VM_TIMEOUT_S, kernel=kernel, cpus=2 if kernel == "newest" else 1,
            environment=REQUIRE_KTLS) for kernel, scripts in HANDOVER_IN_GUESTS.items()),
    *(Suite(f"preload/{name.replace('_', '-')}", (f"tests/preload/{name}_test.py",),
            needs=(*PRELOAD_NEEDS, "root"), timeout_s=300) for name in PRELOAD_TESTS),
    *(Suite(f"preload/{name.replace('_', '-')}", (f"tests/preload/{name}_test.py",),
            needs=("openssl",), timeout_s=180)
      for name in ("children", "clear_text", "failing_closed", "install", "socket_suite", "symbols",
                   "system_broker")),
    # On two processors a program reads while its key is changed.
    *(Suite(f"kernel/{kernel}/preload", ("tests/support/in_kernel.py", "preload", kernel, *scripts),
            needs=("vm", "strace", *PRELOAD_NEEDS), timeout_s=VM_TIMEOUT_S, kernel=kernel,
            cpus=2 if kernel == "newest" else 1, environment=REQUIRE_KTLS)
      for kernel, scripts in PRELOAD_IN_GUESTS.items()),
    Suite("kernel/newest/systemd", ("tests/systemd/units_test.py",),
          needs=("vm", "openssl", "nsenter"), timeout_s=VM_TIMEOUT_S, kernel="newest",
          environment=REQUIRE_KTLS),
    Suite("api/vectors", ("tests/api/vectors_test.py",), timeout_s=120),
    Suite("api/records", ("tests/api/records_test.py",), timeout_s=120),
    Suite("api/suites", ("tests/api/suites_test.py",), timeout_s=120),
    Suite("api/adoption", ("tests/api/adoption_test.py",), needs=("openssl",), timeout_s=120),
    Suite("api/client", ("tests/api/client_install_test.py",),
          needs=("cc", "pkg-config", "readelf"), timeout_s=120),
    Suite("handover/client", ("tests/handover/client_test.py",), needs=("openssl",),
          timeout_s=180),
    Suite("handover/examples", ("tests/handover/examples_test.py",), needs=("openssl", "curl"),
          timeout_s=180),
    Suite("api/install", ("tests/api/install_test.py",), needs=("cc", "pkg-config"),
          timeout_s=120),
    *(Suite(f"kernel/{kernel}/{name}", (f"tests/api/{script}",), needs=("vm", "openssl"),
            timeout_s=VM_TIMEOUT_S, kernel=kernel, environment=REQUIRE_KTLS)
      for kernel in KERNELS
      for name, script in (("api", "kernel_test.py"), ("adoption", "adoption_test.py"))),
    *(Suite(f"fuzz/{target}", ("scripts/fuzz", target, "--seconds", "10"), results=STATUS,
            needs=("clang++",), timeout_s=FUZZ_TIMEOUT_S) for target in FUZZ_TARGETS),
    Suite("constant-time/valgrind", ("tests/constant_time/valgrind_test.py",),
          needs=("valgrind",), timeout_s=600),
    Suite("docs/man", ("tests/docs/man_test.py",), needs=("groff", "mandoc"), timeout_s=60),
    Suite("docs/interposed", ("tests/docs/interposed_test.py",), needs=("readelf",), timeout_s=60),
    Suite("docs/readme", ("tests/docs/readme_test.py",), timeout_s=60),
    Suite("docs/http-requirements", ("tests/docs/http_requirements_test.py",), timeout_s=60),
    Suite("docs/demo", ("tests/docs/demo_test.py",), needs=("curl", "openssl"), timeout_s=120),
    *(Suite(f"docs/placement/{kernel}", ("tests/docs/placement_test.py", kernel),
            needs=("vm", "curl", "openssl"), timeout_s=VM_TIMEOUT_S, kernel=kernel)
      for kernel in KERNELS),
    Suite("interop/matrix", ("tests/interop/matrix.py", "--full"), needs=("openssl", "curl"),
          timeout_s=240),
    Suite("interop/stacks", ("tests/interop/stacks.py",), needs=("openssl",), timeout_s=400),
    Suite("interop/features", ("tests/interop/features_test.py",), needs=("openssl",),
          timeout_s=240),
    Suite("interop/scan", ("tests/interop/scan.py",), needs=("openssl", "sslscan"),
          timeout_s=180),
    Suite("interop/suites", ("tests/interop/suites_test.py",), needs=("openssl", "gnutls-cli"),
          timeout_s=240),
    Suite("interop/tickets", ("tests/interop/tickets_test.py",), needs=("openssl", "nginx"),
          timeout_s=120),
    Suite("interop/record-size", ("tests/interop/record_size_test.py",),
          needs=("openssl", "gnutls-cli", "gnutls-serv"), timeout_s=120),
    *(Suite(f"kernel/{kernel}/matrix", ("tests/interop/matrix.py", "--json", "/out/matrix.json"),
            needs=("vm", "openssl", "curl"), timeout_s=VM_TIMEOUT_S, kernel=kernel)
      for kernel in KERNELS),
    Suite("kernel/newest/record-size", ("tests/interop/record_size_test.py",),
          needs=("vm", "openssl", "gnutls-cli", "gnutls-serv"), timeout_s=VM_TIMEOUT_S,
          kernel="newest"),
    *(Suite(f"kernel/{kernel}/serve-sizes", ("tests/serve/sizes_test.py",),
            needs=("vm", "openssl", "curl", "brotli", "zstd"), timeout_s=VM_TIMEOUT_S,
            kernel=kernel, environment=REQUIRE_KTLS) for kernel in KERNELS),
    Suite("kernel/newest/serve-clients", ("tests/serve/clients_test.py",),
          needs=("vm", "openssl", "curl", "wget", "aria2c"), timeout_s=VM_TIMEOUT_S,
          kernel="newest", environment=REQUIRE_KTLS),
    Suite("kernel/newest/serve-changing-files", ("tests/serve/changing_files_test.py",),
          needs=("vm", "openssl", "curl", "strace"), timeout_s=VM_TIMEOUT_S, kernel="newest",
          environment=REQUIRE_KTLS),
    Suite("kernel/newest/serve-fixed-files", ("tests/serve/fixed_files_test.py",),
          needs=("vm", "openssl", "strace"), timeout_s=VM_TIMEOUT_S, kernel="newest",
          modules=("loop",), environment=REQUIRE_KTLS),
    Suite("conformance/userspace", ("tests/conformance/matrix.py", "--userspace"),
          needs=("openssl", "java"), timeout_s=120),
    *(Suite(f"kernel/{kernel}/conformance",
            ("tests/conformance/matrix.py", "--json", "/out/conformance.json"),
            needs=("vm", "openssl", "java"), timeout_s=VM_TIMEOUT_S, kernel=kernel, tells=True,
            environment=REQUIRE_KTLS)
      for kernel in KERNELS),
    *(Suite(f"vm/{kernel}", ("tests/kernel/vm_test.py", kernel), needs=("vm",),
            timeout_s=VM_TIMEOUT_S) for kernel in KERNELS),
    *(Suite(f"kernel/{kernel}/rekey", ("tests/proofs/rekey_proof.py", kernel),
            needs=("vm", "openssl"), timeout_s=VM_TIMEOUT_S, kernel=kernel)
      for kernel in KERNELS),
    Suite("kernel/newest/key-updates",
          ("tests/proofs/key_update_proof.py", "--size", "4", "--flood", "20000"),
          needs=("vm", "openssl", "gnutls-cli"), timeout_s=VM_TIMEOUT_S, kernel="newest"),
    Suite("kernel/newest/splice", ("tests/kernel/splice_proof.py", "--size", "16"),
          needs=("vm", "openssl", "curl", "strace"), timeout_s=VM_TIMEOUT_S, kernel="newest"),
]


def unit_suites(targets):
    """One suite for each program that meson builds under tests/unit."""
    return [Suite(f"unit/{name}", (program,), results=GTEST, timeout_s=UNIT_TIMEOUT_S)
            for name, program in programs_under(targets, "tests/unit")]


def kernel_suites(targets):
    """One suite for each kernel and each program that meson builds under tests/kernel."""
    return [Suite(f"kernel/{kernel}/{name}", (program,), results=GTEST, needs=("vm",),
                  timeout_s=VM_TIMEOUT_S, kernel=kernel,
                  environment={**REQUIRE_KTLS, **LEFT_OUT.get((kernel, name), {})})
            for name, program in programs_under(targets, "tests/kernel")
            for kernel in KERNELS]


def programs_under(targets, folder):
    """(name, path) of the executables that `meson introspect --targets` places in a folder."""
    found = []
    for target in targets:
        defined = Path(target["defined_in"]).parent
        if (target["type"] == "executable" and target["build_by_default"]
                and defined.is_relative_to(REPOSITORY / folder)):
            found.append((target["name"], target["filename"][0]))
    return sorted(found)


def _program(name):
    def missing():
        return "" if shutil.which(name) else f"{name} is not installed"
    return missing


def _vm():
    if os.geteuid() != 0:
        return "scripts/vm needs root"
    for path in (shutil.which("qemu-system-x86_64"), "/usr/lib/qemu/virtiofsd"):
        if not path or not os.path.exists(path):
            return "qemu-system-x86 is not installed"
    return "" if (REPOSITORY / "scripts" / "vm").exists() else "there is no scripts/vm"


def _postgresql():
    """Its server is in no PATH."""
    found = any(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    return "" if found else "the server of PostgreSQL is not installed"


# Each returns why it is not met, or nothing. A name that is not here is a program to be in PATH.
NEEDS = {
    "vm": _vm,
    "postgresql": _postgresql,
    "root": lambda: "" if os.geteuid() == 0 else "needs root",
}


def unmet_need(suite):
    for need in suite.needs:
        reason = NEEDS.get(need, _program(need))()
        if reason:
            return reason
    return ""
