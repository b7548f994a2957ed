#!/usr/bin/env python3
"""The manual pages say what the program does: flags, exit codes, reasons and log fields."""

import os
import re
import subprocess
import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests" / "support"))

import report  # noqa: E402
from man_page import entries, plain, sections  # noqa: E402

PAGES = sorted((REPOSITORY / "tools" / "man").glob("*.[13]"))
WRAP = REPOSITORY / "tools" / "man" / "ktls-bridge-wrap.1"
BROKER = REPOSITORY / "tools" / "man" / "ktls-bridge-broker.1"
RUN = REPOSITORY / "tools" / "man" / "ktls-bridge-run.1"
SERVE = REPOSITORY / "tools" / "man" / "ktls-bridge-serve.1"
BUILD = Path(os.environ.get("KTLS_BRIDGE_BUILD", REPOSITORY / "build"))
PROGRAM = BUILD / "tools" / "ktls-bridge" / "ktls-bridge"

# Their value differs from machine to machine.
NO_DEFAULT = {"--threads"}
# Their value has a form of its own, with what elsewhere stands before a default.
FORMS = {"--host": "NAME=DIR,CERT,KEY", "--cache": "PATTERN=VALUE", "--header": "NAME:VALUE",
         "--type": "EXT=TYPE"}
# The headings of the options, by command.
COMMANDS = {
    "wrap": (WRAP, ("Addresses and role", "TLS", "Program", "Data path", "Limits", "Keys", "Log",
                    "Hardening", "Other")),
    "broker": (BROKER, ("Access", "TLS", "Data path", "Program", "Limits", "Keys", "Log",
                        "Hardening", "Other")),
    "run": (RUN, ("Roles", "TLS", "Data path", "Program", "Limits", "Keys", "Log",
                  "Hardening", "Other")),
    "serve": (SERVE, ("Addresses and sites", "TLS", "Files", "Responses", "Data path", "Limits",
                      "Keys", "Log", "Hardening", "Other")),
}
# Where a connection's story is told, by command.
SESSIONS = {"wrap": ("wrap_session.cpp", "program_session.cpp"), "serve": ("serve_session.cpp",)}

# Whose page explains the connection line.
LINES = {"wrap": WRAP, "serve": SERVE}


def source(path):
    return (REPOSITORY / path).read_text()


def man_flags(command):
    """Flag, and the text that explains it, of every section of options."""
    found = {}
    path, headings = COMMANDS[command]
    page = sections(path)
    for heading in headings:
        found.update(entries(page[heading]))
    return {tag: text for tag, text in found.items() if tag.startswith("-")}


def help_text(command):
    return subprocess.run([PROGRAM, command, "--help"], capture_output=True, text=True, check=True,
                          timeout=30).stdout


def help_flags(command):
    """Flag: (name of its value, default), from the help of a command without its examples."""
    found = {}
    options = help_text(command).split("Examples:")[0]
    for flag, rest in re.findall(r"^ +(?:-\w,)?(--[\w-]+)(.*)$", options, re.MULTILINE):
        if flag in FORMS:
            found[flag] = (rest.split()[0], None)
            continue
        value = re.match(r" ([^\s:=]+)(?:[^=]*=(\S+))?", rest)
        takes_value = value and not rest.startswith(("  ", " Excludes:"))
        found[flag] = (value.group(1), value.group(2)) if takes_value else ("", None)
    return found


def normal(sentence):
    """Without what markup and punctuation differ in."""
    sentence = " ".join(sentence.replace("`", "").split())
    return (sentence[:1].lower() + sentence[1:]).rstrip(".")


def code_reasons():
    """code: (sentence, remedy), from the table in ktls/core/reason.cpp."""
    table = source("ktls/core/reason.cpp").split("kTexts{{")[1].split("}};")[0]
    found = {}
    for row in re.findall(r"\{Reason::k\w+,(.*?)\}", table, re.DOTALL):
        fields = [""]
        for text, comma in re.findall(r'"((?:[^"\\]|\\.)*)"|(,)', row):
            if comma:
                fields.append("")
            else:
                fields[-1] += text
        code, sentence, remedy = fields
        found[code] = (normal(sentence), normal(remedy))
    return found


def man_reasons():
    found = {}
    for code, text in entries(sections(WRAP)["REASON CODES"]).items():
        sentence, remedy = text.split(" Remedy: ")
        found[code] = (normal(sentence), normal(remedy))
    return found


def code_endings(command):
    """The words that `ended=` can hold, of the relay and of the session around it."""
    names = source("userspace/bridge/relay.cpp").split("kEndingNames = {")[1].split("}")[0]
    session = source("tools/ktls-bridge/tls_session.cpp")
    for path in SESSIONS[command]:
        session += source(f"tools/ktls-bridge/{path}")
    words = re.findall(r'"(\w+)"', names)
    words += re.findall(r'line_?\.ended = "(\w+)"', session)
    words += re.findall(r'line_?\.end\([^;]*"(\w+)"\)', session)
    return set(words)


def code_fields(command):
    """The names of the fields of the connection line."""
    code = source("tools/ktls-bridge/connection_log.cpp")
    values = set(re.findall(r'return "(\w+)"', code))
    absent = {"wrap": {"requests"}, "serve": {"to", "program", "handed_out", "exit"}}[command]
    return set(re.findall(r'(?<!#include )"([a-z_]+)"', code)) - values - absent


def json_fields():
    """The names of the fields of the access log."""
    return set(re.findall(r'line\["(\w+)"\]', source("tools/http/access_record.cpp")))


def words_of(tags):
    """Several fields may share an explanation."""
    return {word for tag in tags for word in tag.split(", ")}


