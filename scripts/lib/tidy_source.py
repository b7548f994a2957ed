"""Source files as scripts/tidy sees them: text, code without comments, includes, functions."""

import ast
import re
from functools import cached_property
from pathlib import PurePosixPath

CXX_SUFFIXES = (".cpp", ".h")
FLOORS = ("ktls", "userspace", "tools", "tests")

# Comments, raw strings, strings and characters. The lookbehind keeps 1'000 from opening a
# character literal.
_LITERAL = re.compile(
    r"""//[^\n]* | /\*.*?\*/ | R"(?P<delimiter>\w*)\(.*?\)(?P=delimiter)"
      | "(?:\\.|[^"\\\n])*" | (?<!\w)(?:u8|[uUL])?'(?:\\.|[^'\\\n])+'""",
    re.DOTALL | re.VERBOSE)
_INCLUDE = re.compile(r"\s*#\s*include\s*[\"<]([^\">]+)[\">]")
_DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.MULTILINE)
_BEFORE_HEAD = re.compile(r"(?:\s|(?:public|protected|private):)*")
# What may hold parentheses in the head of a class or a namespace.
_ATTRIBUTE = re.compile(r"alignas\s*\([^()]*\)|__attribute__\s*\(\(.*?\)\)|\[\[.*?\]\]")


class SourceFile:
    """One file of the tree; what is costly is computed when a rule first asks for it."""

    def __init__(self, path, text):
        self.path = PurePosixPath(path)
        self.text = text
        self.lines = text.split("\n")
        if self.lines[-1] == "":
            self.lines.pop()

    @property
    def floor(self):
        return self.path.parts[0]

    @property
    def is_cxx(self):
        return self.path.suffix in CXX_SUFFIXES and self.floor in FLOORS

    @property
    def is_python(self):
        return self.path.suffix == ".py" or self.text.startswith("#!/usr/bin/env python3")

    @cached_property
    def code(self):
        """The text with comments blank and literals empty; line numbers are kept."""
        return _LITERAL.sub(_blank, self.text)

    @cached_property
    def code_lines(self):
        return self.code.split("\n")

    @cached_property
    def includes(self):
        """(line number, header) of every include, quoted or in angle brackets."""
        found = []
        for number, (code, raw) in enumerate(zip(self.code_lines, self.lines), start=1):
            if code.lstrip().startswith("#") and (match := _INCLUDE.match(raw)):
                found.append((number, match.group(1)))
        return found

    @cached_property
    def functions(self):
        """(first line, last line) of every function; a lambda or a local class is part of its
        function."""
        if self.is_cxx or self.path.suffix == ".c":
            return list(cxx_functions(self.code))
        if self.is_python:
            return python_functions(self.text)
        return shell_functions(self.lines)


def _blank(match):
    text = match.group()
    newlines = "\n" * text.count("\n")
    return newlines if text.startswith(("//", "/*")) else '""' + newlines


def cxx_functions(code):
    """A brace opens a function if what stands before it, back to the last ; { or }, has
    parentheses of its own and is no initialiser. That is enough for formatted code."""
    code = _DIRECTIVE.sub(lambda match: "\n" * match.group().count("\n"), code)
    blocks = []  # for each open brace: where its function began, or None
    start, parens, inside = 0, 0, 0
    for match in re.finditer(r"[{}();]", code):
        position, character = match.start(), match.group()
        if character in "()":
            parens += 1 if character == "(" else -1
        elif inside:
            # Within a function only the braces count.
            inside += {"{": 1, "}": -1, ";": 0}[character]
            if inside == 0:
                begin, parens = blocks.pop()
                if re.match(r"\s*[,{]", code[position + 1:]):
                    start = begin  # it was a member's initialiser: a_{1}, b_{2} {
                else:
                    yield _first_line(code, begin), _line_of(code, position)
                    start = position + 1
        elif character == "{" and parens == 0 and _is_function_head(code[start:position]):
            blocks.append((start, parens))
            inside = 1
        elif character == "{":
            blocks.append(None)
            start = position + 1 if parens == 0 else start
        elif character == "}" and blocks:
            blocks.pop()
            start = position + 1 if parens == 0 else start
        elif character == ";" and parens == 0:
            start = position + 1


def _is_function_head(head):
    head = _ATTRIBUTE.sub("", head).strip()
    return "(" in head and not head.endswith(("=", ",", "return"))


def _line_of(code, position):
    return code.count("\n", 0, position) + 1


def _first_line(code, position):
    return _line_of(code, _BEFORE_HEAD.match(code, position).end())


def python_functions(text):
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [(node.lineno, node.end_lineno)
            for node in ast.walk(ast.parse(text)) if isinstance(node, kinds)]


def shell_functions(lines):
    found, start = [], None
    for number, line in enumerate(lines, start=1):
        if re.match(r"(function )?[\w-]+ ?\(\) *[{(]$", line):
            start = number
        elif line in ("}", ")") and start:
            found.append((start, number))
            start = None
    return found
