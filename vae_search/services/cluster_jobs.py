"""Use cases of a sweep that runs as a job of a Ray cluster: submit, follow, drive."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from vae_search.core.scratch import scratch_folder
from vae_search.core.text import printable
from vae_search.errors import (
    ClusterTrouble,
    Interrupted,
    InvalidSpec,
    StoreUnavailable,
    VaeSearchError,
    kind_of_exit_code,
)
from vae_search.services import sweeps
from vae_search.services.checks.sweep_checks import check_limits
from vae_search.services.images.sent_images import BUCKETS, put, source_of
from vae_search.services.models.sweep_outcome import SweepOutcome
from vae_search.spec.measures.metrics import metrics_code
from vae_search.spec.networks.submitted import code_in_use
from vae_search.spec.own_code.code_loading import provide
from vae_search.store.backends.uri import open_store
from vae_search.store.leases.records import newest_lease

if TYPE_CHECKING:
    from vae_search.runtime.cluster.job_events import JobEvent
    from vae_search.runtime.cluster.job_package import JobPackage
    from vae_search.runtime.cluster.jobs import Job, Jobs
    from vae_search.search.progress import Observer, Progress
    from vae_search.spec.sweep_spec import SweepSpec
    from vae_search.store.backends.base import Store

logger = logging.getLogger(__name__)

START_S = 120.0  # a job has to begin to train; longer where Ray must unpack much


def jobs_of(address: str) -> "Jobs":
    """The sweeps of the cluster at `address`, http://HEAD:8265; warns if the token goes there unencrypted.

    Raises:
        ClusterTrouble: It cannot be used from here; within seconds.
    """
    from vae_search.runtime.cluster.connectivity import HOW_TO_ENCRYPT, IN_THE_CLEAR, check_connectivity
    from vae_search.runtime.cluster.token import find_token

    token = find_token()
    facts = check_connectivity(address, token=token)  # before Ray's client is imported, which takes seconds
    if facts.shows_token:
        logger.warning("%s: %s.\n%s", address, IN_THE_CLEAR, HOW_TO_ENCRYPT)
    from vae_search.runtime.cluster.jobs import Jobs

    return Jobs(address, token=token)


def submit(
    jobs: "Jobs",
    spec: "SweepSpec",
    *,
    text: str,
    store: str,
    upload: bool,
    refresh: bool = False,
    wait_s: float | None = None,
) -> "tuple[Job, bool]":
    """Start a sweep on the cluster, or find it running.

    Args:
        text: the spec as written.
        store: where the cluster keeps it; a folder must be given from its root.
        upload: bring the file or folder that `data.source` names into the store: from here if that can be, else through
            the cluster's head and the driver.
        refresh: let the driver fetch far images anew.
        wait_s: for nodes that are still to come; None: only where an autoscaler brings them.

    Raises:
        InvalidSpec: The store or the images are nothing that a cluster can find, or a gate's limit is wrong.
        VaeSearchError: What `Jobs.submit` raises.
    """
    check_limits(spec)
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
        source = source_of(images)
        spec = spec.model_copy(update={"data": spec.data.model_copy(update={"source": source})})
    jobs.check_capacity(spec.resources, wait_s=wait_s)
    if images is not None and _put_from_here(store, spec.data.source, images):
        images = None
    in_use = {each.package: each for each in (code_in_use(spec.search_space) | metrics_code(spec.metrics)).values()}
    code = tuple(each for each in in_use.values() if not each.is_installed)
    payload = JobPackage(spec=spec, text=text, store=store, images=images, refresh=refresh, code=code)
    return jobs.submit(payload, lease=_next_lease(store, spec.name), wait_s=wait_s)


def under_way(jobs: "Jobs", job: "Job", *, wait_s: float | None, on_phase: Callable[[str], None]) -> "tuple[Job, bool]":
    """Wait until the job trains, or has ended; how it stands, and whether it has begun to train.

    Args:
        wait_s: that its driver waits for nodes.
        on_phase: told what it begins with meanwhile.
    """
    timeout_s = START_S + jobs.patience_s(wait_s)
    return jobs.wait_until_training(job.submission_id, timeout_s=timeout_s, on_phase=on_phase)


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
    kind = kind_of_exit_code(job.exit_code, otherwise=ClusterTrouble)
    raise kind(
        f"job {job.submission_id} failed; its log says why."
        if shown
        else f"job {job.submission_id}: {_cause(jobs, job)}"
    )


def _cause(jobs: "Jobs", job: "Job") -> str:
    """The error that the driver has told, in at most three lines; else the last lines of what it left."""
    from vae_search.runtime.cluster.job_events import FAILED

    errors = [told.message for told in jobs.events(job.submission_id) if told.event == FAILED and told.message]
    if errors:
        lines = errors[-1].splitlines()[:3]
    else:
        left = jobs.log(job.submission_id).strip() or job.message.strip() or "it left no word."
        lines = left.splitlines()[-3:]
    return "\n".join(printable(line, 300) for line in lines)


def drive(
    folder: Path,
    *,
    store: str,
    cache: Path,
    observer: "Callable[[SweepSpec], Observer]",
    refresh: bool = False,
    wait_s: float | None = None,
) -> SweepOutcome:
    """Run the sweep that a job's folder holds, on the cluster that the job belongs to.

    Args:
        wait_s: for nodes that are still to come; None: only where an autoscaler brings them.

    Raises:
        VaeSearchError: What `sweeps.run` raises.
    """
    from vae_search.runtime.cluster.job_package import JobPackage
    from vae_search.runtime.process_state import set_for_job

    with _failure_told():
        payload, place = JobPackage.read(folder, store=store), open_store(store)
        set_for_job()
        for each in payload.code:
            provide(each)
        if payload.parts:
            _take_images(payload, place)
        return sweeps.run(
            payload.spec,
            text=payload.text,
            store=place,
            cache=cache,
            observer=_telling(observer(payload.spec)),
            address="auto",
            refresh=refresh,
            wait_s=wait_s,
        )


def _put_from_here(store: str, source: str, images: Path) -> bool:
    """True if the images are in the cluster's store now. A folder of that name may be another one here."""
    if not store.startswith(BUCKETS):
        return False
    try:
        put(open_store(store), source, images)
    except StoreUnavailable as trouble:
        logger.warning("the images go through the cluster's head, because from here %s", trouble)
        return False
    return True


