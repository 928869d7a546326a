"""Asks for the story of `story.py`, told in a fresh process each time."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO

from vae_search.store.backends.local import LocalStore

Request = Mapping[str, object]


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
        (told,) = self._ask(self._full(store, request))
        return told

    def interleave(self, store: LocalStore, first: Request, *meanwhile: Request) -> list[Told]:
        """Stop a process at its operation `stop_at`, run others one after another, then let it go on.

        Returns:
            What each left behind, in this order.
        """
        return self._ask(self._full(store, first) | {"meanwhile": [self._full(store, other) for other in meanwhile]})

    def _ask(self, request: dict[str, object]) -> list[Told]:
        self._stdin.write(json.dumps(request) + "\n")
        self._stdin.flush()
        return [Told(**told) for told in json.loads(self._stdout.readline())]

    def _full(self, store: LocalStore, request: Request) -> dict[str, object]:
        return {"root": store.location, "seed": 0, **request}
