"""Facts of one sweep: how it stands, how it came there, how long it may take, and its progress while it is watched."""

from typing import TYPE_CHECKING

from vae_search.core.trial_state import State
from vae_search.services.payloads import Facts, front_facts, front_order, status_facts
from vae_search.spec.measures.pareto import pareto_criteria
from vae_search.store.queries.leaderboard import Leaderboard

if TYPE_CHECKING:
    from vae_search.services.sweep_status import SweepStatus
    from vae_search.spec.sweep_spec import SweepSpec
    from vae_search.store.queries.live_progress import ProgressFollower, Update

BEST_POINTS = 40  # of a sparkline


def sweep_facts(found: "SweepStatus") -> Facts:
    """Status of a sweep as `status --json` has it, with what its spec asks for and what is in flight."""
    spec, beat = found.spec, found.heartbeat
    front = found.leaderboard.shown_front(pareto_criteria(spec))
    return status_facts(found) | {
        "front_of": None if front is None else front_order(front),
        "model": None if spec.promote is None else spec.promote.model,
        "source": spec.data.source,
        "confirm_runs_planned": spec.confirm.runs,
        "in_flight": found.in_flight,
        "incarnation": found.incarnation,
        "driver_s": found.driver_s,
        "driver": None if beat is None else str(beat.holder),
        "damaged": list(found.damaged),
        "best_so_far": best_so_far(found.leaderboard, by="neg_elbo" if spec.objective.pareto else "objective"),
        "time_left_s": time_left_s(found),
    }


def best_so_far(leaderboard: Leaderboard, *, by: str) -> list[tuple[int, float]]:
    """The trials that were better than all before them, and their values, the first and the last ones if many."""
    trials, states, values = leaderboard.numbers, leaderboard.column("state"), leaderboard.column(by)
    found: list[tuple[int, float]] = []
    for trial, state, value in sorted(zip(trials, states, values, strict=True)):
        if state == State.COMPLETE and value is not None and (not found or value < found[-1][1]):
            found.append((trial, value))
    return found if len(found) <= BEST_POINTS else [found[0], *found[1 - BEST_POINTS :]]


def time_left_s(found: "SweepStatus") -> float | None:
    """Seconds until the budget is used at the pace of its drivers so far; None if nobody runs it or none has ended."""
    if found.state != "running" or not found.leaderboard.finished:
        return None
    budget = found.spec.budget
    if found.spec.confirm.epochs == "auto" and budget.minutes is not None:  # confirm runs take what the search leaves
        return max(0.0, 60.0 * budget.minutes - found.driver_s)
    left_s = found.driver_s / found.leaderboard.finished * max(0, budget.trials - found.used)
    return left_s if budget.minutes is None else max(0.0, min(left_s, 60.0 * budget.minutes - found.driver_s))


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
