"""Answers in Python about sweeps: the best trials, SQL, the report."""

from pathlib import Path
from typing import TYPE_CHECKING

from vae_search.api.stores import opened, warn_of
from vae_search.core.settings import QUERY_TIMEOUT_S

if TYPE_CHECKING:
    import pandas


def best(
    sweep: str,
    *,
    count: int | None = None,
    by: str = "objective",
    every_state: bool = False,
    where: str | None = None,
    store: str | Path | None = None,
) -> "pandas.DataFrame":
    """The completed trials of a sweep, the best first; by the objective, those confirmed by fresh seeds lead.

    Args:
        count: how many; None means all.
        by: what to rank by, the best first: `objective`, `neg_elbo`, `instability`, `train_flops` or `metric_<name>`.
        every_state: let pruned and failed trials follow, by their last held-out value.
        where: a condition in SQL over the columns of `trials`, as in `"param_latent_dim < 32"`.

    Returns:
        Columns `trial`, `state`, `reason`, scores in nats per image, costs, `confirm_seeds`, `confirm_mean` and
        `confirm_sd` (-log p(x) over fresh seeds), and `param_<name>` of what was searched.

    Raises:
        NotFound: There is no such sweep.
        InvalidSpec: `where` is no condition.
        Conflict: Its rows were scored on different tasks.
    """
    from vae_search.exports.dataframes import best_frame
    from vae_search.services import queries

    ranking = queries.best(opened(store), sweep, count=count, by=by, every_state=every_state, where=where)
    warn_of(ranking.damaged)
    return best_frame(ranking.rows, ranking.searched, ranking.verdicts)


def query(
    sql: str, *, sweep: str | None = None, store: str | Path | None = None, timeout_s: float = QUERY_TIMEOUT_S
) -> "pandas.DataFrame":
    """Ask anything in SQL (DuckDB) over the tables `trials`, `epochs`, `finalists`, `front` and `models`.

    Args:
        sweep: only this one; None means all of the store.
        timeout_s: limit of the SQL itself, which runs in a process of its own; reading the store is not counted.

    Returns:
        NULL is `pandas.NA`, whole numbers with NULLs stay whole, times are aware and in UTC.

    Raises:
        InvalidSpec: The SQL is wrong, is not one SELECT, or goes beyond a limit of time or memory.
        NotFound: There is no such sweep.
    """
    from vae_search.exports.dataframes import frame
    from vae_search.services import queries

    answer, damaged = queries.query_table(opened(store), sql, sweep=sweep, timeout_s=timeout_s)
    warn_of(damaged)
    return frame(answer)


def report(sweep: str, output: str | Path, *, store: str | Path | None = None) -> Path:
    """Write everything that is known of a sweep, running or not, as one HTML file that needs no network.

    Raises:
        InvalidSpec: The file cannot be written.
        NotFound: There is no such sweep.
    """
    from datetime import UTC, datetime

    from vae_search.services import reporting

    written = reporting.report(opened(store), sweep, output=Path(output), now=datetime.now(UTC))
    warn_of(written.damaged)
    return written.path
