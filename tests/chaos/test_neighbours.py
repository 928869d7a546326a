"""Removal, garbage collection and repair beside drivers that start, run, sleep and die: at every file operation."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.campaign import count
from tests.chaos.invariants import Seen, check_invariants, seen
from tests.chaos.story import OTHER_SPEC, SPEC, SWEEP, TRIALS
from tests.chaos.storyteller import Storyteller, Told
from tests.support.tiers import STRIDE, stride_offset
from vae_search.spec.sweep_spec import parse_spec
from vae_search.store.backends.local import LocalStore
from vae_search.store.leases.heartbeat import last_heartbeat
from vae_search.store.ledger.trials import Ledger
from vae_search.store.maintenance.integrity import inspect
from vae_search.store.paths import SweepPaths
from vae_search.store.sweeps import sweep_record
from vae_search.store.sweeps.folders import sweep_names

MEMORY = Path("/dev/shm")  # noqa: S108 - as in test_file_operations.py
SPECS = [parse_spec(text, base=Path()) for text in (SPEC, OTHER_SPEC)]
# How one ends that was overtaken while it slept; the folder that it was writing into may be gone.
STOPPED = (None, "LeaseLost", "Conflict", "StoreUnavailable")
HERE, THERE = {"host": "here"}, {"host": "there"}
SEEDS = count(1, 2)


@pytest.fixture
def store() -> Iterator[LocalStore]:
    with tempfile.TemporaryDirectory(prefix="chaos-", dir=MEMORY if MEMORY.is_dir() else None) as name:
        yield LocalStore(Path(name) / "store")


def empty(store: LocalStore) -> None:
    shutil.rmtree(store.location, ignore_errors=True)


def points(number: int, quick: bool) -> range:
    return range(1 + stride_offset(), number + 1, STRIDE) if quick else range(1, number + 1)


def refused(told: Told) -> str | None:
    """Why a process stopped without doing all of its work; it must have said so in words."""
    assert told.status == 0, told
    assert told.said("bug") is None, told.said("bug")
    return "StoreUnavailable" if told.said("unavailable") else told.said("refused")


def spoil(store: LocalStore, trial: int) -> None:
    """Damage a row of a finished sweep, so that a repair has work to do."""
    path = SweepPaths(SWEEP).trial(trial)
    content = bytearray(store.read(path))
    content[len(content) // 2] ^= 1
    store.replace(path, bytes(content))


def check_end(storyteller: Storyteller, store: LocalStore, *, spec: int, before: Seen, shown: list[int]) -> None:
    """Run the sweep that the store holds to its end: it is complete, and every row is its own."""
    last = storyteller.tell(store, spec=spec, **HERE)
    assert refused(last) is None, last
    assert sweep_record.read(store, SWEEP).spec.sha256 == SPECS[spec].sha256
    rows = Ledger(store, SWEEP).read()
    assert (rows.foreign, rows.damaged) == ({}, ())
    assert {row.spec_sha256 for row in rows.rows} == {SPECS[spec].sha256}
    check_invariants(store, SWEEP, before, shown=[*shown, *last.shown], trials=TRIALS, finished=True)


@pytest.mark.exhaustive
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_driver_that_sleeps_while_another_takes_over_writes_nothing_more(
    storyteller: Storyteller, store: LocalStore, quick: bool, seed: int
) -> None:
    number = len(storyteller.tell(store, seed=seed, **HERE).calls)
    for point in points(number, quick):
        empty(store)
        sleeper, other = storyteller.interleave(
            store, {"stop_at": point, "seed": seed, **HERE}, {"seed": seed, **THERE}
        )

        assert refused(other) in (None, "Conflict")
        assert refused(sleeper) in STOPPED, sleeper
        check_end(storyteller, store, spec=0, before=seen(store, SWEEP), shown=[*sleeper.shown, *other.shown])


@pytest.mark.exhaustive
@pytest.mark.timeout(3600)
def test_a_sweep_is_not_removed_under_a_driver_that_sleeps(
    storyteller: Storyteller, store: LocalStore, quick: bool
) -> None:
    number = len(storyteller.tell(store, **HERE).calls)
    removed = 0
    for point in points(number, quick):
        empty(store)
        sleeper, removal, new = storyteller.interleave(
            store, {"stop_at": point, **HERE}, {"do": "rm", **THERE}, {"spec": 1, **THERE}
        )

        removed += refused(removal) is None
        assert refused(removal) in (None, "NotFound", "Conflict")
        assert refused(sleeper) in STOPPED, sleeper
        spec = 0 if sweep_record.read(store, SWEEP).spec.sha256 == SPECS[0].sha256 else 1
        shown = sleeper.shown if spec == 0 else new.shown
        check_end(storyteller, store, spec=spec, before=seen(store, SWEEP), shown=shown)
    assert removed < number / 10  # only before the driver has its lease, or after it has ended


@pytest.mark.exhaustive
@pytest.mark.timeout(3600)
def test_rows_of_a_sweep_that_was_removed_by_hand_are_never_adopted(
    storyteller: Storyteller, store: LocalStore, quick: bool
) -> None:
    """Removed behind the program's back, so that the numbers of leases begin at 1 again, and begun anew meanwhile."""
    number = len(storyteller.tell(store, **HERE).calls)
    refusals = 0
    for point in points(number, quick):
        empty(store)
        sleeper, _, new = storyteller.interleave(
            store, {"stop_at": point, **HERE}, {"do": "rm by hand", **THERE}, {"spec": 1, **THERE}
        )

        assert refused(new) is None
        assert refused(sleeper) in (*STOPPED, "NotFound", "CorruptStore"), sleeper
        again = storyteller.tell(store, spec=1, **HERE)
        if refused(again) is not None:  # the sleeper's last write fell into the new sweep: refused by name
            assert "belongs to another sweep of this name" in again.said("words")
            refusals += 1
            assert refused(storyteller.tell(store, do="repair", **HERE)) is None
            assert refused(storyteller.tell(store, spec=1, **HERE)) is None
        rows = Ledger(store, SWEEP).read()
        assert {row.spec_sha256 for row in rows.rows} == {SPECS[1].sha256}
        assert rows.foreign == {}
    print(f"{refusals} of {len(points(number, quick))} sleepers woke up in the middle of a write")


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("state", ["whole", "begun"])
def test_a_removal_that_is_killed_anywhere_lends_no_row_to_another_sweep(
    storyteller: Storyteller, store: LocalStore, quick: bool, state: str
) -> None:
    begun = 60 if state == "begun" else 0  # the sweep's driver died there

    def prepare() -> None:
        empty(store)
        storyteller.tell(store, kill_at=begun, **HERE)

    prepare()
    number = len(storyteller.tell(store, do="rm", **HERE).calls)
    for point in points(number, quick):
        prepare()
        assert storyteller.tell(store, do="rm", kill_at=point, torn=0.5, **HERE).status == -9

        new = storyteller.tell(store, spec=1, **HERE)
        if refused(new) is not None:
            assert refused(new) == "Conflict", new  # the sweep is still there, or what is left of it
            ending = "gc" if SWEEP not in sweep_names(store) else "rm"
            assert refused(storyteller.tell(store, do=ending, **HERE)) is None
        check_end(storyteller, store, spec=1, before=Seen(rows={}), shown=new.shown)
        assert last_heartbeat(store, SWEEP).progress.driver_s < 100  # of this sweep alone
        empty(store)


