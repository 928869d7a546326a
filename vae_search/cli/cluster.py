"""Commands for sweeps that run elsewhere, as jobs of a Ray cluster: submit, logs, stop."""

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vae_search.cli.completion import complete_subject
from vae_search.cli.options import (
    CodeOption,
    JsonOption,
    RefreshOption,
    ServedStoreOption,
    SetOption,
    SpecArgument,
    StoreOption,
    SweepArgument,
    WaitOption,
)
from vae_search.cli.run import show_end
from vae_search.core.settings import DEFAULT_STORE, cache_folder

if TYPE_CHECKING:
    from vae_search.runtime.cluster.jobs import Job, Jobs
    from vae_search.services.payloads import Facts
    from vae_search.spec.sweep_spec import SpecDocument

app = typer.Typer()

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # a log may hold what would move the terminal's cursor


@app.command()
def submit(
    spec: SpecArgument,
    address: Annotated[
        str | None, typer.Option("--address", help="The cluster's dashboard, http://HEAD:8265, if no service is asked.")
    ] = None,
    overrides: SetOption = None,
    store: ServedStoreOption = DEFAULT_STORE,
    follow: Annotated[bool, typer.Option("--follow", help="Show what the sweep prints until it ends.")] = False,
    code: CodeOption = None,
    upload_data: Annotated[
        bool, typer.Option("--upload-data", help="Bring the images into the store; else the head has data.source.")
    ] = False,
    refresh: RefreshOption = False,
    wait_for_nodes: WaitOption = None,
    json: JsonOption = False,
) -> None:
    """Run a sweep on a Ray cluster, or from the queue of a service (--server).

    On a cluster the same command again finds it running, or continues it.

    Example: vae-search submit sweep.yaml --address http://head:8265 --store s3://bucket/sweeps --follow
    """
    from vae_search.access.opening import is_service
    from vae_search.display.console import say, show_json
    from vae_search.errors import InvalidSpec
    from vae_search.services.payloads import job_facts
    from vae_search.spec.sweep_spec import read_spec

    document = read_spec(spec, overrides or ())
    if address is None:
        if not is_service(store):
            raise InvalidSpec(
                "submit: needs --address, a cluster's dashboard, or --server, a service, as in "
                f"`vae-search --server http://HOST:8080 submit {spec}`."
            )
        if upload_data or refresh or wait_for_nodes is not None:
            raise InvalidSpec("submit: --upload-data, --refresh and --wait-for-nodes go with --address only.")
        _submit_to_service(document, store, path=spec, follow=follow, json=json)
        return
    from vae_search.services import cluster_jobs

    jobs = cluster_jobs.jobs_of(address)
    job, is_new = cluster_jobs.submit(
        jobs,
        document.spec,
        text=document.text,
        store=store,
        upload=upload_data,
        refresh=refresh,
        wait_s=wait_for_nodes,
    )
    if json:
        show_json(job_facts(job))
    else:
        say(f"Sweep {job.sweep} {'starts' if is_new else 'runs already'} as job {job.submission_id} on {address}.")
    if not follow:
        on_phase = _ignore if json else lambda phase: say(f"{phase} …")
        job, trains = cluster_jobs.under_way(jobs, job, wait_s=wait_for_nodes, on_phase=on_phase)
        if job.active and not json:
            state = "It trains." if trains else "It goes on, but does not train yet."
            say(f"{state} Follow it: vae-search logs {job.sweep} --address {address} --follow")
    else:
        job = jobs.follow(job.submission_id, _write)
    cluster_jobs.raise_if_failed(jobs, job, shown=follow)


@app.command()
def logs(
    sweep: SweepArgument,
    trial: Annotated[int | None, typer.Option("--trial", min=0, help="Only what concerns this trial.")] = None,
    follow: Annotated[bool, typer.Option("--follow", help="With --address: until the job ends.")] = False,
    address: Annotated[
        str | None, typer.Option("--address", help="Ask the cluster, http://HEAD:8265, for what the driver printed.")
    ] = None,
    store: ServedStoreOption = DEFAULT_STORE,
) -> None:
    """Show what the driver and the workers of a sweep wrote down, from the store or from the cluster.

    Example: vae-search logs digits --trial 7
    """
    from vae_search.errors import InvalidSpec

    if address is None:
        if follow:
            raise InvalidSpec("--follow: needs --address; the store's own view is `vae-search watch`.")
        from vae_search.access.opening import open_access

        for text in open_access(store).logs(sweep, trial=trial):
            _write(text)
        return
    from vae_search.services import cluster_jobs

    if trial is not None:
        raise InvalidSpec("--trial: the workers' logs are in the store; leave --address out.")
    jobs = cluster_jobs.jobs_of(address)
    job = jobs.newest(sweep, store=_named(store))
    if follow:
        cluster_jobs.raise_if_failed(jobs, jobs.follow(job.submission_id, _write), shown=True)
    else:
        _write(jobs.log(job.submission_id))


