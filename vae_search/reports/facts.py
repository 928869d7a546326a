"""Facts of a report: pure functions from rows to numbers. Values are in nats per image, lower is better."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import fmean, median, stdev
from typing import Literal

import numpy as np

from vae_search.core.dataset_summary import DatasetSummary
from vae_search.core.trial_state import State
from vae_search.registry.log import Entry
from vae_search.registry.promotion.champion_test import Interval, mean_interval
from vae_search.spec.measures.pareto import pareto_criteria
from vae_search.spec.sweep_spec import SweepSpec
from vae_search.store.ledger.confirm_runs import ConfirmRow, by_trial, selecting_seed, testifying
from vae_search.store.ledger.rows import EpochRow, TrialRow
from vae_search.store.queries.confirmed_configs import confirmed_place
from vae_search.store.queries.front import Front, front_among, member_of
from vae_search.store.queries.ranking import pruned_first, ranked


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """Samples of a champion, as PNG files by name."""

    version: str
    """`fashion:3`"""
    files: Mapping[str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportData:
    """Everything that the store holds of one sweep, read at one moment."""

    spec: SweepSpec
    state: Literal["running", "finished", "interrupted"]
    at: datetime
    rows: tuple[TrialRow, ...]
    curves: Mapping[int, Sequence[EpochRow]]
    """learning curves by trial; a damaged one is missing"""
    confirm_rows: tuple[ConfirmRow, ...]
    """of fresh seeds"""
    rungs: tuple[int, ...]
    """epochs at which trials are compared"""
    in_flight: int
    set_aside: tuple[int, ...]
    importances: Mapping[str, float]
    """share of the score's variance by parameter; empty if there are too few trials to tell"""
    importances_epoch: int | None
    """epoch after which these were compared; None: at the end"""
    entries: tuple[Entry, ...]
    """what the log of the model that the sweep names says of this sweep"""
    pictures: Pictures | None
    damaged: tuple[str, ...]
    """files, as paths in the store, that could not be read"""
    images: DatasetSummary | None = None
    """as they were read when the sweep began, if that was kept"""
    continued_rows: tuple[ConfirmRow, ...] = ()
    """of runs that went on from one of `confirm_rows`"""

    @property
    def ranking(self) -> list[TrialRow]:
        """COMPLETE trials, best first; of a Pareto sweep, which has no objective, by neg_elbo."""
        return ranked(self.rows, by="objective", every_state=False)

    @property
    def front(self) -> Front | None:
        """The front of a Pareto sweep; None for another sweep."""
        criteria = pareto_criteria(self.spec)
        if criteria is None:
            return None
        complete = (row for row in self.rows if row.state is State.COMPLETE)
        return front_among([member_of(row, criteria) for row in complete], criteria)

    @property
    def leading(self) -> list[TrialRow]:
        """The best trial; of a Pareto sweep all on its front, in the order of `objective.prefer`."""
        front = self.front
        if front is None:
            return self.ranking[:1]
        rows = {row.trial: row for row in self.rows}
        return [rows[member.trial] for member in front.members]

    @property
    def best(self) -> TrialRow | None:
        """The config that `best` names first: the best confirmed one, else the leading trial."""
        sure = [each.trial for each in confirmed(self.confirm_rows) if not each.failed]
        of_sure = [row for row in self.rows if sure and row.trial == sure[0]]
        return next(iter([*of_sure, *self.leading]), None)

    @property
    def scored_by(self) -> Literal["objective", "neg_elbo"]:
        """Score column: the objective; where there is none, quality, as costs follow from the parameters."""
        return "objective" if self.spec.objective.pareto is None else "neg_elbo"

    def score(self, row: TrialRow) -> float | None:
        """Score of a COMPLETE trial, by `scored_by`; None for another."""
        value: float | None = getattr(row, self.scored_by)
        return value if row.state is State.COMPLETE else None

    @property
    def pruned(self) -> list[TrialRow]:
        """PRUNED trials that were measured, the longest trained first, then by neg_elbo."""
        return pruned_first(self.rows)

    def last_value(self, row: TrialRow) -> float | None:
        """Score of a COMPLETE trial; of a PRUNED one the bound of that measure that it had, neg_elbo if it had none."""
        if row.state is not State.PRUNED:
            return self.score(row)
        taken = [-epoch.iwae for epoch in self.curves.get(row.trial, ()) if epoch.iwae is not None]
        return taken[-1] if taken else row.neg_elbo

    @property
    def searched(self) -> tuple[str, ...]:
        """The names of the searched parameters."""
        return tuple(dict.fromkeys(parameter.name for parameter in self.spec.search_space.searched))


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Cost of some trials."""

    trials: int
    epochs: int
    cpu_s: float
    train_flops: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Lead:
    """Lead of the best trial of the search over the next."""

    best: TrialRow
    second: TrialRow | None
    over_second: float | None
    over_median: float
    """of all COMPLETE trials, the best one included"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmed:
    """A finalist with fresh seeds, on images that the search did not see."""

    trial: int
    bounds: tuple[float, ...]
    """per seed the mean of -log p(x) ≤ -iwae"""
    iwae_k: int | None
    failed: int
    """runs that did not complete"""
    testifies: bool = True
    """whether there is any seed beside the run that it was chosen by"""

    @property
    def mean(self) -> float:
        return fmean(self.bounds)

    @property
    def spread(self) -> float | None:
        """Sample standard deviation between seeds; None for one seed."""
        return stdev(self.bounds) if len(self.bounds) > 1 else None

    @property
    def interval(self) -> Interval | None:
        """Student's interval of the mean over seeds; None for one seed."""
        return mean_interval(np.array(self.bounds)) if len(self.bounds) > 1 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One run on one worker slot; seconds after the first start of the sweep."""

    node: str
    slot: int
    start_s: float
    end_s: float
    label: str
    kind: str
    """the state's name, or `confirm`"""


