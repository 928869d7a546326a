"""A condition over the columns of trials, as a user writes it after `--where`."""

import duckdb

from vae_search.core.text import printable, shown
from vae_search.errors import InvalidSpec
from vae_search.store.backends.base import Store
from vae_search.store.queries.sql import parser, query

_EXAMPLE = 'Write one such as "param_latent_dim < 32 AND active_units > 8".'


def matching(store: Store, sweep: str, condition: str) -> tuple[set[int], tuple[str, ...]]:
    """The trials of a sweep that meet a condition, and the files that had to be left out.

    A condition that is NULL for a trial, as any comparison with NULL is, is not met. It may look into the other tables
    of `query` and can do no more than `query` can.

    Args:
        condition: a boolean expression in DuckDB's SQL over the columns of the row.

    Raises:
        InvalidSpec: It is no such expression.
        NotFound: There is no such sweep.
    """
    _check_one_expression(condition)
    try:
        # On lines of its own, so that a comment at its end ends there.
        found = query(store, f"SELECT trial, (\n{condition}\n) AS met FROM trials", sweep=sweep)  # noqa: S608 - checked
    except InvalidSpec as error:
        raise _refusal(condition, error.problems[0]) from error
    others = [met for _, met in found.rows if met is not None and not isinstance(met, bool)]
    if others:
        raise _refusal(condition, f"must be true or false for each trial, but gives {shown(others[0])}")
    return {trial for trial, met in found.rows if met and isinstance(trial, int)}, found.damaged


def _check_one_expression(condition: str) -> None:
    """Refuse text that is no expression by itself, such as `true) FROM epochs --` or `true) UNION SELECT 1, (true`.

    Whatever closes a bracket that it has not opened cannot stand between both kinds of brackets.
    """
    with parser() as connection:
        for left, right in ("()", "[]"):
            try:
                statements = connection.extract_statements(f"SELECT {left}\n{condition}\n{right}")
            except duckdb.Error as error:
                raise _refusal(condition, (str(error).splitlines() or [""])[0]) from error
            if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
                raise _refusal(condition, "must be one expression")


def _refusal(condition: str, why: str) -> InvalidSpec:
    return InvalidSpec(f"--where {shown(condition)}: is no condition: {printable(why, 300)}. {_EXAMPLE}")
