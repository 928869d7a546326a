"""Tables as pandas frames, and frames as CSV."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa

from vae_search.store.ledger.rows import TRIAL_SCHEMA, TrialRow, trial_record
from vae_search.store.queries.confirmed_configs import Confirmed, FailedConfirmation

_NULLABLE = {
    pa.int8(): pd.Int8Dtype(),
    pa.int16(): pd.Int16Dtype(),
    pa.int32(): pd.Int32Dtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.float32(): pd.Float32Dtype(),
    pa.float64(): pd.Float64Dtype(),
    pa.bool_(): pd.BooleanDtype(),
    pa.string(): pd.StringDtype(),
}
BEST_COLUMNS = (
    *("trial", "state", "reason", "objective", "neg_elbo", "distortion", "rate", "instability", "active_units"),
    *("epochs", "cpu_s", "train_flops"),
)

CONFIRM_SCHEMA = pa.schema(
    [("confirm_seeds", pa.int64()), ("confirm_mean", pa.float64()), ("confirm_sd", pa.float64())]
)


def frame(table: pa.Table) -> pd.DataFrame:
    """`table` in pandas' types that know NULL: a column of whole numbers stays one, and NULL is `pandas.NA`, never NaN.

    Times are aware, in the zone that they have in the table. Lists are arrays. Exact decimals become whole numbers if
    they are (DuckDB sums integers so) and fit 64 bits, else doubles.
    """
    columns = [_without_decimals(column) for column in table.columns]
    plain = pa.Table.from_arrays(columns, names=table.column_names)
    return plain.to_pandas(types_mapper=_NULLABLE.get)


def best_frame(
    rows: Sequence[TrialRow], searched: Sequence[str], verdicts: Mapping[int, Confirmed | FailedConfirmation]
) -> pd.DataFrame:
    """One line for each row, in their order: `BEST_COLUMNS`, `CONFIRM_SCHEMA`, metrics, and what was searched."""
    table = pa.Table.from_pylist([trial_record(row) for row in rows], schema=TRIAL_SCHEMA)
    found = [verdicts.get(row.trial) for row in rows]
    confirms = [
        {"confirm_seeds": verdict.seeds, "confirm_mean": verdict.mean, "confirm_sd": verdict.sd}
        if isinstance(verdict, Confirmed)
        else {}
        for verdict in found
    ]
    columns = pa.Table.from_pylist(confirms, schema=CONFIRM_SCHEMA)
    chosen = table.select(BEST_COLUMNS)
    for name in columns.column_names:
        chosen = chosen.append_column(name, columns[name])
    for name in sorted({name for row in rows for name in row.metrics}):
        chosen = chosen.append_column(name, pa.array([row.value(name) for row in rows], pa.float64()))
    for name in searched:
        held = f"param_{name}" in table.column_names  # a network from elsewhere has parameters without a column
        values = table[f"param_{name}"] if held else pa.array([row.params.get(name) for row in rows])
        chosen = chosen.append_column(f"param_{name}", values)
    return frame(chosen)


def write_csv(table: pa.Table, path: Path) -> None:
    """Write a new CSV file: UTF-8, a header, NULL as nothing, times as ISO 8601 in UTC, lists as JSON.

    Doubles have all the digits that it takes to read the same number again.

    Raises:
        FileExistsError: There is such a file.
    """
    written = frame(table)
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pa.types.is_list(column.type):
            written[name] = [None if item is None else str(list(item)) for item in column.to_pylist()]
        elif pa.types.is_timestamp(column.type):
            written[name] = written[name].map(lambda at: at.isoformat(), na_action="ignore")
    written.to_csv(path, index=False, mode="x", encoding="utf-8")


def _without_decimals(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if not pa.types.is_decimal(column.type):
        return column
    if column.type.scale == 0:
        try:
            return column.cast(pa.int64())
        except pa.ArrowInvalid:  # a sum beyond 64 bits
            pass
    return column.cast(pa.float64())
