"""The commands that ask the store: how sweeps stand, which configs are best, anything in SQL."""

from typing import Annotated, Literal

import typer

from vae_search.cli_options import DEFAULT_STORE, JsonOption, StoreOption, SweepArgument

app = typer.Typer()


@app.command()
def status(
    sweep: Annotated[str | None, typer.Argument(metavar="[SWEEP]", help="One sweep; default: all of them.")] = None,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Show how sweeps stand.

    Example: vae-search status digits
    """
    from vae_search import service
    from vae_search.render import show_statuses
    from vae_search.render_store import show_status
    from vae_search.store.location import open_store
    from vae_search.store.usage import usage

    place = open_store(store)
    if sweep:
        show_status(service.status(place, sweep), usage(place, sweep), as_json=json)
    else:
        show_statuses(*service.statuses(place), as_json=json)


@app.command()
def best(
    sweep: SweepArgument,
    count: Annotated[int, typer.Option("-n", min=1, help="How many to show.")] = 5,
    by: Annotated[
        Literal["objective", "neg_elbo", "instability", "train_flops"],
        typer.Option("--by", help="What to rank by, least first."),
    ] = "objective",
    every: Annotated[bool, typer.Option("--all", help="Show pruned and failed trials as well.")] = False,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Show the best configs of a sweep.

    Example: vae-search best digits -n 3 --json
    """
    from vae_search import service
    from vae_search.render import show_best
    from vae_search.store.location import open_store

    found = service.best(open_store(store), sweep, count=None if every else count, by=by, every_state=every)
    show_best(found, by=by, as_json=json)


@app.command()
def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="A query over the tables `trials` and `epochs`.")],
    sweep: Annotated[str | None, typer.Option("--sweep", help="Only this sweep; default: all.")] = None,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Ask anything in SQL (DuckDB) over the tables trials and epochs.

    Example: vae-search query "SELECT param_latent_dim, min(neg_elbo) FROM trials GROUP BY ALL ORDER BY 2"
    """
    from vae_search.render import show_query
    from vae_search.store.location import open_store
    from vae_search.store.query import query as ask

    show_query(ask(open_store(store), sql, sweep=sweep), as_json=json)
