"""Text in messages: one-line, printable renderings of foreign values, and spelling suggestions."""

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path


def printable(text: str, longest: int = 80) -> str:
    """`text` on one line: control characters as escapes, cut after `longest` characters."""
    escaped = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text[: longest + 1])
    return escaped if len(escaped) <= longest else escaped[: longest - 1] + "…"


def shown(value: object) -> str:
    """`value` as it would stand in a spec, short and on one line."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case str():
            return f"'{printable(value, 60)}'"
        case float():
            return repr(value)
        case list() | tuple():
            return printable("[" + ", ".join(shown(item) for item in value[:12]) + "]", 60)
        case dict():
            return printable("{" + ", ".join(f"{key}: {shown(item)}" for key, item in value.items()) + "}", 60)
        case _:
            return printable(str(value), 60)


def short_path(path: Path, longest: int = 200) -> str:
    """`path` as a message names it: on one line, and from the current folder on if it lies in it."""
    try:
        inside = path.is_absolute() and path.is_relative_to(Path.cwd())
    except OSError:  # the current folder is gone
        inside = False
    return printable(str(path.relative_to(Path.cwd()) if inside else path), longest)


def first_few(words: Sequence[str], count: int = 3) -> str:
    """The first `count` of `words`, printable, and how many more there are: `a, b, c and 2 more`."""
    more = f" and {len(words) - count} more" if len(words) > count else ""
    return ", ".join(map(printable, words[:count])) + more


def kebab(name: str) -> str:
    """A class's name as it stands in addresses: `not-found` for `NotFound`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower()


def did_you_mean(word: str, options: Iterable[str]) -> str:
    """Advice on an unknown `word`: the closest of `options`, or all of them when none is close."""
    known = list(options)
    close = get_close_matches(word.lower(), known, n=1, cutoff=0.6)
    return f"Did you mean {close[0]}?" if close else f"Known are: {', '.join(known)}."
