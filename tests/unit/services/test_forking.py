"""Forks: trials that fit are known to the sampler and count for nothing else, and a fork is whole or not there."""

import json
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.stores import KEY, filled_store
from vae_search.core.trial_state import State
from vae_search.data.comparability import METRIC_VERSION
from vae_search.errors import Conflict, InvalidSpec, NotFound, StoreUnavailable
from vae_search.search.running_trial import SweepContext
from vae_search.search.study.borrowed import borrowed_results
from vae_search.search.study.study import SweepStudy
from vae_search.services import maintenance
from vae_search.services.control.commands import change_settings
from vae_search.services.control.forking import Fork, fork
from vae_search.services.payloads import status_facts
from vae_search.services.sweep_status import status
from vae_search.spec.sweep_spec import SweepSpec
from vae_search.store.backends.local import LocalStore
from vae_search.store.control.present_spec import BegunSpec, read_present_spec
from vae_search.store.leases.lease import acquire
from vae_search.store.leases.records import Purpose
from vae_search.store.ledger.borrowed import read_borrowed, write_borrowed
from vae_search.store.ledger.trials import Ledger
from vae_search.store.maintenance.integrity import inspect
from vae_search.store.paths import SweepPaths
from vae_search.store.sweeps import beginning, sweep_record
from vae_search.store.sweeps.forks import measure_changes, point_of

WIDER = ("search_space.latent_dim={type: int, low: 8, high: 64}", "budget.trials=20")
NOW = datetime(2026, 1, 2, tzinfo=UTC)
WRITES_OF_A_FORK = 4  # two copies, the record, the text


@pytest.fixture
def lender(tmp_path: Path) -> LocalStore:
    """Trials 0 … 4 have completed, with latent_dim 4, 8, 12, 16, 20 and depth 1, 2, 3, 1, 2."""
    store = filled_store(tmp_path / "store")
    path = SweepPaths("digits").resolved
    store.replace(path, json.dumps(json.loads(store.read(path)) | {"metric_version": METRIC_VERSION}).encode())
    return store


def context_of(store: LocalStore, made: Fork) -> SweepContext:
    record = sweep_record.read(store, made.spec.name)
    return SweepContext(spec=made.spec, lease=1, comparability_key=KEY, versions={}, borrowing=record.borrowing)


def study_of(store: LocalStore, made: Fork) -> SweepStudy:
    study = SweepStudy.of(made.spec, rungs=())
    for borrowed in borrowed_results(store, context_of(store, made)):
        study.borrow(borrowed)
    return study


def test_completed_trials_in_the_new_range_are_borrowed_and_the_others_are_told(lender):
    made = fork(lender, "digits", "wide", overrides=WIDER)

    borrowing = sweep_record.read(lender, "wide").borrowing
    borrowed = read_borrowed(lender, "wide", borrowing)
    assert [row.trial for row in borrowed.rows] == [1, 2, 3, 4]
    assert {row.state for row in borrowed.rows} == {State.COMPLETE}
    assert made.left_out == {"latent_dim": 1}
    assert {trial: [epoch.epoch for epoch in curve] for trial, curve in borrowed.curves.items()} == {
        1: [1, 2, 3],
        2: [1, 2],
        3: [1, 2, 3],
        4: [1, 2],
    }


def test_a_fork_has_its_own_spec_and_commands_where_a_removed_sweep_had_its_name(lender):
    fork(lender, "digits", "wide", overrides=("budget.trials=99", WIDER[0]))
    asked = sweep_record.latest_spec(lender, "wide")
    lease = acquire(
        lender,
        "wide",
        purpose=Purpose.TRAIN,
        begin=BegunSpec(spec=asked, asked=asked, commands=3).to_record,
    )
    lease.release()
    maintenance.remove(lender, "wide")

    fork(lender, "digits", "wide", overrides=WIDER)
    change_settings(lender, "wide", {"budget.trials": 25}, actor="ada", now=lambda: NOW)

    assert read_present_spec(lender, "wide").budget.trials == 25
    assert status(lender, "wide").spec.budget.trials == 25


