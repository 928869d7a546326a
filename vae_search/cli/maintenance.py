"""Commands on what a store holds: reproduce, verify, gc, rm."""

from typing import Annotated

import typer

from vae_search.cli.completion import complete_sweep, complete_trial
from vae_search.cli.options import JsonOption, StoreOption, SweepArgument
from vae_search.core.settings import DEFAULT_STORE, cache_folder

app = typer.Typer()


@app.command()
def reproduce(
    trial: Annotated[
        str, typer.Argument(metavar="SWEEP/TRIAL", help="A finished trial.", autocompletion=complete_trial)
    ],
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Train a finished trial once more and compare every bit with its row.

    Example: vae-search reproduce digits/7
    """
    from vae_search.display.console import say
    from vae_search.services.checks import reproduction
    from vae_search.store.backends.uri import open_store

    again = reproduction.reproduce(
        open_store(store),
        trial,
        cache=cache_folder(),
        on_epoch=lambda epoch: say(f"epoch {epoch.epoch}: neg_elbo {epoch.neg_elbo:.4f}, as recorded"),
    )
    compared = "learning curve and weights" if again.weights_compared else "learning curve (its weights were not kept)"
    say(f"{trial} came out again, bit for bit, over {again.epochs} epochs: {compared}.")


@app.command()
def verify(
    sweep: Annotated[
        str | None,
        typer.Argument(
            metavar="[SWEEP]", help="One sweep; default: all and all models.", autocompletion=complete_sweep
        ),
    ] = None,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Set damaged files aside; the numbers of damaged rows stay used. Serve each model's champion.",
        ),
    ] = False,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Check every file of a sweep, or of all sweeps and models: seals, hashes, what refers to what.

    Example: vae-search verify digits
    """
    from vae_search.cli.exit_codes import raise_if_still_damaged
    from vae_search.display.console import busy
    from vae_search.display.maintenance import show_verifications
    from vae_search.services import maintenance
    from vae_search.store.backends.uri import open_store

    opened = open_store(store)
    with busy("reading every file"):
        verifications = maintenance.verify(opened, sweep, repair=repair)
    models = [] if sweep else maintenance.verify_models(opened, repair=repair)
    show_verifications(verifications, models, as_json=json)
    raise_if_still_damaged(verifications, models)


@app.command()
def gc(
    sweep: Annotated[
        str | None,
        typer.Argument(metavar="[SWEEP]", help="One sweep; default: the whole store.", autocompletion=complete_sweep),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be removed.")] = False,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Remove what nothing refers to: half-written files, old checkpoints, weights that fell behind, refused versions.

    Example: vae-search gc digits --dry-run
    """
    import time

    from vae_search.display.maintenance import show_cleanings
    from vae_search.services import maintenance
    from vae_search.store.backends.uri import open_store

    done = maintenance.gc(open_store(store), sweep, dry_run=dry_run, now_s=time.time())
    show_cleanings(done, dry_run=dry_run, as_json=json)


@app.command()
def rm(
    sweep: SweepArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Also if its driver's machine is silent: you know that it is gone.")
    ] = False,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Remove a sweep with all its trials and weights. There is no way back.

    Example: vae-search rm digits --yes
    """
    from vae_search.display.console import say
    from vae_search.services import maintenance
    from vae_search.store.backends.uri import open_store

    opened = open_store(store)
    if not yes:
        trials = maintenance.trials_to_remove(opened, sweep)
        typer.confirm(f"Remove sweep {sweep} with its {trials} finished trials?", abort=True)
    maintenance.remove(opened, sweep, take_over=take_over)
    say(f"Removed sweep {sweep}.")
