"""The use case behind `query`: SQL over everything that a store knows, its models included."""

from vae_search.store.commit import Store
from vae_search.store.query import QueryResult, query
from vae_search.store.views import ModelVersions


def ask(store: Store, sql: str, *, sweep: str | None = None) -> QueryResult:
    """Answer SQL over the tables trials, epochs, finalists and models; see `store.query`.

    Raises:
        InvalidSpec: The SQL is wrong, or more than one SELECT.
        NotFound: There is no such sweep.
    """
    return query(store, sql, sweep=sweep, models=lambda: _versions(store))


def _versions(store: Store) -> ModelVersions:
    from vae_search.registry.version_table import version_records

    records, damaged = version_records(store)
    return ModelVersions(records=records, damaged=tuple(damaged))
