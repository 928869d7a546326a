"""Pages of sweeps, and facts of one that runs: for readers who look at a part of a store at a time."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vae_search.core.trial_state import State
from vae_search.errors import CorruptStore, NotFound
from vae_search.services.payloads import Facts, front_facts, status_facts, trial_facts
from vae_search.services.sweep_status import status
from vae_search.store.backends.base import Store
from vae_search.store.ledger.confirm_runs import ConfirmRow
from vae_search.store.sweeps.folders import sweep_names

if TYPE_CHECKING:
    from vae_search.services.sweep_status import SweepStatus
    from vae_search.store.ledger.rows import TrialRow
    from vae_search.store.queries.live_progress import ProgressFollower


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPage:
    """Some sweeps of a store, by name."""

    sweeps: tuple[Facts, ...]
    next: str | None
    """name of the last one, if there are more"""
    total: int
    """sweeps in the store"""
    troubles: tuple[str, ...]
    """of sweeps that cannot be shown, since their record is damaged"""


def sweep_page(store: Store, *, limit: int, after: str | None = None, state: str | None = None) -> SweepPage:
    """Read the status of the next sweeps by name.

    Args:
        after: the sweep that the page before ended with.
        state: only sweeps in it: running, finished or interrupted.
    """
    names = sweep_names(store)
    waiting = [name for name in names if after is None or name > after]
    found: list[Facts] = []
    troubles: list[str] = []
    for place, name in enumerate(waiting):
        try:
            facts = sweep_facts(status(store, name))
        except NotFound:  # it has been removed meanwhile
            continue
        except CorruptStore as error:
            troubles.append(str(error))
            continue
        if state in (None, facts["state"]):
            found.append(facts)
        if len(found) == limit:
            more = place + 1 < len(waiting)
            return SweepPage(
                sweeps=tuple(found), next=name if more else None, total=len(names), troubles=tuple(troubles)
            )
    return SweepPage(sweeps=tuple(found), next=None, total=len(names), troubles=tuple(troubles))


def sweep_facts(found: "SweepStatus") -> Facts:
    """Status of a sweep as `status --json` has it, with what its spec asks for and what is in flight."""
    spec, beat = found.spec, found.heartbeat
    return status_facts(found) | {
        "model": None if spec.promote is None else spec.promote.model,
        "source": spec.data.source,
        "confirm_runs_planned": spec.confirm.runs,
        "in_flight": found.in_flight,
        "driver_s": found.driver_s,
        "driver": None if beat is None else str(beat.holder),
        "damaged": list(found.damaged),
    }


def progress_facts(following: "ProgressFollower", *, sweep: str, trials: int, runs: bool) -> Facts:
    """Progress of a sweep that is watched.

    Args:
        trials: of its budget.
        runs: whether a driver is at work on it.
    """
    best_trial, best_objective = following.best or (None, None)
    return {
        "sweep": sweep,
        "runs": runs,
        "trials": trials,
        "finished": sum(following.states.values()),
        "complete": following.states[State.COMPLETE],
        "pruned": following.states[State.PRUNED],
        "failed": following.states[State.FAIL],
        "best_trial": best_trial,
        "best_objective": best_objective,
        "front": None if following.front is None else front_facts(following.front),
        "running": dict(sorted(following.running.items())),
        "confirmed": following.confirmed,
    }


def landed_facts(row: "TrialRow") -> dict[str, Any]:
    """A trial or confirm run that has just ended; `key` tells them apart: 000042, 000042-s1."""
    return trial_facts(row) | {"key": row.key, "confirm_run": isinstance(row, ConfirmRow)}
