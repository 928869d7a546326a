"""A store in a bucket: the contract, the faults of networks, and what users are told."""

import math
import os
import random
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.dashboards import http_server
from tests.support.faulty_http import Fault, FaultyProxy, faulty_proxy
from tests.support.rows import epoch_rows, trial_row
from tests.support.s3_server import BUCKET, S3_SECRET, seen_by_others
from tests.support.store_contract import StoreContract
from tests.support.tiers import thinned
from vae_search.errors import CorruptStore, NotFound, StoreUnavailable, VaeSearchError
from vae_search.store.backends.base import AlreadyThere, Store, prove_exclusive
from vae_search.store.backends.local import LocalStore
from vae_search.store.backends.uri import open_store
from vae_search.store.ledger.trials import Ledger
from vae_search.store.paths import SweepPaths
from vae_search.store.queries.sql import query

pytest.importorskip("obstore")
from vae_search.store.backends import s3_client
from vae_search.store.backends.s3 import FIRST_PATIENCE_S, PATIENCE_S, ObjectStore

RUNS = max(20, round(200 * float(os.environ.get("VAE_SEARCH_CHAOS") or 0)))
"""of the test with many faults; the variable is the share of the large count, as for all of `make chaos`"""


@pytest.fixture
def store(s3_location: str) -> Store:
    return open_store(s3_location)


class TestObjectStore(StoreContract):
    @pytest.fixture
    def store(self, store: Store) -> Store:
        return store