@pytest.mark.timeout(3600)
def test_a_removal_that_sleeps_is_not_overtaken(storyteller: Storyteller, store: LocalStore, quick: bool) -> None:
    storyteller.tell(store, **HERE)
    number = len(storyteller.tell(store, do="rm", **HERE).calls)
    for point in points(number, quick):
        empty(store)
        storyteller.tell(store, **HERE)

        removal, new = storyteller.interleave(store, {"do": "rm", "stop_at": point, **HERE}, {"spec": 1, **THERE})

        assert refused(removal) in STOPPED
        assert refused(new) in (None, "Conflict")
        if refused(removal) is not None:
            assert refused(storyteller.tell(store, do="rm", **HERE)) is None
        shown = new.shown if refused(removal) is None else []
        check_end(storyteller, store, spec=1, before=Seen(rows={}), shown=shown)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("chore", ["gc", "repair"])
@pytest.mark.parametrize("fate", ["killed", "overtaken"])
def test_a_chore_that_dies_or_sleeps_beside_a_driver_costs_neither_rows_nor_driver_time(
    storyteller: Storyteller, store: LocalStore, quick: bool, chore: str, fate: str
) -> None:
    def prepare() -> float:
        empty(store)
        storyteller.tell(store, kill_at=300, **HERE)  # after a trial, in the middle of another
        if chore == "repair":
            spoil(store, min(seen(store, SWEEP).trials))
        return last_heartbeat(store, SWEEP).progress.driver_s

    prepare()
    number = len(storyteller.tell(store, do=chore, named=True, **HERE).calls)
    for point in points(number, quick):
        used_s = prepare()
        before = Seen(rows={path: digest for path, digest in seen(store, SWEEP).rows.items() if chore == "gc"})
        request = {"do": chore, "named": True, **HERE}
        shown: list[int] = []
        if fate == "killed":
            assert storyteller.tell(store, **request, kill_at=point, torn=0.5).status == -9
            assert last_heartbeat(store, SWEEP).progress.driver_s >= used_s
        else:
            done, driver = storyteller.interleave(store, {**request, "stop_at": point}, THERE)
            assert refused(done) in STOPPED
            assert refused(driver) in (None, "Conflict")
            shown = driver.shown
        if chore == "repair":
            assert refused(storyteller.tell(store, do="repair", **HERE)) is None
        last = storyteller.tell(store, **HERE)

        assert refused(last) is None
        assert inspect(store, SWEEP).damaged == ()
        assert last_heartbeat(store, SWEEP).progress.driver_s > used_s
        now = seen(store, SWEEP)
        assert not {path for path, digest in before.rows.items() if now.rows.get(path) != digest}
        assert len({*shown, *last.shown}) == len([*shown, *last.shown])
        assert now.trials | {*Ledger(store, SWEEP).read().set_aside} == {*range(TRIALS)}
