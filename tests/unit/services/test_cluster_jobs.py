"""A sweep handed to a cluster: what is refused before it goes, and how its end is told. The cluster is given."""

from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.support.dashboards import http_server
from vae_search.errors import (
    BadData,
    ClusterTrouble,
    Conflict,
    Interrupted,
    InvalidSpec,
    NotPromoted,
    StoreUnavailable,
    SweepFailed,
    VaeSearchError,
)
from vae_search.runtime.cluster.connectivity import MODE, VERSION
from vae_search.runtime.cluster.job_events import FAILED, PHASE, TRAINING, JobEvent, events_in, line_of, without_events
from vae_search.runtime.cluster.job_package import JobPackage
from vae_search.runtime.cluster.jobs import Job
from vae_search.search.progress import Observer
from vae_search.services import cluster_jobs
from vae_search.services.images.sent_images import source_of
from vae_search.spec.sweep_spec import SweepSpec, parse_spec
from vae_search.store.backends.uri import open_store
from vae_search.store.leases.lease import acquire

pytestmark = pytest.mark.needs_ray

SPEC = """\
name: small
data: {source: digits, binarize: threshold}
search_space: {latent_dim: 4}
budget: {trials: 1, epochs: 1}
"""
TRACEBACK = "training …\nTraceback (most recent call last):\n  File x\nKeyError: 'a'\n"


def spec(source: str = "digits") -> SweepSpec:
    read = parse_spec(SPEC, base=Path("/"))
    return read.model_copy(update={"data": read.data.model_copy(update={"source": source})})


def failed(message: str) -> str:
    return line_of(JobEvent(event=FAILED, exit_code=3, message=message))


def job(*, status: str = "FAILED", exit_code: int | None = 1, message: str = "") -> Job:
    return Job(
        submission_id="small-l1-a1",
        sweep="small",
        store="/shared",
        status=status,
        message=message,
        started_at_s=0.0,
        exit_code=exit_code,
    )


@dataclass
class Cluster:
    """What a cluster is told, and the log that it answers with."""

    printed: str = ""
    taken: list[tuple[JobPackage, int]] = field(default_factory=list)

    def log(self, submission_id: str) -> str:
        return without_events(self.printed)

    def events(self, submission_id: str) -> list[JobEvent]:
        return events_in(self.printed)

    def check_capacity(self, resources, *, wait_s):
        """There is room for everything."""

    def submit(self, payload: JobPackage, *, lease: int, wait_s: float | None) -> tuple[Job, bool]:
        self.taken.append((payload, lease))
        return job(status="PENDING", exit_code=None), True


def submitted(spec: SweepSpec, store: str, *, upload: bool = False) -> tuple[JobPackage, int]:
    cluster = Cluster()
    cluster_jobs.submit(cluster, spec, text=SPEC, store=store, upload=upload)
    return cluster.taken[0]


@pytest.mark.parametrize("store", ["sweeps", "./sweeps", "~/sweeps", "../x", "file://sweeps", ""])
def test_a_store_that_is_another_on_each_machine_is_refused(store):
    cluster = Cluster()

    with pytest.raises(InvalidSpec, match="--store") as refused:
        cluster_jobs.submit(cluster, spec(), text=SPEC, store=store, upload=False)

    assert len(str(refused.value).splitlines()) == 1
    assert cluster.taken == []


@pytest.mark.parametrize("store", ["/shared/sweeps", "file:///shared/sweeps", "s3://bucket/sweeps"])
def test_one_that_all_machines_see_goes_along_with_the_spec_as_it_is(store, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "not an address")  # what this machine cannot see may be seen from there

    payload, lease = submitted(spec(), store)

    assert (payload.spec, payload.text, payload.store, payload.images, lease) == (spec(), SPEC, store, None, 1)


def test_a_job_is_named_after_the_lease_that_its_driver_will_take(tmp_path):
    store = open_store(str(tmp_path))
    for _ in range(2):
        acquire(store, "small").release()

    assert submitted(spec(), str(tmp_path))[1] == 3


def test_images_that_are_sent_are_named_by_their_content_whatever_their_name(tmp_path):
    images = tmp_path / "of 2026: #1, 'best' {all}.npz"
    images.write_bytes(b"images")

    payload, _ = submitted(spec(str(images)), "/shared", upload=True)

    assert payload.images == images
    assert payload.spec.data == spec(source_of(images)).data
    assert payload.spec.data.source.endswith(f"/{images.name}")


def test_images_go_straight_into_a_bucket_that_this_machine_reaches(s3_location, tmp_path):
    images = tmp_path / "x.npz"
    images.write_bytes(b"images")

    payload, _ = submitted(spec(str(images)), s3_location, upload=True)

    assert payload.images is None
    (path,) = open_store(s3_location).list("images")
    assert open_store(s3_location).read(path) == b"images"
    submitted(spec(str(images)), s3_location, upload=True)  # and what is there is not sent again


