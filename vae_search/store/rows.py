"""The two tables of the ledger: one row per finished trial, one row per epoch of each.

The columns are the same in every sweep. NULL means "does not apply"; NaN and infinity are refused here, so that no
reader ever sorts or averages them.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from numbers import Integral, Real
from typing import Annotated, Any, get_args, get_type_hints

import pyarrow as pa

from vae_search.errors import CorruptStore
from vae_search.space import RULES, ParamValue
from vae_search.states import Reason, State
from vae_search.store.sealed import seal, unseal

SCHEMA_VERSION = 1

Int32 = Annotated[int, pa.int32()]
Int64 = Annotated[int, pa.int64()]
Double = Annotated[float, pa.float64()]
Doubles = Annotated[tuple[float, ...], pa.list_(pa.float64())]
Text = Annotated[str, pa.string()]
Time = Annotated[datetime, pa.timestamp("us", tz="UTC")]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRow:
    """One finished trial. Values are in nats per image, bounds at beta = 1 with the EMA weights of the last epoch.

    Raises:
        ValueError: A value has the wrong type, is NaN or infinite, or does not go with the state.
    """

    schema_version: Int32 = SCHEMA_VERSION
    sweep: Text
    trial: Int64
    state: Annotated[State, pa.string()]
    reason: Annotated[Reason, pa.string()] | None = None
    error: Text | None = None
    seed: Int64
    attempts: Int32
    lease: Int32
    node_id: Text | None = None
    started_at: Time
    finished_at: Time
    epochs: Int32  # that were trained
    objective: Double | None = None  # minimised; NULL in a Pareto sweep
    neg_elbo: Double | None = None
    distortion: Double | None = None
    rate: Double | None = None
    bits_per_dim: Double | None = None  # bits per pixel and channel
    floor_excess: Double | None = None  # neg_elbo above the entropy of the pixels
    iwae: Double | None = None
    iwae_k: Int32 | None = None
    instability: Double | None = None
    instability_regression: Double | None = None
    instability_roughness: Double | None = None
    instability_spikes: Double | None = None
    active_units: Int32 | None = None
    kl_per_dimension: Doubles | None = None
    shuffle_gap: Double | None = None
    train_neg_elbo: Double | None = None
    generalisation_gap: Double | None = None
    logvar_clamp_share: Double | None = None
    clip_share: Double | None = None
    skipped_steps: Int64 | None = None
    parameters: Int64 | None = None  # trained weights
    train_flops: Double | None = None
    cpu_s: Double | None = None
    wall_s: Double | None = None
    images_per_s: Double | None = None
    peak_memory_bytes: Int64 | None = None
    compiled: Text | None = None  # "graph" or "xla"
    params: Mapping[str, ParamValue]  # the active parameters: columns param_<name> and params_json
    comparability_key: Text
    spec_sha256: Text
    versions_json: Text | None = None
    epochs_sha256: Text | None = None  # of the file with the learning curve
    artifact_sha256: Text | None = None  # of the artifact's manifest

    def __post_init__(self) -> None:
        _settle(self, _TRIAL_COLUMNS)
        object.__setattr__(self, "params", _checked_params(self.params))
        if not self.state.is_finished:
            raise ValueError(f"trial {self.trial}: a row is a finished trial, but its state is {self.state}")
        if (State.COMPLETE if self.reason is None else self.reason.state) is not self.state:
            raise ValueError(f"trial {self.trial}: {self.state} does not go with reason {self.reason or 'NULL'}")
        if self.state is State.COMPLETE and self.neg_elbo is None:
            raise ValueError(f"trial {self.trial}: COMPLETE must have a neg_elbo")


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRow:
    """One epoch of one trial, evaluated on `select`; nats per image.

    Raises:
        ValueError: A value has the wrong type, or is NaN or infinite.
    """

    sweep: Text
    trial: Int64
    epoch: Int32  # counted from 1
    neg_elbo: Double | None = None
    distortion: Double | None = None
    rate: Double | None = None
    train_neg_elbo: Double | None = None
    beta: Double | None = None  # in effect, after warm-up
    learning_rate: Double | None = None  # in effect, after the schedule
    grad_norm_median: Double | None = None
    grad_norm_max: Double | None = None
    clip_share: Double | None = None
    skipped_steps: Int64 | None = None
    spike_excess: Double | None = None
    cpu_s: Double | None = None
    wall_s: Double | None = None

    def __post_init__(self) -> None:
        _settle(self, _EPOCH_COLUMNS)


def trial_to_parquet(row: TrialRow) -> bytes:
    """`row` as a sealed Parquet file with the columns of `TRIAL_SCHEMA`."""
    record = _record(row, _TRIAL_COLUMNS)
    record |= {f"param_{name}": value for name, value in row.params.items()}
    record["params_json"] = json.dumps(dict(row.params), sort_keys=True, ensure_ascii=False)
    return seal(pa.Table.from_pylist([record], schema=TRIAL_SCHEMA))


def trial_from_parquet(content: bytes, *, where: str) -> TrialRow:
    """The row in `content`; `where` names the file in messages.

    Raises:
        CorruptStore: The file is damaged, or does not hold exactly one row.
    """
    records = unseal(content, where=where).to_pylist()
    if len(records) != 1:
        raise CorruptStore(f"{where}: must hold one row, but holds {len(records)}. Restore it from a copy.")
    record = records[0]
    try:
        values = {name: record.get(name) for name in _TRIAL_COLUMNS}
        return TrialRow(**values, params=json.loads(record["params_json"]))
    except (ValueError, TypeError, KeyError) as error:
        raise CorruptStore(f"{where}: does not hold a trial: {error}. Restore it from a copy.") from error


def epochs_to_parquet(rows: Sequence[EpochRow]) -> bytes:
    """`rows` as a sealed Parquet file with the columns of `EPOCH_SCHEMA`."""
    return seal(pa.Table.from_pylist([_record(row, _EPOCH_COLUMNS) for row in rows], schema=EPOCH_SCHEMA))


def epochs_from_parquet(content: bytes, *, where: str) -> list[EpochRow]:
    """The rows in `content`; `where` names the file in messages.

    Raises:
        CorruptStore: The file is damaged, or holds something else.
    """
    records = unseal(content, where=where).to_pylist()
    try:
        return [EpochRow(**{name: record.get(name) for name in _EPOCH_COLUMNS}) for record in records]
    except (ValueError, TypeError) as error:
        raise CorruptStore(f"{where}: does not hold epochs: {error}. Restore it from a copy.") from error


@dataclass(frozen=True, slots=True)
class _Column:
    kind: type
    arrow: Any  # a pyarrow.DataType
    required: bool


def _columns(row_type: type) -> dict[str, _Column]:
    """The columns of a row type, from its annotations."""
    columns = {}
    hints = get_type_hints(row_type, include_extras=True)
    for field in fields(row_type):
        if field.name == "params":
            continue  # becomes several columns
        options = get_args(hints[field.name]) if type(None) in get_args(hints[field.name]) else (hints[field.name],)
        kind, arrow = get_args(options[0])
        columns[field.name] = _Column(kind, arrow, required=len(options) == 1)
    return columns


_TRIAL_COLUMNS = _columns(TrialRow)
_EPOCH_COLUMNS = _columns(EpochRow)
_PARAM_COLUMNS = {
    name: _Column(rule.kind, {int: pa.int64(), float: pa.float64(), str: pa.string()}[rule.kind], required=True)
    for name, rule in RULES.items()
}


def _trial_schema() -> pa.Schema:
    columns: list[tuple[str, Any]] = []
    for field in fields(TrialRow):
        if field.name == "params":
            columns += [(f"param_{name}", column.arrow) for name, column in _PARAM_COLUMNS.items()]
            columns.append(("params_json", pa.string()))
        else:
            columns.append((field.name, _TRIAL_COLUMNS[field.name].arrow))
    return pa.schema(columns)


TRIAL_SCHEMA = _trial_schema()
EPOCH_SCHEMA = pa.schema([(name, column.arrow) for name, column in _EPOCH_COLUMNS.items()])


def _settle(row: object, columns: Mapping[str, _Column]) -> None:
    """Bring every field to its column's own Python type (NumPy scalars come in, too), or raise ValueError."""
    for name, column in columns.items():
        object.__setattr__(row, name, _checked(name, getattr(row, name), column))


