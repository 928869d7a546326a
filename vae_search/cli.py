"""The command line: parse, call a use case, render. The only place that catches errors and sets exit codes.

Commands import what they need themselves, so that `--help` answers at once.
"""

import io
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from vae_search import cli_ask, cli_doctor, cli_models, cli_report, cli_store
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
def stop(sweep: SweepArgument, store: StoreOption = DEFAULT_STORE) -> None:
    """Ask a running sweep to stop; `run` continues it later.

    Example: vae-search stop digits
    """
    from vae_search import service
    from vae_search.render import say
    from vae_search.store.location import open_store

    service.stop(open_store(store), sweep)
    say(f"Asked sweep {sweep} to stop; `vae-search status {sweep}` shows when it has.")


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


for part in (cli_ask, cli_store, cli_models, cli_report, cli_doctor):
    app.add_typer(part.app)


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
