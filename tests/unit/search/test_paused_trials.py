"""Trials that wait at a rung, in sweeps of made-up curves: any number of workers, drivers that die at any moment."""

import itertools
import math
import random
from datetime import UTC, datetime
from pathlib import Path

import pytest

from vae_search.core.measurements import Costs, EpochMeasurement, Scores
from vae_search.core.trial_state import Reason, State
from vae_search.search.coordinator import SweepCoordinator
from vae_search.search.messages import Failure, TrialAssignment, TrialReport
from vae_search.search.running_trial import SweepContext, TrialPause
from vae_search.spec.sweep_spec import parse_spec
from vae_search.store.backends.local import LocalStore
from vae_search.store.leases.lease import acquire
from vae_search.store.ledger.trials import Ledger
from vae_search.store.paths import SweepPaths

pytestmark = pytest.mark.usefixtures("without_fsync")

SPEC = """
name: small
data: {source: digits}
search_space: {latent_dim: {type: int, low: 2, high: 60}, learning_rate: {type: float, low: 1e-3, high: 1e-2}}
sampler: random
budget: {trials: 20, epochs: 10}
pruning: {min_epochs: 1, reduction_factor: 3}
confirm: {finalists: 0}
"""


def measured(trial: int, epoch: int) -> EpochMeasurement:
    """Epoch of a curve that falls; which trial is best is only seen late."""
    level, noise = random.Random(trial).uniform(20, 30), random.Random(f"{trial} {epoch}").uniform(-4, 4)
    value = level + (10 + noise) / epoch
    fields = ("train_neg_elbo", "beta", "learning_rate", "grad_norm_median", "grad_norm_max", "clip_share")
    return EpochMeasurement(
        epoch=epoch, neg_elbo=value, distortion=value, rate=0.0, skipped_steps=0, clamped_share=0.0, spike_excess=0.0,
        cpu_s=1.0, wall_s=1.0, **dict.fromkeys(fields, 1.0),
    )  # fmt: skip


class MadeUpWorker:
    """Reports a made-up curve; `saved` holds how far each trial's newest checkpoint is, also after it has died."""

    def __init__(
        self, saved: dict[str, int], *, rungs: tuple[int, ...], epochs: int, diverging: frozenset[int]
    ) -> None:
        self._saved, self._rungs, self._epochs, self._diverging = saved, rungs, epochs, diverging

    def begin(self, assignment: TrialAssignment) -> None:
        self.assignment, self._reported, self._found = assignment, 0, self._saved.get(assignment.key, 0)

    def step(self) -> TrialReport:
        trial, key = self.assignment.trial, self.assignment.key
        epoch = self._found if self._found and not self._reported else self._reported + 1
        failure = Failure(reason=Reason.DIVERGED, error="nan") if trial in self._diverging and epoch == 2 else None
        epoch -= failure is not None
        if epoch in (*self._rungs, self._epochs):
            self._saved[key] = epoch
        news = tuple(measured(trial, each) for each in range(self._reported + 1, epoch + 1))
        self._reported = epoch
        costs = Costs(
            parameters=1, train_flops=5.0 * epoch, cpu_s=1.0 * epoch, wall_s=1.0 * epoch, images_per_s=1.0,
            peak_memory_bytes=1, compiled="graph", device="cpu",
        )  # fmt: skip
        last = measured(trial, max(1, epoch)).neg_elbo
        scores = Scores(
            neg_elbo=last, distortion=last, rate=0.0, bits_per_dim=1.0, floor_excess=1.0, iwae=-last, iwae_k=1,
            instability=None, active_units=1, kl_per_dimension=(1.0,), shuffle_gap=1.0, train_neg_elbo=last,
            generalisation_gap=0.0, logvar_clamp_share=0.0, scale_clamp_share=None, clip_share=0.0, skipped_steps=0,
            best_epoch=max(1, epoch), neg_bound=last,
        )  # fmt: skip
        return TrialReport(
            key=key, epoch=epoch, measurements=news, costs=costs, failure=failure, node_id="here",
            scores=scores if epoch == self._epochs else None, saved_epoch=self._saved.get(key, 0),
        )  # fmt: skip


class Sweep:
    """One sweep whose drivers die now and then."""

    def __init__(
        self, store, *overrides: str, workers: int, seed: int, diverging: frozenset[int] = frozenset()
    ) -> None:
        self.store, self.workers, self.diverging = store, workers, diverging
        self.spec = parse_spec(SPEC, base=Path(), overrides=overrides)
        self.saved: dict[str, int] = {}
        self.random = random.Random(seed)
        self.landed: list = []
        self.resumed = 0

    def driver(self, *, lives: int | None = None, seconds_left=lambda: math.inf) -> SweepCoordinator:
        """Let a driver train until nothing is left, or for so many steps of any worker."""
        lease = acquire(self.store, self.spec.name)
        coordinator = SweepCoordinator(
            SweepContext(spec=self.spec, lease=lease.number, comparability_key="k" * 64, versions={}),
            store=self.store, lease=lease, now=lambda: datetime.now(UTC), seconds_left=seconds_left,
            slots=lambda: self.workers, on_trial_finished=lambda row, end: self.landed.append(row),
        )  # fmt: skip
        busy: list[MadeUpWorker] = []
        while lives is None or lives > 0:
            while len(busy) < self.workers and (assignment := coordinator.next_assignment()) is not None:
                worker = MadeUpWorker(
                    self.saved, rungs=coordinator.rungs, epochs=self.spec.budget.epochs, diverging=self.diverging
                )
                coordinator.started(assignment.key)
                worker.begin(assignment)
                busy.append(worker)
            if not busy:
                break
            worker = self.random.choice(busy)
            lives = None if lives is None else lives - 1
            outcome = coordinator.record(worker.step())
            if outcome is None:
                continue
            if lives == 0 and self.random.random() < 0.5:
                break  # dead between the report and what follows from it
            self.resumed += isinstance(outcome, TrialPause)
            coordinator.commit_trial(worker.assignment.key)
            busy.remove(worker)
        lease.release()
        return coordinator

    def rows(self) -> list:
        return sorted(Ledger(self.store, self.spec.name).trials(), key=lambda row: row.trial)


