"""`status`, `watch`, the running display, the end of `run` and `query` on a Pareto sweep."""

import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from tests.support.rows import epoch_rows, trial_row
from tests.support.stores import KEY
from tests.unit.cli.test_query import ask
from vae_search.access.direct import DirectAccess
from vae_search.core.trial_state import Reason, State
from vae_search.display.leaderboard import show_finished
from vae_search.display.live import finished_line, picture_of
from vae_search.search.progress import Progress
from vae_search.services import sweep_status
from vae_search.services.models.sweep_outcome import SweepOutcome
from vae_search.services.payloads import landed_facts
from vae_search.spec.measures.pareto import pareto_criteria
from vae_search.spec.sweep_spec import parse_spec
from vae_search.store.backends.local import LocalStore
from vae_search.store.ledger.trials import Ledger
from vae_search.store.paths import SweepPaths
from vae_search.store.queries.leaderboard import read_leaderboard
from vae_search.store.queries.sql import query
from vae_search.store.sweeps import beginning, sweep_record

SPEC = """
name: digits
data: {source: ./images}
search_space:
  latent_dim: {type: int, low: 2, high: 64}
objective: {pareto: [neg_elbo, train_flops]}
budget: {trials: 9, epochs: 27}
"""
# neg_elbo and train_flops of seven COMPLETE trials; all but trial 1 are on the front.
POINTS = [(90.0, 9e9), (95.0, 9.5e9), (91.0, 8e9), (92.0, 7e9), (93.0, 6e9), (94.0, 5e9), (99.0, 1.5e9)]
LINE = (
    "front of neg_elbo, train_flops: 6 trials; lowest neg_elbo 90.00 nats (trial 0, preferred); "
    "cheapest 1.5e+09 FLOPs (trial 6)"
)


def put_sweep(store: LocalStore, points: list[tuple[float, float]]) -> LocalStore:
    """A Pareto sweep in which these trials completed, and a pruned one that is better than all of them."""
    spec = parse_spec(SPEC, base=Path(store.location))
    record = sweep_record.SweepRecord(spec=spec, fingerprint="f" * 64, comparability_key=KEY, versions={})
    beginning.create_or_check(store, record, text=SPEC)
    of_all = {"objective": None, "comparability_key": KEY}
    for trial, (neg_elbo, flops) in enumerate(points):
        row = trial_row(trial, neg_elbo=neg_elbo, train_flops=flops, params={"latent_dim": trial + 2}, **of_all)
        Ledger(store, "digits").commit(row, epoch_rows(trial))
    cut = trial_row(
        8, state=State.PRUNED, reason=Reason.RUNG, neg_elbo=80.0, train_flops=1e9, params={"latent_dim": 64}, **of_all
    )
    Ledger(store, "digits").commit(cut, epoch_rows(8))
    return store


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return put_sweep(LocalStore(tmp_path / "vae-store"), POINTS)


def test_status_and_watch_tell_the_front(store: LocalStore) -> None:
    status = ask(store, "status").stdout.decode()
    of_one = ask(store, "status", "digits").stdout.decode()
    (facts,) = json.loads(ask(store, "status", "digits", "--json").stdout)

    assert "90.00 nats (trial 0, preferred), front of 6" in status
    assert f"digits: {LINE}" in status
    assert f"digits: {LINE}" in of_one
    assert facts["best_trial"] is None
    assert [member["trial"] for member in facts["front"]] == [0, 2, 3, 4, 5, 6]
    assert facts["front"][0] == {"trial": 0, "neg_elbo": 90.0, "train_flops": 9e9}
    assert json.loads(ask(store, "watch", "digits", "--json").stdout)["front"] == facts["front"]


