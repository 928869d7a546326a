"""Pages of sweeps, and facts of one that runs: for readers who look at a part of a store at a time."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vae_search.core.trial_state import State
from vae_search.errors import CorruptStore, NotFound
from vae_search.services.payloads import Facts, front_facts, front_order, status_facts
from vae_search.services.sweep_status import status
from vae_search.store.backends.base import Store
from vae_search.store.leases.records import newest_lease
from vae_search.store.sweeps.folders import sweep_names

if TYPE_CHECKING:
    from vae_search.services.sweep_status import SweepStatus
    from vae_search.spec.sweep_spec import SweepSpec
    from vae_search.store.queries.live_progress import ProgressFollower, Update


KEPT_S = 60.0


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    lease: int
    """the newest one when the facts were read"""
    read_at_s: float
    facts: Facts


class SweepReader:
    """Facts of sweeps, read anew only where they may have changed; safe for threads.

    Only a driver changes how a sweep stands, and it takes a lease with a new number first. So the facts of a sweep that
    nobody runs hold until there is another lease; repairs by hand show after `KEPT_S`.
    """

    def __init__(self, store: Store, *, monotonic: Callable[[], float]) -> None:
        self.store = store
        self._monotonic = monotonic
        self._kept: dict[str, _Kept] = {}

    def facts(self, sweep: str) -> Facts:
        """Facts of one sweep.

        Raises:
            NotFound: There is no such sweep.
            CorruptStore: Its record is damaged.
        """
        lease, now_s = newest_lease(self.store, sweep), self._monotonic()
        kept = self._kept.get(sweep)
        if kept is not None and kept.lease == lease and now_s - kept.read_at_s < KEPT_S:
            return kept.facts
        facts = sweep_facts(status(self.store, sweep))
        if facts["state"] == "running":
            self._kept.pop(sweep, None)
        else:
            self._kept[sweep] = _Kept(lease=lease, read_at_s=now_s, facts=facts)
        return facts

    def names(self) -> list[str]:
        """Names of all sweeps, sorted; what is kept of others goes."""
        names = sweep_names(self.store)
        for gone in self._kept.keys() - {*names}:
            self._kept.pop(gone, None)
        return names


def sweep_page(reader: SweepReader, *, limit: int, after: str | None = None, state: str | None = None) -> SweepPage:
    """Read the status of the next sweeps by name.

    Args:
        after: the sweep that the page before ended with.
        state: only sweeps in it: running, finished or interrupted.
    """
    names = reader.names()
    waiting = [name for name in names if after is None or name > after]
    found: list[Facts] = []
    troubles: list[str] = []
    for place, name in enumerate(waiting):
        try:
            facts = reader.facts(name)
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


def progress_facts(following: "ProgressFollower", spec: "SweepSpec", update: "Update | None" = None) -> Facts:
    """Progress of a sweep that is watched.

    Args:
        spec: that the sweep runs with.
        update: of the last look; None before the first, when it is not yet known whether anybody runs the sweep.
    """
    best_trial, best_objective = following.best or (None, None)
    driver = None if update is None else update.driver
    is_silent = update is not None and update.silent
    return {
        "sweep": spec.name,
        "runs": driver is not None and not is_silent,
        "silent_driver": str(driver.holder) if driver is not None and is_silent else None,
        "trials": spec.budget.trials,
        "finished": sum(following.states.values()),
        "complete": following.states[State.COMPLETE],
        "pruned": following.states[State.PRUNED],
        "failed": following.states[State.FAIL],
        "best_trial": best_trial,
        "best_objective": best_objective,
        "front": None if following.front is None else front_facts(following.front),
        "front_of": None if following.front is None else front_order(following.front),
        "running": dict(sorted(following.running.items())),
        "paused": following.paused,
        "epochs_seen": following.epochs_seen,
        "confirmed": following.confirmed,
        "confirm_runs": spec.confirm.runs,
    }
