"""Programs that the npm registry has and Debian has not, installed when they are first asked for:
into $XDG_CACHE_HOME/ktls-bridge-tests, or else into the build directory."""

import functools
import os
import shutil
import subprocess
from pathlib import Path

from watched import BUILD

INSTALL_S = 300
START_S = 60


class Unavailable(Exception):
    """It cannot be installed, or does not run here; the text says what was tried."""


def cache():
    home = os.environ.get("XDG_CACHE_HOME")
    return Path(home) / "ktls-bridge-tests" if home else BUILD / "npm"


@functools.cache
def _problem(name):
    """Why there is no such program; nothing where there is. Asked once, as each answer may take
    minutes."""
    if not shutil.which("npm"):
        return f"npm, which would install {name}, is not installed"
    folder = cache() / name
    if not _path(name).exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--no-fund", "--no-audit", "--prefix", str(folder), name]
        if said := _failure(command, INSTALL_S):
            return said
    return _failure([str(_path(name)), "--version"], START_S)


def _path(name):
    return cache() / name / "node_modules" / ".bin" / name


def _failure(command, patience_s):
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=patience_s, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if not done.returncode:
        return None
    lines = done.stderr.strip().splitlines()
    return f"{' '.join(command)} ended with {done.returncode}: {lines[0] if lines else ''}"


def words(name, *arguments):
    """What starts the program."""
    if said := _problem(name):
        raise Unavailable(said)
    own = [f"DENO_DIR={cache() / 'deno-cache'}", "DENO_NO_UPDATE_CHECK=1"]
    return ["env", *own, str(_path(name)), *arguments]
