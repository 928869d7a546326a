"""What people and programs read on standard output: tables, facts, JSON. Nothing here decides anything."""

import json
import math
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vae_search.errors import CorruptStore
from vae_search.states import State
from vae_search.store.finalists import by_trial

if TYPE_CHECKING:
    from vae_search.search.estimate import Estimate
    from vae_search.service import Ranking, SweepStatus
    from vae_search.space import Parameter
    from vae_search.spec import SweepSpec
    from vae_search.store.finalists import FinalistRow
    from vae_search.store.query import QueryResult
    from vae_search.store.rows import TrialRow

ERROR_CHARACTERS = 60
SHOWN_AT_THE_END = 5  # of the best trials
WIDE_COLUMNS = 130  # from here on every parameter has a column of its own


def console() -> Console:
    """Standard output; wide enough for whole lines where it is no terminal."""
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 160
    return Console(width=width, highlight=False)


def say(text: str) -> None:
    """One plain sentence."""
    console().print(escape(text), soft_wrap=True)


def show_json(value: object) -> None:
    """`value` as JSON; dates and such as text."""
    sys.stdout.write(json.dumps(value, indent=1, ensure_ascii=False, default=str) + "\n")


def show_spec(spec: "SweepSpec", *, as_json: bool) -> None:
    """A valid spec with its defaults."""
    if as_json:
        show_json(spec.to_json())
        return
    say(f"{spec.name}: a valid spec")
    table = Table("parameter", "values", "when", box=None, pad_edge=False)
    for parameter in spec.search_space.parameters:
        conditions = ", ".join(f"{name} = {' or '.join(map(str, values))}" for name, values in parameter.when)
        table.add_row(parameter.name, escape(_values(parameter)), escape(conditions))
    console().print(table)
    rest = {key: value for key, value in spec.to_json().items() if key not in ("name", "search_space")}
    facts = Table(box=None, show_header=False, pad_edge=False)
    for key, value in rest.items():
        facts.add_row(key, escape(json.dumps(value, ensure_ascii=False)))
    console().print(facts)


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
        console().print(status_table(statuses))
    if troubles:
        raise CorruptStore("\n".join(troubles[:3]))
    warn_of_damage([path for status in statuses for path in status.damaged])


def status_table(statuses: "Sequence[SweepStatus]") -> Table:
    """A line for each sweep."""
    table = Table("sweep", "state", "trials", "complete", "pruned", "failed", "best", box=None, pad_edge=False)
    for status in statuses:
        facts = status_facts(status)
        objective = facts["best_objective"]
        best = "" if objective is None else f"{objective:.2f} (trial {facts['best_trial']})"
        done = f"{facts['finished']}/{facts['trials']}"
        counts = (str(facts[name]) for name in ("complete", "pruned", "failed"))
        table.add_row(escape(facts["sweep"]), facts["state"], done, *counts, best)
    return table


def show_best(found: "Ranking", *, by: str, as_json: bool) -> None:
    """A ranked table of trials, best first."""
    if as_json:
        show_json([trial_facts(row) for row in found.rows])
    elif not found.rows:
        say(f"No trial of {found.sweep} has completed yet ({found.finished} have ended). --all shows them.")
    else:
        out = console()
        out.print(best_table(found.sweep, found.searched, found.rows, by=by, width=out.width))
    warn_of_damage(found.damaged)


def best_table(sweep: str, searched: Sequence[str], rows: "Sequence[TrialRow]", *, by: str, width: int) -> Table:
    """Scores and searched parameters, nats per image. On a narrow screen the parameters share one column."""
    failed = any(row.error for row in rows)
    wide = width >= WIDE_COLUMNS
    title = f"{sweep}: by {by}, nats per image, lower is better"
    table = Table(title=escape(title), title_justify="left", box=None, pad_edge=False)
    for name in ("trial", "state", "objective", "neg_elbo", "instability", "active", "epochs"):
        table.add_column(name, justify="left" if name == "state" else "right", no_wrap=wide)
    for name in searched if wide else ("parameters",):
        table.add_column(name, justify="right" if wide else "left", no_wrap=wide)
    if failed:
        table.add_column("error")
    for row in rows:
        values = [_parameter(row.params.get(name)) for name in searched]
        together = ", ".join(f"{name} {value}" for name, value in zip(searched, values, strict=True))
        cells = [
            str(row.trial),
            f"{row.state} {row.reason}" if row.reason else str(row.state),
            _number(row.objective),
            _number(row.neg_elbo),
            _number(row.instability, digits=3),
            _active(row),
            str(row.epochs),
            *(values if wide else [together]),
        ]
        if failed:
            cells.append(escape((row.error or "").split("\n")[0][:ERROR_CHARACTERS]))
        table.add_row(*cells)
    return table