def test_borrowed_trials_are_visible_and_count_neither_as_trials_nor_as_best(lender):
    fork(lender, "digits", "wide", overrides=WIDER)

    found = status(lender, "wide")
    facts = status_facts(found)
    assert facts["borrowed"] == {"sweep": "digits", "trials": 4}
    assert (facts["finished"], facts["trials"], facts["best_trial"], facts["state"]) == (0, 20, None, "interrupted")
    assert Ledger(lender, "wide").trials() == []
    assert found.spec.enqueue == ()  # tried already
    assert found.spec.seed != status(lender, "digits").spec.seed
    assert "borrowed" not in status_facts(status(lender, "digits"))


def test_the_sampler_knows_them_and_is_rebuilt_the_same(lender):
    made = fork(lender, "digits", "wide", overrides=WIDER)

    study, again = study_of(lender, made), study_of(lender, made)
    told = {trial.params["latent_dim"]: trial.value for trial in study.trials()}
    asked = study.ask(0)

    rows = Ledger(lender, "digits").trials()[1:5]
    assert told == {row.params["latent_dim"]: row.objective for row in rows}
    assert asked == again.ask(0)
    assert 8 <= asked["latent_dim"] <= 64


def test_a_parameter_that_one_space_leaves_out_has_its_default_there(lender):
    spec = sweep_record.read(lender, "digits").spec
    tree = spec.to_json()
    with_width = SweepSpec.from_json(
        tree | {"search_space": tree["search_space"] | {"width": {"type": "int", "low": 64, "high": 512}}}
    )
    without_depth = SweepSpec.from_json(
        tree | {"search_space": {k: v for k, v in tree["search_space"].items() if k != "depth"}}
    )
    params = {"architecture": "mlp", "latent_dim": 8, "beta": 0.5, "depth": 2}

    assert point_of(with_width.search_space, params) == params | {"width": 256}
    assert point_of(without_depth.search_space, params) == {"architecture": "mlp", "latent_dim": 8, "beta": 0.5}
    assert point_of(without_depth.search_space, params | {"depth": 3}) == "depth"


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("budget.epochs=30", "budget.epochs"),
        ("ema_decay=0.9", "ema_decay"),
        ("objective.bound=iwae", "objective.bound"),
        ("objective.stability_weight=1", "objective.stability_weight"),
        ("likelihood=gaussian", "likelihood"),
        ("data.source=/elsewhere", "data.source"),
    ],
)
def test_what_changes_a_trials_value_is_refused(override, key, lender):
    more = ["data.binarize=none"] if "likelihood" in override else []

    with pytest.raises(Conflict) as refused:
        fork(lender, "digits", "other", overrides=[override, *more])

    assert key in str(refused.value)
    assert sweep_record.find(lender, "other") is None


def test_what_only_chooses_configs_may_change(lender):
    spec = sweep_record.read(lender, "digits").spec
    other = SweepSpec.from_json(spec.to_json() | {"seed": 5, "sampler": "random", "pruning": "off", "name": "x"})

    assert measure_changes(spec, other) == []


def test_trials_of_another_version_of_the_metric_are_refused(tmp_path):
    store = filled_store(tmp_path / "old")

    with pytest.raises(Conflict, match="version 1 of the metric"):
        fork(store, "digits", "wide", overrides=WIDER)


def test_a_fork_that_nothing_fits_is_refused_with_the_reasons(lender):
    with pytest.raises(Conflict, match="latent_dim: 5"):
        fork(lender, "digits", "far", overrides=["search_space.latent_dim={type: int, low: 100, high: 200}"])

    assert lender.list("sweeps/far") == []


def test_wrong_names_are_refused(lender):
    with pytest.raises(InvalidSpec, match="a name of its own"):
        fork(lender, "digits", "digits")
    with pytest.raises(InvalidSpec):
        fork(lender, "digits", "../up")
    with pytest.raises(NotFound):
        fork(lender, "nosuch", "wide")


