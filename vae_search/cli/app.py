"""Command line: parse, call a use case, render. The only place that catches errors and sets exit codes.

Commands import what they need themselves, so that `--help` answers at once.
"""

import io
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO, Annotated, NoReturn

import typer

from vae_search.access.opening import is_service
from vae_search.cli import cluster, doctor, export, maintenance, models, query, run
from vae_search.cli.options import CodeOption, JsonOption, SetOption, SpecArgument
from vae_search.cli.service import control, queue, serve, webhooks
from vae_search.core.settings import (
    PLAIN_HTTP_VARIABLE,
    SERVER_VARIABLE,
    TOKEN_FILE_VARIABLE,
    TOKEN_VARIABLE,
    cache_folder,
    default_store,
)
from vae_search.errors import InvalidSpec, VaeSearchError
from vae_search.version import VERSION

app = typer.Typer(
    name="vae-search",
    help="Find the variational autoencoder that is really the best: Optuna suggests, Ray trains, Parquet remembers.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

DEBUG = "VAE_SEARCH_DEBUG"


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"vae-search {VERSION}")
        raise typer.Exit


def _checked_server(server: str | None) -> str | None:
    if server is not None and not is_service(server):
        raise InvalidSpec("--server: must be the address of a service, http://HOST:8080 or https://HOST.")
    return server


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", envvar=DEBUG, help="Show tracebacks of errors.")] = False,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Print the version and exit.")
    ] = False,
    server: Annotated[
        str | None,
        typer.Option(
            "--server",
            metavar="URL",
            envvar=SERVER_VARIABLE,
            callback=_checked_server,
            help="Ask a service, http://HOST:8080, instead of a store.",
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file",
            metavar="FILE",
            help="The file, of mode 0600, with the token of the service; else VAE_SEARCH_TOKEN has it, or "
            "VAE_SEARCH_TOKEN_FILE names the file.",
        ),
    ] = None,
    allow_plain_http: Annotated[
        bool,
        typer.Option(
            "--allow-plain-http",
            envvar=PLAIN_HTTP_VARIABLE,
            help="Speak http beyond this machine, where others may read the token.",
        ),
    ] = False,
) -> None:
    if debug:
        os.environ[DEBUG] = "1"
    if token_file is not None:
        os.environ.pop(TOKEN_VARIABLE, None)
        os.environ[TOKEN_FILE_VARIABLE] = str(token_file)
    if allow_plain_http:
        os.environ[PLAIN_HTTP_VARIABLE] = "1"


@app.command()
def init(
    path: Annotated[Path, typer.Argument(metavar="SPEC", help="The file to write.")] = Path("sweep.yaml"),
    name: Annotated[str | None, typer.Option("--name", help="Name of the sweep; default: the file's.")] = None,
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="SOURCE", help="Look at these images, and write a spec that fits them."),
    ] = None,
    overrides: SetOption = None,
) -> None:
    """Write a commented spec to start from; with --data one that fits images, with a reason on each line.

    Example: vae-search init my-sweep.yaml --data pictures
    """
    from vae_search.display.console import say
    from vae_search.errors import Conflict
    from vae_search.spec.sweep_spec import parse_spec
    from vae_search.spec.template import template

    name = name or re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-") or "sweep"
    text = template(name)
    parse_spec(text, origin="--name", base=Path())
    if path.exists():  # before images are read, which takes long
        raise Conflict(f"{path}: exists already and was left as it is. Give another file name.")
    if data is not None:
        from vae_search.services.starting.fitted_spec import fitted_spec
        from vae_search.store.backends.uri import open_store

        store = open_store(default_store())
        text = fitted_spec(path, name=name, source=data, overrides=overrides or (), store=store, cache=cache_folder())
    elif overrides:
        raise InvalidSpec("--set: goes with --data; a spec without images to look at is edited by hand.")
    try:
        with path.open("xb") as file:
            file.write(text.encode())
    except FileExistsError:
        raise Conflict(f"{path}: exists already and was left as it is. Give another file name.") from None
    except OSError as error:
        raise VaeSearchError(f"{path}: cannot be written: {error.strerror}.") from error
    say(f"Wrote {path}. Try it with: vae-search run {path} --dry-run")


@app.command()
def validate(
    spec: SpecArgument, overrides: SetOption = None, code: CodeOption = None, json: JsonOption = False
) -> None:
    """Check a spec and print it with every default filled in.

    Example: vae-search validate search_spaces/digits.yaml --set budget.trials=8
    """
    from vae_search.display.console import show_spec
    from vae_search.services.checks.sweep_checks import check_limits
    from vae_search.spec.own_code.code_loading import look_in
    from vae_search.spec.sweep_spec import read_spec

    look_in([spec.absolute().parent])
    document = read_spec(spec, overrides or ())
    check_limits(document.spec)
    show_spec(document.spec, as_json=json)


@app.command()
def schema() -> None:
    """Print the JSON Schema of a spec, for editors.

    Example: vae-search schema > sweep.schema.json
    """
    from vae_search.display.console import show_json
    from vae_search.spec.sweep_spec import json_schema

    show_json(json_schema())


for part in (run, cluster, control, query, maintenance, models, export, queue, serve, webhooks, doctor):
    app.add_typer(part.app)


def main() -> NoReturn:
    """Entry point of the console script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without "–" shows "?" instead of a traceback
    with _signals_interrupt():
        code = _exit_code()
    for stream in (sys.stdout, sys.stderr):
        _flush(stream)
    sys.exit(code)


def _exit_code() -> int:
    try:
        app()
    except VaeSearchError as error:
        if os.environ.get(DEBUG):
            raise
        _tell(f"error: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        _tell("interrupted")
        return 130
    except OSError as error:
        from vae_search.display.console import drop_output

        for stream in (sys.stdout, sys.stderr):
            drop_output(stream, error)  # raises what is no lost reader
        return 1
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _tell(line: str) -> None:
    try:
        sys.stderr.write(f"{line}\n")
    except OSError as error:
        from vae_search.display.console import drop_output

        drop_output(sys.stderr, error)


def _flush(stream: IO[str]) -> None:
    """Write out what is left; at the end of the interpreter it would become an exit code of 120."""
    try:
        stream.flush()
    except OSError as error:
        from vae_search.display.console import drop_output

        drop_output(stream, error)


@contextmanager
def _signals_interrupt() -> Iterator[None]:
    """Inside the block SIGTERM and SIGHUP end a command as Ctrl-C does, so that it leaves nothing behind.

    SIGHUP stays ignored where it is, as under `nohup`. A sweep that trains has handlers of its own.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    numbers = [signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
