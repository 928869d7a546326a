"""Records of logs as dataclasses: fields by name, an action, and a time; what a newer program has added is refused."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

from vae_search.errors import CorruptStore

T = TypeVar("T")


def parsed(
    kind: type[T],
    record: Mapping[str, Any],
    *,
    actions: type[StrEnum],
    what: str,
    where: str,
    convert: Mapping[str, Callable[[Any], object]] | None = None,
) -> T:
    """The `kind` that a record holds, with its fields `action` and `at` in their types.

    Args:
        what: the record is, in messages.
        where: its file.
        convert: further fields that must be there, with what makes them of JSON.

    Raises:
        CorruptStore: It is none that this program knows.
    """
    types: dict[str, Callable[[Any], object]] = {
        "action": lambda text: actions(str(text)),
        "at": lambda text: datetime.fromisoformat(str(text)),
        **(convert or {}),
    }
    try:
        unknown = set(record) - {each.name for each in fields(kind)}  # type: ignore[arg-type]
        if unknown:
            raise ValueError(f"unknown fields {', '.join(sorted(unknown))}")
        return kind(**{**record, **{name: make(record[name]) for name, make in types.items()}})
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptStore(
            f"is no {what} of this program: {error}.", path=where, advice="Install a newer vae-search."
        ) from error
