"""Objects of a service's answers: what one lacks is told as the service's fault, wherever it is looked for."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from vae_search.errors import VaeSearchError


class Answer(dict[str, Any]):
    """One JSON object of an answer.

    Args:
        server: what the user calls the service.
    """

    def __init__(self, fields: Mapping[str, Any] | Iterable[tuple[str, Any]], *, server: str = "the service") -> None:
        super().__init__(fields)
        self._server = server

    def __missing__(self, name: str) -> Any:
        """Refuse to go on without a field, as after an answer of another program or version."""
        raise strange(self._server, f"{name!r} is missing")

    def without(self, *names: str) -> "Answer":
        """All fields but these."""
        return Answer({name: value for name, value in self.items() if name not in names}, server=self._server)


def answer_of(server: str) -> Callable[[dict[str, Any]], Answer]:
    """Maker of the objects of a service's answers, for `json.loads`."""
    return lambda fields: Answer(fields, server=server)


def strange(server: str, problem: str) -> VaeSearchError:
    """The error of an answer that this program cannot use."""
    return VaeSearchError(
        f"{server}: its answer is not what this program expects ({problem}).\n"
        "Is the service there, and of the same version?"
    )
