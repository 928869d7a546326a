"""Asks for the story of `story.py`, told in a fresh process each time."""

import json
from dataclasses import dataclass
from typing import IO

from vae_search.store.backends.local import LocalStore


@dataclass(frozen=True)
class Told:
    """What a process that told the story left behind: its exit code, and its events."""

    status: int
    events: list[dict[str, object]]

    @property
    def shown(self) -> list[int]:
        return [int(str(event["shown"])) for event in self.events if "shown" in event]

    @property
    def calls(self) -> list[str]:
        return next((list(event["calls"]) for event in self.events if "calls" in event), [])  # type: ignore[call-overload]

    def said(self, what: str) -> str | None:
        return next((str(event[what]) for event in self.events if what in event), None)


class Storyteller:
    """Tells the story in a fresh process, again and again."""

    def __init__(self, stdin: IO[str], stdout: IO[str]) -> None:
        self._stdin, self._stdout = stdin, stdout

    def tell(self, store: LocalStore, **request: object) -> Told:
        self._stdin.write(json.dumps({"root": store.location, "seed": 0} | request) + "\n")
        self._stdin.flush()
        return Told(**json.loads(self._stdout.readline()))