def test_the_same_call_again_changes_nothing_and_another_sweep_of_the_name_is_kept(lender):
    made = fork(lender, "digits", "wide", overrides=WIDER)
    before = {path: lender.read(path) for path in lender.list("sweeps/wide")}

    again = fork(lender, "digits", "wide", overrides=WIDER)

    assert (again.spec, again.borrowed) == (made.spec, made.borrowed)
    assert {path: lender.read(path) for path in lender.list("sweeps/wide")} == before
    with pytest.raises(Conflict, match="other settings"):
        fork(lender, "digits", "wide", overrides=[*WIDER, "sampler=random"])
    fork(lender, "digits", "narrow", overrides=["search_space.beta={type: float, low: 0.5, high: 4.0}"])
    with pytest.raises(Conflict, match="another sweep of this name"):
        fork(lender, "wide", "narrow", overrides=WIDER)


def test_a_fork_outlives_the_sweep_that_it_came_from(lender):
    made = fork(lender, "digits", "wide", overrides=WIDER)

    maintenance.remove(lender, "digits")

    assert len(borrowed_results(lender, context_of(lender, made))) == 4
    assert inspect(lender, "wide").findings == ()


class FailingStore(LocalStore):
    """A store that fails at one of the writes into the folder of the fork, leases left out."""

    fails_at = -1
    writes = 0

    def create(self, path: str, content: bytes) -> None:
        self._count(path)
        super().create(path, content)

    def replace(self, path: str, content: bytes) -> None:
        self._count(path)
        super().replace(path, content)

    def _count(self, path: str) -> None:
        if path.startswith("sweeps/wide/") and "lease" not in path and "heartbeat" not in path:
            self.writes += 1
            if self.writes == self.fails_at:
                raise StoreUnavailable(f"{path}: gone")


@pytest.mark.parametrize("fails_at", range(1, WRITES_OF_A_FORK + 1))
def test_a_fork_that_is_cut_at_any_write_is_not_there_or_whole_and_can_be_made_again(fails_at, lender, tmp_path):
    failing = FailingStore(tmp_path / "store")
    failing.fails_at = fails_at

    with pytest.raises(StoreUnavailable):
        fork(failing, "digits", "wide", overrides=WIDER)

    there = sweep_record.find(lender, "wide")
    assert (there is not None) == (fails_at == WRITES_OF_A_FORK)
    if there is not None:
        assert len(read_borrowed(lender, "wide", there.borrowing).rows) == 4
    assert fork(lender, "digits", "wide", overrides=WIDER).borrowed == 4
    assert inspect(lender, "wide").findings == ()


def test_the_writes_of_a_fork_are_as_many_as_are_cut(lender, tmp_path):
    counting = FailingStore(tmp_path / "store")

    fork(counting, "digits", "wide", overrides=WIDER)

    assert counting.writes == WRITES_OF_A_FORK


def test_what_a_cut_fork_left_is_removed_once_it_is_old(lender, tmp_path):
    failing = FailingStore(tmp_path / "store")
    failing.fails_at = 3
    with pytest.raises(StoreUnavailable):
        fork(failing, "digits", "wide", overrides=WIDER)
    left = lender.list("sweeps/wide/borrowed")

    maintenance.gc(lender, None, dry_run=False, now_s=time.time())
    assert lender.list("sweeps/wide/borrowed") == left != []
    maintenance.gc(lender, None, dry_run=False, now_s=time.time() + 7200)
    assert lender.list("sweeps/wide/borrowed") == []


def test_leftovers_under_a_plain_sweep_of_the_name_are_harmless_and_go(lender):
    made = fork(lender, "digits", "wide", overrides=WIDER)
    copies = {path: lender.read(path) for path in lender.list("sweeps/wide/borrowed")}
    maintenance.remove(lender, "wide")
    record = sweep_record.SweepRecord(spec=made.spec, fingerprint="f" * 64, comparability_key=KEY, versions={})
    for path, content in copies.items():
        lender.replace(path, content)
    beginning.create_or_check(lender, record, text=made.text)

    assert [finding.damaged for finding in inspect(lender, "wide").findings] == [False, False]
    maintenance.gc(lender, "wide", dry_run=False, now_s=time.time())
    assert inspect(lender, "wide").findings == ()


