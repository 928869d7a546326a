"""Rows, to Parquet and back."""

import math
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.rows import epoch_rows, trial_row
from vae_search.core.trial_state import Reason, State
from vae_search.errors import CorruptStore
from vae_search.spec.hyperparameters import RULES
from vae_search.store.ledger.checksums import GROUP_ROWS, columns_from_parquet, decode_checked, encode_checked
from vae_search.store.ledger.rows import (
    EPOCH_SCHEMA,
    TRIAL_SCHEMA,
    EpochRow,
    TrialRow,
    epochs_from_parquet,
    epochs_to_parquet,
    trial_from_parquet,
    trial_to_parquet,
    trials_from_parquet,
    trials_to_parquet,
)

NATS = st.none() | st.floats(allow_nan=False, allow_infinity=False)
COUNT = st.none() | st.integers(0, 2**31 - 1)
TIME = st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
PARAMS = st.fixed_dictionaries(
    {},
    optional={
        name: {int: st.integers(0, 4096), float: st.floats(0, 100), str: st.text(max_size=9)}[rule.kind]
        for name, rule in RULES.items()
    },
)
ENDS = st.sampled_from([(State.COMPLETE, None), *((reason.state, reason) for reason in Reason)])


@st.composite
def trial_rows(draw: st.DrawFn) -> TrialRow:
    state, reason = draw(ENDS)
    return trial_row(
        draw(st.integers(0, 2**63 - 1)),
        state=state,
        reason=reason,
        error=draw(st.none() | st.text()),
        seed=draw(st.integers(-(2**63), 2**63 - 1)),
        node_id=draw(st.none() | st.text()),
        started_at=draw(TIME),
        finished_at=draw(TIME),
        neg_elbo=draw(NATS.filter(lambda value: value is not None)),
        objective=draw(NATS),
        iwae_k=draw(COUNT),
        kl_per_dimension=draw(st.none() | st.lists(st.floats(allow_nan=False, allow_infinity=False)).map(tuple)),
        cpu_s=draw(NATS),
        params=draw(PARAMS),
        epochs_sha256=draw(st.none() | st.text(max_size=5)),
    )


@settings(max_examples=60, deadline=None)
@given(trial_rows())
def test_a_trial_survives_the_round_trip(row: TrialRow) -> None:
    assert trial_from_parquet(trial_to_parquet(row, path="p"), path="p") == row


@settings(max_examples=30, deadline=None)
@given(st.lists(st.builds(EpochRow, sweep=st.text(), trial=st.integers(0, 99), epoch=st.integers(1, 99), beta=NATS)))
def test_a_learning_curve_survives_the_round_trip(rows: list[EpochRow]) -> None:
    assert epochs_from_parquet(epochs_to_parquet(rows, path="p"), path="p") == rows


def test_equal_rows_are_equal_bytes() -> None:
    assert trial_to_parquet(trial_row(), path="p") == trial_to_parquet(trial_row(), path="p")


def test_the_columns_are_those_of_the_design_in_order() -> None:
    names = TRIAL_SCHEMA.names

    assert names[:6] == ["schema_version", "sweep", "trial", "state", "reason", "error"]
    assert names[-9:] == [
        "params_json",
        "comparability_key",
        "spec_sha256",
        "versions_json",
        "epochs_sha256",
        "artifact_sha256",
        "command",
        "incarnation",
        "trained_bound",
    ]
    assert [name for name in names if name.startswith("param_")] == [f"param_{name}" for name in RULES]
    assert TRIAL_SCHEMA.field("started_at").type == pa.timestamp("us", tz="UTC")
    assert TRIAL_SCHEMA.field("kl_per_dimension").type.value_type == pa.float64()
    assert EPOCH_SCHEMA.names[:6] == ["sweep", "trial", "epoch", "neg_elbo", "distortion", "rate"]
    assert len(set(names)) == len(names)


def test_other_programs_read_typed_columns() -> None:
    row = trial_row(7, params={"architecture": "conv", "beta": 1, "depth": 3})

    table = pq.ParquetFile(pa.BufferReader(trial_to_parquet(row, path="p"))).read()

    assert table.schema.remove_metadata().equals(TRIAL_SCHEMA)
    record = table.to_pylist()[0]
    assert (record["trial"], record["state"], record["neg_elbo"]) == (7, "COMPLETE", 107.0)
    assert (record["param_architecture"], record["param_depth"], record["param_width"]) == ("conv", 3, None)
    assert record["param_beta"] == 1.0
    assert record["params_json"] == '{"architecture": "conv", "beta": 1.0, "depth": 3}'
    assert record["started_at"] == row.started_at
    assert record["kl_per_dimension"] == [0.5, 1.5, 2.5]


def test_pages_are_checksummed() -> None:
    content = trial_to_parquet(trial_row(), path="p")
    column = pq.read_metadata(pa.BufferReader(content)).row_group(0).column(0)
    last = column.data_page_offset + column.total_compressed_size - 1
    broken = content[:last] + bytes([content[last] ^ 1]) + content[last + 1 :]

    with pytest.raises(OSError, match=r"(?i)crc"):
        pq.ParquetFile(pa.BufferReader(broken), page_checksum_verification=True).read()


