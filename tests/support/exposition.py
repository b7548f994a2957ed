"""Exposition: a page of metrics in the text format of Prometheus, read strictly.

What `promtool check metrics` refuses is refused here, and what readers of the format take
differently: samples of a family that stand apart, repeated samples, names without their unit's or
their type's ending, histograms whose buckets do not add up.
"""

import re
import urllib.request
from dataclasses import dataclass, field

TYPE = "text/plain; version=0.0.4; charset=utf-8"
_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"'
_SAMPLE = re.compile(rf"({_NAME})(?:\{{((?:{_LABEL},)*{_LABEL})\}})? (\S+)")
_TYPES = ("counter", "gauge", "histogram")
_SUFFIXES = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


class Malformed(Exception):
    """What is wrong, and where."""


@dataclass
class Family:
    kind: str
    help: str
    samples: dict = field(default_factory=dict)  # (suffix, labels as a frozenset of pairs): value


def _unescaped(value):
    return re.sub(r"\\(.)", lambda found: {"n": "\n"}.get(found[1], found[1]), value)


def parse(text):
    """name: Family, of a page."""
    families, name = {}, None
    if not text.endswith("\n"):
        raise Malformed("the last line has no end")
    lines = text.split("\n")[:-1]
    for number, line in enumerate(lines, 1):
        try:
            if line.startswith("# HELP "):
                name = _begin(families, line, lines[number])
            elif line.startswith("# TYPE "):
                if lines[number - 2] != f"# HELP {name} {families[name].help}":
                    raise Malformed("TYPE without HELP before it")
            else:
                _add(families[name], name, line)
        except (Malformed, KeyError, ValueError, IndexError) as error:
            raise Malformed(f"line {number}: {line!r}: {error!r}") from error
    for each, family in families.items():
        if family.kind == "histogram":
            _check_histogram(each, family)
    return families


def _begin(families, help_line, type_line):
    _, _, name, told = help_line.split(" ", 3)
    _, word, same, kind = type_line.split(" ")
    if (word, same) != ("TYPE", name) or not re.fullmatch(_NAME, name):
        raise Malformed("HELP without its TYPE")
    if name in families or kind not in _TYPES or not told:
        raise Malformed("a family that is there, or of no known type, or without a help")
    if (kind == "counter") != name.endswith("_total"):
        raise Malformed("counters end with _total, and nothing else does")
    families[name] = Family(kind, told)
    return name


def _add(family, name, line):
    found = _SAMPLE.fullmatch(line)
    if not found or not found[1].startswith(name):
        raise Malformed("no sample of this family")
    suffix = found[1][len(name):]
    if suffix not in _SUFFIXES[family.kind]:
        raise Malformed("a suffix that the type does not have")
    labels = [(label, _unescaped(value)) for label, value in re.findall(_LABEL, found[2] or "")]
    if len({label for label, _ in labels}) != len(labels):
        raise Malformed("a label twice")
    key = (suffix, frozenset(labels))
    if key in family.samples:
        raise Malformed("a sample twice")
    value = float(found[found.lastindex])
    if value < 0:
        raise Malformed("nothing here is less than nothing")
    family.samples[key] = value


def _check_histogram(name, family):
    buckets = {float(dict(labels)["le"]): value
               for (suffix, labels), value in family.samples.items() if suffix == "_bucket"}
    counts = [buckets[bound] for bound in sorted(buckets)]
    if counts != sorted(counts) or list(buckets) != sorted(buckets):
        raise Malformed(f"{name}: buckets that do not add up")
    if buckets[float("inf")] != family.samples["_count", frozenset()]:
        raise Malformed(f"{name}: the last bucket is not the count")


class Page:
    """What was there to read at one moment."""

    def __init__(self, text):
        self.text = text
        self.families = parse(text)

    def of(self, name, suffix="", **labels):
        """The sum of the samples of ktls_bridge_NAME with these labels and any others."""
        family = self.families.get(f"ktls_bridge_{name}") or self.families[name]
        wanted = set(labels.items())
        return sum(value for (end, have), value in family.samples.items()
                   if end == suffix and wanted <= have)

    def labels(self, name):
        """Those of each sample, as dicts."""
        return [dict(labels) for _, labels in self.families[f"ktls_bridge_{name}"].samples]


def scrape(address, timeout):
    """The Page at `address`, as host:port."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=timeout) as answer:
        if answer.headers["Content-Type"] != TYPE:
            raise Malformed(f"Content-Type {answer.headers['Content-Type']}")
        return Page(answer.read().decode("utf-8"))
