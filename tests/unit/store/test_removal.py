"""Removal of sweeps: what is left of one never becomes another's."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.rows import epoch_rows, trial_row
from vae_search.errors import Conflict, CorruptStore, LeaseLost, NotFound
from vae_search.services import maintenance, queries, sweep_status
from vae_search.spec.sweep_spec import parse_spec
from vae_search.store.backends.json_records import from_json_bytes, to_json_bytes
from vae_search.store.backends.local import LocalStore
from vae_search.store.leases.heartbeat import last_heartbeat
from vae_search.store.leases.lease import acquire
from vae_search.store.leases.records import DriverProgress, Purpose, newest_lease
from vae_search.store.ledger.trials import Ledger
from vae_search.store.paths import SweepPaths
from vae_search.store.sweeps import beginning, sweep_record
from vae_search.store.sweeps.folders import sweep_folders, sweep_names

SPEC = """
name: digits
data: {source: digits}
search_space: {architecture: mlp, latent_dim: {type: int, low: 2, high: 32}, beta: 0.5}
budget: {trials: 4, epochs: 3}
confirm: {finalists: 0}
"""
PATHS = SweepPaths("digits")


def record(incarnation: str | None) -> sweep_record.SweepRecord:
    spec = parse_spec(SPEC, base=Path())
    return sweep_record.SweepRecord(
        spec=spec, fingerprint="f" * 64, comparability_key="k" * 64, versions={}, incarnation=incarnation
    )


def begin(store: LocalStore, incarnation: str | None, *, trials: int = 2) -> None:
    """A sweep with a few rows, as a driver leaves it."""
    lease = acquire(
        store, "digits", purpose=Purpose.TRAIN, progress=lambda: DriverProgress(driver_s=100.0, exhausted=True)
    )
    if beginning.create_or_check(store, record(incarnation), text=SPEC).is_new:
        lease.begin_anew()
    ledger = Ledger(store, "digits")
    for trial in range(trials):
        row = trial_row(trial, spec_sha256=record(None).spec.sha256, comparability_key="k" * 64, lease=lease.number)
        ledger.commit(replace(row, incarnation=incarnation), epoch_rows(trial))
    lease.release()


class CutOff(Exception):
    """The process died."""


class Dying(LocalStore):
    """A store whose process dies after so many removals."""

    def __init__(self, root: Path, *, after: int) -> None:
        super().__init__(root)
        self._left = after

    def remove(self, path: str) -> None:
        self._spend()
        super().remove(path)

    def remove_tree(self, prefix: str) -> None:
        self._spend()
        super().remove_tree(prefix)

    def _spend(self) -> None:
        if self._left == 0:
            raise CutOff
        self._left -= 1


def remove_in_part(store: LocalStore, *, steps: int) -> None:
    with pytest.raises(CutOff):
        maintenance.remove(Dying(Path(store.location), after=steps), "digits")


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_half_removed_sweep_is_refused_to_a_new_one_and_rm_ends_it(store: LocalStore, steps: int) -> None:
    begin(store, "first")
    remove_in_part(store, steps=steps)

    with pytest.raises(Conflict, match=r"what is left of an earlier one .*\n.*`vae-search rm digits`"):
        beginning.create_or_check(store, record("second"), text=SPEC)

    maintenance.remove(store, "digits")
    assert beginning.create_or_check(store, record("second"), text=SPEC).is_new
    assert Ledger(store, "digits").trials() == []


def test_a_removal_that_died_after_its_last_file_can_be_ended(store: LocalStore) -> None:
    begin(store, "first")
    maintenance.remove(store, "digits")
    store.remove(PATHS.lease_ended(2))  # as if the process had died before its end mark
    record = from_json_bytes(store.read(PATHS.lease(2)), where="")
    store.replace(PATHS.lease(2), to_json_bytes(record | {"process": record["process"] | {"started_ticks": 1}}))

    maintenance.remove(store, "digits")

    with pytest.raises(NotFound):
        maintenance.remove(store, "digits")


def test_a_half_removed_sweep_is_named_by_status_and_ended_by_gc(store: LocalStore) -> None:
    begin(store, "first")
    remove_in_part(store, steps=1)
    assert sweep_status.statuses(store).remarks == (
        "sweep digits: is removed in part. `vae-search rm digits` removes what is left.",
    )

    would, _ = maintenance.gc(store, None, dry_run=True, now_s=0.0)
    done, _ = maintenance.gc(store, None, dry_run=False, now_s=0.0)

    assert {*would.removed} == {*done.removed} == {PATHS.spec, PATHS.trials, PATHS.epochs}
    assert sweep_folders(store).half_removed == ()


def test_gc_leaves_a_sweep_that_lost_its_record_in_another_way(store: LocalStore) -> None:
    begin(store, "first")
    store.remove(PATHS.resolved)

    found, _ = maintenance.gc(store, None, dry_run=False, now_s=0.0)

    assert found.removed == {}
    assert "nobody removed it" in found.skipped
    assert len(store.list(PATHS.trials)) == 2


def test_the_numbers_of_leases_go_on_after_a_removal(store: LocalStore) -> None:
    begin(store, "first")
    sleeper = acquire(store, "digits")
    store.create(PATHS.lease_ended(sleeper.number), b"{}")  # as if it were taken for dead
    maintenance.remove(store, "digits")

    begin(store, "second")

    assert newest_lease(store, "digits") == 4
    with pytest.raises(LeaseLost):
        sleeper.check()
    sleeper.release()


def test_a_new_sweep_of_the_name_begins_with_no_time_used(store: LocalStore) -> None:
    begin(store, "first")
    maintenance.remove(store, "digits")
    lease = acquire(store, "digits", purpose=Purpose.TRAIN, progress=DriverProgress)

    assert beginning.create_or_check(store, record("second"), text=SPEC).is_new
    lease.begin_anew()

    assert lease.before == last_heartbeat(store, "digits").progress == DriverProgress()
    lease.release()


def test_a_sweep_that_was_removed_while_its_driver_started_is_not_begun_anew(store: LocalStore) -> None:
    begin(store, "first")
    maintenance.remove(store, "digits")

    with pytest.raises(Conflict, match="was removed while this driver started"):
        beginning.create_or_check(store, record("second"), text=SPEC, must_exist=True)


def test_the_text_of_a_spec_whose_writer_died_is_written_by_the_next(store: LocalStore) -> None:
    begin(store, "first")
    store.remove(PATHS.spec)

    begun = beginning.create_or_check(store, record("other"), text=SPEC)

    assert (begun.is_new, begun.record.incarnation) == (False, "first")
    assert store.read(PATHS.spec).decode() == SPEC


def spoil(store: LocalStore) -> None:
    """Give the sweep a row of an earlier one of its name, as a restored copy does."""
    path = PATHS.trial(1)
    content = store.read(path)
    maintenance.remove(store, "digits")
    begin(store, "second", trials=1)
    store.create(path, content)


def test_a_row_of_another_sweep_of_the_name_is_named_and_left_out(store: LocalStore) -> None:
    begin(store, "first")
    spoil(store)

    found = Ledger(store, "digits").read()

    assert [row.trial for row in found.rows] == [0]
    assert found.damaged == (PATHS.trial(1),)
    assert found.foreign == {
        PATHS.trial(1): "belongs to another sweep of this name, which was removed or lies in a copy"
    }
    with pytest.raises(CorruptStore, match="belongs to another sweep"):
        Ledger(store, "digits").trial(1)
    assert sweep_status.status(store, "digits").damaged == (PATHS.trial(1),)


def test_a_query_leaves_such_a_row_out_and_what_is_left_of_a_removed_sweep(store: LocalStore) -> None:
    begin(store, "first")
    spoil(store)
    for number, path in enumerate(store.list(PATHS.trials)):
        store.replace(SweepPaths("removed").trial(number), store.read(path))

    found, damaged = queries.query_table(store, "SELECT sweep, trial, incarnation FROM trials ORDER BY sweep, trial")

    assert found.to_pylist() == [{"sweep": "digits", "trial": 0, "incarnation": "second"}]
    assert damaged == (PATHS.trial(1),)


def test_verify_sets_such_a_row_aside(store: LocalStore) -> None:
    begin(store, "first")
    spoil(store)

    (verification,) = maintenance.verify(store, "digits", repair=True)

    assert PATHS.trial(1) in [finding.path for finding in verification.before.damaged]
    assert verification.after.damaged == ()
    assert Ledger(store, "digits").read().set_aside == (1,)


def test_rows_without_a_mark_belong_to_a_sweep_without_one(store: LocalStore) -> None:
    begin(store, None)

    assert len(Ledger(store, "digits").read().rows) == 2


def test_an_odd_folder_takes_nothing_from_the_rest(store: LocalStore) -> None:
    begin(store, "first")
    for path in ("sweeps/digits (copy)/resolved.json", "sweeps/.hidden/resolved.json", "sweeps/file"):
        target = store.local_path("sweeps").parent / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("{}")

    found = sweep_status.statuses(store)

    assert [status.spec.name for status in found.sweeps] == sweep_names(store) == ["digits"]
    (remark,) = found.remarks
    assert remark.startswith("sweeps/digits (copy): is left out, since no sweep can have this name.")
    assert [inspection.before.sweep for inspection in maintenance.verify(store, None, repair=False)] == ["digits"]
    assert [cleaning.sweep for cleaning in maintenance.gc(store, None, dry_run=False, now_s=0.0)] == ["digits", None]


def test_a_name_that_was_never_a_sweep_cannot_be_removed(store: LocalStore) -> None:
    with pytest.raises(NotFound):
        maintenance.remove(store, "digits")
