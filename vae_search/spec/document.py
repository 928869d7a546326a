"""Spec document: the values of its file, with `--set` overrides laid over them, and the origin of each."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vae_search.core.text import printable
from vae_search.core.validation import KeyPath, Problems, dotted
from vae_search.errors import InvalidSpec
from vae_search.spec.yaml_reader import MAX_BYTES, MAX_DEPTH, TOO_LONG, read_document

MAX_PROBLEMS = 8  # that are shown; more would push the first ones off the screen


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecFile:
    """A spec as read, before it is validated.

    `places` maps a path to the line where its key stands, or to the text of the `--set` that gave it.
    """

    origin: str
    tree: dict[str, object]
    places: dict[KeyPath, int | str]
    found: Problems = field(default_factory=list)  # mistakes that leave the rest readable, such as a key given twice

    def is_override(self, path: KeyPath) -> bool:
        """True if the value at `path` came from the command line."""
        return isinstance(self._nearest(path), str)

    def describe(self, path: KeyPath, sentence: str) -> str:
        """One line: place, key, mistake."""
        place = self._nearest(path)
        where = f"--set {printable(place)}" if isinstance(place, str) else printable(self.origin, 200)
        line = f":{place}" if isinstance(place, int) else ""
        said = printable(sentence, 1000)  # a sentence may quote anything a file can hold
        return f"{where}{line}: {dotted(path)}: {said}" if path else f"{where}{line}: {said}"

    def refusal(self, found: Problems) -> InvalidSpec:
        """The error that tells everything that was found, in the order of the file, at most one mistake per key."""
        first: dict[KeyPath, str] = {}
        for path, sentence in found:
            first.setdefault(path, sentence)
        ordered = sorted(first.items(), key=lambda item: self._line(item[0]))
        return refusal([self.describe(path, sentence) for path, sentence in ordered], origin=self.origin)

    def _nearest(self, path: KeyPath) -> int | str | None:
        return next((self.places[path[:n]] for n in range(len(path), 0, -1) if path[:n] in self.places), None)

    def _line(self, path: KeyPath) -> float:
        place = self._nearest(path)
        return place if isinstance(place, int) else math.inf


def refusal(lines: Sequence[str], *, origin: str) -> InvalidSpec:
    """The error of many mistakes: the first of them, and how many there are besides."""
    more = len(lines) - MAX_PROBLEMS
    rest = [f"{printable(origin, 200)}: … and {more} more."] if more > 0 else []
    return InvalidSpec(*lines[:MAX_PROBLEMS], *rest, every=lines)


def read_text(path: Path, *, origin: str) -> str:
    """Read the text of a spec.

    Args:
        origin: the file, in messages.

    Raises:
        InvalidSpec: The file cannot be read, is larger than any spec needs, or is no UTF-8 text.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InvalidSpec(f"{origin}: cannot be read: {error.strerror}. `vae-search init` writes a spec.") from error
    if len(content) > MAX_BYTES:
        raise InvalidSpec(f"{origin}: {TOO_LONG}")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InvalidSpec(
            f"{origin}:{line}: a spec is UTF-8 text, but here is byte {content[error.start]:#04x}."
        ) from error


def parse_yaml(text: str, *, origin: str) -> SpecFile:
    """Read a spec.

    Raises:
        InvalidSpec: The text is not YAML, is no mapping, or is larger or deeper than any spec needs.
    """
    document = read_document(text, origin=origin)
    if (tree := document.value) is None:
        raise InvalidSpec(f"{origin}: the file is empty. `vae-search init` writes a spec to start from.")
    if not isinstance(tree, dict):
        raise InvalidSpec(f"{origin}:1: a spec is a mapping (`key: value` lines), but this is {_kind(tree)}.")
    return SpecFile(origin=origin, tree=tree, places=dict(document.lines), found=document.found)


def override(spec: SpecFile, overrides: Sequence[str]) -> SpecFile:
    """Lay `key.key=value` texts over a spec, in their order.

    Raises:
        InvalidSpec: An override cannot be read, or goes through something that is not a mapping.
    """
    places, found = dict(spec.places), list(spec.found)
    problems: list[str] = []
    tree = _copy(spec.tree)
    for text in overrides:
        try:
            _lay_over(tree, places, found, text)
        except InvalidSpec as error:
            problems += error.problems
    if problems:
        raise refusal(problems, origin="--set")
    return SpecFile(origin=spec.origin, tree=tree, places=places, found=found)


def named_values(texts: Sequence[str]) -> dict[str, Any]:
    """The values in `name=value` texts.

    Raises:
        InvalidSpec: A text is none, or names what another one has named.
    """
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (equals and name.strip()) or name.strip() in found:
            said = "is given twice" if name.strip() in found else "is written NAME=VALUE, such as latent_dim=8"
            raise InvalidSpec(f"{printable(text)}: {said}.")
        found[name.strip()] = read_document(value, origin=printable(text)).value
    return found


def _lay_over(tree: dict[str, object], places: dict[KeyPath, int | str], found: Problems, text: str) -> None:
    origin = f"--set {printable(text)}"
    key, equals, value_text = text.partition("=")
    path: KeyPath = tuple(key.strip().split("."))
    if not equals or "" in path or len(path) > MAX_DEPTH:
        raise InvalidSpec(f"{origin}: an override is written key=value, as in --set budget.trials=3.")
    document = read_document(value_text, origin=origin)
    node = tree
    for depth, part in enumerate(path[:-1], start=1):
        if str(part) not in node:
            places[path[:depth]] = text
        below = node.setdefault(str(part), {})
        if not isinstance(below, dict):
            parent = dotted(path[:depth])
            raise InvalidSpec(f"{origin}: {parent} is {_kind(below)}, so it has no keys. Set {parent} as a whole.")
        node = below
    node[str(path[-1])] = document.value
    for known in [known for known in places if known[: len(path)] == path]:
        del places[known]
    found[:] = [problem for problem in found if problem[0][: len(path)] != path]
    found += [(path + inner, sentence) for inner, sentence in document.found]
    places[path] = text


def _kind(value: object) -> str:
    names = {dict: "a mapping", list: "a list", str: "text", bool: "true or false", type(None): "empty"}
    return names.get(type(value), "a number")


def _copy(node: dict[str, object]) -> dict[str, object]:
    return {key: _copy(value) if isinstance(value, dict) else value for key, value in node.items()}
