"""Commands that ask the store: status, best, compare, query, watch."""

from collections.abc import Mapping
from typing import Annotated

import typer

from vae_search.cli.completion import complete_sweep
from vae_search.cli.options import CsvOption, JsonOption, ServedStoreOption, StoreOption, SweepArgument
from vae_search.core.settings import DEFAULT_STORE, QUERY_TIMEOUT_S, SERVED_QUERY_TIMEOUT_S
from vae_search.errors import InvalidSpec, NotFound

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
    store: ServedStoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Show how sweeps stand.

    Example: vae-search status digits
    """
    if address is not None:
        from vae_search.display.console import show_jobs, show_json
        from vae_search.services import cluster_jobs
        from vae_search.services.payloads import job_facts

        facts = [job_facts(job) for job in cluster_jobs.jobs_of(address).all(sweep)]
        show_json(facts) if json else show_jobs(facts)
        return
    from vae_search.access.opening import open_access
    from vae_search.cli.exit_codes import raise_if_damaged
    from vae_search.display.console import say, show_statuses, warn
    from vae_search.display.maintenance import show_status
    from vae_search.display.models import waiting_lines

    access = open_access(store)
    if sweep:
        status = access.status(sweep, details=True)
        show_status(status, as_json=json)
        for line in () if json or status["awaited"] is None else waiting_lines(status["awaited"], sweep=sweep):
            say(line)
        raise_if_damaged(status["damaged"])
        return
    found = access.statuses()
    show_statuses(found["items"], as_json=json, has_troubles=bool(found["troubles"]))
    for remark in found["remarks"]:
        warn(remark)
    raise_if_damaged([path for status in found["items"] for path in status["damaged"]], troubles=found["troubles"])


@app.command()
def best(
    sweep: SweepArgument,
    count: Annotated[
        int | None, typer.Option("-n", min=1, help="How many to show; default: 5, with --all or --pareto all of them.")
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            "--by",
            help="objective (default; confirmed first), neg_elbo, instability, train_flops, or metric_NAME.",
        ),
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
    store: ServedStoreOption = DEFAULT_STORE,
) -> None:
    """Show the best configs of a sweep.

    Example: vae-search best digits -n 3 --where "param_latent_dim < 32 AND active_units > 8"
    """
    from vae_search.access.opening import open_access
    from vae_search.cli.exit_codes import raise_if_damaged
    from vae_search.display.leaderboard import PARETO, show_best, show_spec_file

    _refuse_pairs(
        {"--json": json, "--csv": csv, "--spec": spec},
        {"--pareto": pareto, "--by": by is not None},
        {"--pareto": pareto, "--all": every},
        {"--spec": spec, "--pareto": pareto},  # a front has no best one
        {"--spec": spec, "--all": every},
        {"--spec": spec, "-n": count is not None},
    )
    access = open_access(store)
    order = by or "objective"
    shown = 1 if spec else count or (None if every or pareto else DEFAULT_COUNT)
    ranking = access.best(sweep, count=shown, by=order, every_state=every, pareto=pareto, where=where)
    if spec:
        from vae_search.spec.from_trial import spec_of_config, to_yaml

        if not ranking["items"]:
            raise NotFound(f"sweep {sweep}: no such trial has completed yet, so there is no config to write.")
        config = spec_of_config(access.latest_spec(sweep), ranking["items"][0]["params"])
        show_spec_file(to_yaml(config), ranking, by=order)
    else:
        show_best(ranking, by=PARETO if pareto else order, form=_form(json=json, csv=csv))
    raise_if_damaged(ranking["damaged"])


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
    from vae_search.cli.exit_codes import raise_if_damaged
    from vae_search.display.comparison import show_comparison
    from vae_search.services import comparison
    from vae_search.store.backends.uri import open_store

    compared = comparison.compare(open_store(store), sweep)
    show_comparison(compared, as_json=json)
    raise_if_damaged(compared.damaged)


@app.command()
def query(
    sql: Annotated[
        str, typer.Argument(metavar="SQL", help="A SELECT over the tables trials, epochs, finalists, front and models.")
    ],
    sweep: Annotated[
        str | None,
        typer.Option("--sweep", help="Only this sweep; default: all.", autocompletion=complete_sweep),
    ] = None,
    timeout_s: Annotated[
        float | None,
        typer.Option(
            "--timeout-s",
            min=0.1,
            help=f"Stop the SQL after so many seconds; default: {QUERY_TIMEOUT_S:g}, of a service "
            f"{SERVED_QUERY_TIMEOUT_S:g}, which is its most.",
        ),
    ] = None,
    csv: CsvOption = False,
    json: JsonOption = False,
    store: ServedStoreOption = DEFAULT_STORE,
) -> None:
    """Ask anything in SQL (DuckDB): finished trials, their epochs, confirm runs (finalists), who is on the
    front of a Pareto sweep, versions of models.

    Example: vae-search query "SELECT param_latent_dim, min(neg_elbo) FROM trials GROUP BY ALL ORDER BY 2"
    """
    from vae_search.access.opening import open_access
    from vae_search.cli.exit_codes import raise_if_damaged
    from vae_search.display.leaderboard import show_query

    _refuse_pairs({"--json": json, "--csv": csv})
    result = open_access(store).query(sql, sweep=sweep, timeout_s=timeout_s)
    show_query(result, form=_form(json=json, csv=csv))
    raise_if_damaged(result.damaged)


@app.command()
def watch(sweep: SweepArgument, store: ServedStoreOption = DEFAULT_STORE, json: JsonOption = False) -> None:
    """Watch a sweep that runs elsewhere until it ends; Ctrl-C leaves it alone.

    Example: vae-search watch digits
    """
    from vae_search.access.opening import is_service, open_access
    from vae_search.cli.exit_codes import raise_if_damaged
    from vae_search.display.leaderboard import store_option
    from vae_search.display.watch import watch as follow

    access = open_access(store)
    # A service runs what is queued; its client has no `resume`.
    resume = "vae-search submit SPEC" if is_service(store) else f"vae-search resume {sweep}{store_option(store)}"
    status = follow(sweep, access.events(sweep), lambda: access.status(sweep), resume=resume, as_json=json)
    raise_if_damaged(status["damaged"])


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
