"""Plain values out of YAML 1.2, with the line of every key."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

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

from vae_search.core.text import printable
from vae_search.core.validation import KeyPath, Problems
from vae_search.errors import InvalidSpec

MAX_BYTES = 256 * 1024
TOO_LONG = f"a spec may have at most {MAX_BYTES // 1024} KiB, but this is longer."
MAX_DEPTH = 32
MAX_DIGITS = 300  # a longer "number" stays text, which the spec then refuses in its own words

# The core schema of YAML 1.2 (https://yaml.org/spec/1.2.2/, section 10.3.2): `no` is text and `1e-3` a number.
_NULL = {"", "~", "null", "Null", "NULL"}
_BOOLEAN = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9]+")
_PREFIXED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"([-+]?)\.(inf|Inf|INF)")
_NOT_A_NUMBER = {".nan", ".NaN", ".NAN"}

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
_TAB_INDENT = re.compile(r"^ *\t[ \t]*[^\s#]", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One YAML document: its value (None if there is none), the line of every key and item, the mistakes that left the
    rest readable, such as a key given twice."""

    value: object
    lines: dict[KeyPath, int]
    found: Problems


def read_document(text: str, *, origin: str) -> Document:
    """Parse one document, without anchors, aliases and tags, which let one line of YAML mean many.

    Raises:
        InvalidSpec: The text is not YAML, or is larger or deeper than any spec needs.
    """
    reader = _Reader(_checked(text, origin), origin)
    value = reader.document()
    return Document(value=value, lines=reader.lines, found=reader.found)


def _checked(text: str, origin: str) -> str:
    """`text` with plain line ends, if it is of a size and of characters that a spec may have."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise InvalidSpec(f"{origin}: {TOO_LONG}")
    if bad := _UNPRINTABLE.search(text.replace("\n", " ").replace("\t", " ")):
        place = _place(origin, text.count("\n", 0, bad.start()) + 1)
        raise InvalidSpec(f"{place}: the character U+{ord(bad[0]):04X} has no place in a spec. Remove it.")
    if bad := _TAB_INDENT.search(text):
        place = _place(origin, text.count("\n", 0, bad.start()) + 1)
        raise InvalidSpec(f"{place}: the indentation has a tab. Indent with spaces.")
    return text


def _place(origin: str, line: int) -> str:
    return origin if origin.startswith("--set ") else f"{origin}:{line}"


class _Reader:
    """Builds plain values from parser events; refuses what lets one line of YAML mean many (anchors, aliases, tags)."""

    def __init__(self, text: str, origin: str) -> None:
        self.lines: dict[KeyPath, int] = {}
        self.found: Problems = []
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
                raise InvalidSpec(
                    self._at(second, "a spec is one document, but a second one starts here. Remove `---`.")
                )
        except YAMLError as error:
            raise InvalidSpec(self._syntax(error)) from error
        return value

    def _value(self, event: Event, path: KeyPath) -> object:
        if len(path) > MAX_DEPTH:
            raise InvalidSpec(self._at(event, f"a spec is nested at most {MAX_DEPTH} deep, but this goes deeper."))
        if isinstance(event, AliasEvent):
            self.found.append((path, f"must be written out: a spec has no aliases, but got `*{event.anchor}`."))
            return None
        if not isinstance(event, ScalarEvent | MappingStartEvent | SequenceStartEvent):
            raise TypeError(f"the parser gave {event} where a value must begin")
        if event.anchor is not None:
            self.found.append((path, f"a spec has no anchors, but got `&{event.anchor}`. Remove it."))
        if event.tag is not None:
            self.found.append((path, f"a spec has no tags, but got `{printable(str(event.tag))}`. Remove it."))
        if isinstance(event, MappingStartEvent):
            return self._mapping(path)
        if isinstance(event, SequenceStartEvent):
            return self._sequence(path)
        return self._scalar(event, path)

    def _mapping(self, path: KeyPath) -> dict[str, object]:
        mapping: dict[str, object] = {}
        while not isinstance(event := self._next(), MappingEndEvent):
            if isinstance(event, ScalarEvent):
                key = event.value
            else:
                self._value(event, (*path, "?"))  # reads past it
                key = "?"
                self.found.append(((*path, key), f"a key is a plain name, but the one on line {_line(event)} is not."))
            below = (*path, key)
            if key in mapping:
                self.found.append((below, f"is already given on line {self.lines[below]}. Keep one of the two."))
            self.lines[below] = _line(event)
            value = self._value(self._next(), below)
            mapping.setdefault(key, value)
        return mapping

    def _sequence(self, path: KeyPath) -> list[object]:
        items: list[object] = []
        while not isinstance(event := self._next(), SequenceEndEvent):
            below = (*path, len(items))
            self.lines[below] = _line(event)
            items.append(self._value(event, below))
        return items

    def _scalar(self, event: ScalarEvent, path: KeyPath) -> object:
        text: str = event.value
        if _UNPRINTABLE.search(text):
            self.found.append((path, f"must be printable text on one line, but got '{printable(text)}'."))
        return text if event.style else _resolved(text)

    def _next(self) -> Event:
        return next(self._events)

    def _at(self, event: Event, sentence: str) -> str:
        return f"{_place(self._origin, _line(event))}: {sentence}"

    def _syntax(self, error: YAMLError) -> str:
        mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
        place = _place(self._origin, mark.line + 1) if mark else self._origin
        reason = (error.problem if isinstance(error, MarkedYAMLError) else None) or str(error)
        return f"{place}: this is not YAML: {printable(reason, 200)}."


def _line(event: Event) -> int:
    return int(event.start_mark.line) + 1


def _resolved(text: str) -> object:
    """Value of a plain scalar."""
    if text in _NULL:
        return None
    if text in _BOOLEAN:
        return _BOOLEAN[text]
    if len(text) > MAX_DIGITS:
        return text
    if _INTEGER.fullmatch(text):
        return int(text)
    if _PREFIXED.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    if infinite := _INFINITE.fullmatch(text):
        return float(f"{infinite[1]}inf")
    return math.nan if text in _NOT_A_NUMBER else text
