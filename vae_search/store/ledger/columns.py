"""Typed columns: what a field of a row may hold, and how it becomes an Arrow column.

A row class annotates its fields with the types below; its columns are read from the annotations.
"""

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from numbers import Integral, Real
from typing import Annotated, Any, get_args, get_type_hints

import pyarrow as pa
import pyarrow.compute as pc

from vae_search.core.criteria import METRIC
from vae_search.spec.hyperparameters import RULES, ParamValue, is_own, name_problems
from vae_search.spec.networks.rule import OPEN_RULE

Int32 = Annotated[int, pa.int32()]
Int64 = Annotated[int, pa.int64()]
Double = Annotated[float, pa.float64()]
Doubles = Annotated[tuple[float, ...], pa.list_(pa.float64())]
Text = Annotated[str, pa.string()]
Time = Annotated[datetime, pa.timestamp("us", tz="UTC")]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its Python type, its Arrow type, and whether NULL is refused."""

    kind: type
    arrow: Any  # a pyarrow.DataType
    required: bool


def columns_of(row_type: type) -> dict[str, Column]:
    """The columns of a row class, in order; fields without a column type of their own are left out."""
    columns = {}
    hints = get_type_hints(row_type, include_extras=True)
    for field in fields(row_type):
        required = type(None) not in get_args(hints[field.name])
        hint = hints[field.name] if required else get_args(hints[field.name])[0]
        if hasattr(hint, "__metadata__"):
            kind, arrow = get_args(hint)
            columns[field.name] = Column(kind, arrow, required)
    return columns


def check_columns(row: object, columns: Mapping[str, Column]) -> None:
    """Bring every field of a frozen row to its column's own Python type; NumPy's scalars may come in, too.

    Raises:
        ValueError: A value does not fit its column, or is NaN or infinite.
    """
    for name, column in columns.items():
        object.__setattr__(row, name, checked(name, getattr(row, name), column))


def checked(name: str, value: object, column: Column) -> Any:
    """`value` in the column's own Python type.

    Raises:
        ValueError: It does not fit the column, or is NaN or infinite.
    """
    if value is None and not column.required:
        return None
    if column.kind is float and type(value) is float:  # by far the most; the abstract classes below take their time
        return _finite(name, value)
    if column.kind is int and isinstance(value, Integral) and not isinstance(value, bool):
        return _whole(name, int(value), column.arrow.bit_width)
    if column.kind is float and isinstance(value, Real) and not isinstance(value, bool):
        return _finite(name, value)
    if issubclass(column.kind, StrEnum) and isinstance(value, str):
        return column.kind(value)
    if column.kind is str and isinstance(value, str):
        # A message of the operating system may hold bytes that are not UTF-8; a row must not fail for that.
        return value.encode(errors="backslashreplace").decode()
    if column.kind is datetime and isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC)
    if column.arrow == pa.list_(pa.float64()) and isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(_finite(name, item) for item in value)
    raise ValueError(f"{name}: must be {column.arrow}, but got {value!r}")


def records_of(table: pa.Table) -> list[dict[str, Any]]:
    """The rows of a table as plain Python values, times in UTC."""
    times = [field.name for field in table.schema if pa.types.is_timestamp(field.type)]
    for name in times:  # Arrow's own conversion of times would load pandas
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, table.column(name).cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()))
    records: list[dict[str, Any]] = table.to_pylist()
    for record in records:
        record |= {name: _EPOCH + timedelta(microseconds=record[name]) for name in times if record[name] is not None}
    return records


def int64_array(values: Iterable[int]) -> pa.Array:
    """Whole numbers as an Arrow array. `pa.array` would load pandas if it is installed: a sixth of a second."""
    content = array("q", values)
    return pa.Array.from_buffers(pa.int64(), len(content), [None, pa.py_buffer(content)])


def joined(first: pa.Table | None, then: pa.Table, *, by: Sequence[str]) -> pa.Table:
    """One table in one piece, by these columns: equal rows give equal bytes, however they came together."""
    if first is None:
        return then
    # The empty piece gives its schema to the whole: read from a file, a list's items have another name.
    pieces = [then.slice(0, 0), first, then]
    # Metrics that one of them lacks are NULL there.
    both = pa.concat_tables(pieces, promote_options="default").combine_chunks()
    return both.take(pc.sort_indices(both, sort_keys=[(name, "ascending") for name in by])).combine_chunks()


def _whole(name: str, value: int, bits: int) -> int:
    if not -(2 ** (bits - 1)) <= value < 2 ** (bits - 1):
        raise ValueError(f"{name}: must fit in {bits} bits, but got {value}")
    return value


def _finite(name: str, value: Any) -> float:
    if not math.isfinite(value):
        raise ValueError(f"{name}: must be finite (NULL, never NaN), but got {value}")
    return float(value)


PARAM_COLUMNS = {
    name: Column(rule.kind, {int: pa.int64(), float: pa.float64(), str: pa.string()}[rule.kind], required=True)
    for name, rule in RULES.items()
}


def checked_params(params: Mapping[str, object]) -> dict[str, ParamValue]:
    """Parameters of a trial, each in its column's own Python type.

    Those that only networks from elsewhere have are numbers or names, and have no column.

    Raises:
        ValueError: A name is unknown, or a value does not fit.
    """
    own = is_own(params.get("architecture"))
    if unknown := sorted(name for name in params if name_problems(name, own=own)):
        raise ValueError(f"params: no parameter is called {', '.join(unknown)}")
    return {name: _checked_param(name, value) for name, value in params.items()}


def _checked_param(name: str, value: object) -> ParamValue:
    if name in PARAM_COLUMNS:
        found: ParamValue = checked(f"params.{name}", value, PARAM_COLUMNS[name])
        return found
    if (problem := OPEN_RULE.problem(value)) is not None:
        raise ValueError(f"params.{name}: {problem}")
    return value  # type: ignore[return-value]  # the rule has seen to it


_METRIC_COLUMN = Column(float, pa.float64(), required=False)


def checked_metrics(metrics: Mapping[str, object]) -> dict[str, float | None]:
    """Metrics of a trial by column, finite or NULL.

    Raises:
        ValueError: A name or a value is none.
    """
    if unknown := sorted(name for name in metrics if not name.startswith(METRIC)):
        raise ValueError(f"metrics: must be called {METRIC}…, but got {', '.join(unknown)}")
    return {name: checked(name, value, _METRIC_COLUMN) for name, value in metrics.items()}
