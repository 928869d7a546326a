"""The exported runs, read by TensorBoard's own reader."""

import pytest

from tests.support.reported_sweeps import complete, put_sweep
from vae_search.services import exporting
from vae_search.store.backends.local import LocalStore
from vae_search.store.queries.sql import query

pytestmark = pytest.mark.needs_tensorflow

accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
plugin_data = pytest.importorskip("tensorboard.plugins.hparams.plugin_data_pb2")


def read(folder):
    """All events below `folder`."""
    found = accumulator.EventAccumulator(str(folder), size_guidance={accumulator.SCALARS: 0})
    return found.Reload()


def hparams_of(run, tag):
    content = run.SummaryMetadata(f"_hparams_/{tag}").plugin_data.content
    return plugin_data.HParamsPluginData.FromString(content)


def test_every_trial_is_a_run_with_its_learning_curve(exported, source):
    rows = query(source, "SELECT trial, epoch, neg_elbo, rate FROM epochs ORDER BY trial, epoch").rows

    assert sorted(path.name for path in (exported / "runs").iterdir() if path.is_dir()) == [
        f"{number:06d}" for number in range(30)
    ]
    for trial in (0, 1, 3):
        run = read(exported / "runs" / f"{trial:06d}")
        for tag, column in (("neg_elbo", 2), ("rate", 3)):
            expected = [(row[1], pytest.approx(row[column], rel=1e-6)) for row in rows if row[0] == trial]
            assert [(event.step, event.value) for event in run.Scalars(tag)] == expected


def test_events_stand_at_the_time_of_the_trial(exported):
    row = complete(0)

    times = [event.wall_time for event in read(exported / "runs" / "000000").Scalars("neg_elbo")]

    assert row.started_at.timestamp() <= times[0] <= times[-1] <= row.finished_at.timestamp()


def test_a_run_carries_its_parameters_its_end_and_its_metrics(exported):
    row = complete(0)
    run = read(exported / "runs" / "000000")

    start = hparams_of(run, "session_start_info").session_start_info.hparams
    end = hparams_of(run, "session_end_info").session_end_info

    assert start["architecture"].string_value == "mlp"
    assert start["latent_dim"].number_value == row.params["latent_dim"]
    assert start["state"].string_value == "COMPLETE"
    assert end.status == 1  # STATUS_SUCCESS
    (objective,) = run.Scalars("trial/objective")
    assert objective.value == pytest.approx(row.objective, rel=1e-6)


def test_a_failed_trial_is_a_failed_session_without_a_score(exported):
    run = read(exported / "runs" / "000003")

    assert hparams_of(run, "session_end_info").session_end_info.status == 2  # STATUS_FAILURE
    assert "trial/objective" not in run.Tags()["scalars"]


def test_the_folder_lists_all_parameters_once(exported):
    experiment = hparams_of(read(exported / "runs"), "experiment").experiment

    assert {info.name for info in experiment.hparam_infos} == {"architecture", "latent_dim", "beta", "depth", "state"}
    assert "trial/objective" in {info.name.tag for info in experiment.metric_infos}


def test_a_sweep_without_rows_is_a_folder_without_runs(tmp_path):
    store = LocalStore(tmp_path / "store")
    put_sweep(store, [])

    exporting.export(store, "digits", exporting.Targets(tensorboard=tmp_path / "runs", optuna=None, csv=None))

    assert not [path for path in (tmp_path / "runs").iterdir() if path.is_dir()]
