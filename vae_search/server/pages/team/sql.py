"""SQL page: one SELECT over the store, its answer as a table, and as files. A question is a link that can be shared."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from vae_search.errors import VaeSearchError
from vae_search.server.examples import SQL
from vae_search.server.pages.forms import SUGGESTED_SWEEPS
from vae_search.server.pages.rendering import render
from vae_search.server.pages.team.questions import QUESTIONS
from vae_search.server.problems import RefusalError, status_of
from vae_search.server.routes.query import Question, answer, query_csv, query_parquet
from vae_search.server.service import InService
from vae_search.server.tokens import Role
from vae_search.server.wall import opened_to

router = APIRouter(include_in_schema=False)

SHOWN_ROWS = 200
LONGEST_SQL = 10_000  # of an address; the API takes longer ones

Asked = Annotated[str | None, Query(max_length=LONGEST_SQL)]
OfSweep = Annotated[str | None, Query(max_length=200)]


@router.get("/sql")
@opened_to(Role.VIEWER)
def show_sql(request: Request, service: InService, sql: Asked = None, sweep: OfSweep = None) -> Response:
    """Show the form, and the first rows of the answer if something was asked."""
    found: dict[str, Any] | None = None
    trouble: list[str] = []
    status = 200
    if sql is not None and sql.strip():
        try:
            found = answer(service, _question(sql, sweep), most_rows=SHOWN_ROWS)
        except VaeSearchError as error:
            trouble, status = str(error).splitlines(), status_of(error)
        except RefusalError as refusal:
            trouble, status = [refusal.detail], refusal.status
    return render(
        request,
        "team/sql.html",
        status=status,
        here="sql",
        sql=SQL if sql is None else sql,
        sweep=sweep or "",
        sweeps=service.sweeps.names()[:SUGGESTED_SWEEPS],
        questions=QUESTIONS,
        found=found,
        texts=set() if found is None else _text_columns(found["rows"]),
        shown_rows=SHOWN_ROWS,
        trouble=trouble,
    )


@router.get("/sql.csv")
@opened_to(Role.VIEWER)
def fetch_csv(
    service: InService, sql: Annotated[str, Query(max_length=LONGEST_SQL)], sweep: OfSweep = None
) -> Response:
    """Fetch the whole answer as CSV."""
    return query_csv(service, _question(sql, sweep))


@router.get("/sql.parquet")
@opened_to(Role.VIEWER)
def fetch_parquet(
    service: InService, sql: Annotated[str, Query(max_length=LONGEST_SQL)], sweep: OfSweep = None
) -> Response:
    """Fetch the whole answer as Parquet."""
    return query_parquet(service, _question(sql, sweep))


def _text_columns(rows: Sequence[Sequence[Any]]) -> set[int]:
    """Places of the columns that hold texts, which are read from the left."""
    return {place for row in rows for place, value in enumerate(row) if isinstance(value, str)}


def _question(sql: str, sweep: str | None) -> Question:
    return Question(sql=sql.replace("\r\n", "\n"), sweep=sweep or None)
