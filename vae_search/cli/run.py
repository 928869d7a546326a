"""Commands that run a sweep on this machine, or on the cluster that it is a node of: run, resume, fork."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vae_search.cli.options import (
    AddressOption,
    CodeOption,
    InlineOption,
    JsonOption,
    RefreshOption,
    SetOption,
    SpecArgument,
    StoreOption,
    SweepArgument,
    WaitOption,
)
from vae_search.core.settings import DEFAULT_STORE, cache_folder

if TYPE_CHECKING:
    from vae_search.services.models.sweep_outcome import SweepOutcome

app = typer.Typer()


@app.command()
def run(
    spec: SpecArgument,
    overrides: SetOption = None,
    code: CodeOption = None,
    store: StoreOption = DEFAULT_STORE,
    address: AddressOption = None,
    inline: InlineOption = False,
    refresh: RefreshOption = False,
    wait_for_nodes: WaitOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen, and what it would cost.")] = False,
    json: JsonOption = False,
) -> None:
    """Run a sweep; one that was interrupted goes on where it stopped.

    Example: vae-search run search_spaces/digits.yaml
    """
    from vae_search.display.console import output_without_reader, show_estimate
    from vae_search.display.live import observer
    from vae_search.services import sweeps
    from vae_search.spec.own_code.code_loading import look_in
    from vae_search.spec.sweep_spec import read_spec
    from vae_search.store.backends.uri import open_store

    look_in([spec.absolute().parent])
    document = read_spec(spec, overrides or ())
    if dry_run:
        estimate = sweeps.estimate(document.spec, store=open_store(store), cache=cache_folder(), refresh=refresh)
        show_estimate(estimate, document.spec, as_json=json)
        return
    with output_without_reader():  # a sweep that stops because its terminal was closed has epochs to save
        outcome = sweeps.run(
            document.spec,
            text=document.text,
            store=open_store(store),
            cache=cache_folder(),
            observer=observer(document.spec, quiet=json),
            address=address,
            inline=inline,
            refresh=refresh,
            wait_s=wait_for_nodes,
        )
        show_end(outcome, store=store, json=json)


@app.command()
def resume(
    sweep: SweepArgument,
    overrides: SetOption = None,
    code: CodeOption = None,
    store: StoreOption = DEFAULT_STORE,
    address: AddressOption = None,
    inline: InlineOption = False,
    refresh: RefreshOption = False,
    wait_for_nodes: WaitOption = None,
    json: JsonOption = False,
) -> None:
    """Continue a sweep with what the store knows of it; the spec's file is not needed.

    Example: vae-search resume digits --set budget.trials=48
    """
    from vae_search.display.console import output_without_reader
    from vae_search.display.live import observer
    from vae_search.services import sweeps
    from vae_search.store.backends.uri import open_store

    with output_without_reader():
        outcome = sweeps.resume(
            open_store(store),
            sweep,
            overrides=overrides or (),
            cache=cache_folder(),
            observer=lambda spec: observer(spec, quiet=json),
            address=address,
            inline=inline,
            refresh=refresh,
            wait_s=wait_for_nodes,
        )
        show_end(outcome, store=store, json=json)


@app.command()
def fork(
    sweep: SweepArgument,
    name: Annotated[str, typer.Argument(metavar="NEW", help="Name of the fork.")],
    overrides: SetOption = None,
    spec: Annotated[
        Path | None,
        typer.Option("--spec", metavar="FILE", help="Spec of the fork; default: the sweep's, with what --set changes."),
    ] = None,
    code: CodeOption = None,
    queue: Annotated[bool, typer.Option("--queue", help="Put it into the queue instead of running it here.")] = False,
    store: StoreOption = DEFAULT_STORE,
    address: AddressOption = None,
    inline: InlineOption = False,
    refresh: RefreshOption = False,
    wait_for_nodes: WaitOption = None,
    json: JsonOption = False,
) -> None:
    """Search another space or budget with what a sweep has found: the sampler knows its completed trials that fit.

    Example: vae-search fork digits digits-wide --set "search_space.latent_dim={type: int, low: 8, high: 128}"
    """
    from vae_search.display.console import say
    from vae_search.display.maintenance import fork_sentence
    from vae_search.services.control.forking import fork as make_fork
    from vae_search.spec.own_code.code_loading import look_in
    from vae_search.spec.sweep_spec import read_spec
    from vae_search.store.backends.uri import open_store

    opened = open_store(store)
    if spec is not None:
        look_in([spec.absolute().parent])
    given = None if spec is None else read_spec(spec).spec
    made = make_fork(opened, sweep, name, overrides=overrides or (), spec=given)
    if not json:
        say(fork_sentence(made))
    if queue:
        from vae_search.cli.service.queue import add_document
        from vae_search.spec.sweep_spec import SpecDocument

        add_document(opened, SpecDocument(spec=made.spec, text=made.text), priority=0, json=json)
        return
    resume(
        name,
        None,
        store=store,
        address=address,
        inline=inline,
        refresh=refresh,
        wait_for_nodes=wait_for_nodes,
        json=json,
    )


def show_end(outcome: "SweepOutcome", *, store: str, json: bool) -> None:
    """Print the outcome of a sweep, and name what was damaged."""
    from vae_search.cli.exit_codes import raise_if_damaged
    from vae_search.display.leaderboard import show_finished

    show_finished(outcome, store=store, as_json=json)
    raise_if_damaged(outcome.status.damaged)
