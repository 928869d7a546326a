"""Command that checks whether everything is in place: doctor."""

from typing import Annotated

import typer

from vae_search.cli.options import JsonOption, WaitOption

app = typer.Typer()


@app.command()
def doctor(
    address: Annotated[
        str | None,
        typer.Option("--address", metavar="URL", help="A cluster's dashboard, http://HEAD:8265; default: none."),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            "--store",
            envvar="VAE_SEARCH_STORE",
            metavar="URI",
            help="A folder, or s3://bucket/prefix, to try out; default: none.",
        ),
    ] = None,
    cpus: Annotated[int, typer.Option("--cpus-per-trial", min=1, max=1024, help="Cores of the trials to come.")] = 1,
    gpus: Annotated[int, typer.Option("--gpus-per-trial", min=0, max=1024, help="GPUs of the trials to come.")] = 0,
    wait_for_nodes: WaitOption = None,
    json: JsonOption = False,
) -> None:
    """Check versions, token, cluster and store; each line is ok, or trouble with what to do.

    With an address, a short job on the cluster asks every node, and an autoscaler for one if none holds a trial.
    Exit code: 0 all ok, 4 trouble, 7 only the store's.

    Example: vae-search doctor --address http://head:8265 --store s3://bucket/vae
    """
    from vae_search.cli.exit_codes import raise_if_in_trouble
    from vae_search.display.preflight import show_checks, show_waiting
    from vae_search.errors import InvalidSpec
    from vae_search.services.preflight import examine
    from vae_search.spec.sections import Resources

    if wait_for_nodes is not None and address is None:
        raise InvalidSpec("--wait-for-nodes: goes with --address; this machine alone has no other nodes. Leave it out.")
    resources = Resources(cpus_per_trial=cpus, gpus_per_trial=gpus)
    on_wait = _ignore if json else show_waiting
    checks = examine(address, store, resources, wait_s=wait_for_nodes, on_wait=on_wait)
    show_checks(checks, as_json=json)
    raise_if_in_trouble(checks)


def _ignore(what: str) -> None:
    return None
