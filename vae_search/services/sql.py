"""The use case behind `query`: SQL over everything that a store knows, its models included."""

from typing import TYPE_CHECKING

from vae_search.store.backends.base import Store
from vae_search.store.queries.sql import QueryResult, query, query_table
from vae_search.store.queries.sql_views import ModelVersions

if TYPE_CHECKING:
    import pyarrow as pa


def ask(store: Store, sql: str, *, sweep: str | None = None) -> QueryResult:
    """Answer SQL over the tables trials, epochs, finalists, front and models; see `store.query`.

    Raises:
        InvalidSpec: The SQL is wrong, or more than one SELECT.
        NotFound: There is no such sweep.
    """
    return query(store, sql, sweep=sweep, models=lambda: _versions(store))


def ask_table(store: Store, sql: str, *, sweep: str | None = None) -> "tuple[pa.Table, tuple[str, ...]]":
    """The same as an Arrow table, with the paths of the files that were left out."""
    return query_table(store, sql, sweep=sweep, models=lambda: _versions(store))


def _versions(store: Store) -> ModelVersions:
    from vae_search.registry.version_table import version_records

    records, damaged = version_records(store)
    return ModelVersions(records=records, damaged=tuple(damaged))
