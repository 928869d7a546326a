"""The command that writes a sweep's report."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from vae_search.cli_options import DEFAULT_STORE, StoreOption, SweepArgument

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
    from vae_search import reporting
    from vae_search.render import busy, say, warn_of_damage
    from vae_search.store.location import open_store

    with busy(f"drawing {sweep}"):
        written = reporting.report(open_store(store), sweep, output=output, now=datetime.now(UTC))
    say(f"Wrote {written.path.absolute()}")
    warn_of_damage(written.damaged)
