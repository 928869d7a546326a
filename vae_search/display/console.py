"""What people and programs read on standard output: tables, facts, JSON. Nothing here decides anything."""

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

from vae_search.core.text import printable
from vae_search.core.trial_state import State
from vae_search.display.front import front_cell, front_facts, front_line
from vae_search.display.tables import cell, json_text, show_table
from vae_search.errors import CorruptStore

if TYPE_CHECKING:
    from vae_search.services.cost_estimate import Estimate
    from vae_search.services.sweep_status import SweepStatus
    from vae_search.spec.parameters import Parameter
    from vae_search.spec.sweep_spec import SweepSpec

COUNTS = ("complete", "pruned", "failed")


def console() -> Console:
    """Standard output; wide enough for whole lines where it is no terminal."""
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 160
    return Console(width=width, highlight=False)


@contextmanager
def busy(what: str) -> Iterator[None]:
    """Show on a terminal that something takes its time, on the error stream; elsewhere nothing."""
    out = Console(stderr=True, highlight=False)
    if not out.is_terminal:
        yield
        return
    with out.status(escape(f"{what} …")):
        yield


def say(text: str) -> None:
    """One plain sentence."""
    console().print(escape(text), soft_wrap=True)


def show_jobs(jobs: Sequence[Mapping[str, object]]) -> None:
    """The jobs of a cluster, one in each line."""
    if not jobs:
        say("This cluster knows no job of a sweep. `vae-search submit` makes one.")
        return
    rows = [["–" if value is None else cell(value) for value in job.values()] for job in jobs]
    show_table(console(), [*jobs[0]], rows)


def show_json(value: object) -> None:
    """`value` as JSON; dates and such as text."""
    sys.stdout.write(json_text(value) + "\n")


def show_spec(spec: "SweepSpec", *, as_json: bool) -> None:
    """A valid spec with its defaults."""
    if as_json:
        show_json(spec.to_json())
        return
    say(f"{spec.name}: a valid spec")
    rows = []
    for parameter in spec.search_space.parameters:
        conditions = ", ".join(f"{name} = {' or '.join(map(str, values))}" for name, values in parameter.when)
        rows.append([parameter.name, _values(parameter), conditions])
    show_table(console(), ["parameter", "values", "when"], rows)
    rest = {key: value for key, value in spec.to_json().items() if key not in ("name", "search_space")}
    longest = max(map(len, rest))
    say("\n" + "\n".join(f"{key:<{longest}}  {json.dumps(value, ensure_ascii=False)}" for key, value in rest.items()))


def show_estimate(estimate: "Estimate", spec: "SweepSpec", *, as_json: bool) -> None:
    """What `run --dry-run` says."""
    if as_json:
        show_json({"sweep": spec.name, "trials": spec.budget.trials, **asdict(estimate)})
        return
    rungs = ", ".join(map(str, estimate.rungs)) or "none"
    say(f"{spec.name}: {spec.budget.trials} trials of up to {spec.budget.epochs} epochs; rungs at {rungs}")
    searched = list(dict.fromkeys(parameter.name for parameter in spec.search_space.searched))
    say(f"searched: {', '.join(searched) or 'nothing, every parameter is fixed'}")
    say(
        f"about {estimate.trial_epochs:,.0f} epochs after pruning, {estimate.slots} trials at a time: roughly "
        f"{clock(estimate.time_s)} on this machine, {estimate.memory_bytes / 1e9:.1f} GB of memory and "
        f"{estimate.store_bytes / 1e6:.1f} MB in the store. Nothing was started."
    )


def show_statuses(statuses: "Sequence[SweepStatus]", troubles: Sequence[str], *, as_json: bool) -> None:
    """One line per sweep; then what is wrong with the rest.

    Raises:
        CorruptStore: Something is.
    """
    if as_json:
        show_json([status_facts(status) for status in statuses])
    elif not statuses and not troubles:
        say("The store holds no sweep yet. `vae-search init` writes a spec, `vae-search run` runs it.")
    else:
        show_status_table(statuses)
    if troubles:
        raise CorruptStore("\n".join(troubles[:3]))
    warn_of_damage([path for status in statuses for path in status.damaged])


def show_status_table(statuses: "Sequence[SweepStatus]") -> None:
    """A line for each sweep, then one for the front of each Pareto sweep that has one."""
    rows, lines = [], []
    for status in statuses:
        facts = status_facts(status)
        objective = facts["best_objective"]
        best = "" if objective is None else f"{objective:.2f} (trial {facts['best_trial']})"
        front = status.leaderboard.shown_front(status.spec.objective)
        if front is not None:
            best = front_cell(front)
            lines += [f"{facts['sweep']}: {front_line(front)}"] if front.members else []
        done = f"{facts['finished']}/{facts['trials']}"
        rows.append([facts["sweep"], facts["state"], done, *(str(facts[name]) for name in COUNTS), best])
    show_table(console(), ["sweep", "state", "trials", *COUNTS, "best"], rows)
    for line in lines:
        say(line)


def clock(seconds: float) -> str:
    """Seconds for people: `1:02:03` or `2:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def status_facts(status: "SweepStatus") -> dict[str, Any]:
    """How a sweep stands, as `status --json` prints it."""
    leaderboard = status.leaderboard
    best_trial, best_objective = leaderboard.best or (None, None)
    front = leaderboard.shown_front(status.spec.objective)
    return {
        "sweep": status.spec.name,
        "state": status.state,
        "trials": status.spec.budget.trials,
        "finished": leaderboard.finished,
        "complete": leaderboard.states[State.COMPLETE],
        "pruned": leaderboard.states[State.PRUNED],
        "failed": leaderboard.states[State.FAIL],
        "best_trial": best_trial,
        "best_objective": best_objective,
        "front": None if front is None else front_facts(front),
        "confirm_runs": len(status.confirm_rows),
        "cpu_s": leaderboard.cpu_s,
    }


def warn_of_damage(paths: Sequence[str]) -> None:
    """Name files that could not be read, after everything else has been shown.

    Raises:
        CorruptStore: There are some; the exit code must say so.
    """
    if paths:
        named = ", ".join(map(printable, paths[:3])) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
        raise CorruptStore(f"{named}: damaged, and left out above. Restore the files from a copy.")


def _values(parameter: "Parameter") -> str:
    """The values of a parameter in one line, as in `8 … 64, log`."""
    from vae_search.spec.parameters import CategoricalParameter, FixedParameter

    match parameter:
        case FixedParameter():
            return str(parameter.value)
        case CategoricalParameter():
            return ", ".join(map(str, parameter.choices))
        case _:
            step = f", step {parameter.step:g}" if parameter.step not in (None, 1) else ""
            return f"{parameter.low:g} … {parameter.high:g}{', log' if parameter.log else ''}{step}"