class RemovedMeanwhile(LocalStore):
    """A store whose lender is removed after its record was read once; another sweep has its name by then."""

    was_read = False

    def read(self, path: str) -> bytes:
        content = super().read(path)
        if path != SweepPaths("digits").resolved or self.was_read:
            return content
        self.was_read = True
        return json.dumps(json.loads(content) | {"incarnation": "removed"}).encode()


def test_nothing_is_borrowed_from_a_sweep_that_has_taken_the_lenders_name_meanwhile(lender, tmp_path):
    with pytest.raises(Conflict, match="none of its completed trials fits wide, since none has completed"):
        fork(RemovedMeanwhile(tmp_path / "store"), "digits", "wide", overrides=WIDER)

    assert sweep_record.find(lender, "wide") is None


def copy_of(store: LocalStore, table: str, sweep: str = "wide") -> str:
    (path,) = [path for path in store.list(f"sweeps/{sweep}/borrowed") if path.rpartition("/")[2].startswith(table)]
    return path


def test_one_who_forks_and_slept_replaces_no_copy_of_the_fork_that_another_has_made_meanwhile(lender):
    made = fork(lender, "digits", "wide", overrides=WIDER)
    borrowing = sweep_record.read(lender, "wide").borrowing
    before = read_borrowed(lender, "wide", borrowing)

    write_borrowed(
        lender, "wide", replace(before, rows=before.rows[:1]), lender="digits", incarnation=borrowing.incarnation
    )

    assert read_borrowed(lender, "wide", borrowing) == before
    assert len(borrowed_results(lender, context_of(lender, made))) == 4
    left = inspect(lender, "wide").findings
    assert [finding.damaged for finding in left] == [False, False]
    maintenance.gc(lender, "wide", dry_run=False, now_s=time.time())
    assert inspect(lender, "wide").findings == ()
    assert read_borrowed(lender, "wide", borrowing) == before


def test_a_damaged_copy_of_an_earlier_attempt_is_written_anew(lender, tmp_path):
    failing = FailingStore(tmp_path / "store")
    failing.fails_at = 3
    with pytest.raises(StoreUnavailable):
        fork(failing, "digits", "wide", overrides=WIDER)
    lender.replace(copy_of(lender, "trials"), b"damaged")

    fork(lender, "digits", "wide", overrides=WIDER)

    assert inspect(lender, "wide").findings == ()


def test_the_copies_of_a_fork_of_an_older_version_are_read_where_they_lie(lender):
    made = fork(lender, "digits", "wide", overrides=WIDER)
    for table in ("trials", "epochs"):
        path = copy_of(lender, table)
        lender.create(SweepPaths("wide").borrowed(table), lender.read(path))
        lender.remove(path)

    assert len(borrowed_results(lender, context_of(lender, made))) == 4
    assert inspect(lender, "wide").findings == ()


@pytest.mark.parametrize("table", ["trials", "epochs"])
@pytest.mark.parametrize("is_missing", [True, False])
def test_damage_to_a_copy_is_found_and_costs_the_sampler_knowledge_only(table, is_missing, lender):
    made = fork(lender, "digits", "wide", overrides=WIDER)
    path = copy_of(lender, table)
    if is_missing:
        lender.remove(path)
    else:
        local = lender.local_path(path)
        content = bytearray(local.read_bytes())
        content[len(content) // 2] ^= 1
        local.chmod(0o644)
        local.write_bytes(bytes(content))

    assert [(finding.path, finding.damaged) for finding in inspect(lender, "wide").findings] == [(path, True)]
    assert borrowed_results(lender, context_of(lender, made)) == ()
