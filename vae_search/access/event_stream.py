"""Events of a server-sent stream (HTML Living Standard, 9.2)."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

MakesObjects = Callable[[dict[str, Any]], Any]
LONGEST_LINE = 4 * 1024**2  # bytes; a front of thousands of trials fits


class Lines(Protocol):
    """Answer that is read line by line."""

    def readline(self, limit: int, /) -> bytes:
        """The next line with its end; empty after the last one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEvent:
    """One event.

    Args:
        number: what to send as `Last-Event-ID` to go on after it.
    """

    number: str
    kind: str
    data: dict[str, Any]


def read_events(
    lines: Lines, *, objects: Callable[[dict[str, Any]], Any] | None = None
) -> Iterator[StreamEvent | None]:
    """Events as they come, and None for each comment, which only says that the stream lives.

    Args:
        objects: makes the objects of their data.

    Raises:
        ValueError: A line is too long, or an event's data is no JSON object.
    """
    fields: dict[str, str] = {}
    while line := lines.readline(LONGEST_LINE):
        if not line.endswith(b"\n"):
            if len(line) >= LONGEST_LINE:
                raise ValueError("an event is too long")
            return  # cut off in the middle
        text = line.decode(errors="replace").rstrip("\r\n")
        if text.startswith(":"):
            yield None
        elif text:
            name, _, value = text.partition(":")
            fields[name] = value.removeprefix(" ")
        elif "data" in fields:
            data = _json(fields["data"], objects)
            if not isinstance(data, dict):
                raise ValueError("an event's data is no object")
            yield StreamEvent(number=fields.get("id", ""), kind=fields.get("event", "message"), data=data)
            fields = {}
        else:
            fields = {}


def _json(text: str, objects: MakesObjects | None) -> object:
    try:
        return json.loads(text, object_hook=objects)
    except RecursionError as error:
        raise ValueError("an event's data is nested too deeply") from error
