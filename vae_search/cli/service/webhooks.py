"""Commands on webhooks: what was not delivered, and the order to deliver it again."""

from typing import Annotated

import typer

from vae_search.cli.options import JsonOption, StoreOption
from vae_search.core.settings import DEFAULT_STORE

ABOUT = """List the deliveries of webhooks that wait or were given up, and deliver one again.

Example: vae-search webhook list
"""

app = typer.Typer()
webhook = typer.Typer(no_args_is_help=True, help=ABOUT)
app.add_typer(webhook, name="webhook")


@webhook.command("list")
def list_webhooks(store: StoreOption = DEFAULT_STORE, json: JsonOption = False) -> None:
    """List the hooks, and the deliveries that wait or were given up.

    Example: vae-search webhook list
    """
    from vae_search.display.console import console, show_json, warn
    from vae_search.display.maintenance import show_webhooks
    from vae_search.services.webhooks.outboxes import webhooks_facts
    from vae_search.store.backends.uri import open_store

    found = webhooks_facts(open_store(store))
    if json:
        show_json(found)
        return
    show_webhooks(console(), found)
    for hook in found:
        if hook["damaged"]:
            warn(hook["damaged"])


@webhook.command()
def redeliver(
    event: Annotated[str, typer.Argument(metavar="ID", help="Id of an event, from `webhook list`.")],
    hook: Annotated[str | None, typer.Option("--hook", help="Only to this one; default: all.")] = None,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Deliver an event again, with the same id and body; the service that leads the queue does it.

    Example: vae-search webhook redeliver evt_0123456789abcdef
    """
    from datetime import UTC, datetime

    from vae_search.core.machine import system_user
    from vae_search.display.console import say
    from vae_search.services.webhooks.outboxes import redeliver as ask
    from vae_search.store.backends.uri import open_store

    hooks = ask(open_store(store), event, hook=hook, actor=system_user(), now=datetime.now(UTC))
    say(f"{event} is delivered again to: {', '.join(hooks)}.")
