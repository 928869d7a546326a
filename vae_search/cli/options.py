"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from vae_search.cli.completion import complete_model, complete_subject, complete_sweep
from vae_search.core.settings import STORE_VARIABLE
from vae_search.errors import InvalidSpec


def _own_store(context: typer.Context, store: str) -> str:
    """The store of a command that cannot ask a service; one in the environment is for other commands.

    Raises:
        InvalidSpec: A service was given all the same.
    """
    if _given(context, "server", of_root=True):
        raise InvalidSpec(f"{_name(context)}: works on the store itself, not through a service. Leave --server out.")
    return store


def _name(context: typer.Context) -> str:
    """Name of a command as it is typed, such as `queue list`."""
    group = context.parent
    return f"{group.info_name} {context.info_name}" if group is not None and group.parent else f"{context.info_name}"


def _store_or_service(context: typer.Context, store: str) -> str:
    """The store that was given, else the service's address: the command line goes before the environment.

    Raises:
        InvalidSpec: Both were given.
    """
    server: str | None = context.find_root().params.get("server")
    # What the command line has comes first, so `address` is known here unless the store was given, too.
    given = [f"--{name}" for name in ("store", "address") if _given(context, name)]
    if server is None or (given and not _given(context, "server", of_root=True)):
        return store
    if given:
        raise InvalidSpec(f"{given[0]} and --server cannot go together. Leave one of them out.")
    return server


def _given(context: typer.Context, name: str, *, of_root: bool = False) -> bool:
    """True if an option stood on the command line: the command's, or that of all commands."""
    source = (context.find_root() if of_root else context).get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _look_in(paths: list[Path] | None) -> list[Path] | None:
    """Let this process look for code from elsewhere there."""
    if paths:
        from vae_search.spec.own_code.code_loading import look_in

        look_in(paths)
    return paths


StoreOption = Annotated[
    str,
    typer.Option(
        "--store",
        envvar=STORE_VARIABLE,
        callback=_own_store,
        help="Folder, s3://bucket/prefix or gs://bucket/prefix, that holds everything.",
        show_default=True,
    ),
]
ServedStoreOption = Annotated[
    str,
    typer.Option(
        "--store",
        envvar=STORE_VARIABLE,
        callback=_store_or_service,
        help="Folder, s3://bucket/prefix or gs://bucket/prefix, that holds everything, if no service is asked.",
        show_default=True,
    ),
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override one key of the spec; repeatable.")
]
CodeOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--code",
        metavar="PATH",
        callback=_look_in,
        help="File, package folder or wheel with networks or metrics of your own; repeatable. Else what is installed "
        "is used, and what VAE_SEARCH_CODE names.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
CsvOption = Annotated[bool, typer.Option("--csv", help="Print CSV with raw values; import foreign text as text.")]
SpecArgument = Annotated[Path, typer.Argument(metavar="SPEC", help="A sweep spec, such as search_spaces/digits.yaml.")]
SweepArgument = Annotated[
    str, typer.Argument(metavar="SWEEP", help="The name of a sweep in the store.", autocompletion=complete_sweep)
]
AddressOption = Annotated[
    str | None,
    typer.Option("--address", help="Train on the cluster of this machine: auto, or HOST:PORT of its head."),
]
InlineOption = Annotated[
    bool,
    typer.Option(
        "--inline", help="In this process, without Ray, one trial at a time: for small searches and debugging."
    ),
]
RefreshOption = Annotated[
    bool, typer.Option("--refresh", help="Fetch images from the web or a bucket anew, whatever is in the cache.")
]
WaitOption = Annotated[
    float | None,
    typer.Option(
        "--wait-for-nodes",
        metavar="SECONDS",
        min=0,
        help="On a cluster: how long to wait for a node that holds a trial. Without it: 20 minutes where an autoscaler "
        "runs, which is asked for nodes; else not at all.",
    ),
]
DispatchAddressOption = Annotated[
    str | None,
    typer.Option("--address", help="Run queued sweeps on a cluster, http://HEAD:8265; default: on this machine."),
]
SweepsAtOnce = Annotated[int, typer.Option("--sweeps-at-once", min=1, help="Queued sweeps that run at once.")]
ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", help="A model: NAME, NAME@champion or NAME:VERSION.", autocompletion=complete_model
    ),
]
SubjectArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL|SWEEP[/TRIAL]",
        help="A model, a trial, or a sweep for its best trial.",
        autocompletion=complete_subject,
    ),
]
OutputOption = Annotated[Path, typer.Option("-o", "--output", help="The PNG to write.")]
