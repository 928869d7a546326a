"""Commands of the service: serve, token."""

from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from vae_search.cli.options import DispatchAddressOption, JsonOption, StoreOption, SweepsAtOnce
from vae_search.core.settings import DEFAULT_STORE
from vae_search.errors import InvalidSpec

ABOUT_TOKENS = """Make, list and revoke the tokens of the service.

Example: vae-search token create ada --role submitter --tokens tokens.json
"""

app = typer.Typer()
token = typer.Typer(no_args_is_help=True, help=ABOUT_TOKENS)
app.add_typer(token, name="token")

TokensOption = Annotated[Path, typer.Option("--tokens", metavar="FILE", help="The file of the tokens' hashes.")]


@app.command()
def serve(
    store: StoreOption = DEFAULT_STORE,
    host: Annotated[str, typer.Option("--host", help="Listen on it; beyond this machine only with --tokens.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: a free one.")] = 8080,
    tokens: Annotated[
        Path | None,
        typer.Option("--tokens", metavar="FILE", help="Who may do what; without it, whoever reaches the loopback."),
    ] = None,
    data_roots: Annotated[
        list[str] | None,
        typer.Option(
            "--data-root", metavar="DIR", help="Data that specs may name: a folder, or how addresses begin; repeatable."
        ),
    ] = None,
    address: DispatchAddressOption = None,
    at_once: SweepsAtOnce = 1,
    trusted: Annotated[
        list[str] | None,
        typer.Option("--trusted-host", metavar="NAME", help="A further name of the service; repeatable."),
    ] = None,
    webhooks: Annotated[
        Path | None,
        typer.Option("--webhooks", metavar="FILE", help="Whom to tell of ends, promotions and the like; mode 0600."),
    ] = None,
) -> None:
    """Serve a store over HTTP: its sweeps, models and queue.

    Example: vae-search serve --store vae-store --tokens tokens.json
    """
    missing = [name for name in ("fastapi", "uvicorn") if find_spec(name) is None]
    if missing:
        raise InvalidSpec(f"serve: needs {', '.join(missing)}. Install it with: pip install 'vae-search[web]'")
    from vae_search.display.console import say
    from vae_search.server.app import create_app
    from vae_search.server.http_server import http_server, listening, trusted_names
    from vae_search.server.service import Options
    from vae_search.server.submissions import DataRoots
    from vae_search.server.tokens import TokenFile
    from vae_search.services.queue.dispatch import background_dispatch
    from vae_search.services.webhooks.hooks_file import HooksFile
    from vae_search.services.webhooks.sender import Sender
    from vae_search.store.backends.uri import location_everywhere, open_store

    hosts = trusted_names(host, trusted=trusted or (), has_tokens=tokens is not None)
    file = None if tokens is None else TokenFile(tokens)
    if file is not None:
        file.records()  # a file that cannot be used is told now
    opened = open_store(store)
    hooks = None if webhooks is None else HooksFile(webhooks)
    if hooks is not None:
        hooks.hooks()  # likewise
    sender = None if hooks is None else Sender(opened, hooks)
    with background_dispatch(opened, address=address, most=at_once, beside=sender) as dispatch:
        options = Options(
            background=dispatch,
            store=opened,
            location=location_everywhere(opened),
            tokens=file,
            hosts=hosts,
            roots=DataRoots.parse(data_roots or ()),
            address=address,
        )
        socket = listening(host, port)
        server = http_server(create_app(options))
        shown = f"[{host}]" if ":" in host else host
        say(f"Serving {opened.location} on http://{shown}:{socket.getsockname()[1]}. Ctrl-C ends it.")
        with suppress(KeyboardInterrupt):  # uvicorn has ended in order, and passes the signal on
            server.run(sockets=[socket])


@token.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who it is for; stands in the logs.")],
    role: Annotated[str, typer.Option("--role", help="viewer, submitter or approver.")],
    tokens: TokensOption,
) -> None:
    """Make a token and print it once.

    Example: vae-search token create ada --role submitter --tokens tokens.json
    """
    from datetime import UTC, datetime

    from vae_search.server.tokens import Role, TokenFile

    if role not in [*Role]:
        raise InvalidSpec(f"--role {role}: must be one of {', '.join(Role)}.")
    typer.echo(TokenFile(tokens).create(name, Role(role), now=datetime.now(UTC)))


@token.command("list")
def list_tokens(tokens: TokensOption, json: JsonOption = False) -> None:
    """List the names and roles of the tokens.

    Example: vae-search token list --tokens tokens.json
    """
    from vae_search.display.console import console, show_json
    from vae_search.display.tables import show_table
    from vae_search.server.tokens import TokenFile

    records = TokenFile(tokens).records()
    if json:
        show_json([{"name": each.name, "role": each.role, "created_at": each.created_at} for each in records])
        return
    show_table(console(), ["name", "role", "created"], [[each.name, each.role, each.created_at] for each in records])


@token.command()
def revoke(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name.")],
    tokens: TokensOption,
) -> None:
    """Make a token useless, from the next request on.

    Example: vae-search token revoke ada --tokens tokens.json
    """
    from vae_search.server.tokens import TokenFile

    TokenFile(tokens).revoke(name)
