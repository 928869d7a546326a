"""Rendering of choices as a spec with a comment on each line."""

import json
import re
import textwrap
from collections.abc import Iterator, Sequence

from vae_search.core.text import printable
from vae_search.spec.starting.choices import Choice

LONGEST_LINE = 120
COLUMN = 36  # where comments begin, if the line is not longer
PLAIN = re.compile(r"[A-Za-z./][A-Za-z0-9._/+-]*(?::[A-Za-z0-9._/+-]+)*")
NOT_WORDS = ("true", "false", "yes", "no", "on", "off", "null", ".", ".nan", ".inf")


def commented_spec(name: str, file: str, sentences: Sequence[str], choices: Sequence[Choice]) -> str:
    """A spec as a person would write it: keys in sections, and why each is so.

    Args:
        name: of the sweep.
        file: name of the file that it is written to.
        sentences: on the images, for the head.
        choices: in order; a section stands where its first key does.
    """
    head = [
        "A first sweep for these images, written by `vae-search init --data`:",
        *sentences,
        "",
        "Start it, or go on where it stopped, and look at what came out:",
        f"  vae-search run {file}",
        f"  vae-search sample {name} -o samples.png",
        "",
        "Other keys have their defaults; `vae-search init` without --data writes a spec that shows them all.",
    ]
    lines = [line for sentence in head for line in _comment(sentence)]
    lines += ["", f"name: {name}"]
    sections: dict[str, list[Choice]] = {}
    for choice in choices:
        sections.setdefault(choice.key.partition(".")[0], []).append(choice)
    for section, members in sections.items():
        if members[0].key == section:
            lines += _entry(section, members[0], indent="")
            continue
        lines += ["", f"{section}:"]
        for member in members:
            lines += _entry(member.key.partition(".")[2], member, indent="  ")
    return "\n".join([*lines, ""])


def quoted(text: str) -> str:
    """Text as YAML has it: in quotes, unless it can only be read as a word."""
    return text if PLAIN.fullmatch(text) and text.lower() not in NOT_WORDS else json.dumps(text)


def _entry(key: str, choice: Choice, *, indent: str) -> Iterator[str]:
    if choice.value.startswith("- "):
        yield f"{f'{indent}{key}:':{COLUMN}}  # {choice.why}"
        yield f"{indent}  {choice.value}"
        return
    line = f"{indent}{key}: {choice.value}"
    if not choice.why:
        yield line
        return
    beside = f"{line:{COLUMN}}  # {choice.why}"
    if len(beside) <= LONGEST_LINE:
        yield beside
        return
    yield from _comment(choice.why, indent=indent)
    yield line


def _comment(sentence: str, *, indent: str = "") -> Iterator[str]:
    begin = f"{indent}# "
    for line in textwrap.wrap(printable(sentence, 2000), LONGEST_LINE - len(begin), drop_whitespace=True) or [""]:
        yield f"{begin}{line}".rstrip()
