"""Commands on the queue of sweeps: list, add, move, prioritize, hold, release, cancel, run."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from vae_search.cli.options import DispatchAddressOption, JsonOption, SetOption, SpecArgument, StoreOption, SweepsAtOnce
from vae_search.core.settings import DEFAULT_STORE

if TYPE_CHECKING:
    from vae_search.spec.sweep_spec import SpecDocument
    from vae_search.store.backends.base import Store

ABOUT = """Queue sweeps, and work them off one after another.

Example: vae-search queue add search_spaces/digits.yaml
"""

app = typer.Typer()
queue = typer.Typer(no_args_is_help=True, help=ABOUT)
app.add_typer(queue, name="queue")

ItemArgument = Annotated[int, typer.Argument(metavar="ITEM", min=1, help="Number of an item, from the list.")]
PriorityOption = Annotated[int, typer.Option("--priority", help="From -100 to 100; higher ones run first.")]
ReasonOption = Annotated[str | None, typer.Option("--reason", help="Why, for the log.")]


@queue.command("list")
def list_queue(
    everything: Annotated[bool, typer.Option("--all", help="Also what is done or cancelled.")] = False,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """List the queue in its order; higher priorities run first, and owners take turns.

    Example: vae-search queue list
    """
    from vae_search.display.queue import show_queue
    from vae_search.services.queue.orders import listing
    from vae_search.store.backends.uri import open_store

    show_queue(listing(open_store(store), everything=everything, now=_now), as_json=json)


@queue.command()
def add(
    spec: SpecArgument,
    overrides: SetOption = None,
    priority: PriorityOption = 0,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Put a sweep into the queue; it runs once a dispatcher comes to it.

    Example: vae-search queue add search_spaces/digits.yaml --priority 10
    """
    from vae_search.spec.sweep_spec import read_spec
    from vae_search.store.backends.uri import open_store

    add_document(open_store(store), read_spec(spec, overrides or ()), priority=priority, json=json)


@queue.command()
def move(
    item: ItemArgument,
    before: Annotated[
        int | None, typer.Option("--before", metavar="ITEM", min=1, help="Item to stand before; default: last.")
    ] = None,
    reason: ReasonOption = None,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Put an item before another one, or last.

    Example: vae-search queue move 7 --before 3
    """
    _order(store, "move", item, before=before, reason=reason, json=json)


@queue.command()
def prioritize(
    item: ItemArgument,
    priority: PriorityOption,
    reason: ReasonOption = None,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Give an item another priority.

    Example: vae-search queue prioritize 7 --priority 10
    """
    _order(store, "prioritize", item, priority=priority, reason=reason, json=json)


@queue.command()
def hold(
    item: ItemArgument, reason: ReasonOption = None, store: StoreOption = DEFAULT_STORE, json: JsonOption = False
) -> None:
    """Keep an item from running; one that runs is stopped and saves its epochs.

    Example: vae-search queue hold 7 --reason "the cluster is full"
    """
    _order(store, "hold", item, reason=reason, json=json)


@queue.command()
def release(
    item: ItemArgument, reason: ReasonOption = None, store: StoreOption = DEFAULT_STORE, json: JsonOption = False
) -> None:
    """Let an item run again that was held, or parked after it failed.

    Example: vae-search queue release 7
    """
    _order(store, "release", item, reason=reason, json=json)


@queue.command()
def cancel(
    item: ItemArgument, reason: ReasonOption = None, store: StoreOption = DEFAULT_STORE, json: JsonOption = False
) -> None:
    """Never run an item again; what it has stored stays.

    Example: vae-search queue cancel 7
    """
    _order(store, "cancel", item, reason=reason, json=json)


@queue.command()
def run(address: DispatchAddressOption = None, at_once: SweepsAtOnce = 1, store: StoreOption = DEFAULT_STORE) -> None:
    """Work the queue off until Ctrl-C, without a service; drivers that train here then save their epochs.

    Example: vae-search queue run --sweeps-at-once 2
    """
    import threading
    from contextlib import suppress

    from vae_search.display.console import say
    from vae_search.services.queue.dispatch import background_dispatch
    from vae_search.store.backends.uri import open_store

    opened = open_store(store)
    with background_dispatch(opened, address=address, most=at_once) as dispatch:
        dispatch.start()
        try:
            say(f"Working off the queue of {opened.location}. Ctrl-C ends it.")
            with suppress(KeyboardInterrupt):
                threading.Event().wait()
        finally:
            dispatch.stop()


def add_document(store: "Store", document: "SpecDocument", *, priority: int, json: bool) -> None:
    """Queue a spec as this machine's user, and print its item."""
    from vae_search.core.machine import system_user
    from vae_search.display.queue import say_unled, show_item
    from vae_search.services.queue import orders

    item, is_led = orders.add(store, document, actor=system_user(), priority=priority, now=_now)
    show_item(item, as_json=json)
    if not (is_led or json):
        say_unled()


def _order(store: str, action: str, item: int, *, json: bool, **what: object) -> None:
    from vae_search.core.machine import system_user
    from vae_search.display.queue import show_item
    from vae_search.services.queue import orders
    from vae_search.store.backends.uri import open_store

    show_item(orders.order(open_store(store), action, item, actor=system_user(), now=_now, **what), as_json=json)


def _now() -> datetime:
    return datetime.now(UTC)