def _take_images(payload: "JobPackage", store: "Store") -> None:
    """Bring the images that a client has left at the head into the store."""
    from vae_search.runtime.cluster.gcs import take_packages
    from vae_search.runtime.cluster.job_package import unpack_images

    with scratch_folder("images-") as folder:
        received = folder / "received"  # the folder itself holds its owner's lock
        received.mkdir()
        images = unpack_images(take_packages("auto", payload.parts), received)
        put(store, payload.spec.data.source, images)


def _telling(observer: "Observer") -> "Observer":
    """The observer, which tells the job's client as well what begins, and when the first trial comes."""
    from vae_search.runtime.cluster.job_events import PHASE, TRAINING, JobEvent

    def on_phase(phase: str) -> None:
        _tell(JobEvent(event=PHASE, message=phase))
        observer.on_phase(phase)

    @contextmanager
    def watching(progress: "Callable[[], Progress]") -> Iterator[None]:
        _tell(JobEvent(event=TRAINING))
        with observer.watching(progress):
            yield

    return replace(observer, on_phase=on_phase, watching=watching)


@contextmanager
def _failure_told() -> Iterator[None]:
    """Tell the job's client why the block fails, if it does."""
    from vae_search.runtime.cluster.job_events import FAILED, JobEvent

    try:
        yield
    except VaeSearchError as error:
        _tell(JobEvent(event=FAILED, exit_code=error.exit_code, message=str(error)))
        raise


def _tell(event: "JobEvent") -> None:
    from vae_search.runtime.cluster.job_events import line_of

    sys.stdout.write(line_of(event))
    sys.stdout.flush()


def _next_lease(store: str, sweep: str) -> int:
    """The number of the lease that the driver will take, as far as this machine can see the store."""
    try:
        return newest_lease(open_store(store), sweep) + 1
    except VaeSearchError:
        return 1  # it only makes the job's name; the cluster counts attempts with the same
