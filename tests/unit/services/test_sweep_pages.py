"""Facts of sweeps for readers: the best so far, the time that is left, and that nothing stale is told."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from tests.support.paged_store import checkpoint, running
from tests.support.reported_sweeps import complete, failed, pruned, put_sweep
from vae_search.errors import NotFound
from vae_search.services.browsing.figures import DigestReader
from vae_search.services.browsing.running_trials import RunningReader, running_trial, running_trials
from vae_search.services.browsing.sweep_facts import BEST_POINTS, best_so_far
from vae_search.services.browsing.sweep_pages import SweepReader, sweep_page
from vae_search.services.browsing.trial_pages import trial_page
from vae_search.services.control.commands import change_settings
from vae_search.store.ledger.trials import Ledger
from vae_search.store.paths import SweepPaths
from vae_search.store.queries.leaderboard import read_leaderboard

NOW = datetime(2026, 3, 2, tzinfo=UTC)


@dataclass
class Clock:
    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_the_best_so_far_improves_from_point_to_point_and_is_of_completed_trials(store):
    rows = [complete(0, objective=5.0), pruned(1), failed(2), complete(3, objective=6.0), complete(4, objective=4.0)]
    put_sweep(store, rows)

    assert best_so_far(read_leaderboard(store, "digits"), by="objective") == [(0, 5.0), (4, 4.0)]


def test_a_long_way_to_the_best_keeps_its_ends(store, without_fsync):
    put_sweep(store, [complete(trial, objective=100.0 - trial) for trial in range(60)])

    found = best_so_far(read_leaderboard(store, "digits"), by="objective")

    assert len(found) == BEST_POINTS
    assert (found[0], found[-1]) == ((0, 100.0), (59, 41.0))


def test_the_time_left_follows_from_the_pace_of_the_drivers(store):
    with running(store):  # nine of sixty in 90 s
        facts = SweepReader(store, monotonic=time.monotonic).facts("live")
    put_sweep(store, [complete(0)])

    assert facts["time_left_s"] == pytest.approx(10.0 * 51)
    assert SweepReader(store, monotonic=time.monotonic).facts("digits")["time_left_s"] is None


def test_a_command_shows_at_once_although_nobody_runs_the_sweep(store):
    put_sweep(store, [complete(0)])
    reader = SweepReader(store, monotonic=Clock())
    before = reader.facts("digits")["trials"]

    change_settings(store, "digits", {"budget.trials": 99}, actor="ada", now=lambda: NOW)

    assert (before, reader.facts("digits")["trials"]) == (60, 99)


def test_a_trial_that_lands_shows_in_the_table_after_a_moment(store):
    clock = Clock()
    with running(store):
        sweeps = SweepReader(store, monotonic=clock)
        before = trial_page(store, "live", limit=50, leaderboard=sweeps.leaderboard("live")).total
        Ledger(store, "live").commit(complete(9, sweep="live"), [])
        clock.now_s += 5.0

        after = trial_page(store, "live", limit=50, leaderboard=sweeps.leaderboard("live")).total
        assert (before, after) == (9, 10)


def test_sweeps_are_found_by_a_part_of_their_name(store):
    for name in ("digits", "fashion-1", "fashion-2"):
        put_sweep(store, [], name=name)
    reader = SweepReader(store, monotonic=Clock())

    found = sweep_page(reader, limit=1, name="FASHION")

    assert [facts["sweep"] for facts in found.sweeps] == ["fashion-1"]
    assert (found.next, found.total) == ("fashion-1", 2)


def test_what_is_in_flight_is_told_with_its_config(store):
    with running(store):
        found = running_trials(store, "live")
        params = running_trial(store, "live", 10)["params"]

    assert [(each["trial"], each["epochs"], each["confirm_run"]) for each in found] == [(9, 5, False), (10, 0, False)]
    assert params == {"architecture": "conv", "latent_dim": 14, "beta": 1.0}
    with pytest.raises(NotFound):
        running_trial(store, "live", 11)


def test_the_curve_of_a_trial_in_flight_comes_from_its_newest_whole_checkpoint(store):
    with running(store):
        facts, clock = SweepReader(store, monotonic=Clock()).facts("live"), Clock()
        reader = RunningReader(store, monotonic=clock, look_s=1.0)
        first = reader.read(facts)
        checkpoint(store, trial=9, epochs=7)
        checkpoint(store, trial=10, epochs=9)
        store.remove(f"{SweepPaths('live').checkpoint('000010', 1, 9)}/manifest.json")
        at_once = reader.read(facts)
        clock.now_s = 1.5
        later = reader.read(facts)

    assert first.rungs == (3, 9)
    assert first.epochs == 27
    assert first.best[-1][0] == 3
    assert [len(run["curve"]) for run in first.runs] == [5, 0]
    assert first.runs[0]["curve"][-1] == (5, 26.0)
    assert at_once is first
    assert [len(run["curve"]) for run in later.runs] == [7, 0]


def test_a_damaged_curve_in_flight_is_left_out_and_another_sweep_of_the_name_has_its_own(store):
    with running(store):
        facts, clock = SweepReader(store, monotonic=Clock()).facts("live"), Clock()
        reader = RunningReader(store, monotonic=clock, look_s=1.0)
        path = f"{SweepPaths('live').checkpoint('000009', 1, 5)}/measurements.json"
        store.replace(path, store.read(path).replace(b"26.0", b"25.0"))

        assert reader.read(facts).runs[0]["curve"] == ()
    assert reader.run(facts, 11) is None


def test_a_digest_is_made_anew_when_the_sweep_has_changed_and_not_before(store):
    put_sweep(store, [complete(trial) for trial in range(3)])
    sweeps = SweepReader(store, monotonic=Clock())
    made = DigestReader(sweeps, now=lambda: NOW, monotonic=Clock())
    facts = sweeps.facts("digits")

    first, again = made.digest(facts), made.digest(facts)
    changed = made.digest(facts | {"finished": 4})

    assert first is again
    assert changed is not first
    assert changed.etag == first.etag  # of the same figures