class Manual(unittest.TestCase):
    maxDiff = None

    def test_pages_render_without_a_warning(self):
        self.assertEqual(len(PAGES), 7)
        for page in PAGES:
            for command in (["groff", "-ww", "-man", "-z", page],
                            ["mandoc", "-Tlint", "-Wwarning", page]):
                done = subprocess.run(command, capture_output=True, text=True, timeout=60,
                                      check=False)
                self.assertEqual(done.stdout + done.stderr, "", command)

    def test_pages_name_this_version(self):
        version = re.search(r"version: '([^']+)'", source("meson.build")).group(1)
        for page in PAGES:
            self.assertIn(f'"ktls-bridge {version}"', page.read_text())

    def test_every_flag_of_the_help_is_in_the_manual_and_no_other(self):
        for command in COMMANDS:
            told = {word for tag in man_flags(command) for word in re.findall(r"--[\w-]+", tag)}
            self.assertEqual(told, set(help_flags(command)), command)

    def test_values_and_defaults_are_those_of_the_help(self):
        for command in COMMANDS:
            told = {}
            for tag, text in man_flags(command).items():
                flag, _, value = tag.partition(" ")
                default = re.search(r"Default: ([\w.+/-]+)\.", text)
                told[flag] = (value, default.group(1) if default else None)
            for flag, (value, default) in help_flags(command).items():
                if flag != "--help":
                    self.assertEqual(told[flag],
                                     (value, None if flag in NO_DEFAULT else default), flag)

    def test_reasons_are_those_of_the_kernel_floor(self):
        self.assertGreater(len(code_reasons()), 10)
        self.assertEqual(man_reasons(), code_reasons())

    def test_endings_are_those_of_the_code(self):
        for command, page in LINES.items():
            self.assertEqual(set(entries(sections(page)["ENDINGS"])), code_endings(command),
                             command)

    def test_fields_of_the_connection_line_are_those_of_the_code(self):
        for command, page in LINES.items():
            told = words_of(entries(sections(page)["THE CONNECTION LINE"]))
            self.assertEqual(told, code_fields(command), command)

    def test_metrics_are_those_of_the_code(self):
        code = source("tools/metrics/series.cpp") + source("tools/metrics/page.cpp")
        told = entries(sections(WRAP)["METRICS"])
        self.assertEqual({name for name in told if not name.startswith("/")},
                         set(re.findall(r'"((?:ktls_bridge|process)_\w+)"', code)))
        words = re.findall(r"\w+", " ".join(told.values()))
        for label in set(re.findall(r'\{"(\w+)", ', code)):
            self.assertIn(label, words)

    def test_fields_of_the_access_log_are_those_of_the_code(self):
        told = words_of(entries(sections(SERVE)["ACCESS LOG"]))
        self.assertEqual({word for word in told if not word.isdigit()}, json_fields())

    def test_statuses_are_those_of_the_code(self):
        told = words_of(entries(sections(SERVE)["RESPONSES"]))
        sent = source("tools/http/site.cpp") + source("tools/http/conditional.cpp")
        for path in ("tools/http/request.cpp", "tools/http/target.cpp",
                     "tools/ktls-bridge/serve_session.cpp",
                     "tools/ktls-bridge/redirect_session.cpp"):
            sent += source(path)
        sent = re.sub(r"//.*", "", sent)
        self.assertEqual(told, set(re.findall(r"\b(20[06]|30[48]|4[0-3]\d|50[135])\b", sent)))

    def test_exit_codes_are_those_of_the_code(self):
        codes = re.findall(r"^ *kExit\w+ = (\d+),", source("tools/common/exit_code.h"),
                           re.MULTILINE)
        for page in (page for page in PAGES if page.suffix == ".1"):
            told = list(entries(sections(page)["EXIT STATUS"]))
            # serve has no descriptor to inherit, and run neither this nor names of its own.
            unused = {SERVE: ("76",), RUN: ("68", "76")}.get(page, ())
            expected = [code for code in codes if code not in unused]
            # As a shell says it of what it runs.
            expected += ["126", "127"] if page == RUN else []
            self.assertEqual(told, expected + ["128+N"], page.name)

    def test_what_a_program_had_is_said_in_the_words_of_the_code(self):
        code = source("tools/ktls-bridge/connection_log.cpp")
        text = entries(sections(WRAP)["THE CONNECTION LINE"])["handed_out"]
        for word in re.findall(r'return "(\w+)"', code):
            self.assertEqual(word in re.findall(r"\w+", text), word != "nothing", word)

    def test_variables_of_programs_are_those_of_the_code(self):
        code = source("tools/ktls-bridge/program_environment.cpp")
        told = words_of(entries(sections(WRAP)["ENVIRONMENT"])) - {
            "LISTEN_PID", "SSL_CERT_FILE", "SSL_CERT_DIR", "OPENSSL_CONF"}
        addresses = {f"TCP{side}{what}" for side in ("LOCAL", "REMOTE") for what in ("IP", "PORT")}
        self.assertEqual(told - addresses, set(re.findall(r'"([A-Z_]+)=\w+"', code)) |
                         set(re.findall(r'push_back\("([A-Z_]+)=', code)))
        self.assertLess(addresses, told)

    def test_variables_of_the_preload_library_are_those_of_the_code(self):
        code = (source("tools/preload/setting.h") + source("tools/preload/environment.h") +
                source("userspace/broker/protocol.h"))
        told = words_of(entries(sections(RUN)["ENVIRONMENT"]))
        self.assertEqual({word for word in told if word.startswith("KTLS_BRIDGE_")},
                         set(re.findall(r'"(KTLS_BRIDGE_\w+)"', code)))


if __name__ == "__main__":
    report.main("man")
