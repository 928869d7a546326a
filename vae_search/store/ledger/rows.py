"""The two tables of the ledger: one row per finished trial, one row per epoch of each.

The columns are the same in every sweep. NULL means "does not apply"; NaN and infinity are refused here, so that no
reader ever sorts or averages them.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.compute as pc

from vae_search.core.criteria import METRIC
from vae_search.core.trial_state import Reason, State
from vae_search.errors import CorruptStore
from vae_search.spec.hyperparameters import ParamValue
from vae_search.store.ledger.checksums import decode_checked, encode_checked
from vae_search.store.ledger.columns import (
    PARAM_COLUMNS,
    Column,
    Double,
    Doubles,
    Int32,
    Int64,
    Text,
    Time,
    check_columns,
    checked_metrics,
    checked_params,
    columns_of,
    int64_array,
    joined,
    records_of,
)
from vae_search.store.paths import trial_key

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRow:
    """One finished trial. Values are in nats per image, bounds at beta = 1 with the EMA weights of `best_epoch`.

    Rows without a best epoch are of versions that kept the last one's weights.

    Raises:
        ValueError: A value has the wrong type, is NaN or infinite, or does not go with the state.
    """

    schema_version: Int32 = SCHEMA_VERSION  # version of these columns
    sweep: Text  # name of the sweep
    trial: Int64  # number of the trial, from 0
    state: Annotated[State, pa.string()]  # COMPLETE, PRUNED or FAIL
    reason: Annotated[Reason, pa.string()] | None = None  # rung, time, stopped, diverged, raised, oom, timeout; or NULL
    error: Text | None = None  # last words of a FAIL; of a COMPLETE trial the reason why a metric is NULL
    seed: Int64  # what the trial's weights, order and noise follow from
    attempts: Int32  # how often a worker began with it
    lease: Int32  # number of the driver that wrote the row
    node_id: Text | None = None  # Ray's id of the node that trained it last
    started_at: Time  # first attempt, UTC
    finished_at: Time  # UTC
    epochs: Int32  # epochs that were trained; fewer than the budget if pruned, or once patience was over
    best_epoch: Int32 | None = None  # with the least neg_elbo after warm-up, from 1; its weights are scored and kept
    objective: Double | None = None  # bound + stability_weight · instability, nats; NULL in a Pareto sweep
    neg_elbo: Double | None = None  # distortion + rate of best_epoch on the select images at beta = 1, nats
    distortion: Double | None = None  # -E_q[log p(x|z)] of best_epoch, nats per image
    rate: Double | None = None  # KL(q(z|x) ‖ p(z)) of best_epoch, nats per image
    bits_per_dim: Double | None = None  # neg_elbo in bits per pixel and channel
    floor_excess: Double | None = None  # neg_elbo above the entropy of the pixels, nats
    iwae: Double | None = None  # bound on log p(x) of best_epoch, nats: on select images; of confirm runs on judge
    iwae_k: Int32 | None = None  # importance samples of iwae
    instability: Double | None = None  # sum of its parts, nats; NULL in the whole sweep if a config could be too short
    instability_regression: Double | None = None  # lost from the best epochs to the last ones, nats
    instability_roughness: Double | None = None  # mean sudden rise of the learning curve per epoch, nats
    instability_spikes: Double | None = None  # mean excess of the step loss, nats
    instability_stagnation: Double | None = None  # missing to having learned anything, nats; NULL in older rows
    active_units: Int32 | None = None  # latents whose posterior mean varies by more than 0.01
    kl_per_dimension: Doubles | None = None  # KL of each latent, nats
    shuffle_gap: Double | None = None  # nats lost with another image's code
    mutual_information: Double | None = None  # I_q(x; z), nats; at most the log of the number of select images
    marginal_kl: Double | None = None  # KL(q(z) ‖ p(z)), nats: the rate without mutual_information
    train_neg_elbo: Double | None = None  # of best_epoch on training images, nats per image
    generalisation_gap: Double | None = None  # neg_elbo - train_neg_elbo, nats
    logvar_clamp_share: Double | None = None  # share of log variances at a limit of the clamp, in best_epoch
    scale_clamp_share: Double | None = None  # share of the likelihood's scales at a limit in best_epoch; NULL without
    clip_share: Double | None = None  # share of steps whose gradient was clipped, over all epochs
    skipped_steps: Int64 | None = None  # steps of all epochs left out for a gradient that was not finite
    parameters: Int64 | None = None  # trained weights
    train_flops: Double | None = None  # floating-point operations of the training, analytic
    cpu_s: Double | None = None  # CPU seconds of the training
    wall_s: Double | None = None  # seconds of the training
    images_per_s: Double | None = None  # training images per second
    peak_memory_bytes: Int64 | None = None  # of the worker's process since it started
    compiled: Text | None = None  # graph or xla
    device: Text | None = None  # that trained: cpu, or the GPU's name; NULL in rows of versions that did not record it
    params: Mapping[str, ParamValue]  # the active parameters: columns param_<name> and params_json
    metrics: Mapping[str, float | None] = field(default_factory=dict)  # of the spec's metrics: columns metric_<name>
    comparability_key: Text  # hash of the task; values are ranked only within one
    spec_sha256: Text  # hash of the spec's identity
    versions_json: Text | None = None  # versions of everything that a result depends on
    epochs_sha256: Text | None = None  # of the file with the learning curve
    artifact_sha256: Text | None = None  # of the manifest of the kept weights
    command: Int64 | None = None  # number of the command by which somebody enqueued the config; NULL if nobody did
    incarnation: Text | None = None  # random mark of the sweep, in its record as well; NULL in sweeps of older versions
    trained_bound: Text | None = None  # bound that the last epoch trained: elbo, or iwae_K of K draws; NULL if older

    @property
    def key(self) -> str:
        """The trial's number as it stands in paths; a confirm run's has its seed as well."""
        return trial_key(self.trial)

    def value(self, column: str) -> float | None:
        """Value of a column of numbers, such as `neg_elbo` or `metric_ssim`."""
        found = self.metrics.get(column) if column.startswith(METRIC) else getattr(self, column)
        return None if found is None else float(found)

    def __post_init__(self) -> None:
        check_columns(self, _TRIAL_COLUMNS)
        object.__setattr__(self, "params", checked_params(self.params))
        object.__setattr__(self, "metrics", checked_metrics(self.metrics))
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

    sweep: Text  # name of the sweep
    trial: Int64  # number of the trial
    epoch: Int32  # counted from 1
    neg_elbo: Double | None = None  # distortion + rate, held-out, beta = 1, averaged weights, nats per image
    distortion: Double | None = None  # -E_q[log p(x|z)], nats per image
    rate: Double | None = None  # KL(q(z|x) ‖ p(z)), nats per image
    train_neg_elbo: Double | None = None  # mean over the epoch's own batches, moving weights, nats
    beta: Double | None = None  # in effect, after warm-up
    learning_rate: Double | None = None  # in effect, after the schedule
    grad_norm_median: Double | None = None  # over the epoch's steps
    grad_norm_max: Double | None = None  # over the epoch's steps
    clip_share: Double | None = None  # share of steps whose gradient was clipped
    skipped_steps: Int64 | None = None  # steps left out because their gradient was not finite
    spike_excess: Double | None = None  # mean excess of the step loss over the 200 steps before, nats
    cpu_s: Double | None = None  # CPU seconds of the epoch
    wall_s: Double | None = None  # seconds of the epoch
    iwae: Double | None = None  # bound on log p(x), nats; at rungs and the end of sweeps that rank by it, or if trained
    train_neg_iwae: Double | None = None  # as train_neg_elbo, of the bound with several draws that the epoch trained

    @property
    def neg_bound(self) -> float | None:
        """The bound on -log p(x) that the sweep ranks by, nats; less is better."""
        return self.neg_elbo if self.iwae is None else -self.iwae

    def __post_init__(self) -> None:
        check_columns(self, _EPOCH_COLUMNS)


def trials_to_parquet(rows: Sequence[TrialRow], *, path: str, after: pa.Table | None = None) -> bytes:
    """`rows` as a sealed Parquet file for `path`, with the columns of `TRIAL_SCHEMA`.

    Args:
        after: others that go into the file with them, with the same columns.
    """
    table = pa.Table.from_pylist([trial_record(row) for row in rows], schema=with_metrics(TRIAL_SCHEMA, rows))
    return encode_checked(joined(after, table, by=["trial"]), path=path)


def with_metrics(schema: pa.Schema, rows: Sequence[TrialRow]) -> pa.Schema:
    """`schema` with the metrics of some rows behind it; sweeps without metrics have files as they always were."""
    for name in sorted({name for row in rows for name in row.metrics}):
        schema = schema.append(pa.field(name, pa.float64()))
    return schema


def trials_from_parquet(content: bytes, *, path: str, places: Sequence[int] | None = None) -> list[TrialRow]:
    """The rows in the file `path`, or those at some places of it.

    Raises:
        CorruptStore: The file is damaged or misplaced, or holds something else.
    """
    table = decode_checked(content, path=path, rows=places)
    try:
        return [TrialRow(**trial_fields(record)) for record in records_of(table)]
    except (pa.ArrowException, ValueError, TypeError, KeyError) as error:
        raise CorruptStore(f"does not hold a trial: {error}.", path=path, advice="Restore it from a copy.") from error


def trial_record(row: TrialRow) -> dict[str, object]:
    """`row` as a record with the columns of `TRIAL_SCHEMA`."""
    record = _record(row, _TRIAL_COLUMNS)
    # Parameters of networks from elsewhere stand in `params_json` alone: a table has the same columns everywhere.
    record |= {f"param_{name}": value for name, value in row.params.items() if name in PARAM_COLUMNS}
    record |= row.metrics
    record["params_json"] = json.dumps(dict(row.params), sort_keys=True, ensure_ascii=False)
    return record


def trial_fields(record: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the row that `trial_record` made `record` of.

    Raises:
        KeyError, ValueError: There is none.
    """
    metrics = {name: value for name, value in record.items() if name.startswith(METRIC)}
    found = {name: record.get(name) for name in _TRIAL_COLUMNS}
    return found | {"params": json.loads(record["params_json"]), "metrics": metrics}


