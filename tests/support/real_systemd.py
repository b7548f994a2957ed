"""systemd itself, as the first process of a PID namespace, with the units of tools/systemd. It
writes where systemd looks (/etc, /usr/local, /sys/fs/cgroup), so it is for guests, whose writing
vanishes."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from watched import BINARY, BUILD, REPOSITORY, wait_until

FOLDER = Path("/etc/systemd/system")
SETTINGS = Path("/etc/ktls-bridge")
LOG = Path("/run/ktls-bridge-log")
TARGET = "for-tests.target"
BOOT_S = 60
CALL_S = 60


def install():
    """As `meson install` does, with the program in /usr/local/bin; nothing starts by itself."""
    shutil.copy(BINARY, "/usr/local/bin/ktls-bridge")
    units = [BUILD / "tools" / "systemd" / name
             for name in ("ktls-bridge@.service", "ktls-bridge-broker.service")]
    for path in (*units, REPOSITORY / "tools" / "systemd" / "ktls-bridge-broker.socket"):
        text = re.sub(r"=\S*/bin/ktls-bridge ", "=/usr/local/bin/ktls-bridge ",
                      path.read_text(encoding="utf-8"))
        (FOLDER / path.name).write_text(text, encoding="utf-8")
    subprocess.run(["systemd-sysusers", REPOSITORY / "tools" / "systemd" / "ktls-bridge.sysusers"],
                   check=True)
    (FOLDER / TARGET).write_text("[Unit]\nDescription=nothing but what a test starts\n",
                                 encoding="utf-8")
    # What else a machine starts: devices, /tmp emptied, the journal.
    for path in Path("/lib/systemd/system/sysinit.target.wants").iterdir():
        (FOLDER / path.name).symlink_to("/dev/null")
    SETTINGS.mkdir()
    for name in ("ktls-bridge@", "ktls-bridge-broker"):
        drop_in(f"{name}.service", "log", f"[Service]\nStandardError=append:{LOG}\n")


def drop_in(unit, name, text):
    folder = FOLDER / f"{unit}.d"
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.conf"
    path.write_text(text, encoding="utf-8")
    return path


class Manager:
    """systemd, as seen by who is in its namespaces."""

    def call(self, *words):
        """What systemctl says: (exit status, its output)."""
        done = subprocess.run(["systemctl", "--no-pager", "--no-ask-password", *words],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=CALL_S, check=False)
        return done.returncode, done.stdout

    def show(self, unit, name):
        return self.call("show", "--value", f"--property={name}", unit)[1].strip()


def run_inside(*command):
    """Boots systemd, and answers the exit status of a command beside it."""
    if not os.path.ismount("/sys/fs/cgroup"):
        subprocess.run(["mount", "-t", "cgroup2", "cgroup2", "/sys/fs/cgroup"], check=True)
    # In a container it leaves the machine as it is.
    with subprocess.Popen(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "env", "-i",
             "container=other", "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
             "/lib/systemd/systemd", "--system", f"--unit={TARGET}", "--log-target=console",
             "--log-level=notice", "--show-status=no"], stdin=subprocess.DEVNULL) as outer:
        try:
            children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children")
            (first,) = wait_until(children.read_text, "systemd", BOOT_S).split()
            inside = ["nsenter", "--target", first, "--mount", "--pid", "--"]
            is_there = [*inside, "systemctl", "is-active", "--quiet", TARGET]
            wait_until(lambda: subprocess.run(is_there, stderr=subprocess.DEVNULL,
                                              check=False).returncode == 0, TARGET, BOOT_S)
            return subprocess.run([*inside, *command], check=False).returncode
        finally:
            outer.kill()
