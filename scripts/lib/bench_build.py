"""Builds programs that measure, and what they measure, optimised and without tests."""

import subprocess
import sys

OPTIONS = ("--buildtype=release", "-Dbench=enabled", "-Dtests=disabled")


def build(repository, folder, name):
    """The path of the program; ends this one with a reason where there is none."""
    if not (repository / "tests" / "bench" / f"{name}.cpp").exists():
        sys.exit(f"scripts/bench: there is no tests/bench/{name}.cpp")
    build_targets(repository, folder, [f"tests/bench/{name}"])
    return folder / "tests" / "bench" / name


def build_targets(repository, folder, targets):
    if not (folder / "build.ninja").exists():
        _quietly(["meson", "setup", str(folder), *OPTIONS], repository)
    _quietly(["ninja", "-C", str(folder), *targets], repository)


def run(command):
    """The exit status of the command, whose output is shown as it comes."""
    return subprocess.run([str(word) for word in command], check=False).returncode


def _quietly(command, repository):
    try:
        done = subprocess.run(command, cwd=repository, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)
    except FileNotFoundError:
        sys.exit(f"scripts/bench: {command[0]} is not installed: run scripts/setup")
    if done.returncode != 0:
        sys.exit(f"scripts/bench: {' '.join(command)} failed:\n{done.stdout}")
