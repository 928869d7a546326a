"""Rankings, ends of runs and answers of queries: as tables, CSV and JSON."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from vae_search.core.criteria import METRIC
from vae_search.core.settings import DEFAULT_STORE
from vae_search.core.text import printable
from vae_search.display.console import console, say, show_json
from vae_search.display.front import front_line
from vae_search.display.models import decision_lines
from vae_search.display.tables import cell, csv_text, fits, show_table
from vae_search.services.limits.words import limit_lines
from vae_search.services.payloads import Facts, best_facts, decision_facts, outcome_facts, printed_ranking, status_facts
from vae_search.spec.measures.pareto import pareto_criteria
from vae_search.store.queries.confirmed_configs import Confirmed, FailedConfirmation, confirmed_first, verdicts

if TYPE_CHECKING:
    from vae_search.services.models.sweep_outcome import SweepOutcome
    from vae_search.store.ledger.confirm_runs import ConfirmRow
    from vae_search.store.queries.query_result import QueryResult

ERROR_CHARACTERS = 60
SHOWN_AT_THE_END = 5  # of the best trials
SCORES = ("trial", "state", "objective", "neg_elbo", "instability", "active", "epochs")
PARETO = "pareto"
LEFT = ("state", "parameters", "error")


def show_best(ranking: Facts, *, by: str, form: str) -> None:
    """Print a ranking, best first.

    Args:
        ranking: of `best_facts`.
        by: a column, or `PARETO`.
        form: `table`, `csv` or `json`.
    """
    if form == "json":
        show_json(printed_ranking(ranking))
    elif form == "csv":
        _write_csv(*_best_csv(ranking))
    elif not ranking["items"]:
        ended = ranking["finished"]
        say(f"No such trial of {ranking['sweep']} has completed yet ({ended} have ended). --all shows them.")
    else:
        _show_best_table(ranking, by=by)


def show_spec_file(text: str, ranking: Facts, *, by: str) -> None:
    """Print a spec as a file, and where its config comes from."""
    row = ranking["items"][0]
    value = row[by]
    best = f"the first on the front of {', '.join(ranking['front'])}" if ranking["front"] else f"the best by {by}"
    sys.stdout.write(f"# The config of trial {ranking['sweep']}/{row['trial']}, {best}")
    sys.stdout.write("" if value is None else f" ({value:.2f})")
    sys.stdout.write(".\n# To train it again: put this into a file, and `vae-search run` that.\n" + text)


def show_finished(outcome: "SweepOutcome", *, store: str, as_json: bool) -> None:
    """Print the outcome of a run: counts, the best trials, what fresh seeds say, and what became of the best config.

    Args:
        store: location, for the commands that are suggested.
    """
    from vae_search.services.queries import best_of_status

    status = outcome.status
    ranking = best_of_status(status, count=SHOWN_AT_THE_END)
    if as_json:
        show_json(outcome_facts(outcome, ranking))
        return
    facts = status_facts(status)
    say(
        f"{status.spec.name}: {facts['finished']} of {facts['trials']} trials done, {facts['complete']} complete, "
        f"{facts['pruned']} pruned, {facts['failed']} failed; {facts['cpu_s']:,.0f} CPU seconds of training."
    )
    for line in limit_lines(facts):
        say(line)
    on_front = status.leaderboard.shown_front(pareto_criteria(status.spec))
    if on_front is not None:
        say(front_line(on_front))
    _show_best_table(best_facts(ranking), by="objective")
    if on_front is not None and len(on_front.members) > len(ranking.rows):
        members = len(on_front.members)
        say(f"All {members}: vae-search best {status.spec.name} -n {members}" + store_option(store))
    for line in (*confirmed_lines(status.confirm_rows), *continued_lines(status.continued_rows)):
        say(line)
    for line in () if outcome.promotion is None else decision_lines(decision_facts(outcome.promotion)):
        say(line)
    say(f"Pictures: vae-search sample {status.spec.name} -o samples.png" + store_option(store))


def confirmed_lines(rows: "Sequence[ConfirmRow]") -> list[str]:
    """A line for each finalist, the best first; nats per judge image: `confirmed: trial 4, 5 fresh seeds: …`."""
    known = verdicts(rows)
    lines = []
    for trial in confirmed_first(known):
        verdict = known[trial]
        if isinstance(verdict, Confirmed):
            bounds = verdict.bounds
            spread = f" (from {min(bounds):.2f} to {max(bounds):.2f})" if len(bounds) > 1 else ""
            count = "1 fresh seed" if len(bounds) == 1 else f"{len(bounds)} fresh seeds"
            if not verdict.testifies:
                count += ", which finalists were chosen by"
            line = f"confirmed: trial {trial}, {count}: -log p(x) ≤ {verdict.mean:.2f} nats{spread}"
            lines.append(f"{line}, by iwae_{verdict.iwae_k}")
    for trial, verdict in known.items():
        if isinstance(verdict, FailedConfirmation):
            failed = f"{verdict.failed} of {verdict.seeds} fresh seeds did not complete"
            lines.append(f"not confirmed: trial {trial}: {failed}")
    return lines


def continued_lines(rows: "Sequence[ConfirmRow]") -> list[str]:
    """A line for each run that went on from a fresh seed's; nats per judge image."""
    lines = []
    for row in rows:
        seed, until = -row.confirm_seed, f"from epoch {row.continues_epoch} to {row.epochs}"
        ended = (
            f"failed: {row.reason}" if row.iwae is None else f"-log p(x) ≤ {-row.iwae:.2f} nats by iwae_{row.iwae_k}"
        )
        lines.append(f"went on: trial {row.trial}, seed {seed}, {until}: {ended}")
    return lines


