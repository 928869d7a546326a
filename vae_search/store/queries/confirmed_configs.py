"""Confirmation of configs by fresh seeds, and the order that follows from it: pure functions of confirm rows."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from vae_search.core.trial_state import State
from vae_search.errors import Conflict
from vae_search.store.ledger.confirm_runs import ConfirmRow, by_trial, selecting_seed, testifying


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmed:
    """A config whose confirm runs have all completed: its bound on -log p(x), nats per judge image.

    One seed is enough to be confirmed: it was not chosen for its value, as the search's own was, and it is scored on
    images that no search has seen. Of two confirmed configs, the one with more seeds ranks first.

    Args:
        bounds: by seed; of the seeds that testify, else of the one that the finalists were chosen by.
        testifies: False if there is only that one.
    """

    bounds: tuple[float, ...]
    iwae_k: int
    testifies: bool = True

    @property
    def seeds(self) -> int:
        """Number of seeds that testify; 0 if there is only the one that the finalists were chosen by."""
        return len(self.bounds) if self.testifies else 0

    @property
    def mean(self) -> float:
        """Over seeds."""
        return statistics.fmean(self.bounds)

    @property
    def sd(self) -> float | None:
        """Over seeds; None for a single one."""
        return statistics.stdev(self.bounds) if len(self.bounds) > 1 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedConfirmation:
    """A config that did not complete with every fresh seed, whatever the others say."""

    seeds: int
    failed: int


def verdicts(rows: Sequence[ConfirmRow]) -> dict[int, Confirmed | FailedConfirmation]:
    """Verdict on each finalist, by its trial; none on one whose runs were not judged.

    Raises:
        Conflict: They were not all judged on one task by one measure (invariant I7).
    """
    judged_as = {(row.comparability_key, row.iwae_k) for row in rows if row.iwae is not None}
    if len(judged_as) > 1:
        raise Conflict(
            "the confirm runs were not judged alike, so they cannot be ranked together: (comparability key, iwae_k) "
            f"are {', '.join(f'({key[:12]}, {k})' for key, k in sorted(judged_as, key=str))}."
        )
    found: dict[int, Confirmed | FailedConfirmation] = {}
    selecting = selecting_seed(rows)
    for trial, runs in by_trial(rows).items():
        failed = sum(row.state is not State.COMPLETE for row in runs)
        fresh = testifying(runs, selecting=selecting)
        bounds = tuple(-row.iwae for row in fresh or runs if row.iwae is not None)
        if failed:
            found[trial] = FailedConfirmation(seeds=len(runs), failed=failed)
        elif bounds:
            found[trial] = Confirmed(bounds=bounds, iwae_k=runs[0].iwae_k or 0, testifies=bool(fresh))
    return found


def confirmed_first(found: Mapping[int, Confirmed | FailedConfirmation]) -> list[int]:
    """Order the confirmed trials: most seeds that testify first, then the least mean; equal ones by number.

    The one definition of "best" among confirmed configs, for rankings, reports, pictures and promotions. A finalist
    with one seed never stands above one that completed five: its mean may be the luckiest of several single runs.
    """
    confirmed = {trial: verdict for trial, verdict in found.items() if isinstance(verdict, Confirmed)}
    return sorted(confirmed, key=lambda trial: (-confirmed[trial].seeds, confirmed[trial].mean, trial))


def confirmed_place(rows: Sequence[ConfirmRow]) -> Callable[[int], int]:
    """Place of a trial in the order of `confirmed_first`, as a key to sort finalists by; the others share the last.

    Raises:
        Conflict: As for `verdicts`.
    """
    places = {trial: place for place, trial in enumerate(confirmed_first(verdicts(rows)))}
    return lambda trial: places.get(trial, len(places))
