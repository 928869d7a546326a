"""What a column lets in."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest

from vae_search.store.ledger.columns import Double, Doubles, Int32, Int64, Text, Time, check_columns, columns_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    count: Int32 | None = None
    big: Int64 | None = None
    nats: Double | None = None
    each: Doubles | None = None
    text: Text | None = None
    at: Time | None = None
    needed: Text = "there"
    other: Any = None  # no column

    def __post_init__(self) -> None:
        check_columns(self, columns_of(Row))


def test_columns_are_the_annotated_fields_in_order() -> None:
    columns = columns_of(Row)

    assert list(columns) == ["count", "big", "nats", "each", "text", "at", "needed"]
    assert [name for name, column in columns.items() if column.required] == ["needed"]


def test_numpy_scalars_become_python_values() -> None:
    row = Row(count=np.int64(3), nats=np.float32(0.5), each=[np.float64(1.5), 2])

    assert (type(row.count), type(row.nats), row.each) == (int, float, (1.5, 2.0))


def test_times_become_utc() -> None:
    row = Row(at=datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))))

    assert row.at == datetime(2026, 1, 1, tzinfo=UTC)
    assert row.at.tzinfo is UTC


def test_text_that_is_not_utf8_is_kept_readable() -> None:
    broken = b"caf\xe9".decode(errors="surrogateescape")

    assert Row(text=broken).text == "caf\\udce9"


@pytest.mark.parametrize(
    "values",
    [
        {"count": 2**31},
        {"big": -(2**63) - 1},
        {"count": True},
        {"count": 1.0},
        {"count": "1"},
        {"nats": float("nan")},
        {"nats": np.float32("inf")},
        {"nats": True},
        {"nats": "0.5"},
        {"each": [0.5, float("nan")]},
        {"each": "12"},
        {"each": 1.5},
        {"text": 5},
        {"at": datetime(2026, 1, 1)},  # noqa: DTZ001 - that is the point
        {"at": "2026-01-01"},
        {"needed": None},
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_by_name(values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        Row(**values)
