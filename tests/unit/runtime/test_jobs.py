"""Sweeps of one name in two stores are two sweeps of a cluster; Ray's client is a stand-in, the cluster's memory."""

from pathlib import Path
from typing import Any

import pytest
from ray.job_submission import JobDetails, JobStatus, JobType

from vae_search.errors import Conflict, InvalidSpec, NotFound
from vae_search.runtime.cluster import jobs as module
from vae_search.runtime.cluster.job_package import JobPackage, same_store, store_digest
from vae_search.runtime.cluster.jobs import Jobs
from vae_search.spec.sweep_spec import parse_spec

pytestmark = pytest.mark.needs_ray

SPEC = "name: mnist\ndata: {source: digits}\nsearch_space: {latent_dim: 4}\nbudget: {trials: 1, epochs: 1}\n"
MINE, YOURS = "s3://bucket/mine", "s3://bucket/yours"


class RememberingClient:
    """Ray's client of a cluster that runs whatever it is given."""

    def __init__(self, address: str, *, headers: dict[str, str]) -> None:
        self.taken: list[JobDetails] = []

    def list_jobs(self) -> list[JobDetails]:
        return self.taken

    def get_job_info(self, submission_id: str) -> JobDetails:
        return next(job for job in self.taken if job.submission_id == submission_id)

    def submit_job(self, *, submission_id: str, entrypoint: str, metadata: dict[str, str], **_: Any) -> None:
        if any(job.submission_id == submission_id for job in self.taken):
            raise RuntimeError(f"Job with submission_id {submission_id} already exists.")
        self.taken.append(
            JobDetails(
                type=JobType.SUBMISSION,
                submission_id=submission_id,
                status=JobStatus.RUNNING,
                entrypoint=entrypoint,
                metadata=metadata,
                start_time=1000 * len(self.taken),
            )
        )


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> Jobs:
    monkeypatch.setattr(module, "JobSubmissionClient", RememberingClient)
    return Jobs("http://head:8265", token=None)


def package(store: str, *, trials: int = 1) -> JobPackage:
    spec = parse_spec(SPEC, base=Path(), overrides=[f"budget.trials={trials}"])
    return JobPackage(spec=spec, text=SPEC, store=store, images=None)


def test_sweeps_of_one_name_in_two_stores_run_side_by_side(jobs):
    mine, mine_is_new = jobs.submit(package(MINE), lease=1)
    yours, yours_is_new = jobs.submit(package(YOURS, trials=2), lease=1)
    again, again_is_new = jobs.submit(package(f"{MINE}/"), lease=1)

    assert (mine_is_new, yours_is_new, again_is_new) == (True, True, False)
    assert again.submission_id == mine.submission_id == f"mnist-{store_digest(MINE)}-l1-a1"
    assert yours.submission_id == f"mnist-{store_digest(YOURS)}-l1-a1"
    assert len(jobs.all("mnist")) == 2


def test_another_spec_for_the_same_store_is_refused_with_a_command_that_stops_the_right_one(jobs):
    jobs.submit(package(MINE), lease=1)

    with pytest.raises(Conflict, match=f"another spec.\nStop it first: vae-search stop mnist .* --store {MINE}$"):
        jobs.submit(package(MINE, trials=2), lease=1)


def test_a_name_means_its_only_store_and_must_be_told_apart_where_there_are_two(jobs):
    mine, _ = jobs.submit(package(MINE), lease=1)
    alone = jobs.newest("mnist")
    yours, _ = jobs.submit(package(YOURS), lease=1)

    with pytest.raises(InvalidSpec, match=f"{MINE}, {YOURS}. Say which with --store"):
        jobs.newest("mnist")
    assert alone.submission_id == jobs.newest("mnist", store=MINE).submission_id == mine.submission_id
    assert jobs.newest("mnist", store=f"{YOURS}/").submission_id == yours.submission_id
    with pytest.raises(NotFound, match="with --store /elsewhere, but with s3://bucket/mine"):
        jobs.newest("mnist", store="/elsewhere")
    with pytest.raises(NotFound, match="no job of sweep 'other'"):
        jobs.newest("other")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("/shared/store", "file:///shared/store/", True),
        ("s3://bucket/a", "s3://bucket/a/", True),
        ("s3://bucket/a", "s3://bucket/b", False),
    ],
)
def test_a_location_may_be_written_in_several_ways(one, other, same):
    assert same_store(one, other) is same
    assert (store_digest(one) == store_digest(other)) is same
