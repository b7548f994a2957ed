#!/usr/bin/env python3
"""What shells complete is what the program takes: every command, flag and listed value."""

import functools
import json
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import report  # noqa: E402
import watched  # noqa: E402
from watched import BUILD, PATIENCE_S  # noqa: E402

SHELLS = ("bash", "fish", "zsh")
COMMANDS = ("", "broker", "completion", "run", "serve", "wrap")
# Prints what bash would offer for the last of its arguments.
ASK_BASH = r"""
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_ktls_bridge
printf '%s\n' "${COMPREPLY[@]}"
"""


@functools.cache
def script(shell):
    code, output, errors = watched.run("completion", shell)
    assert (code, errors) == (0, ""), errors
    return output


@functools.cache
def flags_of(command):
    """By the help, without its examples."""
    words = (command,) if command else ()
    text = watched.run(*words, "--help")[1].split("Examples:")[0]
    return set(re.findall(r"^ +(?:-\w,)?(--[\w-]+)", text, re.MULTILINE))


def in_script(shell, text, command):
    """The flags that a script has for a command."""
    if shell == "fish":
        condition = (f"'__fish_seen_subcommand_from {command}'" if command
                     else "__fish_use_subcommand")
        return {f"--{name}" for name in
                re.findall(rf"-n {re.escape(condition)} -l ([\w-]+)", text)}
    if shell == "bash":
        heading = command or "''"
        branch = re.search(rf"^    {heading}\)\n(.*?)^      ;;$", text,
                           re.MULTILINE | re.DOTALL).group(1)
        return set(re.search(r"flags='([^']*)'", branch).group(1).split())
    if command:
        branch = re.search(rf"^        {command}\)\n(.*?)^          ;;$", text,
                           re.MULTILINE | re.DOTALL).group(1)
    else:
        branch = text.split("_arguments -C")[1].split("->command")[0]
    return set(re.findall(r"^ *'\*?(--[\w-]+)=?\[", branch, re.MULTILINE))


class Completion(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)

    def write(self, shell):
        path = self.folder / f"completion.{shell}"
        path.write_text(script(shell))
        return path

    def offers(self, *words):
        """What bash completes the last word to."""
        done = subprocess.run(["bash", "-c", ASK_BASH, "ask", self.write("bash"), "ktls-bridge",
                               *words], capture_output=True, text=True, timeout=PATIENCE_S,
                              check=True, cwd=self.folder)
        self.assertEqual(done.stderr, "")
        return done.stdout.split()

    def test_every_flag_of_every_command_is_there_and_no_other(self):
        for shell in SHELLS:
            text = script(shell)
            for command in COMMANDS:
                with self.subTest(shell=shell, command=command):
                    expected = flags_of(command)
                    self.assertIn("--help", expected)
                    self.assertEqual(in_script(shell, text, command), expected)

    def test_each_shell_that_is_here_takes_its_script(self):
        taken = []
        for shell in SHELLS:
            if shutil.which(shell):
                subprocess.run([shell, "-n", self.write(shell)], check=True, timeout=PATIENCE_S)
                taken.append(shell)
        self.assertIn("bash", taken)

    def test_bash_completes_commands_flags_and_values(self):
        self.assertEqual(self.offers("se"), ["serve"])
        self.assertEqual(sorted(self.offers("")), sorted(filter(None, COMMANDS)))
        self.assertEqual(self.offers("--conf"), ["--config"])
        self.assertEqual(self.offers("wrap", "--max-v"), ["--max-version"])
        self.assertEqual(set(self.offers("wrap", "")), flags_of("wrap"))
        self.assertEqual(self.offers("wrap", "--offload", ""), ["auto", "never", "kernel"])
        self.assertEqual(self.offers("wrap", "--offload", "k"), ["kernel"])
        self.assertEqual(self.offers("wrap", "--offload", "=", "n"), ["never"])
        self.assertEqual(self.offers("wrap", "--offload", "="), ["auto", "never", "kernel"])
        self.assertEqual(self.offers("wrap", "--listen", ""), [])
        self.assertEqual(self.offers("completion", ""), ["bash", "fish", "zsh"])

    def test_bash_completes_files_where_a_flag_or_an_argument_is_one(self):
        (self.folder / "chain.pem").touch()
        (self.folder / "www").mkdir()
        self.assertEqual(self.offers("wrap", "--cert", "ch"), ["chain.pem"])
        self.assertEqual(self.offers("--config", "ch"), ["chain.pem"])
        self.assertEqual(self.offers("wrap", "--cert-dir", "ww"), ["www"])
        self.assertEqual(self.offers("serve", "ww"), ["www"])

    def test_bash_completes_the_program_after_its_dashes(self):
        self.assertIn("printf", self.offers("run", "--connect", "a:1", "--", "print"))
        (self.folder / "chain.pem").touch()
        self.assertEqual(self.offers("run", "--", "cat", "ch"), ["chain.pem"])

    def test_an_interactive_bash_registers_it(self):
        done = subprocess.run(["bash", "--norc", "-c", 'source "$1"; complete -p ktls-bridge',
                               "ask", self.write("bash")], capture_output=True, text=True,
                              timeout=PATIENCE_S, check=True)
        self.assertEqual(done.stdout, "complete -F _ktls_bridge ktls-bridge\n")

    @unittest.skipUnless(shutil.which("fish"), "fish is not installed")
    def test_fish_completes_commands_flags_and_values(self):
        path = self.write("fish")

        def offers(line):
            done = subprocess.run(["fish", "--no-config", "-c",
                                   f"source {path}; complete -C {json.dumps(line)}"],
                                  capture_output=True, text=True, timeout=PATIENCE_S, check=True,
                                  env={"HOME": str(self.folder), "PATH": "/usr/bin:/bin"})
            return [each.split("\t")[0] for each in done.stdout.splitlines()]

        self.assertEqual(offers("ktls-bridge se"), ["serve"])
        self.assertEqual(offers("ktls-bridge wrap --max-v"), ["--max-version"])
        self.assertEqual(sorted(offers("ktls-bridge wrap --offload ")),
                         ["auto", "kernel", "never"])

    @unittest.skipUnless(shutil.which("zsh"), "zsh is not installed")
    def test_zsh_registers_it(self):
        done = subprocess.run(["zsh", "-f", "-c", "autoload -Uz compinit; compinit -D -u; "
                               'source "$1"; print -r -- $_comps[ktls-bridge]', "ask",
                               self.write("zsh")], capture_output=True, text=True,
                              timeout=PATIENCE_S, check=True,
                              env={"HOME": str(self.folder), "PATH": "/usr/bin:/bin"})
        self.assertEqual((done.stdout, done.stderr), ("_ktls-bridge\n", ""))

    def test_an_installation_has_each_where_its_shell_looks(self):
        listed = subprocess.run(["meson", "introspect", BUILD, "--installed"], check=True,
                                capture_output=True, timeout=PATIENCE_S, text=True).stdout
        sources = {where: source for source, where in json.loads(listed).items()}

        def installed(place):
            (source,) = (each for where, each in sources.items() if where.endswith(place))
            return Path(source).read_text()

        for shell, place in (("bash", "bash-completion/completions/ktls-bridge"),
                             ("fish", "fish/vendor_completions.d/ktls-bridge.fish"),
                             ("zsh", "zsh/site-functions/_ktls-bridge")):
            self.assertEqual(installed(f"share/{place}"), script(shell))
        self.assertIn("[[wrap]]", installed("share/doc/ktls-bridge/ktls-bridge.toml"))


if __name__ == "__main__":
    report.main("cli/completion")