def check_whole(sweep: Sweep) -> None:
    trials, rows = sweep.spec.budget.trials, sweep.rows()
    assert [row.trial for row in rows] == list(range(trials))
    assert sorted(row.trial for row in sweep.landed) == list(range(trials))  # each row was written once
    assert sweep.store.list(SweepPaths(sweep.spec.name).running) == []
    assert any(row.state is State.COMPLETE for row in rows)
    for row in rows:  # what was trained is what the curve says, with or without pauses
        if row.epochs:
            assert row.neg_elbo == min(measured(row.trial, epoch).neg_elbo for epoch in range(1, row.epochs + 1))


@pytest.mark.parametrize("workers", [1, 2, 5, 16])
def test_every_trial_gets_one_row_and_a_third_of_each_rung_goes_on(store, workers):
    sweep = Sweep(store, workers=workers, seed=workers)

    coordinator = sweep.driver()

    check_whole(sweep)
    assert coordinator.exhausted
    assert coordinator.in_flight == coordinator.to_come == 0
    assert sweep.resumed > 0
    reached = [sum(row.epochs >= epoch for row in sweep.rows()) for epoch in (1, 3, 9, 10)]
    assert reached[0] == 20
    # Whoever advanced was among the first third when it did: with one worker 1 + 1/2 + 1/3 … of mistakes at most.
    assert all(1 <= more <= fewer for fewer, more in itertools.pairwise(reached))
    assert reached[1] <= 20 // 2


@pytest.mark.parametrize("seed", range(12))
def test_drivers_that_die_at_any_moment_lose_no_trial_and_write_no_row_twice(store, seed):
    sweep = Sweep(store, workers=1 + seed % 4, seed=seed, diverging=frozenset({3, 8}) if seed % 2 else frozenset())
    drivers = 0
    while not (coordinator := sweep.driver(lives=sweep.random.randint(1, 25))).exhausted or coordinator.in_flight:
        drivers += 1
        assert drivers < 400

    check_whole(sweep)
    assert drivers > 2


@pytest.mark.parametrize("seed", range(4))
def test_with_one_worker_the_same_trials_advance_wherever_drivers_die(tmp_path, seed):
    whole = Sweep(LocalStore(tmp_path / "whole"), workers=1, seed=0)
    whole.driver()
    cut = Sweep(LocalStore(tmp_path / "cut"), workers=1, seed=seed)
    while not (coordinator := cut.driver(lives=cut.random.randint(2, 15))).exhausted or coordinator.in_flight:
        pass

    facts = [
        [(row.trial, row.state, row.reason, row.epochs, row.neg_elbo) for row in each.rows()] for each in (whole, cut)
    ]
    assert facts[0] == facts[1]


def test_a_pause_is_no_attempt_and_a_paused_trial_needs_no_worker_to_be_known(store):
    sweep = Sweep(store, workers=1, seed=0)
    sweep.driver(lives=4)
    waiting = [path for path in store.list(SweepPaths("small").running) if path.endswith("/paused.json")]
    assert waiting

    coordinator = sweep.driver(lives=0)

    assert coordinator.in_flight == 0
    assert coordinator.progress().running == {}
    sweep.driver()
    check_whole(sweep)
    assert max(row.attempts for row in sweep.rows()) <= 2  # the one that was in flight when the driver died


def test_when_the_time_is_up_those_that_wait_end_and_none_goes_on(store):
    sweep = Sweep(store, "budget.minutes=1", workers=2, seed=0)
    sweep.driver(lives=9, seconds_left=lambda: 60.0)

    coordinator = sweep.driver(seconds_left=lambda: 0.0)

    assert coordinator.exhausted
    assert coordinator.in_flight == 0
    assert store.list(SweepPaths("small").running) == []
    assert {row.state for row in sweep.rows()} == {State.PRUNED}
    assert {row.reason for row in sweep.rows()} <= {Reason.RUNG, Reason.TIME}


@pytest.mark.parametrize(
    "damage", [lambda content: b"{", lambda content: content.replace(b'"attempts": 1', b'"attempts": 7')]
)
def test_a_damaged_pause_lets_the_trial_go_on_from_its_checkpoint(store, damage):
    sweep = Sweep(store, workers=1, seed=0)
    sweep.driver(lives=4)
    path = next(path for path in store.list(SweepPaths("small").running) if path.endswith("/paused.json"))
    assert damage(store.read(path)) != store.read(path)
    store.replace(path, damage(store.read(path)))

    sweep.driver()

    check_whole(sweep)
    assert all(row.attempts < 7 for row in sweep.rows())


def test_hopeless_trials_get_their_rows_while_the_sweep_runs(store):
    sweep = Sweep(store, workers=1, seed=0)

    sweep.driver(lives=35)

    pruned = [row for row in sweep.rows() if row.state is State.PRUNED]
    assert 0 < len(pruned) < 20
    assert all(row.reason is Reason.RUNG for row in pruned)