@pytest.fixture
def proxy(s3_endpoint: str, s3_location: str, monkeypatch: pytest.MonkeyPatch):
    with faulty_proxy(s3_endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        yield proxy


class Time:
    """A clock that only sleeping moves."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


def store_at(location: str, watch: Time | None = None) -> ObjectStore:
    watch = watch or Time()
    prefix = location.removeprefix(f"s3://{BUCKET}/")
    return ObjectStore(BUCKET, prefix, clock=watch, sleep=watch.sleep, jitter=lambda: 0.5)


def test_the_bucket_holds_the_same_bytes_as_a_folder_would(
    store: Store, s3_endpoint: str, s3_location: str, tmp_path: Path
) -> None:
    local = LocalStore(tmp_path)
    for place in (local, store):
        place.create("a/b", b"1")
        place.replace("a/c", b"3")

    assert store.list("") == local.list("") == ["a/b", "a/c", "store.json"]
    for path in store.list(""):
        key = f"{s3_location.removeprefix(f's3://{BUCKET}/')}/{path}"
        assert seen_by_others(s3_endpoint).get_object(Bucket=BUCKET, Key=key)["Body"].read() == local.read(path)


def test_a_prefix_with_odd_characters_is_one_folder_with_that_name(s3_location: str, s3_endpoint: str) -> None:
    place = f"{s3_location}/it's a störe, 100%"
    open_store(f"{place}/").create("file", b"1")

    assert open_store(place).list("") == ["file", "store.json"]
    folder = s3_location.removeprefix(f"s3://{BUCKET}/")
    listing = seen_by_others(s3_endpoint).list_objects_v2(Bucket=BUCKET, Prefix=f"{folder}/")["Contents"]
    assert f"{folder}/it's a störe, 100%/file" in [entry["Key"] for entry in listing]


def test_two_prefixes_of_one_bucket_are_two_stores(s3_location: str) -> None:
    open_store(f"{s3_location}/a").create("file", b"1")
    open_store(f"{s3_location}/ab").create("file", b"2")

    open_store(f"{s3_location}/a").remove_tree("")

    assert open_store(f"{s3_location}/a").list("") == []
    assert open_store(f"{s3_location}/ab").read("file") == b"2"


def test_more_files_than_one_answer_lists_are_listed_read_and_removed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "7")  # S3's is 1,000
    paths = [f"many/{number:02d}" for number in range(30)]
    for path in paths:
        store.create(path, path.encode())

    assert store.list("many") == paths
    assert list(store.read_many([*paths, "many/none"])) == [*(path.encode() for path in paths), None]
    store.remove_tree("many")
    assert store.list("") == ["store.json"]


def test_reading_commands_leave_no_trace(s3_location: str) -> None:
    store = open_store(s3_location)

    with pytest.raises(NotFound):
        store.read("file")
    query(store, "FROM trials")
    store.remove("file")
    store.remove_tree("folder")

    assert store.list("") == []


def test_a_newer_store_is_refused(store: Store, s3_location: str) -> None:
    store.replace("store.json", b'{"store_version": 2}')

    with pytest.raises(StoreUnavailable, match="up to version 1, but this one has version 2"):
        open_store(s3_location)


def test_a_damaged_version_is_corrupt(store: Store, s3_location: str) -> None:
    store.replace("store.json", b'{"store_ver')

    with pytest.raises(CorruptStore, match=r"store\.json: must be JSON"):
        open_store(s3_location)


def test_rows_are_read_queried_and_verified_as_in_a_folder(store: Store, tmp_path: Path) -> None:
    local = LocalStore(tmp_path)
    for place in (local, store):
        for trial in range(5):
            Ledger(place, "digits").commit(trial_row(trial), epoch_rows(trial))
        Ledger(place, "digits").compact()
        Ledger(place, "digits").commit(trial_row(5), epoch_rows(5))
        Ledger(place, "digits-trials").commit(trial_row(0, "digits-trials"), [])
        place.replace(SweepPaths("digits").trial_epochs(5), b"rubbish")

    assert Ledger(store, "digits").trials() == Ledger(local, "digits").trials()
    for sql in ("FROM trials ORDER BY sweep, trial", "FROM epochs ORDER BY ALL", "SELECT count(*) FROM trials"):
        assert query(store, sql) == query(local, sql)
    assert store.list("") == local.list("")


# One fault each, exactly where it hurts.


def opened(location: str) -> ObjectStore:
    """A store that has written its version, so that the next request is the one under test."""
    store = store_at(location)
    store.create("first", b"")
    return store


@pytest.mark.parametrize("fault", [*Fault])
def test_a_create_that_meets_a_fault_is_won_all_the_same_and_only_once(
    proxy: FaultyProxy, s3_location: str, fault: Fault
) -> None:
    store = opened(s3_location)

    proxy.next_faults = [fault]
    store.create("file", b"ours")

    assert store.read("file") == b"ours"
    with pytest.raises(AlreadyThere):
        store.create("file", b"ours")


@pytest.mark.parametrize("fault", [*Fault])
def test_a_lost_create_is_lost_whatever_happens_to_its_answer(
    proxy: FaultyProxy, s3_location: str, fault: Fault
) -> None:
    store = opened(s3_location)
    store.create("file", b"theirs")

    proxy.next_faults = [fault]
    with pytest.raises(AlreadyThere):
        store.create("file", b"ours")

    assert store.read("file") == b"theirs"


def test_a_create_whose_answer_and_read_back_are_both_lost_is_ours(proxy: FaultyProxy, s3_location: str) -> None:
    store = opened(s3_location)

    proxy.next_faults = [Fault.RESET_AFTER, Fault.RESET_BEFORE]
    store.create("file", b"ours")

    assert proxy.next_faults == []
    assert store.read("file") == b"ours"


def test_a_create_that_was_given_up_is_ours_when_it_is_made_again(proxy: FaultyProxy, s3_location: str) -> None:
    store = opened(s3_location)

    proxy.next_faults = [Fault.RESET_AFTER, *[Fault.RESET_BEFORE] * 100]
    with pytest.raises(StoreUnavailable, match="cannot be written"):
        store.create("file", b"ours")
    proxy.next_faults = []

    store.create("file", b"ours")
    with pytest.raises(AlreadyThere):
        store.create("file", b"ours")


def test_the_same_content_of_somebody_else_is_not_ours_after_a_conflict(proxy: FaultyProxy, s3_location: str) -> None:
    """A 409 means that nothing was written; the library calls it "already exists"."""
    store = opened(s3_location)
    store.create("file", b"same")

    proxy.next_faults = [Fault.CONFLICT]
    with pytest.raises(AlreadyThere):
        store.create("file", b"same")


@pytest.mark.parametrize("fault", [*Fault])
@pytest.mark.parametrize(
    "request_", ["read", "list", "replace", "remove", "remove_tree", "read_many", "read_many of what is missing"]
)
def test_every_other_request_is_repeated(proxy: FaultyProxy, s3_location: str, fault: Fault, request_: str) -> None:
    store = opened(s3_location)
    store.create("folder/file", b"content")
    requests: dict[str, Callable[[], object]] = {
        "read": lambda: store.read("folder/file"),
        "list": lambda: store.list("folder"),
        "replace": lambda: store.replace("folder/file", b"new"),
        "remove": lambda: store.remove("folder/file"),
        "remove_tree": lambda: store.remove_tree("folder"),
        "read_many": lambda: list(store.read_many(["folder/file"])),
        "read_many of what is missing": lambda: list(store.read_many(["none"])),
    }
    expected = {
        "read": b"content",
        "list": ["folder/file"],
        "read_many": [b"content"],
        "read_many of what is missing": [None],
    }

    proxy.next_faults = [fault]
    found = requests[request_]()

    assert proxy.next_faults == []
    assert found == expected.get(request_)
    left = store.list("folder")
    assert left == ([] if request_.startswith("remove") else ["folder/file"])
    assert not left or store.read("folder/file") == (b"new" if request_ == "replace" else b"content")


def test_patience_has_an_end_and_the_file_is_not_there(proxy: FaultyProxy, s3_location: str) -> None:
    watch = Time()
    store = store_at(s3_location, watch)
    store.create("first", b"")
    began_s = watch.now_s

    proxy.next_faults = [Fault.ERROR_BEFORE] * 100
    with pytest.raises(StoreUnavailable) as failure:
        store.create("file", b"ours")

    assert str(failure.value) == (
        f"{s3_location}/file: cannot be written: 500 Internal Server Error (InternalError).\n"
        "Wait for the store to recover, then run the same command again."
    )
    assert PATIENCE_S / 2 < watch.now_s - began_s <= PATIENCE_S
    proxy.next_faults = []
    assert store.list("") == ["first", "store.json"]


# Bodies that take long.


@pytest.fixture
def a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests end after a second instead of thirty."""
    monkeypatch.setattr(s3_client, "REQUEST_TIMEOUT_S", 1)


LARGE = random.Random(0).randbytes(12 * 2**20)


@pytest.mark.slow
def test_an_upload_may_take_as_long_as_its_size_needs(proxy: FaultyProxy, s3_location: str, a_second: None) -> None:
    store = opened(s3_location)
    proxy.bytes_per_s = 8 * 2**20

    store.create("large", LARGE)
    store.replace("derived", LARGE)

    proxy.bytes_per_s = math.inf
    assert store.read("large") == store.read("derived") == LARGE


@pytest.mark.slow
def test_a_download_may_take_as_long_as_it_needs(proxy: FaultyProxy, s3_location: str, a_second: None) -> None:
    store = opened(s3_location)
    store.create("large", LARGE)
    proxy.bytes_per_s = 5 * 2**20

    assert store.read("large") == LARGE
    assert [*store.read_many(["large", "none"])] == [LARGE, None]


@pytest.mark.parametrize(
    ("size_bytes", "least_s"), [(0, 30), (8 * 2**20, 30), (500 * 10**6, 3800), (5 * 2**30, 40_000)]
)
def test_the_time_of_a_request_follows_the_size_of_its_body(size_bytes: int, least_s: int) -> None:
    assert least_s <= s3_client.timeout_s_for(size_bytes) <= max(30, 4 * least_s)


def test_a_large_file_is_read_over_a_network_that_cuts(proxy: FaultyProxy, s3_location: str) -> None:
    store = opened(s3_location)
    store.create("large", LARGE)

    proxy.next_faults = [Fault.RESET_BEFORE, None, Fault.CUT, Fault.CUT, Fault.ERROR_AFTER]

    assert store.read("large") == LARGE
    assert proxy.next_faults == []


def test_a_large_file_whose_answer_was_lost_is_ours_if_it_is_there(proxy: FaultyProxy, s3_location: str) -> None:
    store = opened(s3_location)

    proxy.next_faults = [Fault.RESET_AFTER]
    store.create("large", LARGE)

    with pytest.raises(AlreadyThere):
        store.create("large", LARGE)


# Many faults.


@pytest.mark.parametrize("seed", thinned(range(RUNS), every=4))
def test_under_faults_nothing_is_lost_and_nothing_is_won_twice(
    s3_endpoint: str, s3_location: str, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Three rivals create the same files and commit the same trials over a network that fails every third request."""
    prefix = s3_location.removeprefix(f"s3://{BUCKET}/")
    clean = open_store(s3_location)
    names, trials = range(3), range(4)
    won: dict[int, set[str]] = {name: set() for name in names}
    rows: dict[int, list[object]] = {}
    errors: list[VaeSearchError] = []

    def compete(name: int, store: ObjectStore) -> None:
        try:
            for path in random.Random(seed * 10 + name).sample([f"race/{number}" for number in range(6)], 6):
                try:
                    store.create(path, f"{name} {path}".encode())
                except AlreadyThere:
                    continue
                won[name].add(path)
            store.replace(f"own/{name}", str(name).encode())
            ledger = Ledger(store, "digits")
            rows[name] = [ledger.commit(trial_row(trial, lease=name + 1), epoch_rows(trial)) for trial in trials]
        except VaeSearchError as error:
            errors.append(error)

    with faulty_proxy(s3_endpoint, seed=seed, rate=0.35) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        # A clock that stands still: patience that ends is another test's matter.
        stores = [
            ObjectStore(BUCKET, prefix, clock=lambda: 0.0, sleep=lambda s: time.sleep(s / 50), jitter=lambda: 0.0)
            for _ in names
        ]
        threads = [threading.Thread(target=compete, args=(name, stores[name])) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert errors == []
    assert sum(proxy.met[fault] for fault in Fault) >= 10, proxy.met
    assert sorted(path for paths in won.values() for path in paths) == [f"race/{number}" for number in range(6)]
    for name, paths in won.items():
        assert {path: clean.read(path) for path in paths} == {path: f"{name} {path}".encode() for path in paths}
    assert clean.list("own") == [f"own/{name}" for name in names]
    committed = Ledger(clean, "digits").trials()
    assert [row.trial for row in committed] == list(trials)
    assert all(rows[name] == committed for name in names)  # whoever lost adopted the winner's row
    assert len(Ledger(clean, "digits").curves(committed).by_trial) == len(trials)


# What users are told.


def clear(failure: pytest.ExceptionInfo[StoreUnavailable]) -> str:
    message = str(failure.value)
    assert 1 <= len(message.splitlines()) <= 3
    assert S3_SECRET not in message
    assert failure.value.exit_code == 7
    return message


def test_a_missing_bucket_is_named(s3_location: str) -> None:
    with pytest.raises(StoreUnavailable) as failure:
        open_store("s3://no-such-bucket/prefix")

    assert "NoSuchBucket" in clear(failure)
    assert "Create the bucket" in str(failure.value)


@pytest.mark.parametrize(
    ("status", "code", "advice"),
    [
        (403, "SignatureDoesNotMatch", "Check the credentials"),
        (403, "InvalidAccessKeyId", "Check the credentials"),
        (401, "Unauthorized", "Check the credentials"),
        (400, "ExpiredToken", "The session's credentials have expired"),
        (403, "RequestExpired", "The session's credentials have expired"),
        (400, "AuthorizationHeaderMalformed", "AWS_REGION"),
        (501, "NotImplemented", "If-None-Match"),
        (404, "", "Check AWS_ENDPOINT_URL"),
    ],
)
def test_what_no_patience_mends_is_said_at_once(
    proxy: FaultyProxy, s3_location: str, status: int, code: str, advice: str
) -> None:
    watch = Time()
    store = store_at(s3_location, watch)
    proxy.answer = (status, f"<Error><Code>{code}</Code><Secret>{S3_SECRET}</Secret></Error>".encode())

    for call in (store.read, store.list, lambda path: store.create(path, b""), lambda path: store.replace(path, b"")):
        with pytest.raises(StoreUnavailable) as failure:
            call("file")
        assert f"{status} " in clear(failure)
        assert advice in str(failure.value)

    assert watch.now_s == 0


def test_an_endpoint_that_does_not_answer_is_given_up_soon(s3_location: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    watch = Time()

    with pytest.raises(StoreUnavailable) as failure:
        store_at(s3_location, watch).read("store.json")

    assert "Connection refused" in clear(failure)
    assert "Check the network and AWS_ENDPOINT_URL" in str(failure.value)
    assert watch.now_s <= FIRST_PATIENCE_S


def test_credentials_of_the_container_are_used_and_renewed_by_the_library(
    s3_location: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Pod identity of EKS, task roles of ECS: an address and a token file in the environment, and no keys."""
    (tmp_path / "token").write_text("of the pod")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp_path / "token"))
    given = {"AccessKeyId": "a", "SecretAccessKey": "b", "Token": "c", "Expiration": "2099-01-01T00:00:00Z"}
    seen: list[dict[str, str]] = []

    with http_server({"/role": given}, seen=seen) as port:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://127.0.0.1:{port}/role")
        open_store(s3_location).create("file", b"content")

    assert {headers["authorization"] for headers in seen} == {"of the pod"}


