"""Use cases of a sweep that runs as a job of a Ray cluster: submit, follow, drive."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from vae_search.core.text import printable
from vae_search.errors import (
    BadData,
    ClusterTrouble,
    Conflict,
    Interrupted,
    InvalidSpec,
    StoreUnavailable,
    SweepFailed,
    VaeSearchError,
)
from vae_search.services import sweeps
from vae_search.services.datasets import put, source_of
from vae_search.store.backends.uri import open_store
from vae_search.store.leases.records import newest_lease

if TYPE_CHECKING:
    from vae_search.runtime.cluster.jobs import Job, Jobs
    from vae_search.search.progress import Observer
    from vae_search.spec.sweep_spec import SweepSpec

START_S = 120.0  # a job has to begin to train; longer where Ray must unpack much
TRAINING = "training \N{HORIZONTAL ELLIPSIS}"
"""What a driver prints when its cluster is joined and every node writes to the store."""
KINDS = (InvalidSpec, BadData, ClusterTrouble, Conflict, SweepFailed, StoreUnavailable, Interrupted)


def jobs_of(address: str) -> "Jobs":
    """The sweeps of the cluster at `address`, http://HEAD:8265.

    Raises:
        ClusterTrouble: It cannot be used from here; within seconds.
    """
    from vae_search.runtime.cluster.connectivity import check_connectivity
    from vae_search.runtime.cluster.token import find_token

    token = find_token()
    check_connectivity(address, token=token)  # before Ray's client is imported, which takes seconds
    from vae_search.runtime.cluster.jobs import Jobs

    return Jobs(address, token=token)


def submit(jobs: "Jobs", spec: "SweepSpec", *, text: str, store: str, upload: bool) -> "tuple[Job, bool]":
    """Start a sweep on the cluster, or find it running.

    Args:
        text: the spec as written.
        store: where the cluster keeps it; a folder must be given from its root.
        upload: send the file or folder that `data.source` names along.

    Raises:
        InvalidSpec: The store or the images are nothing that a cluster can find, or a gate's limit is wrong.
        VaeSearchError: What `Jobs.submit` raises.
    """
    sweeps.check_limits(spec)
    from vae_search.runtime.cluster.job_package import JobPackage

    if "://" not in store.removeprefix("file://") and not Path(store.removeprefix("file://")).is_absolute():
        raise InvalidSpec(
            f"--store {store}: must be s3://bucket/prefix, or a folder that all nodes share, from its root: "
            f"on a cluster, {store!r} would be another one on each machine."
        )
    images = None
    if upload:
        images = Path(spec.data.source)
        if not images.is_absolute():
            raise InvalidSpec(f"--upload-data: data.source must be a file or folder, but is {spec.data.source}.")
        spec = spec.model_copy(update={"data": spec.data.model_copy(update={"source": source_of(images)})})
    jobs.check_capacity(spec.resources)
    payload = JobPackage(spec=spec, text=text, store=store, images=images)
    return jobs.submit(payload, lease=_next_lease(store, spec.name))


def under_way(jobs: "Jobs", job: "Job") -> "Job":
    """Wait until the job trains, or has ended."""
    return jobs.wait_until(job.submission_id, TRAINING, timeout_s=START_S)


def raise_if_failed(jobs: "Jobs", job: "Job", *, shown: bool) -> None:
    """Raise what ended a job, as if it had run here.

    Args:
        shown: whether its log has been shown, so that the cause need not be repeated.

    Raises:
        VaeSearchError: With the exit code of the job's driver.
    """
    if job.active or job.status == "SUCCEEDED":
        return
    if job.status == "STOPPED":
        raise Interrupted(f"job {job.submission_id} was stopped. The same command again continues the sweep.")
    kind: type[VaeSearchError] = next((kind for kind in KINDS if kind.exit_code == job.exit_code), ClusterTrouble)
    told = jobs.log(job.submission_id).strip() or job.message.strip() or "it left no word."
    lines = [printable(line, 300) for line in told.splitlines()]
    start = next((n for n in range(len(lines) - 1, -1, -1) if lines[n].startswith("error: ")), len(lines) - 3)
    cause = "\n".join(line.removeprefix("error: ") for line in lines[max(start, 0) :][:3])
    raise kind(f"job {job.submission_id} failed; its log says why." if shown else f"job {job.submission_id}: {cause}")


def drive(folder: Path, *, store: str, cache: Path, observer: "Callable[[SweepSpec], Observer]") -> sweeps.SweepOutcome:
    """Run the sweep that a job's folder holds, on the cluster that the job belongs to.

    Raises:
        VaeSearchError: What `sweeps.run` raises.
    """
    from vae_search.runtime.cluster.job_package import JobPackage

    payload, opened = JobPackage.read(folder, store=store), open_store(store)
    os.chdir("/")  # Ray unpacks the job's folder anew when it makes the workers' environment, and this one is gone
    if payload.images is not None:
        put(opened, payload.spec.data.source, payload.images)
    return sweeps.run(
        payload.spec, text=payload.text, store=opened, cache=cache, observer=observer(payload.spec), address="auto"
    )


def _next_lease(store: str, sweep: str) -> int:
    """The number of the lease that the driver will take, as far as this machine can see the store."""
    try:
        return newest_lease(open_store(store), sweep) + 1
    except VaeSearchError:
        return 1  # it only makes the job's name; the cluster counts attempts with the same
