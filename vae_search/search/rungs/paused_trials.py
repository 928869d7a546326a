"""Paused trials of a sweep: what is known of a trial that waits at a rung, durable without a worker.

A paused trial has no row yet. It stays in its running folder, with the checkpoint of its rung and a file that holds its
measurements. The file goes before the trial goes on: from then on its checkpoint tells how far it is.
"""

import logging
from collections.abc import Collection, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from vae_search.core.measurements import Costs, EpochMeasurement
from vae_search.errors import CorruptStore
from vae_search.search.messages import TrialAssignment
from vae_search.search.pruning import SuccessiveHalving
from vae_search.search.running_trial import RunningTrial, TrialPause, cut_at, stopped_at
from vae_search.store.backends.base import Store
from vae_search.store.backends.json_records import from_sealed_json, to_sealed_json
from vae_search.store.ledger.checkpoints import PAUSE_FILE
from vae_search.store.paths import SweepPaths

logger = logging.getLogger(__name__)


class PausedTrials:
    """The trials of one sweep that wait at a rung, until they go on or are cut."""

    def __init__(self, store: Store, sweep: str, rungs: SuccessiveHalving) -> None:
        self._store = store
        self._paths = SweepPaths(sweep)
        self._rungs = rungs
        self._by_trial: dict[int, RunningTrial] = {}

    def __len__(self) -> int:
        return len(self._by_trial)

    @property
    def all(self) -> tuple[RunningTrial, ...]:
        return tuple(self._by_trial.values())

    @property
    def promotable(self) -> int:
        """Number of those that may go on now."""
        return sum(self._rungs.decide(rung, trial).advance for rung, trial in self._places())

    def add(self, running: RunningTrial) -> None:
        """Let a trial wait; durable when this returns. The caller has just made sure of its lease."""
        self._store.replace(self._path(running.assignment.key), _content(running))
        running.has_worker = False
        self._by_trial[running.assignment.trial] = running

    def restore(self, assignment: TrialAssignment) -> bool:
        """Take up a trial that an earlier driver has paused; False if it was not, or its file is damaged.

        It then goes on from its checkpoint, and comes to its rung again.
        """
        path = self._path(assignment.key)
        if path not in self._store.list(self._paths.run(assignment.key)):
            return False
        try:
            running = _running(assignment, from_sealed_json(self._store.read(path), where=path), where=path)
        except CorruptStore as error:
            logger.warning("run %s goes on from its checkpoint: %s", assignment.key, error)
            return False
        for epoch, neg_bound in running.neg_bounds.items():
            self._rungs.note(epoch, assignment.trial, neg_bound, epoch_flops=running.epoch_flops)
        self._by_trial[assignment.trial] = running
        return True

    def next(self, *, least: int = 0) -> RunningTrial | None:
        """The paused trial to go on with; None if none may go on now.

        Args:
            least: places that each rung has in any case.
        """
        found = self._rungs.promotable(self._places(), least=least)
        return None if found is None else self._by_trial[found[1]]

    def resume(self, running: RunningTrial) -> None:
        """Give a paused trial a place beyond its rung, and let it go. The caller has just made sure of its lease."""
        trial, pause = running.assignment.trial, running.pause
        self._store.remove(self._path(running.assignment.key))
        del self._by_trial[trial]
        if pause is not None:
            self._rungs.promote(pause.rung, trial)
        running.pause, running.resumes = None, True

    def cut(self, *, all_of_them: bool = False) -> dict[str, RunningTrial]:
        """Take out those that cannot advance whatever comes, or all, and let them end as PRUNED; by key."""
        ended = {}
        for rung, trial in self._places():
            decision = self._rungs.decide(rung, trial)
            if decision.hopeless or all_of_them:
                running = self._by_trial.pop(trial)
                running.end, running.pause = cut_at(rung, decision), None
                ended[running.assignment.key] = running
        return ended

    def stop(self, trials: Collection[int]) -> dict[str, RunningTrial]:
        """Take out those that somebody has stopped, and let them end as PRUNED; by key."""
        ended = {}
        for rung, trial in self._places():
            if trial in trials:
                running = self._by_trial.pop(trial)
                running.end, running.pause = stopped_at(rung), None
                ended[running.assignment.key] = running
        return ended

    def _places(self) -> list[tuple[int, int]]:
        return [
            (running.pause.rung, trial)
            for trial, running in sorted(self._by_trial.items())
            if running.pause is not None
        ]

    def _path(self, key: str) -> str:
        return f"{self._paths.run(key)}/{PAUSE_FILE}"


def _content(running: RunningTrial) -> bytes:
    if running.pause is None or running.started_at is None:
        raise ValueError(f"run {running.assignment.key} is not paused")
    record: dict[str, object] = {
        "rung": running.pause.rung,
        "explanation": running.pause.explanation,
        "attempts": running.attempts,
        "started_at": running.started_at.isoformat(),
        "node_id": running.node_id,
        "measurements": [asdict(measurement) for _, measurement in sorted(running.measurements.items())],
        "costs": None if running.costs is None else asdict(running.costs),
    }
    return to_sealed_json(record)


def _running(assignment: TrialAssignment, record: Mapping[str, Any], *, where: str) -> RunningTrial:
    try:
        measurements = [EpochMeasurement(**fields) for fields in record["measurements"]]
        return RunningTrial(
            assignment=assignment,
            attempts=record["attempts"],
            started_at=datetime.fromisoformat(record["started_at"]),
            node_id=record["node_id"],
            measurements={measurement.epoch: measurement for measurement in measurements},
            costs=None if record["costs"] is None else Costs(**record["costs"]),
            pause=TrialPause(rung=record["rung"], explanation=record["explanation"]),
            saved=True,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptStore(f"{where}: must tell how far a paused trial is, but {error!r}.") from error
