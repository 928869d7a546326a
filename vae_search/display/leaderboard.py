"""What is printed of rankings and queries: as tables, CSV and JSON."""

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vae_search.core.settings import DEFAULT_STORE
from vae_search.core.text import printable
from vae_search.display.console import console, say, show_json, status_facts, warn_of_damage
from vae_search.display.front import front_line
from vae_search.display.tables import cell, csv_text, fits, show_table
from vae_search.store.queries.confirmation import Confirmed, FailedConfirmation, confirmed_first, verdicts

if TYPE_CHECKING:
    from vae_search.services.queries import Ranking
    from vae_search.services.sweep_status import SweepStatus
    from vae_search.spec.sweep_spec import SweepSpec
    from vae_search.store.ledger.confirm_runs import ConfirmRow
    from vae_search.store.ledger.rows import TrialRow
    from vae_search.store.queries.sql import QueryResult

    Verdicts = Mapping[int, Confirmed | FailedConfirmation]

ERROR_CHARACTERS = 60
SHOWN_AT_THE_END = 5  # of the best trials
SCORES = ("trial", "state", "objective", "neg_elbo", "instability", "active", "epochs")
PARETO = "pareto"
LEFT = ("state", "parameters", "error")


def show_best(found: "Ranking", *, by: str, form: str) -> None:
    """A ranking, best first.

    Args:
        by: a column, or `PARETO`.
        form: `table`, `csv` or `json`.

    Raises:
        CorruptStore: Files could not be read; after everything else has been shown.
    """
    if form == "json":
        show_json([_ranked_facts(row, found.verdicts) for row in found.rows])
    elif form == "csv":
        _write_csv(*_best_csv(found))
    elif not found.rows:
        say(f"No such trial of {found.sweep} has completed yet ({found.finished} have ended). --all shows them.")
    else:
        _show_best_table(found.sweep, found.searched, found.rows, found.verdicts, by=by, front=found.front)
    warn_of_damage(found.damaged)


def show_spec_file(text: str, ranking: "Ranking", *, by: str) -> None:
    """A spec as a file, and where its config comes from."""
    row = ranking.rows[0]
    value = getattr(row, by)
    best = f"the first on the front of {', '.join(ranking.front)}" if ranking.front else f"the best by {by}"
    sys.stdout.write(f"# The config of trial {ranking.sweep}/{row.trial}, {best}")
    sys.stdout.write("" if value is None else f" ({value:.2f})")
    sys.stdout.write(".\n# To train it again: put this into a file, and `vae-search run` that.\n" + text)
    warn_of_damage(ranking.damaged)


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
    known = verdicts(status.confirm_rows)
    rows = status.leaderboard.best_first(status.spec.objective, count=SHOWN_AT_THE_END, first=confirmed_first(known))
    facts = status_facts(status)
    if as_json:
        best = [_ranked_facts(row, known) for row in rows]
        show_json(facts | {"best": best, "promotion": promotion[0] if promotion else None})
        return
    say(
        f"{status.spec.name}: {facts['finished']} of {facts['trials']} trials done, {facts['complete']} complete, "
        f"{facts['pruned']} pruned, {facts['failed']} failed; {facts['cpu_s']:,.0f} CPU seconds of training."
    )
    on_front = status.leaderboard.shown_front(status.spec.objective)
    if on_front is not None:
        say(front_line(on_front))
    front = status.spec.objective.pareto or ()
    _show_best_table(status.spec.name, _searched(status.spec), rows, known, by="objective", front=front)
    if on_front is not None and len(on_front.members) > len(rows):
        members = len(on_front.members)
        say(f"All {members}: vae-search best {status.spec.name} -n {members}" + store_option(store))
    for line in confirmed_lines(status.confirm_rows):
        say(line)
    for line in promotion[1] if promotion else ():
        say(line)
    say(f"Pictures: vae-search sample {status.spec.name} -o samples.png" + store_option(store))
    warn_of_damage(status.damaged)


def confirmed_lines(rows: "Sequence[ConfirmRow]") -> list[str]:
    """`confirmed: trial 4, 5 fresh seeds: …` for each confirmed config, the best first; nats per judge image."""
    known = verdicts(rows)
    lines = []
    for trial in confirmed_first(known):
        bounds = [-row.iwae for row in rows if row.trial == trial and row.iwae is not None]
        found = known[trial]
        spread = f" (from {min(bounds):.2f} to {max(bounds):.2f})" if len(bounds) > 1 else ""
        count = "1 fresh seed" if found.seeds == 1 else f"{found.seeds} fresh seeds"
        if isinstance(found, Confirmed):
            line = f"confirmed: trial {trial}, {count}: -log p(x) ≤ {found.mean:.2f} nats{spread}"
            lines.append(f"{line}, by iwae_{found.iwae_k}")
    for trial, found in known.items():
        if isinstance(found, FailedConfirmation):
            lines.append(f"not confirmed: trial {trial}: {found.failed} of {found.seeds} fresh seeds did not complete")
    return lines


