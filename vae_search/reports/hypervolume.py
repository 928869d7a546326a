"""Hypervolume of a Pareto sweep's front during the search: pure functions from rows to numbers."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vae_search.core.criteria import Criteria
from vae_search.core.trial_state import State
from vae_search.store.ledger.rows import TrialRow
from vae_search.store.queries.pareto import running_hypervolume


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """The best and the worst value of each criterion among COMPLETE trials; the worst are the reference point.

    It follows from the rows alone and takes no opinion on what is too bad. A trial that is the worst in some criterion
    adds nothing to a hypervolume, and one that is worse than all before it makes the box larger.
    """

    best: tuple[float, ...]
    worst: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A trial that made the front better."""

    row: TrialRow
    cpu_s: float
    """of all trials that had ended by then, this one included"""
    share: float
    """of the box that the front dominates; costs count by their logarithm"""


def box_of(rows: Iterable[TrialRow], criteria: Criteria) -> Box | None:
    """The box of `rows`; None if there is no area to measure: fewer than two values of a criterion."""
    points = [values for row in rows if (values := _values(row, criteria)) is not None]
    columns = [*zip(*points, strict=True)]
    if not columns or any(min(column) == max(column) for column in columns):
        return None
    ends = [
        (max(column), min(column)) if name in criteria.maximised else (min(column), max(column))
        for name, column in zip(criteria.names, columns, strict=True)
    ]
    return Box(best=tuple(best for best, _ in ends), worst=tuple(worst for _, worst in ends))


def running_share(rows: Sequence[TrialRow], criteria: Criteria) -> tuple[list[Step], float]:
    """Share of the box of all `rows` that the front dominated, at each growth, and the CPU seconds of all rows.

    In the order in which the trials ended; those that did not complete cost time and add nothing.
    """
    box = box_of(rows, criteria)
    cpu_s, before, steps = 0.0, 0.0, list[Step]()
    ordered = sorted(rows, key=lambda row: (row.finished_at, row.trial))
    if box is None:
        return [], sum(row.cpu_s or 0.0 for row in ordered)
    low = _coordinates(box.best, criteria)
    widths = [high - least for least, high in zip(low, _coordinates(box.worst, criteria), strict=True)]

    def placed(row: TrialRow) -> tuple[float, ...] | None:
        """Within the box, whose sides are 1."""
        values = _values(row, criteria)
        if values is None:
            return None
        found = zip(_coordinates(values, criteria), low, widths, strict=True)
        return tuple((at - least) / width for at, least, width in found)

    shares = running_hypervolume([placed(row) for row in ordered], (1.0,) * len(criteria.names))
    for row, share in zip(ordered, shares, strict=True):
        cpu_s += row.cpu_s or 0.0
        if share > before:
            steps.append(Step(row=row, cpu_s=cpu_s, share=share))
            before = share
    return steps, cpu_s


def _values(row: TrialRow, criteria: Criteria) -> tuple[float, ...] | None:
    """Values of the criteria; None if the trial did not complete, or a value is missing."""
    if row.state is not State.COMPLETE:
        return None
    known = [
        value
        for name in criteria.names
        if (value := row.value(name)) is not None and (value > 0 or name != "train_flops")
    ]
    return tuple(known) if len(known) == len(criteria.names) else None


def _coordinates(values: Sequence[float], criteria: Criteria) -> list[float]:
    """Coordinates of a trial, of each less being better.

    Costs count by their logarithm, since ten times the FLOPs is the same step anywhere.
    """
    return [
        math.log10(value) if name == "train_flops" else criteria.least_first(name, value)
        for name, value in zip(criteria.names, values, strict=True)
    ]
