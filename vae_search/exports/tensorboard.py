"""Learning curves in TensorBoard's format. Written by tensorboardX, so that nobody waits for TensorFlow to load."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.api_pb2 import Status
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData, SessionEndInfo
from tensorboardX.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboardX.summary import hparams

from vae_search.core.trial_state import State
from vae_search.store import paths as store_paths
from vae_search.store.ledger.rows import EpochRow, TrialRow

CURVES = (
    *("neg_elbo", "distortion", "rate", "train_neg_elbo", "beta", "learning_rate", "grad_norm_median"),
    *("grad_norm_max", "clip_share", "spike_excess", "train_neg_iwae"),
)
"""columns of an epoch, as scalars; nats per image where they are bounds"""
METRICS = ("objective", "neg_elbo", "instability", "cpu_s")
"""columns of a trial, as metrics of the HPARAMS page: `trial/<name>`"""


def write_runs(folder: Path, rows: Sequence[TrialRow], curves: Mapping[int, Sequence[EpochRow]]) -> None:
    """Write a run for each trial into an existing folder: `000042/`, its steps are epochs; beside them a list of all
    parameters and metrics for the HPARAMS page.

    Args:
        curves: by trial; one that is damaged may be missing.
    """
    params = {name: value for row in reversed(rows) for name, value in row.params.items()}
    experiment, _, _ = hparams(params | {"state": ""}, _metrics(rows))
    with closing(EventsWriter(str(folder / "events"))) as writer:
        writer.write_event(Event(wall_time=_began_s(rows), summary=experiment))
    for row in rows:
        run = folder / store_paths.trial_key(row.trial)
        run.mkdir()
        with closing(EventsWriter(str(run / "events"))) as writer:
            for event in _events(row, curves.get(row.trial, ())):
                writer.write_event(event)


def _events(row: TrialRow, curve: Sequence[EpochRow]) -> Iterator[Event]:
    began_s, ended_s = row.started_at.timestamp(), row.finished_at.timestamp()
    _, start, _ = hparams({**row.params, "state": row.state.value}, {})
    yield Event(wall_time=began_s, summary=start)
    at_s = began_s
    for epoch in curve:
        at_s = min(at_s + (epoch.wall_s or 0.0), ended_s)
        values = {name: value for name in CURVES if (value := getattr(epoch, name)) is not None}
        yield Event(wall_time=at_s, step=epoch.epoch, summary=_scalars(values))
    yield Event(wall_time=ended_s, step=row.epochs, summary=_scalars(_metrics([row])))
    yield Event(wall_time=ended_s, summary=_end(row.state))


def _metrics(rows: Sequence[TrialRow]) -> dict[str, float]:
    """The metrics that any of `rows` has, with the first one's values."""
    return {
        f"trial/{name}": value
        for name in METRICS
        for row in reversed(rows)
        if (value := getattr(row, name)) is not None
    }


def _began_s(rows: Sequence[TrialRow]) -> float:
    return min((row.started_at.timestamp() for row in rows), default=0.0)


def _scalars(values: Mapping[str, float]) -> Summary:
    return Summary(value=[Summary.Value(tag=name, simple_value=value) for name, value in values.items()])


def _end(state: State) -> Summary:
    """End of the trial for the HPARAMS page; tensorboardX's own marks every trial as successful."""
    status = "STATUS_FAILURE" if state is State.FAIL else "STATUS_SUCCESS"
    ended = HParamsPluginData(session_end_info=SessionEndInfo(status=Status.Value(status)), version=0)
    plugin = SummaryMetadata.PluginData(plugin_name="hparams", content=ended.SerializeToString())
    return Summary(
        value=[Summary.Value(tag="_hparams_/session_end_info", metadata=SummaryMetadata(plugin_data=plugin))]
    )
