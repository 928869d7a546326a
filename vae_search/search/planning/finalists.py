"""Finalists of a search, and the confirm runs that they want, as functions of the rows that there are.

A search picks the luckiest of many runs, so its best values flatter (the winner's curse). Fresh seeds of the few best
configs tell luck from quality, and how much seeds matter. The same holds once more for a finalist that is picked out of
several: it is chosen on select images, and by a run that says nothing in its favour later.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vae_search.core.criteria import Criteria
from vae_search.core.trial_state import State
from vae_search.spec.hyperparameters import ParamValue
from vae_search.store import paths as store_paths
from vae_search.store.ledger.confirm_runs import SELECTING_SEED, ConfirmRow
from vae_search.store.ledger.rows import TrialRow
from vae_search.store.queries.leaderboard import Leaderboard
from vae_search.store.queries.ranking import best_first


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ConfirmRun:
    """A finalist's config with one of its fresh seeds: `SELECTING_SEED`, or one that testifies, counted from 1."""

    trial: int
    confirm_seed: int

    @property
    def key(self) -> str:
        return store_paths.confirm_key(self.trial, self.confirm_seed)


def finalists_of(rows: Sequence[TrialRow], count: int, criteria: Criteria | None) -> list[TrialRow]:
    """The best `count` COMPLETE trials with distinct configs; of a Pareto sweep, on its front and by `prefer`."""
    chosen: list[TrialRow] = []
    configs: list[Mapping[str, ParamValue]] = []
    for row in best_first(rows, criteria):
        if len(chosen) == count:
            break
        if row.params not in configs:
            configs.append(row.params)
            chosen.append(row)
    return chosen


def finalists_in(leaderboard: Leaderboard, count: int, criteria: Criteria | None) -> list[TrialRow]:
    """The finalists that `finalists_of` finds among all rows, from as few of them as it takes.

    Raises:
        Conflict: The rows belong to different comparability keys (invariant I7).
        CorruptStore: A file has changed since the leaderboard were read.
    """
    looked_at = count
    while True:
        rows = leaderboard.best_first(criteria, count=looked_at)
        found = finalists_of(rows, count, criteria)
        if len(found) == count or len(rows) < looked_at:
            return found
        looked_at *= 2


def wanted_runs(finalists: Sequence[int], done: Sequence[ConfirmRow], *, seeds: int) -> list[ConfirmRun]:
    """The confirm runs that can be issued now, in their order; none if all is confirmed.

    Each of several finalists gets one fresh seed; then the one that did best with it, by the search's own objective on
    the select images, gets the seeds that testify. No judge image has a say in the choice, and the run that it was made
    by does not testify: else the contest would take the luckiest of several for the best. A finalist that fails with
    any seed cannot be promoted, so the next one takes its place.

    Args:
        finalists: their trials, the best of the search first.
        done: the confirm runs that have ended.
        seeds: how many testify.
    """
    ended = {ConfirmRun(trial=row.trial, confirm_seed=row.confirm_seed): row for row in done}
    healthy = list(finalists)
    failed = {run.trial for run, row in ended.items() if row.state is not State.COMPLETE}
    if len(finalists) > 1:
        choosing = [ConfirmRun(trial=trial, confirm_seed=SELECTING_SEED) for trial in finalists]
        missing = [run for run in choosing if run not in ended]
        if missing:
            return missing
        # Equal ones stay in the search's order.
        healthy = [run.trial for run in sorted(choosing, key=lambda run: _select_score(ended[run]))]
    for best in [trial for trial in healthy if trial not in failed][:1]:
        runs = [ConfirmRun(trial=best, confirm_seed=seed) for seed in range(1, seeds + 1)]
        return [run for run in runs if run not in ended]
    return []


def _select_score(row: ConfirmRow) -> float:
    """Score of a confirm run on the select images, least is best: the objective, or of a Pareto sweep the bound.

    Never `iwae`, which is of the judge images.
    """
    score = row.neg_elbo if row.objective is None else row.objective
    return math.inf if score is None else score