@pytest.mark.slow
def test_images_go_through_the_head_where_the_bucket_cannot_be_reached_from_here(s3_location, monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    images = tmp_path / "x.npz"
    images.write_bytes(b"images")

    payload, _ = submitted(spec(str(images)), s3_location, upload=True)

    assert payload.images == images


def test_a_refresh_travels_with_the_job():
    cluster = Cluster()

    cluster_jobs.submit(cluster, spec(), text=SPEC, store="/shared", upload=False, refresh=True)

    assert cluster.taken[0][0].refresh


@pytest.mark.parametrize(
    ("source", "error", "says"),
    [
        ("digits", InvalidSpec, "must be a file or folder, but is digits"),
        ("s3://bucket/x.npz", InvalidSpec, "must be a file or folder"),
        ("/nowhere/x.npz", BadData, "/nowhere/x.npz: cannot be read"),
    ],
)
def test_only_what_lies_here_can_be_sent(source, error, says):
    with pytest.raises(error, match=says):
        submitted(spec(source), "/shared", upload=True)


@pytest.mark.parametrize(
    ("exit_code", "kind"),
    [
        *((2, InvalidSpec), (3, BadData), (4, ClusterTrouble), (5, Conflict), (6, SweepFailed), (7, StoreUnavailable)),
        *((8, NotPromoted), (130, Interrupted), (1, ClusterTrouble), (None, ClusterTrouble), (137, ClusterTrouble)),
    ],
)
@pytest.mark.parametrize("shown", [True, False])
def test_a_failed_job_ends_the_command_as_its_driver_ended(exit_code, kind, shown):
    cluster = Cluster("12 trials\n" + failed("the cause\nand what to do") + "error: the cause\nand what to do\n")

    with pytest.raises(VaeSearchError) as raised:
        cluster_jobs.raise_if_failed(cluster, job(exit_code=exit_code), shown=shown)

    assert type(raised.value) is kind
    assert str(raised.value) == (
        "job small-l1-a1 failed; its log says why." if shown else "job small-l1-a1: the cause\nand what to do"
    )


@pytest.mark.parametrize(
    ("printed", "message", "cause"),
    [
        (failed("old") + "retried\n" + failed("new\ntwo\nthree\nfour") + "error: new\n", "m", "new\ntwo\nthree"),
        (TRACEBACK, "m", "Traceback (most recent call last):\n  File x\nKeyError: 'a'"),
        ("one line", "m", "one line"),
        ("  \n", "the environment failed\n" * 9, "the environment failed\n" * 2 + "the environment failed"),
        ("", "", "it left no word."),
        (failed("\x1b]0;evil\x07 \u202e"), "m", r"\x1b]0;evil\x07 \u202e"),
        ("one\n" + line_of(JobEvent(event=TRAINING)) + "killed\n", "m", "one\nkilled"),
    ],
    ids=["the last error", "a traceback", "one line", "Ray's word", "nothing", "hostile", "no error told"],
)
def test_the_cause_is_found_in_what_the_job_left(printed, message, cause):
    with pytest.raises(VaeSearchError) as raised:
        cluster_jobs.raise_if_failed(Cluster(printed), job(message=message), shown=False)

    assert str(raised.value) == f"job small-l1-a1: {cause}"


def test_the_client_is_told_what_a_driver_begins_with(capsys):
    shown: list[str] = []
    observer = cluster_jobs._telling(Observer(on_phase=shown.append))

    observer.on_phase("waiting for a node")

    assert events_in(capsys.readouterr().out) == [JobEvent(event=PHASE, message="waiting for a node")]
    assert shown == ["waiting for a node"]


def test_a_stopped_job_is_interrupted_and_says_how_to_go_on():
    with pytest.raises(Interrupted, match=r"was stopped\. The same command again continues"):
        cluster_jobs.raise_if_failed(Cluster(), job(status="STOPPED", exit_code=None), shown=False)


@pytest.mark.parametrize("status", ["PENDING", "RUNNING", "SUCCEEDED"])
def test_what_runs_or_has_succeeded_raises_nothing(status):
    cluster_jobs.raise_if_failed(
        Cluster(failed("of an earlier attempt")), job(status=status, exit_code=None), shown=False
    )


def test_whoever_sends_the_token_unencrypted_is_warned(monkeypatch, caplog):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "t0ken")
    pages = {MODE: {"authentication_mode": "token"}, VERSION: {"ray_version": version("ray")}}

    with http_server(pages) as port:
        for address in (f"http://127.0.0.1:{port}", f"http://0.0.0.0:{port}"):  # the same server
            assert caplog.text == ""
            with suppress(ClusterTrouble):  # it knows no jobs
                cluster_jobs.jobs_of(address)

    assert "the token goes over plain http" in caplog.text
    assert "t0ken" not in caplog.text