def trial_to_parquet(row: TrialRow, *, path: str) -> bytes:
    """`row` as a sealed Parquet file for `path`, with the columns of `TRIAL_SCHEMA`."""
    return trials_to_parquet([row], path=path)


def trial_from_parquet(content: bytes, *, path: str) -> TrialRow:
    """The row in the file `path`.

    Raises:
        CorruptStore: The file is damaged, misplaced, or does not hold exactly one row.
    """
    rows = trials_from_parquet(content, path=path)
    if len(rows) != 1:
        raise CorruptStore(f"must hold one row, but holds {len(rows)}.", path=path, advice="Restore it from a copy.")
    return rows[0]


def epochs_to_parquet(rows: Sequence[EpochRow], *, path: str, after: pa.Table | None = None) -> bytes:
    """`rows` as a sealed Parquet file for `path`, with the columns of `EPOCH_SCHEMA`.

    Args:
        after: others that go into the file with them, with the same columns.
    """
    records = [_record(row, _EPOCH_COLUMNS) for row in rows]
    table = joined(after, pa.Table.from_pylist(records, schema=EPOCH_SCHEMA), by=["trial", "epoch"])
    return encode_checked(table, path=path)


def epochs_from_parquet(content: bytes, *, path: str, trials: Collection[int] | None = None) -> list[EpochRow]:
    """The rows in the file `path`, all of them or those of `trials`.

    Raises:
        CorruptStore: The file is damaged or misplaced, or holds something else.
    """
    table = decode_checked(content, path=path)
    if trials is not None and "trial" in table.column_names:
        table = table.filter(pc.is_in(table["trial"], value_set=int64_array(trials)))
    records = table.to_pylist()
    try:
        return [EpochRow(**{name: record.get(name) for name in _EPOCH_COLUMNS}) for record in records]
    except (ValueError, TypeError) as error:
        raise CorruptStore(f"does not hold epochs: {error}.", path=path, advice="Restore it from a copy.") from error


_TRIAL_COLUMNS = columns_of(TrialRow)
_EPOCH_COLUMNS = columns_of(EpochRow)


def _trial_schema() -> pa.Schema:
    columns: list[tuple[str, Any]] = []
    for each in fields(TrialRow):
        if each.name == "params":
            columns += [(f"param_{name}", column.arrow) for name, column in PARAM_COLUMNS.items()]
            columns.append(("params_json", pa.string()))
        elif each.name in _TRIAL_COLUMNS:
            columns.append((each.name, _TRIAL_COLUMNS[each.name].arrow))
    return pa.schema(columns)


TRIAL_SCHEMA = _trial_schema()
EPOCH_SCHEMA = pa.schema([(name, column.arrow) for name, column in _EPOCH_COLUMNS.items()])


def _record(row: object, columns: Mapping[str, Column]) -> dict[str, object]:
    return {name: getattr(row, name) for name in columns}