def test_the_last_words_of_a_watched_sweep_tell_the_front(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from vae_search.display.watch import watch

    monkeypatch.setattr(sweep_status.SweepStatus, "state", "finished")
    access = DirectAccess(store)
    watch("digits", access.events("digits"), lambda: access.status("digits"), resume="", as_json=False)

    assert f"digits is finished, 8 of 9 trials done, 7 complete, 0 confirm runs; {LINE}" in capsys.readouterr().out


def test_a_front_that_nobody_is_on_yet_is_no_line(tmp_path: Path) -> None:
    store = put_sweep(LocalStore(tmp_path / "vae-store"), [])

    shown = ask(store, "status").stdout.decode()
    (facts,) = json.loads(ask(store, "status", "--json").stdout)

    assert "front" not in shown
    assert facts["front"] == []


def test_the_end_of_a_run_tells_the_front_and_how_to_see_all_of_it(
    store: LocalStore, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = SweepOutcome(status=sweep_status.status(store, "digits"), promotion=None)

    show_finished(outcome, store="vae-store", as_json=False)
    shown = capsys.readouterr().out
    show_finished(outcome, store="vae-store", as_json=True)
    facts = json.loads(capsys.readouterr().out)

    assert LINE in shown
    assert "All 6: vae-search best digits -n 6" in shown
    assert [member["trial"] for member in facts["front"]] == [0, 2, 3, 4, 5, 6]
    assert [row["trial"] for row in facts["best"]] == [0, 2, 3, 4, 5]


def test_a_running_display_shows_the_ends_of_the_front(store: LocalStore) -> None:
    spec = sweep_record.latest_spec(store, "digits")
    leaderboard = read_leaderboard(store, "digits")
    now = Progress(
        trials=9,
        states=dict(leaderboard.states),
        best_trial=None,
        best_objective=None,
        front=leaderboard.shown_front(pareto_criteria(spec)),
        epochs_done=0,
        running={},
        confirmed=0,
        confirm_runs=0,
    )
    out = Console(width=80, record=True, file=io.StringIO())

    out.print(picture_of("digits", now, now, 1.0, width=80))

    lines = [re.split(r"\s{3,}", line.strip()) for line in out.export_text().splitlines()]
    told = {line[0]: line[-1] for line in lines}
    assert told["front"] == "6 trials"
    assert told["lowest neg_elbo"] == "90.00 nats (trial 0, preferred)"
    assert told["cheapest"] == "1.5e+09 FLOPs (trial 6)"
    assert "best" not in told


def test_a_completed_trial_of_a_pareto_sweep_tells_its_cost() -> None:
    of_front = landed_facts(trial_row(3, objective=None, train_flops=1.25e9))
    with_objective = landed_facts(trial_row(3, train_flops=1.25e9))

    assert finished_line(of_front, "27 epochs").endswith("neg_elbo 103.00, 1.25e+09 FLOPs")
    assert "FLOPs" not in finished_line(with_objective, "27 epochs")


def test_sql_sees_the_front_of_pareto_sweeps_in_the_preferred_order(store: LocalStore) -> None:
    spec = parse_spec(SPEC, base=Path(store.location), overrides=["name=scalar", "objective={}"])
    record = sweep_record.SweepRecord(spec=spec, fingerprint="f" * 64, comparability_key=KEY, versions={})
    beginning.create_or_check(store, record, text=SPEC)
    Ledger(store, "scalar").commit(trial_row(0, "scalar", comparability_key=KEY), epoch_rows(0, "scalar"))

    found = query(store, "FROM front ORDER BY place")
    joined = query(store, "SELECT trial, param_latent_dim FROM front JOIN trials USING (sweep, trial) WHERE place = 1")

    assert found.columns == ("sweep", "trial", "place", "neg_elbo", "instability", "train_flops")
    assert found.rows[0] == ("digits", 0, 1, 90.0, None, 9e9)
    assert [row[1] for row in found.rows] == [0, 2, 3, 4, 5, 6]
    assert joined.rows == ((0, 2),)
    assert found.damaged == joined.damaged == ()


def test_sql_sees_the_metrics_among_the_criteria_as_they_were_measured(store: LocalStore) -> None:
    wanted = ["name=measured", "metrics=[ssim, frechet]", "objective={pareto: [neg_elbo, metric_ssim]}"]
    spec = parse_spec(SPEC, base=Path(store.location), overrides=wanted)
    record = sweep_record.SweepRecord(spec=spec, fingerprint="f" * 64, comparability_key=KEY, versions={})
    beginning.create_or_check(store, record, text=SPEC)
    for trial, (nats, ssim) in enumerate([(90.0, 0.5), (95.0, 0.9), (99.0, 0.7)]):
        measured = {"metric_ssim": ssim, "metric_frechet": 1.0}
        row = trial_row(trial, "measured", comparability_key=KEY, objective=None, neg_elbo=nats, metrics=measured)
        Ledger(store, "measured").commit(row, epoch_rows(trial, "measured"))

    found = query(store, "SELECT trial, metric_ssim, train_flops FROM front WHERE sweep = 'measured' ORDER BY place")
    others = query(store, "SELECT DISTINCT metric_ssim FROM front WHERE sweep = 'digits'")

    assert found.rows == ((0, 0.5, None), (1, 0.9, None))
    assert others.rows == ((None,),)


def test_a_sweep_whose_record_is_damaged_is_named_and_the_others_fronts_are_shown(store: LocalStore) -> None:
    Ledger(store, "other").commit(trial_row(0, "other"), epoch_rows(0, "other"))
    store.create(SweepPaths("other").resolved, b"{}")
    Ledger(store, "recordless").commit(trial_row(0, "recordless"), epoch_rows(0, "recordless"))

    found = query(store, "SELECT DISTINCT sweep FROM front")

    assert found.rows == (("digits",),)
    assert found.damaged == (SweepPaths("other").resolved,)
