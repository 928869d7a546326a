"""Result of a query in Python's own values, and the Arrow stream that carries it from a service."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

import pyarrow as pa

from vae_search.core.text import printable
from vae_search.errors import InvalidSpec

_DAMAGED = b"vae_search.damaged"  # in the schema's metadata: a JSON list


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryResult:
    """Result of a query, and the files that it had to leave out."""

    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    damaged: tuple[str, ...]  # paths in the store


class Source(Protocol):
    """Bytes that are read one after the other."""

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes, at most `size`; none at the end."""


def result_of(table: pa.Table, damaged: Sequence[str]) -> QueryResult:
    """An answer in Python's own values.

    Raises:
        InvalidSpec: Python has no such value.
    """
    try:
        columns = [_python_values(column) for column in table.columns]
    except (OverflowError, ValueError, pa.ArrowException) as error:
        raise InvalidSpec(f"query: a value of the answer cannot be shown: {first_line(str(error))}") from error
    rows = tuple(zip(*columns, strict=True)) if table.num_rows else ()
    return QueryResult(columns=tuple(table.column_names), rows=rows, damaged=tuple(damaged))


def to_stream(table: pa.Table, damaged: Sequence[str]) -> Iterator[bytes]:
    """An answer as an Arrow stream, which has every type that SQL has, in pieces."""
    metadata = {**(table.schema.metadata or {}), _DAMAGED: json.dumps([*damaged]).encode()}
    marked = table.replace_schema_metadata(metadata)
    sink = _Pieces()
    with pa.ipc.new_stream(sink, marked.schema) as writer:
        for batch in marked.to_batches():
            writer.write_batch(batch)
            yield sink.taken()
    yield sink.taken()


def read_stream(source: Source) -> QueryResult:
    """The answer of `to_stream`.

    Raises:
        ValueError: It is none.
        InvalidSpec: Python has no value for one in it.
    """
    with pa.ipc.open_stream(source) as reader:  # its errors are ValueErrors
        table = reader.read_all()
    damaged = json.loads((table.schema.metadata or {}).get(_DAMAGED, b"[]"))
    return result_of(table, damaged)


def first_line(text: str) -> str:
    """First line of an error's text; the SQL itself may be quoted in it."""
    return printable((text.splitlines() or [""])[0], 300)


class _Pieces:
    """A file that keeps what was written until it is taken."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, content: bytes) -> int:
        """Keep some bytes."""
        self._parts.append(bytes(content))
        return len(content)

    def flush(self) -> None:
        """Do nothing: nothing is held back."""

    def taken(self) -> bytes:
        """All bytes since the last call."""
        parts, self._parts = self._parts, []
        return b"".join(parts)


def _python_values(column: pa.ChunkedArray) -> list[object]:
    values: list[object] = column.to_pylist()
    if pa.types.is_decimal(column.type) and column.type.scale == 0:  # how a sum of integers arrives
        return [int(value) if isinstance(value, Decimal) else value for value in values]
    return values
