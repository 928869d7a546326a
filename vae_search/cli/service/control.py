"""Commands to a sweep while it runs: enqueue, change. `stop SWEEP/TRIAL` stands beside `stop SWEEP`."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from vae_search.cli.options import StoreOption, SweepArgument
from vae_search.core.settings import DEFAULT_STORE

if TYPE_CHECKING:
    from vae_search.store.backends.base import Store

app = typer.Typer()


@app.command()
def enqueue(
    sweep: SweepArgument,
    config: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME=VALUE]...", help="Values by parameter; the sampler draws the others."),
    ] = None,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Have a config tried next, beside those of the sampler.

    Example: vae-search enqueue digits latent_dim=8 beta=1.0
    """
    from vae_search.core.machine import system_user
    from vae_search.display.console import say
    from vae_search.services.control.commands import enqueue_config
    from vae_search.spec.document import named_values
    from vae_search.store.backends.uri import open_store

    opened = open_store(store)
    params = named_values(config or ())
    number = enqueue_config(opened, sweep, params, actor=system_user(), now=lambda: datetime.now(UTC))
    say(f"Sweep {sweep}: the config is tried next (command {number}). {_who(opened, sweep)}")


@app.command()
def change(
    sweep: SweepArgument,
    settings: Annotated[
        list[str],
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A new value of budget.trials, budget.minutes or resources.concurrency; repeatable.",
        ),
    ],
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Change settings of a sweep while it runs.

    Example: vae-search change digits --set resources.concurrency=4 --set budget.trials=80
    """
    from vae_search.core.machine import system_user
    from vae_search.display.console import say
    from vae_search.services.control.commands import change_settings
    from vae_search.spec.document import named_values
    from vae_search.store.backends.uri import open_store

    opened = open_store(store)
    wanted = named_values(settings)
    number = change_settings(opened, sweep, wanted, actor=system_user(), now=lambda: datetime.now(UTC))
    say(f"Sweep {sweep}: {', '.join(settings)} (command {number}). {_who(opened, sweep)}")


def stop_one_trial(sweep: str, trial: int, *, store: str) -> None:
    """Let one trial end as it stands, and say so."""
    from vae_search.core.machine import system_user
    from vae_search.display.console import say
    from vae_search.services.control.commands import stop_trial
    from vae_search.store.backends.uri import open_store

    opened = open_store(store)
    number = stop_trial(opened, sweep, trial, actor=system_user(), now=lambda: datetime.now(UTC))
    say(f"Trial {sweep}/{trial} ends after its present epoch (command {number}). {_who(opened, sweep)}")


def _who(opened: "Store", sweep: str) -> str:
    """Say who carries a command out."""
    from vae_search.services.control.commands import is_driven

    if is_driven(opened, sweep):
        return "Its driver carries that out within seconds."
    return f"Nobody runs it now; its next driver carries that out: `vae-search resume {sweep}`."