def show_query(result: "QueryResult", *, form: str) -> None:
    """The rows of a query: a table, CSV, or a list of objects.

    Raises:
        CorruptStore: Files could not be read; after everything else has been shown.
    """
    if form == "json":
        names = [f"{name}_{position}" if name in result.columns[:position] else name
                 for position, name in enumerate(result.columns)]  # fmt: skip
        show_json([dict(zip(names, row, strict=True)) for row in result.rows])
    elif form == "csv":
        _write_csv(result.columns, result.rows)
    else:
        show_table(console(), result.columns, [[cell(value) for value in row] for row in result.rows])
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


def store_option(store: str) -> str:
    """What a command needs to find the same store again."""
    return "" if store == DEFAULT_STORE else f" --store {store}"


def _show_best_table(
    sweep: str,
    searched: "Sequence[str]",
    rows: "Sequence[TrialRow]",
    known: "Verdicts",
    *,
    by: str,
    front: "Sequence[str]",
) -> None:
    """Scores and searched parameters; on a narrow screen the parameters share one column."""
    out = console()
    no_objective = by == "objective" and not any(row.objective is not None for row in rows)  # of a Pareto sweep
    order = f"beaten by no other in {', '.join(front)}" if front else f"by {'neg_elbo' if no_objective else by}"
    say(f"{sweep}: {order}, nats per image, lower is better")
    ks = {found.iwae_k for row in rows if isinstance(found := known.get(row.trial), Confirmed)}
    with_seeds = by == "objective" and any(row.trial in known for row in rows)
    with_flops = "train_flops" in (by, *front)
    if with_seeds and ks:
        say(f"confirmed configs first: -log p(x) by iwae_{ks.pop()}, mean ± sd over (so many) fresh seeds")
    failed = any(row.error for row in rows)
    heads = [*SCORES, *(["train_flops"] if with_flops else []), *(["confirmed"] if with_seeds else [])]
    scores = [
        _scores(row)
        + ([_flops(row)] if with_flops else [])
        + ([_confirmed_cell(known.get(row.trial))] if with_seeds else [])
        for row in rows
    ]
    values = [[_parameter(row.params.get(name)) for name in searched] for row in rows]
    errors = [[printable((row.error or "").split("\n")[0], ERROR_CHARACTERS)] if failed else [] for row in rows]
    names = [*heads, *searched, *(["error"] if failed else [])]
    cells = [[*one, *two, *three] for one, two, three in zip(scores, values, errors, strict=True)]
    if not fits(names, cells, out.width):
        together = [", ".join(f"{name} {value}" for name, value in zip(searched, row, strict=True)) for row in values]
        shared = [*heads, "parameters", *(["error"] if failed else [])]
        joined = [[*one, two, *three] for one, two, three in zip(scores, together, errors, strict=True)]
        if fits(shared, joined, out.width):
            names, cells = shared, joined
    show_table(out, names, cells, left=LEFT)


def _best_csv(found: "Ranking") -> tuple[list[str], list[list[object]]]:
    params = list(dict.fromkeys([*found.searched, *(name for row in found.rows for name in sorted(row.params))]))
    facts = ["trial", "state", "reason", "objective", "neg_elbo", "instability", "active_units", "epochs"]
    facts.append("train_flops")
    heads = [*facts, "confirmed_seeds", "confirmed_mean", "confirmed_sd", *(f"param_{name}" for name in params)]
    rows: list[list[object]] = []
    for row in found.rows:
        seeds = _confirmed_facts(found.verdicts.get(row.trial)) or {}
        confirmed = [seeds.get(name) for name in ("seeds", "mean", "sd")]
        values = [getattr(row, name) for name in facts]
        rows.append([*values, *confirmed, *(row.params.get(name) for name in params), row.error])
    return [*heads, "error"], rows


def _write_csv(names: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    text = csv_text(names, rows, for_terminal=sys.stdout.isatty())
    # As bytes: a text stream would put its own line ends in the place of RFC 4180's.
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode(errors="backslashreplace"))
    sys.stdout.buffer.flush()


def _ranked_facts(row: "TrialRow", known: "Verdicts") -> dict[str, Any]:
    return trial_facts(row) | {"confirmed": _confirmed_facts(known.get(row.trial))}


def _confirmed_facts(found: Confirmed | FailedConfirmation | None) -> dict[str, Any] | None:
    return {"seeds": found.seeds, "mean": found.mean, "sd": found.sd} if isinstance(found, Confirmed) else None


def _confirmed_cell(found: Confirmed | FailedConfirmation | None) -> str:
    match found:
        case None:
            return "–"
        case FailedConfirmation():
            return f"no, {found.failed} of {found.seeds} failed"
        case _:
            spread = "" if found.sd is None else f" ± {found.sd:.2f}"
            return f"{found.mean:.2f}{spread} ({found.seeds})"


def _searched(spec: "SweepSpec") -> list[str]:
    return list(dict.fromkeys(parameter.name for parameter in spec.search_space.searched))


def _scores(row: "TrialRow") -> list[str]:
    known = row.active_units is not None and row.kl_per_dimension is not None
    return [
        str(row.trial),
        row.state,
        _number(row.objective),
        _number(row.neg_elbo),
        _number(row.instability, digits=3),
        f"{row.active_units}/{len(row.kl_per_dimension or ())}" if known else "–",
        str(row.epochs),
    ]


def _flops(row: "TrialRow") -> str:
    return "–" if row.train_flops is None else f"{row.train_flops:.3g}"


def _number(value: float | None, *, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _parameter(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.3g}" if isinstance(value, float) else cell(value)
