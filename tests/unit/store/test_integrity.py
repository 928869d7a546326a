"""Damage of every kind is named; repairing it loses nothing that is intact and never frees a number."""

import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from tests.support.candidates import finalist_row
from tests.support.rows import epoch_rows, trial_row
from vae_search.cli.exit_codes import raise_if_still_damaged
from vae_search.core.trial_state import Reason, State
from vae_search.errors import Conflict, CorruptStore, NotFound
from vae_search.services import maintenance, sweep_status
from vae_search.spec.sweep_spec import overridden, parse_spec
from vae_search.store import paths as store_paths
from vae_search.store.backends.json_records import to_sealed_json
from vae_search.store.backends.local import LocalStore
from vae_search.store.leases.lease import acquire
from vae_search.store.ledger import artifacts
from vae_search.store.ledger.checkpoints import PAUSE_FILE
from vae_search.store.ledger.confirm_runs import ConfirmRuns
from vae_search.store.ledger.trials import Ledger
from vae_search.store.maintenance.integrity import inspect
from vae_search.store.maintenance.repair import set_aside
from vae_search.store.paths import SweepPaths
from vae_search.store.sweeps import beginning, sweep_record
from vae_search.store.sweeps.folders import sweep_names

SPEC = """
name: digits
data: {source: digits}
search_space: {architecture: mlp, latent_dim: {type: int, low: 2, high: 32}, beta: 0.5}
budget: {trials: 4, epochs: 2}
confirm: {finalists: 0}
"""
KEY = "c" * 64
SPEC_SHA256 = parse_spec(SPEC, base=Path()).sha256


@pytest.fixture
def swept(store: LocalStore) -> LocalStore:
    """A sweep of four trials as a driver leaves it: two kept their weights, one failed."""
    record = sweep_record.SweepRecord(
        spec=parse_spec(SPEC, base=Path()), fingerprint="f" * 64, comparability_key=KEY, versions={}
    )
    beginning.create_or_check(store, record, text=SPEC)
    acquire(store, "digits").release()
    ledger = Ledger(store, "digits")
    for trial in range(3):
        sha256 = (
            artifacts.keep(store, "digits", store_paths.trial_key(trial), {"weights.npz": b"w" * 50})
            if trial < 2
            else None
        )
        ledger.commit(trial_row(trial, artifact_sha256=sha256, spec_sha256=SPEC_SHA256), epoch_rows(trial))
    failed = {"state": State.FAIL, "reason": Reason.DIVERGED, "objective": None, "neg_elbo": None}
    failed["spec_sha256"] = SPEC_SHA256
    ledger.commit(trial_row(3, **failed), epoch_rows(3, epochs=1))
    return store


