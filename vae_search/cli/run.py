"""The commands that run a sweep on this machine or the cluster that it is a node of, and that stop one."""

from typing import TYPE_CHECKING, Annotated

import typer

from vae_search.cli.options import (
    AddressOption,
    InlineOption,
    JsonOption,
    SetOption,
    SpecArgument,
    StoreOption,
    SweepArgument,
)
from vae_search.core.settings import DEFAULT_STORE, cache_folder

if TYPE_CHECKING:
    from vae_search.services.sweep_status import SweepStatus
    from vae_search.spec.sweep_spec import SweepSpec

app = typer.Typer()


@app.command()
def run(
    spec: SpecArgument,
    overrides: SetOption = None,
    store: StoreOption = DEFAULT_STORE,
    address: AddressOption = None,
    inline: InlineOption = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen, and what it would cost.")] = False,
    json: JsonOption = False,
) -> None:
    """Run a sweep; one that was interrupted goes on where it stopped.

    Example: vae-search run search_spaces/digits.yaml
    """
    from vae_search.display.console import show_estimate
    from vae_search.display.live import observer
    from vae_search.services import sweeps
    from vae_search.spec.sweep_spec import read_spec
    from vae_search.store.backends.uri import open_store

    parsed = read_spec(spec, overrides or ())
    check_limits(parsed)  # now, and not after hours of search
    if dry_run:
        show_estimate(sweeps.estimate(parsed, cache=cache_folder()), parsed, as_json=json)
        return
    status = sweeps.run(
        parsed,
        text=spec.read_text(encoding="utf-8"),
        store=open_store(store),
        cache=cache_folder(),
        observer=observer(parsed, quiet=json),
        address=address,
        inline=inline,
    )
    show_end(status, store=store, json=json)


@app.command()
def resume(
    sweep: SweepArgument,
    overrides: SetOption = None,
    store: StoreOption = DEFAULT_STORE,
    address: AddressOption = None,
    inline: InlineOption = False,
    json: JsonOption = False,
) -> None:
    """Continue a sweep with what the store knows of it; the spec's file is not needed.

    Example: vae-search resume digits --set budget.trials=48
    """
    from vae_search.display.live import observer
    from vae_search.services import sweeps
    from vae_search.store.backends.uri import open_store

    status = sweeps.resume(
        open_store(store),
        sweep,
        overrides=overrides or (),
        cache=cache_folder(),
        observer=lambda spec: observer(spec, quiet=json),
        address=address,
        inline=inline,
    )
    show_end(status, store=store, json=json)


def check_limits(spec: "SweepSpec") -> None:
    """Refuse limits of gates that do not exist."""
    if spec.promote is not None and spec.promote.limits:
        from vae_search.services.models.lifecycle import policy_of

        policy_of(spec)


def show_end(status: "SweepStatus", *, store: str, json: bool) -> None:
    """What a sweep found, and what became of its best config."""
    from vae_search.display.console import busy
    from vae_search.display.leaderboard import show_finished
    from vae_search.display.models import decision_facts, decision_lines
    from vae_search.services.models import lifecycle
    from vae_search.store.backends.uri import open_store

    spec = status.spec
    decision = None
    if spec.promote is not None and status.can_promote:
        with busy(f"judging the finalists of {spec.name}"):
            decision = lifecycle.promote(open_store(store), spec.name, spec=spec, cache=cache_folder())
    show_finished(
        status,
        store=store,
        promotion=None if decision is None else (decision_facts(decision), decision_lines(decision)),
        as_json=json,
    )
