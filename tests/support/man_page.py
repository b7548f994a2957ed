"""A manual page's source: its sections, and their tagged paragraphs, without markup."""

import re
import shlex


def plain(line):
    """One line of roff without its macro, quotes and escapes."""
    macro = re.match(r"\.(B|I|BR|BI|RB|IB|IR|RI) (.*)", line)
    if macro:
        macro_name, arguments = macro.groups()
        # roff takes a backslash for itself and knows double quotes only.
        words = shlex.shlex(arguments, posix=True)
        words.whitespace_split, words.quotes, words.escape, words.commenters = True, '"', "", ""
        line = (" " if macro_name in ("B", "I") else "").join(words)
    return re.sub(r"\\f[BIRP]", "", line).replace("\\-", "-").replace("\\~", " ")


def sections(page):
    """The lines of a page by the heading that they stand under, .SS as well as .SH."""
    found, lines = {}, []
    for line in page.read_text().splitlines():
        if line.startswith((".SH ", ".SS ")):
            lines = found.setdefault(line[4:].strip('"'), [])
        elif not line.startswith('.\\"'):
            lines.append(line)
    return found


def entries(lines):
    """The tagged paragraphs of a section: tag, then its text in one line."""
    found = {}
    tag = None
    for previous, line in zip([""] + lines, lines):
        if previous == ".TP":
            tag = plain(line)
            found[tag] = []
        elif line in (".PP", ".TP"):
            tag = None if line == ".PP" else tag
        elif tag and line != ".br":
            found[tag].append(plain(line))
    return {tag: " ".join(text) for tag, text in found.items()}
