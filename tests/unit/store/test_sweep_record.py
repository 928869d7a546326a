from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from vae_search.errors import Conflict, CorruptStore, NotFound
from vae_search.spec.sweep_spec import overridden, parse_spec
from vae_search.store.backends.local import LocalStore
from vae_search.store.leases.lease import acquire
from vae_search.store.paths import SweepPaths
from vae_search.store.sweeps import beginning, sweep_record
from vae_search.store.sweeps.folders import sweep_names

SPEC = """
name: small
data: {source: digits}
search_space: {latent_dim: {type: int, low: 2, high: 6}}
budget: {trials: 7, epochs: 6}
"""


@pytest.fixture
def record() -> sweep_record.SweepRecord:
    return sweep_record.SweepRecord(
        spec=parse_spec(SPEC, base=Path()), fingerprint="f" * 64, comparability_key="k" * 64, versions={"ray": "2.60"}
    )


def test_a_record_is_read_as_it_was_written(store, record):
    beginning.create_or_check(store, record, text=SPEC)
    beginning.create_or_check(store, record, text=SPEC)

    assert sweep_record.read(store, "small") == record
    assert store.read(SweepPaths("small").spec).decode() == SPEC


@pytest.mark.parametrize("changes", [{"fingerprint": "0" * 64}, {"comparability_key": "0" * 64}])
def test_other_images_or_another_key_are_refused(store, record, changes):
    beginning.create_or_check(store, record, text=SPEC)

    with pytest.raises(Conflict, match="000000000000") as error:
        beginning.create_or_check(store, replace(record, **changes), text=SPEC)

    assert len(str(error.value).splitlines()) <= 3


@pytest.mark.parametrize("content", [b"{}", b'{"spec": {"budget": 5}}', b"[]", b"\xff", b""])
def test_a_damaged_record_is_named(store, record, content):
    beginning.create_or_check(store, record, text=SPEC)
    store.replace(SweepPaths("small").resolved, content)

    with pytest.raises(CorruptStore, match=r"resolved\.json"):
        sweep_record.read(store, "small")


def test_the_latest_spec_is_the_last_drivers(store, record):
    beginning.create_or_check(store, record, text=SPEC)
    assert sweep_record.latest_spec(store, "small") == record.spec

    grown = overridden(record.spec, ["budget.trials=50"])
    acquire(store, "small", begin=lambda: {"spec": grown.to_json()}).release()
    acquire(store, "small").release()  # a repair, which trains nothing

    assert sweep_record.latest_spec(store, "small") == grown
    assert sweep_record.read(store, "small").spec == record.spec


def test_a_folder_without_a_record_is_no_sweep(store, record):
    store.create("sweeps/stray/file.txt", b"")
    beginning.create_or_check(store, record, text=SPEC)

    assert sweep_names(store) == ["small"]
    with pytest.raises(NotFound, match="stray"):
        sweep_record.read(store, "stray")


def test_a_refusal_names_the_keys_that_hinder_and_nothing_else(store, record):
    beginning.create_or_check(store, record, text=SPEC)
    changed = overridden(record.spec, ["sampler=random", "budget.trials=9", "search_space.depth=3"])

    with pytest.raises(Conflict) as refusal:
        beginning.check_same(record, changed)

    first, keys, advice = str(refusal.value).splitlines()
    assert first == (
        "sweep small: the store holds a sweep of this name that began with other settings, and keeps these to its end:"
    )
    assert "sampler: 'tpe' → 'random'" in keys
    assert "search_space.depth" in keys
    assert "budget" not in keys
    assert "compar" not in first + advice


def test_a_sweep_measured_by_an_older_metric_is_not_continued_but_told_what_to_do(store, record):
    beginning.create_or_check(store, replace(record, versions={"vae-search": "0.9"}), text=SPEC)

    with pytest.raises(Conflict) as refusal:
        beginning.create_or_check(store, replace(record, metric_version=2, comparability_key="m" * 64), text=SPEC)

    first, advice = str(refusal.value).splitlines()
    assert "measured by version 1 of the metric, and this program measures by version 2" in first
    assert "another name" in advice
    assert "vae-search 0.9" in advice


def test_metric_bound_and_keys_judged_alike_are_read_back(store, record):
    spec = overridden(record.spec, ["objective.bound=iwae"])
    written = replace(record, spec=spec, metric_version=2, keys_judged_alike=("a" * 64,))
    beginning.create_or_check(store, written, text=SPEC)

    assert sweep_record.read(store, "small") == written
    assert sweep_record.read_stored(store, "small").bound == "iwae"


class SleepingStore(LocalStore):
    """A store whose process sleeps before it writes a sweep's text, while `meanwhile` happens."""

    meanwhile: Callable[[], object] = staticmethod(lambda: None)

    def create(self, path: str, content: bytes) -> None:
        self._sleep(path)
        super().create(path, content)

    def replace(self, path: str, content: bytes) -> None:
        self._sleep(path)
        super().replace(path, content)

    def _sleep(self, path: str) -> None:
        if path == SweepPaths("small").spec:
            self.meanwhile()


def test_one_who_begins_a_sweep_and_slept_does_not_replace_the_text_of_a_later_one_of_its_name(store, record):
    def begun_anew() -> None:
        store.remove(SweepPaths("small").resolved)
        beginning.create_or_check(store, replace(record, incarnation="second"), text="# the second\n" + SPEC)

    sleeping = SleepingStore(store.local_path(""))
    sleeping.meanwhile = begun_anew
    beginning.create_or_check(sleeping, replace(record, incarnation="first"), text=SPEC)

    assert store.read(SweepPaths("small").spec).decode() == "# the second\n" + SPEC