def test_an_endpoint_without_tls_must_be_allowed(s3_location: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ALLOW_HTTP")

    with pytest.raises(StoreUnavailable) as failure:
        open_store(s3_location)

    assert "AWS_ALLOW_HTTP=true" in clear(failure)


@pytest.mark.parametrize("endpoint", [f"http://user:{S3_SECRET}@127.0.0.1:9", "not a url", "ftp://x", "http://x/?y=z"])
def test_an_endpoint_that_is_none_is_refused_and_not_repeated(
    s3_location: str, monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)

    with pytest.raises(StoreUnavailable) as failure:
        open_store(s3_location)

    assert endpoint not in clear(failure)
    assert "AWS_ENDPOINT_URL" in str(failure.value)


@pytest.mark.parametrize(
    "location",
    [
        f"s3://id:{S3_SECRET}@bucket/prefix",
        f"s3://bucket/prefix?secret={S3_SECRET}",
        f"s3://bucket/prefix#{S3_SECRET}",
        f"http://id:{S3_SECRET}@bucket/prefix",
        "s3://",
        "s3://UPPER/case",
        "s3://bucket//twice",
        "s3://bucket/../up",
        "s3://bucket/.hidden",
    ],
)
def test_a_location_that_is_none_is_refused_without_its_secret(location: str) -> None:
    with pytest.raises(StoreUnavailable) as failure:
        open_store(location)

    clear(failure)


def test_a_missing_package_is_named_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)

    with pytest.raises(StoreUnavailable, match=r"pip install 'vae-search\[s3\]'") as failure:
        open_store("s3://bucket/prefix")

    assert len(clear(failure).splitlines()) == 1


def test_a_bucket_without_conditional_puts_is_found_out(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_create", store.replace)
    monkeypatch.setattr(store, "_write_version", lambda path: None)

    with pytest.raises(StoreUnavailable, match="one writer only"):
        prove_exclusive(store)
