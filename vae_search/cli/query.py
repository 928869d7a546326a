"""The commands that ask the store: how sweeps stand and go on, which configs are best, anything in SQL."""

from collections.abc import Mapping
from typing import Annotated, Literal

import typer

from vae_search.cli.completion import complete_sweep
from vae_search.cli.options import CsvOption, JsonOption, StoreOption, SweepArgument
from vae_search.core.settings import DEFAULT_STORE
from vae_search.errors import InvalidSpec

app = typer.Typer()

DEFAULT_COUNT = 5  # of the best trials


@app.command()
def status(
    sweep: Annotated[
        str | None,
        typer.Argument(metavar="[SWEEP]", help="One sweep; default: all of them.", autocompletion=complete_sweep),
    ] = None,
    address: Annotated[
        str | None, typer.Option("--address", help="Ask the cluster, http://HEAD:8265, instead of the store.")
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Show how sweeps stand.

    Example: vae-search status digits
    """
    if address is not None:
        from vae_search.display.console import show_jobs, show_json
        from vae_search.services import cluster_jobs

        facts = [cluster_jobs.facts(job) for job in cluster_jobs.jobs_of(address).all(sweep)]
        show_json(facts) if json else show_jobs(facts)
        return
    from vae_search.display.console import show_statuses
    from vae_search.display.maintenance import show_status
    from vae_search.services import sweep_status
    from vae_search.store.backends.uri import open_store
    from vae_search.store.maintenance.disk_usage import usage

    place = open_store(store)
    if sweep:
        show_status(sweep_status.status(place, sweep), usage(place, sweep), as_json=json)
    else:
        show_statuses(*sweep_status.statuses(place), as_json=json)


@app.command()
def best(
    sweep: SweepArgument,
    count: Annotated[
        int | None, typer.Option("-n", min=1, help="How many to show; default: 5, with --all or --pareto all of them.")
    ] = None,
    by: Annotated[
        Literal["objective", "neg_elbo", "instability", "train_flops"] | None,
        typer.Option("--by", help="What to rank by, least first; default: objective, confirmed configs first."),
    ] = None,
    where: Annotated[
        str | None, typer.Option("--where", metavar="SQL", help="Only trials whose row meets this condition.")
    ] = None,
    pareto: Annotated[
        bool, typer.Option("--pareto", help="Those that no other beats in neg_elbo, instability and train_flops.")
    ] = False,
    every: Annotated[bool, typer.Option("--all", help="Show pruned and failed trials as well.")] = False,
    spec: Annotated[bool, typer.Option("--spec", help="Print a spec that trains the best config again.")] = False,
    csv: CsvOption = False,
    json: JsonOption = False,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Show the best configs of a sweep.

    Example: vae-search best digits -n 3 --where "param_latent_dim < 32 AND active_units > 8"
    """
    from vae_search.display.leaderboard import PARETO, show_best, show_spec_file
    from vae_search.services import queries
    from vae_search.store.backends.uri import open_store

    _refuse_pairs(
        {"--json": json, "--csv": csv, "--spec": spec},
        {"--pareto": pareto, "--by": by is not None},
        {"--pareto": pareto, "--all": every},
        {"--spec": spec, "--pareto": pareto},  # a front has no best one
        {"--spec": spec, "--all": every},
        {"--spec": spec, "-n": count is not None},
    )
    place = open_store(store)
    if pareto:
        found = queries.pareto(place, sweep, count=count, where=where)
        show_best(found, by=PARETO, form=_form(json=json, csv=csv))
        return
    shown = count or (None if every else DEFAULT_COUNT)
    order = by or "objective"
    found = queries.best(place, sweep, count=1 if spec else shown, by=order, every_state=every, where=where)
    if spec:
        from vae_search.spec.from_trial import to_yaml

        show_spec_file(to_yaml(queries.best_spec(found, place)), found, by=order)
    else:
        show_best(found, by=order, form=_form(json=json, csv=csv))


@app.command()
def compare(
    sweep: Annotated[
        list[str], typer.Argument(metavar="SWEEP…", help="Two or more sweeps.", autocompletion=complete_sweep)
    ],
    json: JsonOption = False,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Show the best config of several sweeps beside each other, best first.

    Sweeps of one task are compared in nats, likelihoods of the same grey or coloured images in bits per dimension.

    Example: vae-search compare fashion-8bit fashion-8bit-gaussian
    """
    from vae_search.display.comparison import show_comparison
    from vae_search.services import comparison
    from vae_search.store.backends.uri import open_store

    show_comparison(comparison.compare(open_store(store), sweep), as_json=json)


@app.command()
def query(
    sql: Annotated[
        str, typer.Argument(metavar="SQL", help="A SELECT over the tables trials, epochs, finalists, front and models.")
    ],
    sweep: Annotated[
        str | None,
        typer.Option("--sweep", help="Only this sweep; default: all.", autocompletion=complete_sweep),
    ] = None,
    csv: CsvOption = False,
    json: JsonOption = False,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Ask anything in SQL (DuckDB): finished trials, their epochs, confirm runs (finalists), who is on the
    front of a Pareto sweep, versions of models.

    Example: vae-search query "SELECT param_latent_dim, min(neg_elbo) FROM trials GROUP BY ALL ORDER BY 2"
    """
    from vae_search.display.leaderboard import show_query
    from vae_search.services.sql import ask
    from vae_search.store.backends.uri import open_store

    _refuse_pairs({"--json": json, "--csv": csv})
    show_query(ask(open_store(store), sql, sweep=sweep), form=_form(json=json, csv=csv))


@app.command()
def watch(sweep: SweepArgument, store: StoreOption = DEFAULT_STORE, json: JsonOption = False) -> None:
    """Watch a sweep that runs elsewhere until it ends; Ctrl-C leaves it alone.

    Example: vae-search watch digits
    """
    from vae_search.display.leaderboard import store_option
    from vae_search.display.watch import watch as follow
    from vae_search.store.backends.uri import open_store

    follow(open_store(store), sweep, resume=f"vae-search resume {sweep}{store_option(store)}", as_json=json)


def _form(*, json: bool, csv: bool) -> str:
    return "json" if json else "csv" if csv else "table"


def _refuse_pairs(*exclusive: Mapping[str, bool]) -> None:
    """Refuse options that make no sense together, in one line.

    Raises:
        InvalidSpec: Two of one group were given.
    """
    for group in exclusive:
        given = [name for name, is_given in group.items() if is_given]
        if len(given) > 1:
            raise InvalidSpec(f"{given[0]} and {given[1]} cannot go together. Leave one of them out.")
