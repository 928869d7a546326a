"""Commands for sweeps that run elsewhere, as jobs of a Ray cluster: submit, logs, stop."""

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vae_search.cli.completion import complete_subject
from vae_search.cli.options import (
    JsonOption,
    RefreshOption,
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

app = typer.Typer()

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # a log may hold what would move the terminal's cursor


@app.command()
def submit(
    spec: SpecArgument,
    address: Annotated[str, typer.Option("--address", help="The cluster's dashboard, http://HEAD:8265.")],
    overrides: SetOption = None,
    store: StoreOption = DEFAULT_STORE,
    follow: Annotated[bool, typer.Option("--follow", help="Show what the sweep prints until it ends.")] = False,
    upload_data: Annotated[
        bool, typer.Option("--upload-data", help="Bring the images into the store; else the head has data.source.")
    ] = False,
    refresh: RefreshOption = False,
    wait_for_nodes: WaitOption = None,
    json: JsonOption = False,
) -> None:
    """Run a sweep on a Ray cluster; the same command again finds it running, or continues it.

    Example: vae-search submit sweep.yaml --address http://head:8265 --store s3://bucket/sweeps --follow
    """
    from vae_search.display.console import say, show_json
    from vae_search.services import cluster_jobs
    from vae_search.services.payloads import job_facts
    from vae_search.spec.sweep_spec import read_spec

    document = read_spec(spec, overrides or ())
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
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Show what the driver and the workers of a sweep wrote down, from the store or from the cluster.

    Example: vae-search logs digits --trial 7
    """
    from vae_search.errors import InvalidSpec
    from vae_search.services import cluster_jobs

    if address is None:
        if follow:
            raise InvalidSpec("--follow: needs --address; the store's own view is `vae-search watch`.")
        from vae_search.store.backends.uri import open_store
        from vae_search.store.ledger.logs import log_lines

        for line in log_lines(open_store(store), sweep, trial=trial):
            _write(line + "\n")
        return
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
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Ask a running sweep to stop, which `run` continues later; or let one trial end as it stands.

    Example: vae-search stop digits/42
    """
    from vae_search.cli.service.control import stop_one_trial
    from vae_search.core.references import parse_trial_reference
    from vae_search.display.console import say
    from vae_search.errors import InvalidSpec
    from vae_search.services import sweeps
    from vae_search.store.backends.uri import open_store

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
    sweeps.stop(open_store(store), sweep)
    say(f"Asked sweep {sweep} to stop; `vae-search status {sweep}` shows when it has.")


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