def show_query(result: "QueryResult", *, form: str) -> None:
    """Print the rows of a query: a table, CSV, or a list of objects."""
    if form == "json":
        names = [f"{name}_{position}" if name in result.columns[:position] else name
                 for position, name in enumerate(result.columns)]  # fmt: skip
        show_json([dict(zip(names, row, strict=True)) for row in result.rows])
    elif form == "csv":
        _write_csv(result.columns, result.rows)
    else:
        show_table(console(), result.columns, [[cell(value) for value in row] for row in result.rows])


def store_option(store: str) -> str:
    """Option that a suggested command needs to find the same store again; empty for the default one."""
    return "" if store == DEFAULT_STORE else f" --store {store}"


def _show_best_table(ranking: Facts, *, by: str) -> None:
    """Scores and searched parameters; on a narrow screen the parameters share one column."""
    searched, rows, front = ranking["searched"], ranking["items"], ranking["front"]
    out = console()
    no_objective = by == "objective" and not any(row["objective"] is not None for row in rows)  # of a Pareto sweep
    order = f"beaten by no other in {', '.join(front)}" if front else f"by {'neg_elbo' if no_objective else by}"
    bound = f" of the {ranking['bound'].upper()} bound" if by == "objective" and not (front or no_objective) else ""
    metrics = metrics_of(rows)
    unit = "" if by.startswith(METRIC) else ", nats per image, lower is better"
    say(f"{ranking['sweep']}: {order}{bound}{unit}")
    ks = [row["iwae_k"] for row in rows if row["iwae_k"] is not None]
    with_seeds = by == "objective" and any(row["confirmed"] or row["not_confirmed"] for row in rows)
    with_flops = "train_flops" in (by, *front)
    if with_seeds and ks:  # all the same, else they could not be ranked together
        say(f"confirmed configs first: -log p(x) by iwae_{ks[0]}, mean ± sd over (so many) fresh seeds")
    failed = any(row.get("error") for row in rows)
    heads = [*SCORES, *metrics, *(["train_flops"] if with_flops else []), *(["confirmed"] if with_seeds else [])]
    scores = [
        _scores(row)
        + ["-" if (value := row.get(name)) is None else f"{value:.4g}" for name in metrics]
        + ([_flops(row["train_flops"])] if with_flops else [])
        + ([_confirmed_cell(row)] if with_seeds else [])
        for row in rows
    ]
    values = [[_parameter(row["params"].get(name)) for name in searched] for row in rows]
    errors = [[printable((row.get("error") or "").split("\n")[0], ERROR_CHARACTERS)] if failed else [] for row in rows]
    names = [*heads, *searched, *(["error"] if failed else [])]
    cells = [[*one, *two, *three] for one, two, three in zip(scores, values, errors, strict=True)]
    if not fits(names, cells, out.width):
        together = [", ".join(f"{name} {value}" for name, value in zip(searched, row, strict=True)) for row in values]
        shared = [*heads, "parameters", *(["error"] if failed else [])]
        joined = [[*one, two, *three] for one, two, three in zip(scores, together, errors, strict=True)]
        if fits(shared, joined, out.width):
            names, cells = shared, joined
    show_table(out, names, cells, left=LEFT)


def metrics_of(rows: Sequence[Facts]) -> list[str]:
    """Columns of the metrics that trials of a ranking have."""
    return sorted({name for row in rows for name in row if name.startswith(METRIC)})


def _best_csv(ranking: Facts) -> tuple[list[str], list[list[object]]]:
    items = ranking["items"]
    params = list(dict.fromkeys([*ranking["searched"], *(name for row in items for name in sorted(row["params"]))]))
    facts = ["trial", "state", "reason", "objective", "neg_elbo", "instability", "active_units", "epochs"]
    facts += ["train_flops", *metrics_of(items)]
    heads = [*facts, "confirmed_seeds", "confirmed_mean", "confirmed_sd", *(f"param_{name}" for name in params)]
    rows: list[list[object]] = []
    for row in items:
        seeds = row["confirmed"] or {}
        confirmed = [seeds.get(name) for name in ("seeds", "mean", "sd")]
        values = [row.get(name) for name in facts]
        rows.append([*values, *confirmed, *(row["params"].get(name) for name in params), row.get("error")])
    return [*heads, "error"], rows


def _write_csv(names: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    text = csv_text(names, rows, for_terminal=sys.stdout.isatty())
    # As bytes: a text stream would put its own line ends in the place of RFC 4180's.
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode(errors="backslashreplace"))
    sys.stdout.buffer.flush()


def _confirmed_cell(row: Facts) -> str:
    confirmed, failed = row["confirmed"], row["not_confirmed"]
    if failed is not None:
        return f"no, {failed['failed']} of {failed['seeds']} failed"
    if confirmed is None:
        return "–"
    spread = "" if confirmed["sd"] is None else f" ± {confirmed['sd']:.2f}"
    return f"{confirmed['mean']:.2f}{spread} ({confirmed['seeds'] or 'choosing run'})"


def _scores(row: Facts) -> list[str]:
    known = row["active_units"] is not None and row["latent_dims"] is not None
    return [
        str(row["trial"]),
        row["state"],
        _number(row["objective"]),
        _number(row["neg_elbo"]),
        _number(row["instability"], digits=3),
        f"{row['active_units']}/{row['latent_dims']}" if known else "–",
        str(row["epochs"]),
    ]


def _flops(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def _number(value: float | None, *, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _parameter(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.3g}" if isinstance(value, float) else cell(value)
