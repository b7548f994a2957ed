"""The rules of scripts/tidy, as a table. A rule is a function that takes a SourceFile and yields
(line number, message); the message says what to do instead."""

import re
from dataclasses import dataclass
from typing import Callable

import tidy_layers

COLUMNS_MAX = 100
FILE_LINES_MAX = 500
TEST_LINES_MAX = 800  # a test file may list many cases
FUNCTION_LINES_MAX = 70
LIBRARIES = ("ktls", "userspace")
# The two rooms where kernels and their headers differ.
CONDITIONAL_ROOMS = ("ktls", "userspace/io")

# Written in halves, so that this file keeps its own rule.
_LEFTOVER = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X)\b")
_CONDITIONAL = re.compile(r"\s*#\s*(?:if|ifdef|ifndef|elif)\b(.*)")
# A name after a type is a declaration; after a dot, an operator or an opening parenthesis it is a
# call, and calls of other people's functions are not ours to rename.
_DECLARED = re.compile(
    r"(?P<before>[\w>\]&*]+)\s+[&*]*(?:\w+::)*(?P<name>(?:get|do|handle|process)_\w+)\s*\(")
_KEYWORDS = {"return", "co_return", "co_await", "co_yield", "throw", "else", "case", "and", "or",
             "not", "new", "&&", "||", "&", "*"}
# The language looks for this name in the promise of a coroutine.
_DICTATED = {"get_return_object"}
_VAGUE_TYPE = re.compile(
    r"\b(?:class|struct|enum|union|concept|using)\s+(?:\[\[\w+\]\]\s*)?"
    r"(\w*(?:[Mm]anager|[Uu]til|[Hh]elper)\w*)")
_VAGUE_FILE = {"manager", "managers", "util", "utils", "helper", "helpers"}
_PRINTS = re.compile(r"\b(?:(?:v?f?printf|puts|fputs|perror|syslog)\s*\("
                     r"|std::(?:cout|cerr|clog)\b|fmt::print\b)")
_ADVICE = {
    "get_": "name the value itself (version(), not get_version())",
    "do_": "say what is done (seal(), install())",
    "handle_": "say what is done with it (answer_key_update())",
    "process_": "say what is done with it (open_record())",
}


def check_first_line(file):
    # The header says it for both files of a pair, and a test's name says what it tests.
    if file.path.suffix != ".h":
        return
    if not file.lines or not file.lines[0].startswith("//"):
        yield 1, "begin with a // comment whose first sentence says what the file is"


def check_pragma_once(file):
    if file.path.suffix == ".h" and "#pragma once" not in file.lines:
        yield 1, "a header needs #pragma once"


def check_columns(file):
    for number, line in enumerate(file.lines, start=1):
        if len(line) > COLUMNS_MAX:
            yield number, f"{len(line)} columns: break the line at {COLUMNS_MAX}"


def check_file_length(file):
    limit = TEST_LINES_MAX if file.floor == "tests" else FILE_LINES_MAX
    if len(file.lines) > limit:
        yield limit + 1, f"{len(file.lines)} lines: split the file, at most {limit}"


def check_function_length(file):
    for first, last in file.functions:
        if last - first + 1 > FUNCTION_LINES_MAX:
            yield first, (f"a function of {last - first + 1} lines: split it, at most "
                          f"{FUNCTION_LINES_MAX}")


def check_trailing_space(file):
    for number, line in enumerate(file.lines, start=1):
        if line != line.rstrip():
            yield number, "space at the end of the line"


def check_leftovers(file):
    for number, line in enumerate(file.lines, start=1):
        if match := _LEFTOVER.search(line):
            yield number, f"{match.group()}: do it now, or open an issue"


def check_file_name(file):
    stem = file.path.name.split(".")[0]
    if not re.fullmatch(r"[a-z0-9_]+", stem):
        yield 1, "file names are snake_case"
    for word in _VAGUE_FILE.intersection(stem.split("_")):
        yield 1, f'"{word}" says nothing: name the file after what is in it'


def check_conditionals(file):
    if any(str(file.path).startswith(room + "/") for room in CONDITIONAL_ROOMS):
        return
    for number, line in enumerate(file.code_lines, start=1):
        match = _CONDITIONAL.match(line)
        # A header for C must be readable by both languages.
        if match and match.group(1).strip() != "__cplusplus":
            yield number, (f"conditional compilation only in {' and '.join(CONDITIONAL_ROOMS)}: "
                           "let meson choose between two source files")


def check_function_names(file):
    for number, line in enumerate(file.code_lines, start=1):
        for match in _DECLARED.finditer(line):
            name = match.group("name")
            if match.group("before") not in _KEYWORDS and name not in _DICTATED:
                prefix = name[:name.index("_") + 1]
                yield number, f"{name}: no function begins with {prefix}, {_ADVICE[prefix]}"


def check_type_names(file):
    for number, line in enumerate(file.code_lines, start=1):
        for match in _VAGUE_TYPE.finditer(line):
            yield number, f"{match.group(1)}: name the type after what it is or holds"


def check_memset(file):
    for number, line in enumerate(file.code_lines, start=1):
        if re.search(r"\bmemset\s*\(", line):
            yield number, "memset may be optimised away: explicit_bzero for secrets, else = {}"


def check_conditional_await(file):
    for number, line in enumerate(file.code_lines, start=1):
        if re.search(r"[?:]\s*co_await\b", line):
            yield number, "g++ 12 destroys too much: choose the task by ?:, then co_await it"


def check_printing(file):
    for number, line in enumerate(file.code_lines, start=1):
        if _PRINTS.search(line):
            yield number, "libraries never print: return an Error, tools turn it into text"


@dataclass(frozen=True)
class Rule:
    """`applies` says for which files; `name` stands behind each finding in brackets."""

    name: str
    applies: Callable
    check: Callable


def _all(_file):
    return True


def _cxx(file):
    return file.is_cxx


def _named(file):
    return file.is_cxx or file.path.suffix in (".py", ".sh", ".c")


def _library(file):
    return file.is_cxx and file.floor in LIBRARIES


def _product(file):
    return file.is_cxx and file.floor != "tests"


RULES = [
    Rule("layers", _cxx, tidy_layers.check_layers),
    Rule("full-path", _cxx, tidy_layers.check_full_paths),
    Rule("rooms", _cxx, tidy_layers.check_headers),
    Rule("conditional", _cxx, check_conditionals),
    Rule("first-line", _cxx, check_first_line),
    Rule("pragma-once", _cxx, check_pragma_once),
    Rule("columns", _all, check_columns),
    Rule("file-length", _all, check_file_length),
    Rule("function-length", _all, check_function_length),
    Rule("trailing-space", _all, check_trailing_space),
    Rule("leftover", _all, check_leftovers),
    Rule("file-name", _named, check_file_name),
    Rule("function-name", _cxx, check_function_names),
    Rule("type-name", _cxx, check_type_names),
    Rule("memset", _product, check_memset),
    Rule("conditional-await", _cxx, check_conditional_await),
    Rule("printing", _library, check_printing),
]
