"""Sweeps as jobs of a Ray cluster: submit, find, follow, stop, through Ray's Jobs API.

What is sent is data: the spec, and the images if the user asks for it. The program that runs there is this package.
"""

import asyncio
import logging
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.resources import files

import requests
from aiohttp import ClientError
from ray.job_submission import JobDetails, JobStatus, JobSubmissionClient

from vae_search.core.scratch import OWNER, scratch_folder
from vae_search.errors import ClusterTrouble, Conflict, InvalidSpec, NotFound
from vae_search.runtime.cluster.connectivity import cluster_nodes, may_grow
from vae_search.runtime.cluster.job_events import PHASE, TRAINING, JobEvent, LineFilter, events_in, without_events
from vae_search.runtime.cluster.job_package import JobPackage, image_parts, leave_packages, same_store, store_digest
from vae_search.runtime.process_state import without_addresses
from vae_search.search.capacity import AUTOSCALER_S, check_capacity
from vae_search.search.driver_lifecycle import WORKERS_LEAVE_S
from vae_search.spec.sections import Resources

logger = logging.getLogger(__name__)

SWEEP, STORE, SPEC = "vae_search_sweep", "vae_search_store", "vae_search_spec_sha256"  # keys of a job's metadata
LEAVE_S = int(WORKERS_LEAVE_S) + 48  # that a driver which is asked to stop has, before Ray kills it
POLL_S = 0.5
OVER = (JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.STOPPED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One attempt of a sweep on a cluster."""

    submission_id: str
    sweep: str
    store: str
    status: str
    """PENDING, RUNNING, STOPPED, SUCCEEDED or FAILED, as Ray says"""
    message: str
    started_at_s: float | None
    """since 1970"""
    exit_code: int | None
    """of its driver, once that has ended"""

    @property
    def active(self) -> bool:
        """True until it has ended."""
        return JobStatus(self.status) not in OVER


class Jobs:
    """The sweeps of one cluster.

    Args:
        address: of its dashboard, http://HEAD:8265.
        token: see `token.find_token`.

    Raises:
        ClusterTrouble: It does not answer; `connectivity.check_connectivity` finds out why, and sooner.
    """

    def __init__(self, address: str, *, token: str | None) -> None:
        self.address = address
        self._token = token
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        with self._answering(), without_addresses():
            self._client = JobSubmissionClient(address, headers=headers)
        for name in ("dashboard.modules.dashboard_sdk", "dashboard.modules.job.sdk", "_private.runtime_env.packaging"):
            logging.getLogger(f"ray.{name}").setLevel(logging.WARNING)  # they tell of every package and connection

    def check_capacity(self, resources: Resources, *, wait_s: float | None) -> None:
        """Refuse a trial that would wait for ever, unless nodes may come; its driver looks more closely.

        Args:
            wait_s: for nodes that are still to come; None where an autoscaler would have to bring them.

        Raises:
            ClusterTrouble: No node could ever hold it.
        """
        if self.patience_s(wait_s):
            return
        check_capacity(cluster_nodes(self.address, token=self._token), resources)

    def patience_s(self, wait_s: float | None) -> float:
        """Seconds that a driver waits for a node that holds a trial.

        Args:
            wait_s: what it is told; None: that for an autoscaler, if one may run.
        """
        if wait_s is not None:
            return wait_s
        return AUTOSCALER_S if may_grow(self.address, token=self._token) else 0.0

    def all(self, sweep: str | None = None) -> list[Job]:
        """The jobs of a sweep, or of all, that this cluster remembers, the newest first."""
        with self._answering():
            listed = self._client.list_jobs()
        of_sweeps = [_job(details) for details in listed if SWEEP in (details.metadata or {})]
        found = [job for job in of_sweeps if sweep in (None, job.sweep)]
        return sorted(found, key=lambda job: job.started_at_s or 0.0, reverse=True)

    def newest(self, sweep: str, *, store: str | None = None) -> Job:
        """The last job of a sweep.

        Args:
            store: where its results are; needed only where sweeps of this name run into several stores.

        Raises:
            NotFound: This cluster remembers none.
            InvalidSpec: The name alone may mean several sweeps.
        """
        found = self.all(sweep)
        stores = sorted({job.store for job in found})
        if store is not None:
            found = [job for job in found if same_store(job.store, store)]
        if not found:
            elsewhere = "" if not stores else f" with --store {store}, but with {', '.join(stores)}"
            raise NotFound(f"{self.address}: this cluster knows no job of sweep {sweep!r}{elsewhere}.")
        if not all(same_store(job.store, found[0].store) for job in found):
            raise InvalidSpec(
                f"sweep {sweep}: this cluster knows sweeps of this name in several stores: {', '.join(stores)}. "
                "Say which with --store."
            )
        return found[0]

    def submit(self, payload: JobPackage, *, lease: int, wait_s: float | None = None) -> tuple[Job, bool]:
        """Start a sweep on the cluster, or find it running: submitting twice is one sweep.

        Args:
            lease: the number that its driver is expected to get; a part of the job's name.
            wait_s: that its driver waits for nodes; None for what it does by itself.

        Returns:
            The job, and whether it is a new one.

        Raises:
            Conflict: It runs there with another spec.
            ClusterTrouble: The cluster does not take it.
        """
        before = self._of(payload)
        for job in before:
            if job.active:
                return self._same(job, payload), False
        prefix = f"{payload.sweep}-{store_digest(payload.store)}-l{lease}-a"
        submission_id = f"{prefix}{1 + sum(job.submission_id.startswith(prefix) for job in before)}"
        if payload.images is not None:
            payload = replace(
                payload, parts=leave_packages(self.address, image_parts(payload.images), token=self._token)
            )
        with scratch_folder("job-") as folder, self._answering():
            payload.write(folder)
            try:
                self._client.submit_job(
                    # Ray redirects what it prints to the job's log; without -u it would come in blocks.
                    entrypoint=shlex.join(_driver(payload, wait_s)),
                    submission_id=submission_id,
                    runtime_env={
                        "working_dir": str(folder),
                        "py_modules": [str(files("vae_search"))],
                        "excludes": ["__pycache__", OWNER],
                        "env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(LEAVE_S)},
                    },
                    metadata={SWEEP: payload.sweep, STORE: payload.store, SPEC: payload.sha256},
                )
            except (RuntimeError, ValueError) as error:
                for job in self._of(payload):
                    if job.active:  # somebody was faster with the same name
                        return self._same(job, payload), False
                raise ClusterTrouble(f"{self.address}: the job was not taken: {_first_line(error)}") from error
        return self.job(submission_id), True

    def job(self, submission_id: str) -> Job:
        """The job as it stands now."""
        with self._answering():
            return _job(self._client.get_job_info(submission_id))

    def log(self, submission_id: str) -> str:
        """All that a job's driver has printed for people."""
        return without_events(self._log(submission_id))

    def events(self, submission_id: str) -> list[JobEvent]:
        """All that a job's driver has told for programs, the first event first."""
        return events_in(self._log(submission_id))

    def stop(self, submission_id: str) -> None:
        """Ask a job's driver to save what it trains and to leave."""
        with self._answering():
            self._client.stop_job(submission_id)

    def wait_until_training(
        self, submission_id: str, *, timeout_s: float, on_phase: Callable[[str], None]
    ) -> tuple[Job, bool]:
        """Wait until a job trains, or has ended, or the time is over; how it stands then, and whether it has trained.

        Args:
            on_phase: told what the job's driver begins with meanwhile.
        """
        give_up_s = time.monotonic() + timeout_s
        told = 0
        while True:
            job = self.job(submission_id)
            events = self.events(submission_id)
            for event in events[told:]:
                if event.event == PHASE and event.message:
                    on_phase(event.message)
            told = len(events)
            trains = any(event.event == TRAINING for event in events)
            if trains or not job.active or time.monotonic() > give_up_s:
                return job, trains
            time.sleep(POLL_S)

    def follow(self, submission_id: str, show: Callable[[str], None]) -> Job:
        """Show what a job prints until it ends; a connection that breaks is made again.

        Raises:
            ClusterTrouble: The cluster does not answer any more. The job may well go on.
        """
        taken, lines = 0, LineFilter()

        async def tail() -> None:
            nonlocal taken
            seen = 0  # on this connection, which begins with the first line again
            async for text in self._client.tail_job_logs(submission_id):
                if seen + len(text) > taken:
                    show(lines.take(text[max(0, taken - seen) :]))
                seen += len(text)
                taken = max(taken, seen)

        while True:
            try:
                asyncio.run(tail())
            except (RuntimeError, ClientError, OSError) as error:
                logger.info("the log's connection broke: %s", error)
            job = self.job(submission_id)
            if not job.active:
                show(lines.take(self._log(submission_id)[taken:]) + lines.rest())
                return job
            time.sleep(POLL_S)

    def _log(self, submission_id: str) -> str:
        with self._answering():
            return str(self._client.get_job_logs(submission_id))

    def _of(self, payload: JobPackage) -> list[Job]:
        """Jobs of this very sweep, the newest first: a sweep of the same name in another store is another one."""
        return [job for job in self.all(payload.sweep) if same_store(job.store, payload.store)]

    def _same(self, job: Job, payload: JobPackage) -> Job:
        """A running job, if it does what is asked for."""
        with self._answering():
            metadata = self._client.get_job_info(job.submission_id).metadata or {}
        if metadata.get(SPEC) != payload.sha256:
            raise Conflict(
                f"sweep {payload.sweep}: runs on {self.address} as {job.submission_id} with another spec.\n"
                f"Stop it first: vae-search stop {payload.sweep} --address {self.address} "
                f"--store {shlex.quote(job.store)}"
            )
        return job

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Turn what Ray's client raises when a cluster goes away into one line."""
        try:
            yield
        except (requests.RequestException, ConnectionError, RuntimeError) as error:
            raise ClusterTrouble(f"{self.address}: {_first_line(error)}") from error


def _driver(payload: JobPackage, wait_s: float | None) -> list[str]:
    options = ["--refresh"] if payload.refresh else []
    options += [] if wait_s is None else ["--wait-for-nodes", f"{wait_s:g}"]
    return ["python", "-u", "-m", "vae_search", "drive", "--store", payload.store, *options]


def _job(details: JobDetails) -> Job:
    metadata = details.metadata or {}
    return Job(
        submission_id=details.submission_id or "",
        sweep=metadata.get(SWEEP, ""),
        store=metadata.get(STORE, ""),
        status=str(details.status.value),
        message=details.message or "",
        started_at_s=None if details.start_time is None else details.start_time / 1000,
        exit_code=details.driver_exit_code,
    )


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)[:300]
