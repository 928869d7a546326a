"""A spec as written: YAML 1.2 in plain values, with the line of every key, and `--set` overrides laid over it."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamStartEvent,
)

from vae_search.errors import InvalidSpec
from vae_search.problems import Found, Path, dotted, printable

MAX_BYTES = 256 * 1024
MAX_DEPTH = 32
MAX_DIGITS = 300  # a longer "number" stays text, which the spec then refuses in its own words
MAX_PROBLEMS = 100

# The core schema of YAML 1.2 (https://yaml.org/spec/1.2.2/, section 10.3.2): `no` is text and `1e-3` a number.
_NULL = {"", "~", "null", "Null", "NULL"}
_BOOLEAN = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9]+")
_PREFIXED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"([-+]?)\.(inf|Inf|INF)")
_NOT_A_NUMBER = {".nan", ".NaN", ".NAN"}

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x84\x86-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
_TAB_INDENT = re.compile(r"^ *\t[ \t]*[^\s#]", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecFile:
    """What a spec says, before anybody has judged it.

    `places` maps a path to the line where its key stands, or to the text of the `--set` that gave it.
    """

    origin: str
    tree: dict[str, object]
    places: dict[Path, int | str]
    found: Found = field(default_factory=list)  # mistakes that leave the rest readable, such as a key given twice

    def is_override(self, path: Path) -> bool:
        """Whether the value at `path` came from the command line."""
        return isinstance(self._nearest(path), str)

    def describe(self, path: Path, sentence: str) -> str:
        """One line: where, which key, what is wrong."""
        place = self._nearest(path)
        where = f"--set {printable(place)}" if isinstance(place, str) else printable(self.origin, 200)
        line = f":{place}" if isinstance(place, int) else ""
        return f"{where}{line}: {dotted(path)}: {sentence}" if path else f"{where}{line}: {sentence}"

    def refusal(self, found: Found) -> InvalidSpec:
        """The error that tells everything that was found, in the order of the file, at most one mistake per key."""
        first: dict[Path, str] = {}
        for path, sentence in found:
            first.setdefault(path, sentence)
        ordered = sorted(first.items(), key=lambda item: self._line(item[0]))
        lines = [self.describe(path, sentence) for path, sentence in ordered]
        if len(lines) > MAX_PROBLEMS:
            lines[MAX_PROBLEMS:] = [f"{printable(self.origin, 200)}: … and {len(lines) - MAX_PROBLEMS} more."]
        return InvalidSpec(*lines)

    def _nearest(self, path: Path) -> int | str | None:
        return next((self.places[path[:n]] for n in range(len(path), 0, -1) if path[:n] in self.places), None)

    def _line(self, path: Path) -> float:
        place = self._nearest(path)
        return place if isinstance(place, int) else math.inf


def parse_yaml(text: str, *, origin: str) -> SpecFile:
    """Read a spec.

    Raises:
        InvalidSpec: The text is not YAML, is no mapping, or is larger or deeper than any spec needs.
    """
    reader = _Reader(_checked(text, origin), origin)
    tree = reader.document()
    if tree is None:
        raise InvalidSpec(f"{origin}: the file is empty. `vae-search init` writes a spec to start from.")
    if not isinstance(tree, dict):
        raise InvalidSpec(f"{origin}:1: a spec is a mapping (`key: value` lines), but this is {_kind(tree)}.")
    return SpecFile(origin=origin, tree=tree, places=dict(reader.lines), found=reader.found)


def override(spec: SpecFile, overrides: Sequence[str]) -> SpecFile:
    """Lay `key.key=value` texts over a spec, in their order.

    Raises:
        InvalidSpec: An override cannot be read, or goes through something that is not a mapping.
    """
    places, found, problems = dict(spec.places), list(spec.found), []
    tree = _copy(spec.tree)
    for text in overrides:
        try:
            _lay_over(tree, places, found, text)
        except InvalidSpec as error:
            problems += error.problems
    if problems:
        raise InvalidSpec(*problems)
    return SpecFile(origin=spec.origin, tree=tree, places=places, found=found)


def _lay_over(tree: dict[str, object], places: dict[Path, int | str], found: Found, text: str) -> None:
    origin = f"--set {printable(text)}"
    key, equals, value_text = text.partition("=")
    path: Path = tuple(key.strip().split("."))
    if not equals or "" in path:
        raise InvalidSpec(f"{origin}: an override is written key=value, as in --set budget.trials=3.")
    reader = _Reader(_checked(value_text, origin), origin)
    value = reader.document()
    node = tree
    for depth, part in enumerate(path[:-1], start=1):
        below = node.setdefault(str(part), {})
        if not isinstance(below, dict):
            parent = dotted(path[:depth])
            raise InvalidSpec(f"{origin}: {parent} is {_kind(below)}, so it has no keys. Set {parent} as a whole.")
        node = below
    node[str(path[-1])] = value
    for known in [known for known in places if known[: len(path)] == path]:
        del places[known]
    found[:] = [problem for problem in found if problem[0][: len(path)] != path]
    found += [(path + inner, sentence) for inner, sentence in reader.found]
    places[path] = text


def _checked(text: str, origin: str) -> str:
    """`text` with plain line ends, if it is of a size and of characters that a spec may have."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise InvalidSpec(f"{origin}: a spec may have at most {MAX_BYTES // 1024} KiB, but this is longer.")
    if bad := _CONTROL.search(text):
        name = f"U+{ord(bad[0]):04X}"
        raise InvalidSpec(f"{origin}:{_line_of(text, bad.start())}: the character {name} has no place in a spec. Remove it.")
    if bad := _TAB_INDENT.search(text):
        raise InvalidSpec(f"{origin}:{_line_of(text, bad.start())}: the indentation has a tab. Indent with spaces.")
    return text


def _line_of(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _kind(value: object) -> str:
    names = {dict: "a mapping", list: "a list", str: "text", bool: "true or false", type(None): "empty"}
    return names.get(type(value), "a number")


def _copy(node: dict[str, object]) -> dict[str, object]:
    return {key: _copy(value) if isinstance(value, dict) else value for key, value in node.items()}


class _Reader:
    """Builds plain values from parser events; refuses what lets one line of YAML mean many (anchors, aliases, tags)."""

    def __init__(self, text: str, origin: str) -> None:
        self.lines: dict[Path, int] = {}
        self.found: Found = []
        self._origin = origin
        self._events: Iterator[Event] = YAML(typ="safe", pure=True).parse(text)

    def document(self) -> object:
        try:
            event = self._next()
            while isinstance(event, StreamStartEvent | DocumentStartEvent):
                event = self._next()
            if not isinstance(event, ScalarEvent | MappingStartEvent | SequenceStartEvent | AliasEvent):
                return None  # the stream ended without a document
            value = self._value(event, ())
            end = self._next()
            if isinstance(end, DocumentEndEvent) and isinstance(second := self._next(), DocumentStartEvent):
                self._refuse(second, "a spec is one YAML document, but a second one starts here. Remove `---`.")
        except YAMLError as error:
            raise InvalidSpec(self._syntax(error)) from error
        return value

    def _value(self, event: Event, path: Path) -> object:
        if len(path) > MAX_DEPTH:
            self._refuse(event, f"a spec is nested at most {MAX_DEPTH} deep, but this goes deeper.")
        if isinstance(event, AliasEvent) or event.anchor is not None:
            self._refuse(event, f"anchors and aliases (`&{event.anchor}`, `*{event.anchor}`) are not used in specs.")
        if event.tag is not None:
            self._refuse(event, f"tags (`{event.tag}`) are not used in specs. Write the plain value.")
        if isinstance(event, MappingStartEvent):
            return self._mapping(path)
        if isinstance(event, SequenceStartEvent):
            return self._sequence(path)
        return self._text(event) if event.style else _scalar(self._text(event))