@app.command()
def stop(
    sweep: Annotated[
        str,
        typer.Argument(metavar="SWEEP[/TRIAL]", help="A sweep, or one trial of it.", autocompletion=complete_subject),
    ],
    address: Annotated[
        str | None,
        typer.Option("--address", help="Ask the cluster, http://HEAD:8265, instead of the store."),
    ] = None,
    store: ServedStoreOption = DEFAULT_STORE,
) -> None:
    """Ask a running sweep to stop, which `run` continues later; or let one trial end as it stands.

    Example: vae-search stop digits/42
    """
    from vae_search.access.opening import open_access
    from vae_search.cli.service.control import stop_one_trial
    from vae_search.core.references import parse_trial_reference
    from vae_search.display.console import say
    from vae_search.errors import InvalidSpec

    name, trial = parse_trial_reference(sweep)
    if trial is not None:
        if address is not None:
            raise InvalidSpec("--address: one trial is stopped by the store; leave it out.")
        stop_one_trial(name, trial, store=store)
        return
    if address is not None:
        jobs, job = _running(address, sweep, store=_named(store))
        jobs.stop(job.submission_id)
        say(f"Asked job {job.submission_id} to stop; submit the sweep again to continue it.")
        return
    held = open_access(store).stop(sweep)
    say(f"Asked sweep {sweep} to stop; `vae-search status {sweep}` shows when it has.")
    if held is not None:
        say(f"Item {held['item']} of the queue is held until it is released.")


@app.command(hidden=True)
def drive(
    store: StoreOption = DEFAULT_STORE, refresh: RefreshOption = False, wait_for_nodes: WaitOption = None
) -> None:
    """Run the sweep whose job's folder this is; what `submit` starts on a cluster.

    Example: vae-search drive --store s3://bucket/sweeps
    """
    from vae_search.display.live import observer
    from vae_search.services import cluster_jobs

    outcome = cluster_jobs.drive(
        Path.cwd(),
        store=store,
        cache=cache_folder(),
        observer=lambda spec: observer(spec, quiet=False),
        refresh=refresh,
        wait_s=wait_for_nodes,
    )
    show_end(outcome, store=store, json=False)


def _submit_to_service(document: "SpecDocument", server: str, *, path: Path, follow: bool, json: bool) -> None:
    """Queue a sweep, and follow it to its end if that is wanted.

    Raises:
        VaeSearchError: Why it did not end well, with the exit code of its driver.
    """
    import secrets

    from vae_search.access.opening import open_service
    from vae_search.access.submission import raise_if_unfinished
    from vae_search.cli.exit_codes import raise_if_damaged
    from vae_search.display.console import say, show_json
    from vae_search.display.watch import watch
    from vae_search.errors import NotFound
    from vae_search.spec.from_trial import portable_text

    service = open_service(server)
    item = service.submit(portable_text(document), idempotency_key=secrets.token_hex(16))
    number, sweep = item["item"], item["sweep"]
    if not json:
        say(f"Sweep {sweep} is item {number} of the queue on {server} ({item['state']}).")
    if not follow:
        if json:
            show_json(item)
        else:
            say(f"Watch it, once it runs: vae-search --server {server} watch {sweep}")
        return

    def how_it_stands() -> "Facts":
        try:
            return service.status(sweep)
        except NotFound:  # no driver has come so far as to begin it
            raise_if_unfinished(service.item(number))
            raise

    events = service.events_of_item(number, sweep=sweep)
    status = watch(sweep, events, how_it_stands, resume=f"vae-search submit {path}", as_json=json)
    raise_if_unfinished(service.item(number))
    raise_if_damaged(status["damaged"])


def _named(store: str) -> str | None:
    """The store that the user has named; None if it is only the default of this machine."""
    return None if store == DEFAULT_STORE else store


def _running(address: str, sweep: str, *, store: str | None) -> "tuple[Jobs, Job]":
    from vae_search.errors import NotFound
    from vae_search.services import cluster_jobs

    jobs = cluster_jobs.jobs_of(address)
    job = jobs.newest(sweep, store=store)
    if not job.active:
        raise NotFound(f"sweep {sweep}: its last job, {job.submission_id}, has ended: {job.status}.")
    return jobs, job


def _ignore(phase: str) -> None:
    return None


def _write(text: str) -> None:
    sys.stdout.write(_CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text))
    sys.stdout.flush()
