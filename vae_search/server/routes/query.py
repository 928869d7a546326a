"""SQL over the store, with limits on time, memory and the size of the answer."""

import io
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from fastapi import APIRouter, Body, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from vae_search.core.settings import SERVED_QUERY_TIMEOUT_S
from vae_search.server.examples import SQL
from vae_search.server.service import InService, Service
from vae_search.server.tokens import Role
from vae_search.server.wall import opened_to
from vae_search.services import queries
from vae_search.services.browsing.plain_values import plain
from vae_search.store.queries.query_result import to_stream

router = APIRouter(tags=["query"])

MOST_ROWS = 10_000


class Question(BaseModel):
    """One SELECT."""

    model_config = ConfigDict(extra="forbid")
    sql: str = Field(
        max_length=100_000,
        description="A SELECT in DuckDB's SQL over trials, epochs, finalists, front and models.",
    )
    sweep: str | None = Field(default=None, max_length=200, description="Only this sweep; default: all.")
    timeout_s: float = Field(
        default=10.0, gt=0, le=SERVED_QUERY_TIMEOUT_S, description="Seconds that the SQL may take."
    )


Asked = Annotated[Question, Body(openapi_examples={"by latents": {"value": {"sql": SQL}}})]


@router.post("/query")
@opened_to(Role.VIEWER)
def query(service: InService, question: Asked) -> dict[str, Any]:
    """Answer a SELECT with at most 10,000 rows; the CSV and Parquet forms have all."""
    return answer(service, question)


def answer(service: Service, question: Question, *, most_rows: int = MOST_ROWS) -> dict[str, Any]:
    """The answer in plain values, with so many rows at most."""
    table, damaged = _answer(service, question)
    shown = table.slice(0, most_rows)
    columns = [column.to_pylist() for column in shown.columns]
    rows = [[plain(value) for value in row] for row in zip(*columns, strict=True)]
    return {
        "columns": table.column_names,
        "rows": rows,
        "truncated": table.num_rows > most_rows,
        "damaged": [*damaged],
    }


@router.post("/query.csv", response_class=Response, responses={200: {"content": {"text/csv": {}}}})
@opened_to(Role.VIEWER)
def query_csv(service: InService, question: Asked) -> Response:
    """Answer a SELECT as CSV."""
    table, _ = _answer(service, question)
    buffer = io.BytesIO()
    pa.csv.write_csv(_flat(table), buffer)
    return _file(buffer.getvalue(), "text/csv; charset=utf-8", "query.csv")


@router.post(
    "/query.parquet", response_class=Response, responses={200: {"content": {"application/vnd.apache.parquet": {}}}}
)
@opened_to(Role.VIEWER)
def query_parquet(service: InService, question: Asked) -> Response:
    """Answer a SELECT as Parquet."""
    table, _ = _answer(service, question)
    buffer = io.BytesIO()
    pa.parquet.write_table(table, buffer)
    return _file(buffer.getvalue(), "application/vnd.apache.parquet", "query.parquet")


@router.post(
    "/query.arrow",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/vnd.apache.arrow.stream": {}}}},
)
@opened_to(Role.VIEWER)
def query_arrow(service: InService, question: Asked) -> StreamingResponse:
    """Answer a SELECT as an Arrow stream, with all types and the damaged files: what the command line reads."""
    table, damaged = _answer(service, question)
    return StreamingResponse(to_stream(table, damaged), media_type="application/vnd.apache.arrow.stream")


def _answer(service: Service, question: Question) -> tuple[pa.Table, tuple[str, ...]]:
    with service.query_slot():
        return queries.query_table(service.store, question.sql, sweep=question.sweep, timeout_s=question.timeout_s)


def _flat(table: pa.Table) -> pa.Table:
    """The table with text in place of what CSV has no cells for: lists, maps and structures."""
    for place, field in enumerate(table.schema):
        if pa.types.is_nested(field.type):
            texts = [None if value is None else str(plain(value)) for value in table[field.name].to_pylist()]
            table = table.set_column(place, field.name, pa.array(texts, pa.string()))
    return table


def _file(content: bytes, media_type: str, name: str) -> Response:
    return Response(content, media_type=media_type, headers={"Content-Disposition": f'attachment; filename="{name}"'})