def _checked_params(params: Mapping[str, object]) -> dict[str, ParamValue]:
    unknown = sorted(set(params) - set(_PARAM_COLUMNS))
    if unknown:
        raise ValueError(f"params: no parameter is called {', '.join(unknown)}")
    return {name: _checked(f"params.{name}", value, _PARAM_COLUMNS[name]) for name, value in params.items()}


def _checked(name: str, value: object, column: _Column) -> Any:
    if value is None and not column.required:
        return None
    if column.kind is int and isinstance(value, Integral) and not isinstance(value, bool):
        return _whole(name, int(value), column.arrow.bit_width)
    if column.kind is float and isinstance(value, Real) and not isinstance(value, bool):
        return _finite(name, value)
    if column.kind in (str, State, Reason) and isinstance(value, str):
        # A message of the operating system may hold bytes that are not UTF-8; a row must not fail for that.
        return column.kind(value.encode(errors="backslashreplace").decode())
    if column.kind is datetime and isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC)
    if pa.types.is_list(column.arrow) and isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(_finite(name, item) for item in value)
    raise ValueError(f"{name}: must be {column.arrow}, but got {value!r}")


def _whole(name: str, value: int, bits: int) -> int:
    if not -(2 ** (bits - 1)) <= value < 2 ** (bits - 1):
        raise ValueError(f"{name}: must fit in {bits} bits, but got {value}")
    return value


def _finite(name: str, value: Any) -> float:
    if not math.isfinite(value):
        raise ValueError(f"{name}: must be finite (NULL, never NaN), but got {value}")
    return float(value)


def _record(row: object, columns: Mapping[str, _Column]) -> dict[str, object]:
    return {name: getattr(row, name) for name in columns}
