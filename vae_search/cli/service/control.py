"""Commands to a sweep while it runs: enqueue, change. `stop SWEEP/TRIAL` stands beside `stop SWEEP`."""

from typing import TYPE_CHECKING, Annotated

import typer

from vae_search.cli.options import ServedStoreOption, SweepArgument
from vae_search.core.settings import DEFAULT_STORE

if TYPE_CHECKING:
    from vae_search.services.payloads import Facts

app = typer.Typer()


@app.command()
def enqueue(
    sweep: SweepArgument,
    config: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME=VALUE]...", help="Values by parameter; the sampler draws the others."),
    ] = None,
    store: ServedStoreOption = DEFAULT_STORE,
) -> None:
    """Have a config tried next, beside those of the sampler.

    Example: vae-search enqueue digits latent_dim=8 beta=1.0
    """
    from vae_search.access.opening import open_access
    from vae_search.display.console import say
    from vae_search.spec.document import named_values

    told = open_access(store).enqueue(sweep, named_values(config or ()))
    say(f"Sweep {sweep}: the config is tried next (command {told['command']}). {_who(told, sweep, store)}")


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
    store: ServedStoreOption = DEFAULT_STORE,
) -> None:
    """Change settings of a sweep while it runs.

    Example: vae-search change digits --set resources.concurrency=4 --set budget.trials=80
    """
    from vae_search.access.opening import open_access
    from vae_search.display.console import say
    from vae_search.spec.document import named_values

    told = open_access(store).change(sweep, named_values(settings))
    say(f"Sweep {sweep}: {', '.join(settings)} (command {told['command']}). {_who(told, sweep, store)}")


def stop_one_trial(sweep: str, trial: int, *, store: str) -> None:
    """Let one trial end as it stands, and say so."""
    from vae_search.access.opening import open_access
    from vae_search.display.console import say

    told = open_access(store).stop_trial(sweep, trial)
    number = told["command"]
    say(f"Trial {sweep}/{trial} ends after its present epoch (command {number}). {_who(told, sweep, store)}")


def _who(told: "Facts", sweep: str, store: str) -> str:
    """Say who carries a command out."""
    from vae_search.access.opening import is_service

    if told["driven"]:
        return "Its driver carries that out within seconds."
    how = "" if is_service(store) else f": `vae-search resume {sweep}`"  # a client of a service has no `resume`
    return f"Nobody runs it now; its next driver carries that out{how}."