def show_finished(
    status: "SweepStatus",
    *,
    store: str,
    promotion: tuple[dict[str, object], list[str]] | None,
    as_json: bool,
) -> None:
    """What `run` ends with.

    Args:
        promotion: what became of the best config, for programs and for people; None if nobody asked for a promotion.
    """
    rows = status.standings.ranked(by="objective", every_state=False, count=SHOWN_AT_THE_END)
    if as_json:
        facts = {**status_facts(status), "best": [trial_facts(row) for row in rows]}
        show_json(facts | {"promotion": promotion[0] if promotion else None})
        return
    facts = status_facts(status)
    say(
        f"{status.spec.name}: {facts['finished']} of {facts['trials']} trials done, {facts['complete']} complete, "
        f"{facts['pruned']} pruned, {facts['failed']} failed; {facts['cpu_s']:,.0f} CPU seconds of training."
    )
    out = console()
    searched = list(dict.fromkeys(parameter.name for parameter in status.spec.search_space.searched))
    out.print(best_table(status.spec.name, searched, rows, by="objective", width=out.width))
    for line in confirmed_lines(status.confirm_rows):
        say(line)
    for line in promotion[1] if promotion else ():
        say(line)
    say(f"Pictures: vae-search sample {status.spec.name} -o samples.png" + _store_option(store))
    warn_of_damage(status.damaged)


def confirmed_lines(rows: "Sequence[FinalistRow]") -> list[str]:
    """`confirmed: trial 4, 5 fresh seeds: …` for each finalist, the best first; nats per judge image."""
    found = []
    for trial, seeds in by_trial(rows).items():
        bounds = [-row.iwae for row in seeds if row.iwae is not None]
        if bounds:
            mean = sum(bounds) / len(bounds)
            spread = f" (from {min(bounds):.2f} to {max(bounds):.2f})" if len(bounds) > 1 else ""
            count = "1 fresh seed" if len(bounds) == 1 else f"{len(bounds)} fresh seeds"
            line = f"confirmed: trial {trial}, {count}: -log p(x) ≤ {mean:.2f} nats{spread}, by iwae_{seeds[0].iwae_k}"
            found.append((mean, line))
    return [line for _, line in sorted(found)]


def show_query(result: "QueryResult", *, as_json: bool) -> None:
    """The rows of a query as a table or as a list of objects."""
    if as_json:
        names = [f"{name}_{position}" if name in result.columns[:position] else name
                 for position, name in enumerate(result.columns)]  # fmt: skip
        show_json([dict(zip(names, map(_plain, row), strict=True)) for row in result.rows])
    else:
        table = Table(box=None, pad_edge=False)
        for column in result.columns:
            table.add_column(escape(column))
        for row in result.rows:
            table.add_row(*(escape(_cell(value)) for value in row))
        console().print(table)
    warn_of_damage(result.damaged)


def trial_facts(row: "TrialRow") -> dict[str, Any]:
    """One trial as `best --json` prints it."""
    return {
        "trial": row.trial,
        "state": row.state,
        "objective": row.objective,
        "neg_elbo": row.neg_elbo,
        "instability": row.instability,
        "epochs": row.epochs,
        "train_flops": row.train_flops,
        "params": dict(row.params),
    } | ({"reason": row.reason, "error": row.error} if row.reason else {})


def clock(seconds: float) -> str:
    """Seconds for people: `1:02:03` or `2:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def status_facts(status: "SweepStatus") -> dict[str, Any]:
    """How a sweep stands, as `status --json` prints it."""
    standings = status.standings
    best_trial, best_objective = standings.best or (None, None)
    return {
        "sweep": status.spec.name,
        "state": status.state,
        "trials": status.spec.budget.trials,
        "finished": standings.finished,
        "complete": standings.states[State.COMPLETE],
        "pruned": standings.states[State.PRUNED],
        "failed": standings.states[State.FAIL],
        "best_trial": best_trial,
        "best_objective": best_objective,
        "confirm_runs": len(status.confirm_rows),
        "cpu_s": standings.cpu_s,
    }


def warn_of_damage(paths: Sequence[str]) -> None:
    """Name files that could not be read, after everything else has been shown.

    Raises:
        CorruptStore: There are some; the exit code must say so.
    """
    if paths:
        named = ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
        raise CorruptStore(f"{named}: damaged, and left out above. Restore the files from a copy.")


def _values(parameter: "Parameter") -> str:
    """The values of a parameter in one line, as in `8 … 64, log`."""
    from vae_search.space import CategoricalParameter, FixedParameter

    match parameter:
        case FixedParameter():
            return str(parameter.value)
        case CategoricalParameter():
            return ", ".join(map(str, parameter.choices))
        case _:
            step = f", step {parameter.step:g}" if parameter.step not in (None, 1) else ""
            return f"{parameter.low:g} … {parameter.high:g}{', log' if parameter.log else ''}{step}"


def _active(row: "TrialRow") -> str:
    """Active latents of all."""
    if row.active_units is None or row.kl_per_dimension is None:
        return "–"
    return f"{row.active_units}/{len(row.kl_per_dimension)}"


def _number(value: float | None, *, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _parameter(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.3g}" if isinstance(value, float) else escape(str(value))


def _plain(value: object) -> object:
    """A value as JSON has it: no NaN, no infinity."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return "NULL" if value is None else str(value)


def _store_option(store: str) -> str:
    return "" if store == "vae-store" else f" --store {store}"