@pytest.mark.parametrize(("rows", "compression"), [(1, "UNCOMPRESSED"), (200, "ZSTD")])
def test_long_tables_are_compressed(rows: int, compression: str) -> None:
    content = trials_to_parquet([trial_row(trial) for trial in range(rows)], path="p")

    assert pq.read_metadata(pa.BufferReader(content)).row_group(0).column(0).compression == compression


@pytest.mark.parametrize("name", ["objective", "neg_elbo", "instability", "cpu_s"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_nan_and_infinity_never_become_a_row(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"{name}: must be finite"):
        trial_row(**{name: value})
    with pytest.raises(ValueError, match=r"kl_per_dimension: must be finite"):
        trial_row(kl_per_dimension=[0.5, value])
    with pytest.raises(ValueError, match=r"params\.beta: must be finite"):
        trial_row(params={"beta": value})
    with pytest.raises(ValueError, match=r"rate: must be finite"):
        epoch_rows(rate=value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"state": "RUNNING"}, "a row is a finished trial"),
        ({"state": State.FAIL}, "FAIL does not go with reason NULL"),
        ({"state": State.PRUNED, "reason": Reason.OOM}, "PRUNED does not go with reason oom"),
        ({"reason": Reason.RUNG}, "COMPLETE does not go with reason rung"),
        ({"state": "DONE"}, "DONE"),
        ({"neg_elbo": None}, "COMPLETE must have a neg_elbo"),
        ({"params": {"learning": 1.0}}, "no parameter is called learning"),
        ({"params": {"depth": 2.5}}, r"params\.depth: must be int64"),
        ({"params": {"depth": None}}, r"params\.depth: must be int64"),
        ({"params": {"depth": True}}, r"params\.depth: must be int64"),
        ({"sweep": None}, "sweep: must be string"),
    ],
    ids=str,
)
def test_a_row_that_contradicts_itself_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        trial_row(**changes)


def test_states_and_reasons_come_back_as_enums() -> None:
    row = trial_row(state="PRUNED", reason="rung", neg_elbo=None)

    back = trial_from_parquet(trial_to_parquet(row, path="p"), path="p")

    assert back.state is State.PRUNED
    assert back.reason is Reason.RUNG


def test_a_row_of_before_a_column_existed_has_null_there() -> None:
    table = pq.ParquetFile(pa.BufferReader(trial_to_parquet(trial_row(5), path="p"))).read()
    older = encode_checked(table.drop_columns(["iwae", "compiled"]).replace_schema_metadata(None), path="p")

    assert trial_from_parquet(older, path="p") == trial_row(5)


def test_a_file_with_two_rows_or_with_something_else_is_no_trial() -> None:
    table = pq.ParquetFile(pa.BufferReader(trial_to_parquet(trial_row(), path="p"))).read()
    plain = table.replace_schema_metadata(None)

    with pytest.raises(CorruptStore, match="p: must hold one row, but holds 2"):
        trial_from_parquet(encode_checked(pa.concat_tables([plain, plain]), path="p"), path="p")
    with pytest.raises(CorruptStore, match="p: does not hold a trial"):
        trial_from_parquet(epochs_to_parquet(epoch_rows(epochs=1), path="p"), path="p")
    with pytest.raises(CorruptStore, match="p: does not hold epochs"):
        epochs_from_parquet(encode_checked(pa.table({"a": [1]}), path="p"), path="p")


def test_some_rows_of_a_long_file_are_read_without_the_others() -> None:
    content = trials_to_parquet([trial_row(trial) for trial in range(2 * GROUP_ROWS + 5)], path="p")
    places = [2 * GROUP_ROWS + 3, 7, GROUP_ROWS, 0, GROUP_ROWS - 1]

    assert trials_from_parquet(content, path="p", places=places) == [trial_row(trial) for trial in places]
    assert trials_from_parquet(content, path="p", places=[]) == []
    assert pq.read_metadata(pa.BufferReader(content)).num_row_groups == 3


def test_columns_that_an_older_file_lacks_or_holds_in_another_type_come_as_today() -> None:
    content = trial_to_parquet(trial_row(7), path="p")
    older = decode_checked(content, path="p").drop_columns(["instability"]).replace_schema_metadata(None)
    older = older.set_column(older.schema.get_field_index("trial"), "trial", older["trial"].cast(pa.int32()))

    part = pa.schema([TRIAL_SCHEMA.field(name) for name in ("trial", "instability")])
    table = columns_from_parquet(encode_checked(older, path="p"), path="p", schema=part)

    assert table.to_pylist() == [{"trial": 7, "instability": None}]
    assert table.schema.types == [pa.int64(), pa.float64()]


def test_a_column_of_another_kind_is_damage() -> None:
    foreign = pa.table({"trial": ["first"]})

    with pytest.raises(CorruptStore, match=r"^p: holds something else"):
        columns_from_parquet(encode_checked(foreign, path="p"), path="p", schema=TRIAL_SCHEMA)