def flip(path: str) -> Callable[[LocalStore], None]:
    def damage(store: LocalStore) -> None:
        content = bytearray(store.read(path))
        content[len(content) // 2] ^= 1
        store.replace(path, bytes(content))

    return damage


def cut(path: str) -> Callable[[LocalStore], None]:
    return lambda store: store.replace(path, store.read(path)[:-10])


def other_spec(store: LocalStore) -> None:
    path = SweepPaths("digits").resolved
    store.replace(path, store.read(path).replace(b'"high": 32', b'"high": 31'))


def remove(path: str) -> Callable[[LocalStore], None]:
    return lambda store: store.remove(path)


def swap_curves(store: LocalStore) -> None:
    store.replace(SweepPaths("digits").trial_epochs(0), store.read(SweepPaths("digits").trial_epochs(1)))


def foreign_row(store: LocalStore) -> None:
    store.replace(SweepPaths("digits").trial(2), store.read(SweepPaths("digits").trial(1)))


DAMAGE = {
    "a row": (flip(SweepPaths("digits").trial(1)), SweepPaths("digits").trial(1)),
    "another trial's row": (foreign_row, SweepPaths("digits").trial(2)),
    "a curve": (flip(SweepPaths("digits").trial_epochs(2)), SweepPaths("digits").trial_epochs(2)),
    "a missing curve": (remove(SweepPaths("digits").trial_epochs(2)), SweepPaths("digits").trial_epochs(2)),
    "another trial's curve": (swap_curves, SweepPaths("digits").trial_epochs(0)),
    "weights": (flip("sweeps/digits/artifacts/000001/weights.npz"), "sweeps/digits/artifacts/000001/manifest.json"),
    "a manifest": (remove("sweeps/digits/artifacts/000001/manifest.json"), "artifacts/000001/manifest.json"),
    "a lease": (remove(SweepPaths("digits").lease(1)), SweepPaths("digits").trial(0)),
    "the record's spec": (other_spec, SweepPaths("digits").resolved),
    "the record": (cut(SweepPaths("digits").resolved), SweepPaths("digits").resolved),
}


def test_a_sweep_as_a_driver_leaves_it_is_intact(swept):
    found = inspect(swept, "digits")

    assert (found.rows, found.curves, found.artifacts) == (4, 4, 2)
    assert found.findings == ()


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_named(swept, damage):
    break_it, path = DAMAGE[damage]
    break_it(swept)

    found = inspect(swept, "digits")

    assert any(finding.path.endswith(path) for finding in found.damaged), found.findings


def test_a_pause_is_checked_as_rows_are_and_can_be_set_aside(swept):
    path = f"{SweepPaths('digits').run('000009')}/{PAUSE_FILE}"
    swept.create(path, to_sealed_json({"rung": 3}))
    assert inspect(swept, "digits").findings == ()
    flip(path)(swept)

    (finding,) = inspect(swept, "digits").damaged

    assert finding.path == path
    assert set_aside(swept, "digits", finding, lease=1)
    assert inspect(swept, "digits").findings == ()


def test_what_a_dead_driver_leaves_behind_is_no_damage(swept):
    swept.create(SweepPaths("digits").trial_epochs(9), swept.read(SweepPaths("digits").trial_epochs(0)))
    swept.create(SweepPaths("digits").suggestion("000001"), b"{}")
    artifacts.keep(swept, "digits", "000008", {"weights.npz": b"w"})
    Ledger(swept, "digits").compact()
    cut(SweepPaths("digits").compact_trials(4))(swept)

    found = inspect(swept, "digits")

    # The copy's other file is of no use without the damaged one.
    assert len(found.findings) == 5
    assert found.damaged == ()


@pytest.mark.parametrize("lost", ["damaged", "set aside"])
def test_what_belongs_to_a_row_that_is_lost_is_no_leftover(swept, lost):
    flip(SweepPaths("digits").trial(1))(swept)
    if lost == "set aside":
        maintenance.verify(swept, "digits", repair=True)

    assert [finding for finding in inspect(swept, "digits").findings if not finding.damaged] == []


def test_a_confirm_run_of_a_finished_trial_is_no_leftover(swept):
    swept.create(SweepPaths("digits").suggestion("000001-s1"), b"{}")

    assert inspect(swept, "digits").findings == ()


def test_a_longer_warm_up_of_a_confirm_run_is_no_damage_but_other_parameters_are(swept):
    params = {"architecture": "mlp", "latent_dim": 16, "beta": 0.5}
    for seed, changed in ((1, {"kl_warmup_epochs": 75}), (2, {"latent_dim": 64})):
        row = finalist_row(0, seed, params=params | changed, spec_sha256=SPEC_SHA256)
        ConfirmRuns(swept, "digits").commit(row)

    found = [each.path for each in inspect(swept, "digits").findings if "does not fit" in each.problem]

    assert found == [SweepPaths("digits").finalist(0, 2)]


def test_an_artifact_whose_removal_was_interrupted_is_a_leftover_and_no_damage(swept: LocalStore) -> None:
    spec = overridden(parse_spec(SPEC, base=Path()), ["keep=1"])
    lease = acquire(swept, "digits", begin=lambda: {"spec": spec.to_json()})
    swept.remove("sweeps/digits/artifacts/000001/manifest.json")  # the first step of a removal

    (finding,) = inspect(swept, "digits").findings

    lease.release()
    assert (finding.path, finding.damaged) == ("sweeps/digits/artifacts/000001", False)


def test_a_damaged_row_is_set_aside_and_its_number_stays_used(swept):
    path = SweepPaths("digits").trial(1)
    flip(path)(swept)
    damaged = swept.read(path)

    before = maintenance.verify(swept, "digits", repair=True)[0].before
    after = inspect(swept, "digits")

    ledger = Ledger(swept, "digits").read()
    assert [finding.path for finding in before.damaged] == [path]
    assert after.damaged == ()
    assert after.set_aside == (1,)
    assert [row.trial for row in ledger.rows] == [0, 2, 3]
    assert ledger.damaged == ()
    assert ledger.set_aside == (1,)
    assert sweep_status.status(swept, "digits").finished
    assert swept.read(SweepPaths("digits").set_aside(path)) == damaged
    folder = swept.local_path(SweepPaths("digits").trials)
    assert duckdb.read_parquet(f"{folder}/*.parquet").count("trial").fetchall() == [(3,)]


def test_setting_aside_can_be_interrupted_and_done_again(swept):
    flip(SweepPaths("digits").trial(1))(swept)
    (finding,) = inspect(swept, "digits").damaged
    swept.create(SweepPaths("digits").tombstone(1), b"{}")  # a repair that died here

    assert set_aside(swept, "digits", finding, lease=2)
    assert set_aside(swept, "digits", finding, lease=2)

    assert inspect(swept, "digits").set_aside == (1,)


@pytest.mark.parametrize("damage", ["a curve", "another trial's curve", "weights", "a manifest"])
def test_repair_never_takes_a_row_for_the_damage_of_its_other_files(swept, damage):
    DAMAGE[damage][0](swept)

    maintenance.verify(swept, "digits", repair=True)

    assert [row.trial for row in Ledger(swept, "digits").trials()] == [0, 1, 2, 3]


def test_the_record_of_a_sweep_cannot_be_repaired_and_stays(swept):
    cut(SweepPaths("digits").resolved)(swept)
    content = swept.read(SweepPaths("digits").resolved)

    maintenance.verify(swept, "digits", repair=True)

    assert swept.read(SweepPaths("digits").resolved) == content


def test_a_sweep_at_work_is_neither_repaired_nor_removed(swept):
    flip(SweepPaths("digits").trial(1))(swept)
    lease = acquire(swept, "digits", beat_s=0.05)
    try:
        with pytest.raises(Conflict):
            maintenance.verify(swept, "digits", repair=True)
        with pytest.raises(Conflict):
            maintenance.remove(swept, "digits")
    finally:
        lease.release()
    assert [finding.path for finding in inspect(swept, "digits").damaged] == [SweepPaths("digits").trial(1)]


def test_of_a_removed_sweep_nothing_is_left_but_its_leases(swept):
    maintenance.remove(swept, "digits")

    paths = SweepPaths("digits")
    assert [path for path in swept.list(paths.folder) if not path.startswith(paths.leases)] == [paths.heartbeat]
    assert sweep_names(swept) == []
    with pytest.raises(NotFound):
        maintenance.remove(swept, "digits")


@pytest.mark.parametrize("move", [shutil.copytree, shutil.move])
def test_a_folder_that_was_renamed_or_copied_is_called_so_and_never_repaired(
    swept: LocalStore, move: Callable[[Path, Path], object]
) -> None:
    sweeps = Path(swept.local_path("sweeps"))
    move(sweeps / "digits", sweeps / "mine")
    files = {path: path.read_bytes() for path in sweeps.rglob("*.*")}

    (checked,) = maintenance.verify(swept, "mine", repair=True)
    found = sweep_status.statuses(swept)

    assert checked.after.renamed_from == "digits"
    assert checked.after.rows == 4
    (finding,) = checked.after.findings
    assert finding.path == "sweeps/mine/resolved.json"
    assert finding.problem.startswith("this folder was renamed or copied: its record names sweep digits. Move it back")
    assert finding.problem.endswith("4 of its 4 rows are intact there.")
    assert {path: path.read_bytes() for path in sweeps.rglob("*.*")} == files
    assert len(found.troubles) == 1
    assert "renamed or copied" in found.troubles[0]
    assert [status.spec.name for status in found.sweeps] == (["digits"] if move is shutil.copytree else [])
    with pytest.raises(CorruptStore, match="mine: renamed or copied by hand; nothing was changed"):
        raise_if_still_damaged([checked], [])


def test_a_folder_that_is_moved_back_is_intact_again(swept: LocalStore) -> None:
    sweeps = Path(swept.local_path("sweeps"))
    shutil.move(sweeps / "digits", sweeps / "mine")
    maintenance.verify(swept, "mine", repair=True)
    shutil.move(sweeps / "mine", sweeps / "digits")

    assert inspect(swept, "digits").findings == ()
