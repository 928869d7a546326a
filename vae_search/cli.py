"""The command line: parse, call a use case, render. The only place that catches errors and sets exit codes.

Commands import what they need themselves, so that `--help` answers at once.
"""

import io
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer

from vae_search import cli_models
from vae_search.cli_options import (
    DEFAULT_STORE,
    JsonOption,
    SetOption,
    SpecArgument,
    StoreOption,
    SweepArgument,
    cache_folder,
)
from vae_search.errors import VaeSearchError

if TYPE_CHECKING:
    from vae_search.service import SweepStatus
    from vae_search.spec import SweepSpec

app = typer.Typer(
    name="vae-search",
    help="Find the variational autoencoder that is really the best: Optuna suggests, Ray trains, Parquet remembers.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

DEBUG = "VAE_SEARCH_DEBUG"


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", envvar=DEBUG, help="Show tracebacks of errors.")] = False,
) -> None:
    if debug:
        os.environ[DEBUG] = "1"


@app.command()
def init(
    path: Annotated[Path, typer.Argument(metavar="SPEC", help="The file to write.")] = Path("sweep.yaml"),
    name: Annotated[str | None, typer.Option("--name", help="Name of the sweep; default: the file's.")] = None,
) -> None:
    """Write a commented spec to start from.

    Example: vae-search init my-sweep.yaml
    """
    from vae_search.errors import Conflict
    from vae_search.render import say
    from vae_search.spec import parse_spec
    from vae_search.template import template

    text = template(name or re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-") or "sweep")
    parse_spec(text, origin="--name", base=Path())
    try:
        with path.open("xb") as file:
            file.write(text.encode())
    except FileExistsError:
        raise Conflict(f"{path}: exists already and was left as it is. Give another file name.") from None
    except OSError as error:
        raise VaeSearchError(f"{path}: cannot be written: {error.strerror}.") from error
    say(f"Wrote {path}. Try it with: vae-search run {path} --dry-run")


@app.command()
def validate(spec: SpecArgument, overrides: SetOption = None, json: JsonOption = False) -> None:
    """Check a spec and print it with every default filled in.

    Example: vae-search validate search_spaces/digits.yaml --set budget.trials=8
    """
    from vae_search.render import show_spec
    from vae_search.spec import read_spec

    parsed = read_spec(spec, overrides or ())
    _check_limits(parsed)
    show_spec(parsed, as_json=json)


@app.command()
def schema() -> None:
    """Print the JSON Schema of a spec, for editors.

    Example: vae-search schema > sweep.schema.json
    """
    from vae_search.render import show_json
    from vae_search.spec import json_schema

    show_json(json_schema())


@app.command()
def run(
    spec: SpecArgument,
    overrides: SetOption = None,
    store: StoreOption = DEFAULT_STORE,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen, and what it would cost.")] = False,
    json: JsonOption = False,
) -> None:
    """Run a sweep; one that was interrupted goes on where it stopped.

    Example: vae-search run search_spaces/digits.yaml
    """
    from vae_search import service
    from vae_search.live import observer
    from vae_search.render import show_estimate
    from vae_search.spec import read_spec
    from vae_search.store.location import open_store

    parsed = read_spec(spec, overrides or ())
    _check_limits(parsed)  # now, and not after hours of search
    if dry_run:
        show_estimate(service.estimate(parsed, cache=cache_folder()), parsed, as_json=json)
        return
    status = service.run(
        parsed,
        text=spec.read_text(encoding="utf-8"),
        store=open_store(store),
        cache=cache_folder(),
        observer=observer(parsed, quiet=json),
    )
    _show_end(status, store=store, json=json)


@app.command()
def resume(
    sweep: SweepArgument, overrides: SetOption = None, store: StoreOption = DEFAULT_STORE, json: JsonOption = False
) -> None:
    """Continue a sweep with what the store knows of it; the spec's file is not needed.

    Example: vae-search resume digits --set budget.trials=48
    """
    from vae_search import service
    from vae_search.live import observer
    from vae_search.store.location import open_store

    status = service.resume(
        open_store(store),
        sweep,
        overrides=overrides or (),
        cache=cache_folder(),
        observer=lambda spec: observer(spec, quiet=json),
    )
    _show_end(status, store=store, json=json)


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


@app.command()
def stop(sweep: SweepArgument, store: StoreOption = DEFAULT_STORE) -> None:
    """Ask a running sweep to stop; `run` continues it later.

    Example: vae-search stop digits
    """
    from vae_search import service
    from vae_search.render import say
    from vae_search.store.location import open_store

    service.stop(open_store(store), sweep)
    say(f"Asked sweep {sweep} to stop; `vae-search status {sweep}` shows when it has.")


@app.command()
def reproduce(
    trial: Annotated[str, typer.Argument(metavar="SWEEP/TRIAL", help="A finished trial.")],
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Train a finished trial once more and compare every bit with its row.

    Example: vae-search reproduce digits/7
    """
    from vae_search import finished
    from vae_search.render import say
    from vae_search.store.location import open_store

    found = finished.reproduce(
        open_store(store),
        trial,
        cache=cache_folder(),
        on_epoch=lambda epoch: say(f"epoch {epoch.epoch}: neg_elbo {epoch.neg_elbo:.4f}, as recorded"),
    )
    what = "learning curve and weights" if found.weights_compared else "learning curve (its weights were not kept)"
    say(f"{trial} came out again, bit for bit, over {found.epochs} epochs: {what}.")


@app.command()
def verify(
    sweep: Annotated[
        str | None, typer.Argument(metavar="[SWEEP]", help="One sweep; default: all and all models.")
    ] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Set damaged files aside; the numbers of damaged rows stay used.")
    ] = False,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Check every file of a sweep, or of all sweeps and models: seals, hashes, what refers to what.

    Example: vae-search verify digits
    """
    from vae_search import finished
    from vae_search.render_store import show_verifications
    from vae_search.store.location import open_store

    place = open_store(store)
    verifications = finished.verify(place, sweep, repair=repair)
    show_verifications(verifications, [] if sweep else finished.verify_models(place), as_json=json)


@app.command()
def gc(
    sweep: Annotated[str | None, typer.Argument(metavar="[SWEEP]", help="One sweep; default: the whole store.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be removed.")] = False,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Remove what nothing refers to: half-written files, checkpoints of finished trials, weights that fell behind.

    Example: vae-search gc digits --dry-run
    """
    import time

    from vae_search import finished
    from vae_search.render_store import show_cleanings
    from vae_search.store.location import open_store

    done = finished.gc(open_store(store), sweep, dry_run=dry_run, now_s=time.time())
    show_cleanings(done, dry_run=dry_run, as_json=json)


@app.command()
def rm(
    sweep: SweepArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Remove a sweep with all its trials and weights. There is no way back.

    Example: vae-search rm digits --yes
    """
    from vae_search import finished, service
    from vae_search.render import say
    from vae_search.store.location import open_store

    place = open_store(store)
    if not yes:
        trials = service.status(place, sweep).standings.finished
        typer.confirm(f"Remove sweep {sweep} with its {trials} finished trials?", abort=True)
    finished.remove(place, sweep)
    say(f"Removed sweep {sweep}.")


def _check_limits(spec: "SweepSpec") -> None:
    """Refuse limits of gates that do not exist."""
    if spec.promote is not None and spec.promote.limits:
        from vae_search.champions import rules_of

        rules_of(spec)


def _show_end(status: "SweepStatus", *, store: str, json: bool) -> None:
    """What a sweep found, and what became of its best config."""
    from vae_search import champions
    from vae_search.render import show_finished
    from vae_search.render_models import decision_facts, decision_lines
    from vae_search.store.location import open_store

    spec = status.spec
    decision = None
    if spec.promote is not None and status.can_promote:
        decision = champions.promote(open_store(store), spec.name, spec=spec, cache=cache_folder())
    show_finished(
        status,
        store=store,
        promotion=None if decision is None else (decision_facts(decision), decision_lines(decision)),
        as_json=json,
    )


app.add_typer(cli_models.app)


def main() -> NoReturn:
    """Entry point of the console script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without "–" shows "?" instead of a traceback
    try:
        app()
    except VaeSearchError as error:
        if os.environ.get(DEBUG):
            raise
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)
    sys.exit(0)


if __name__ == "__main__":
    main()
