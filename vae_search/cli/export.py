"""Commands that hand a sweep on to people and other tools: report, export, dashboard."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from vae_search.cli.options import JsonOption, StoreOption, SweepArgument
from vae_search.core.settings import DEFAULT_STORE

app = typer.Typer()


@app.command()
def report(
    sweep: SweepArgument,
    output: Annotated[Path, typer.Option("-o", "--output", help="The HTML file to write.")] = Path("report.html"),
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Write everything that is known of a sweep as one HTML file that needs no network; running sweeps as well.

    Example: vae-search report digits -o digits.html
    """
    from vae_search.cli.exit_codes import raise_if_damaged
    from vae_search.display.console import busy, say
    from vae_search.services import reporting
    from vae_search.store.backends.uri import open_store

    with busy(f"drawing {sweep}"):
        written = reporting.report(open_store(store), sweep, output=output, now=datetime.now(UTC))
    say(f"Wrote {written.path.absolute()}")
    raise_if_damaged(written.damaged)


@app.command()
def export(
    sweep: SweepArgument,
    tensorboard: Annotated[
        Path | None, typer.Option("--tensorboard", metavar="DIR", help="Learning curves as TensorBoard runs.")
    ] = None,
    optuna: Annotated[
        str | None, typer.Option("--optuna", metavar="sqlite:///FILE", help="The sweep as an Optuna study.")
    ] = None,
    csv: Annotated[
        Path | None,
        typer.Option("--csv", metavar="DIR|FILE.csv", help="Trials and epochs as tables; FILE-epochs.csv beside FILE."),
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Write a sweep, running or not, in the forms of other tools. What exists already is never overwritten.

    Example: vae-search export digits --tensorboard runs --optuna sqlite:///digits.db --csv tables
    """
    from vae_search.cli.exit_codes import raise_if_damaged
    from vae_search.display.console import busy, say, show_json
    from vae_search.services import exporting
    from vae_search.store.backends.uri import open_store

    targets = exporting.Targets(tensorboard=tensorboard, optuna=optuna, csv=csv)
    with busy(f"exporting {sweep}"):
        done = exporting.export(open_store(store), sweep, targets)
    if json:
        show_json({"sweep": sweep, "trials": done.trials, "written": [str(path.absolute()) for path in done.paths]})
    else:
        for path in done.paths:
            say(f"Wrote {path.absolute()}")
    raise_if_damaged(done.damaged)


@app.command()
def dashboard(
    sweep: SweepArgument,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes one that is free.")] = 8080,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Show a sweep in optuna-dashboard and follow it while it runs; for this machine only, until Ctrl-C.

    Needs pip install 'vae-search\\[dashboard]'.

    Example: vae-search dashboard digits --port 8080
    """
    import sys

    from vae_search.display.console import say
    from vae_search.services import exporting
    from vae_search.store.backends.uri import open_store

    def ready(address: str) -> None:
        say(f"Sweep {sweep} is at {address} (Ctrl-C ends)")
        sys.stdout.flush()  # whoever reads it through a pipe waits for the address

    exporting.dashboard(open_store(store), sweep, port=port, on_ready=ready)