def spent(rows: Iterable[TrialRow]) -> Spent:
    """Total cost of `rows`."""
    rows = tuple(rows)
    return Spent(
        trials=len(rows),
        epochs=sum(row.epochs for row in rows),
        cpu_s=sum(row.cpu_s or 0.0 for row in rows),
        train_flops=sum(row.train_flops or 0.0 for row in rows),
    )


def lead(ranking: Sequence[TrialRow]) -> Lead | None:
    """Lead of the first of `ranking`; None if there is none with an objective."""
    scored = [(row, row.objective) for row in ranking if row.objective is not None]
    if not scored:
        return None
    (best, value), *others = scored
    return Lead(
        best=best,
        second=others[0][0] if others else None,
        over_second=others[0][1] - value if others else None,
        over_median=median(objective for _, objective in scored) - value,
    )


def confirmed(rows: Sequence[ConfirmRow]) -> list[Confirmed]:
    """The finalists of which a confirm run has completed, in the order of `confirmed_first`; failed ones come last."""
    found = []
    selecting = selecting_seed(rows)
    for trial, runs in by_trial(rows).items():
        complete = [row for row in runs if row.state is State.COMPLETE]
        heard = testifying(runs, selecting=selecting)
        fresh = heard or complete  # of the others only the run they were chosen by
        bounds = tuple(-row.iwae for row in fresh if row.iwae is not None)
        if bounds:
            failed = sum(row.state is not State.COMPLETE for row in runs)
            found.append(
                Confirmed(trial=trial, bounds=bounds, iwae_k=runs[0].iwae_k, failed=failed, testifies=bool(heard))
            )
    place = confirmed_place(rows)
    return sorted(found, key=lambda each: (place(each.trial), each.mean, each.trial))


def running_best(rows: Iterable[TrialRow], score: Callable[[TrialRow], float | None]) -> list[tuple[TrialRow, float]]:
    """The rows, in their order, that improved on all before them, with their scores."""
    found: list[tuple[TrialRow, float]] = []
    for row in rows:
        value = score(row)
        if value is not None and (not found or value < found[-1][1]):
            found.append((row, value))
    return found


def timeline(rows: Sequence[TrialRow], confirm_rows: Sequence[ConfirmRow]) -> list[Span]:
    """Timeline of runs: those that overlap on one node stand in different slots, as few as possible."""
    runs = [(row, f"trial {row.trial}", row.state.value) for row in rows]
    runs += [(row, f"confirm {row.key}", "confirm") for row in confirm_rows]
    runs.sort(key=lambda run: (run[0].started_at, run[1]))
    ends: dict[str, list[datetime]] = {}
    spans = []
    for row, label, kind in runs:
        slots = ends.setdefault(row.node_id or "unknown node", [])
        slot = next((slot for slot, end in enumerate(slots) if end <= row.started_at), len(slots))
        slots[slot : slot + 1] = [row.finished_at]
        began = runs[0][0].started_at
        spans.append(
            Span(
                node=row.node_id or "unknown node",
                slot=slot,
                start_s=(row.started_at - began).total_seconds(),
                end_s=(row.finished_at - began).total_seconds(),
                label=label,
                kind=kind,
            )
        )
    return spans


def busy_share(spans: Sequence[Span]) -> float | None:
    """Share of the time from the first start to the last end in which the slots of `spans` had a run."""
    slots = {(span.node, span.slot) for span in spans}
    whole_s = len(slots) * max((span.end_s for span in spans), default=0.0)
    return sum(span.end_s - span.start_s for span in spans) / whole_s if whole_s > 0 else None


def thinned(rows: Sequence[TrialRow], limit: int) -> list[TrialRow]:
    """At most `limit` of `rows`, in their order: the best fifth of that number, and of the rest every so many."""
    if len(rows) <= limit:
        return list(rows)
    best = ranked(rows, by="objective", every_state=False)[: limit // 5]
    kept = {row.trial for row in best}
    others = [row for row in rows if row.trial not in kept]
    places = limit - len(kept)
    kept |= {others[place * len(others) // places].trial for place in range(places)}
    return [row for row in rows if row.trial in kept]
