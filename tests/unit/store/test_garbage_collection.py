"""What nothing refers to goes, and nothing else does."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.command_line import vae_search
from tests.support.rows import epoch_rows, trial_row
from vae_search.core.trial_state import Reason, State
from vae_search.errors import Conflict, NotFound
from vae_search.services import maintenance
from vae_search.spec.sweep_spec import parse_spec
from vae_search.store import paths as store_paths
from vae_search.store.backends.local import LocalStore
from vae_search.store.leases.lease import acquire
from vae_search.store.ledger import artifacts, checkpoints
from vae_search.store.ledger.confirm_runs import ConfirmRow, ConfirmRuns
from vae_search.store.ledger.trials import Ledger
from vae_search.store.maintenance.garbage_collection import ABANDONED_S
from vae_search.store.maintenance.integrity import inspect
from vae_search.store.paths import SweepPaths
from vae_search.store.sweeps import beginning, sweep_record

SPEC = """
name: {name}
data: {{source: digits}}
search_space: {{architecture: mlp, latent_dim: {{type: int, low: 2, high: 32}}, beta: 0.5}}
budget: {{trials: 9, epochs: 2}}
keep: 2
"""
NOW_S = 2_000_000_000.0


@pytest.fixture
def swept(store: LocalStore) -> LocalStore:
    return with_sweep(store, "digits")


def with_sweep(store: LocalStore, name: str) -> LocalStore:
    """In the middle of its work: five rows, the best two with weights, one confirm run done, three runs in flight."""
    spec = parse_spec(SPEC.format(name=name), base=Path())
    record = sweep_record.SweepRecord(spec=spec, fingerprint="f" * 64, comparability_key="c" * 64, versions={})
    beginning.create_or_check(store, record, text=SPEC)
    acquire(store, name, begin=lambda: {"spec": spec.to_json()}).release()
    for trial in range(5):
        sha256 = (
            artifacts.keep(store, name, store_paths.trial_key(trial), {"weights.npz": b"w" * 50}) if trial < 2 else None
        )
        ended: dict[str, object] = {"artifact_sha256": sha256, "spec_sha256": spec.sha256}
        if trial == 4:
            ended |= {"state": State.PRUNED, "reason": Reason.RUNG, "objective": None}
        Ledger(store, name).commit(trial_row(trial, name, **ended), epoch_rows(trial, name))
    row = trial_row(0, name, spec_sha256=spec.sha256)
    sha256 = artifacts.keep(store, name, store_paths.confirm_key(0, 1), {"weights.npz": b"w" * 60})
    ConfirmRuns(store, name).commit(ConfirmRow.of(replace(row, artifact_sha256=sha256), confirm_seed=1))
    for key in (store_paths.confirm_key(0, 2), store_paths.confirm_key(1, 1)):
        store.create(SweepPaths(name).suggestion(key), b"{}")
        checkpoints.save(store, name, key, 1, 1, {"state.npz": b"s"})
    Ledger(store, name).compact()
    store.create(SweepPaths(name).suggestion("000005"), b"{}")
    checkpoints.save(store, name, "000005", 1, 1, {"state.npz": b"s"})
    store.create(f"{SweepPaths(name).logs}/driver-000001.log", b"log")
    return store


def every_file(store: LocalStore) -> dict[str, bytes]:
    """Hidden ones as well, without what a lease writes."""
    root = Path(store.location)
    files = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    return {path: content for path, content in files.items() if "/leases/" not in path and "heartbeat" not in path}


def weights_that_fell_behind(store: LocalStore) -> str:
    sha256 = artifacts.keep(store, "digits", "000003", {"weights.npz": b"w" * 50})
    row = replace(Ledger(store, "digits").trial(3), artifact_sha256=sha256)
    store.remove(SweepPaths("digits").trial(3))
    Ledger(store, "digits").commit(row, epoch_rows(3))
    return SweepPaths("digits").artifact("000003")


def weights_without_a_row(store: LocalStore) -> str:
    artifacts.keep(store, "digits", "000006", {"weights.npz": b"w"})
    return SweepPaths("digits").artifact("000006")


def curve_without_a_row(store: LocalStore) -> str:
    store.create(SweepPaths("digits").trial_epochs(6), b"half")
    return SweepPaths("digits").trial_epochs(6)


def running_folder_of_a_finished_trial(store: LocalStore) -> str:
    store.create(SweepPaths("digits").suggestion("000002"), b"{}")
    checkpoints.save(store, "digits", "000002", 1, 1, {"state.npz": b"s" * 70})
    return SweepPaths("digits").run("000002")


def half_removed_running_folder(store: LocalStore) -> str:
    checkpoints.save(store, "digits", "000002", 1, 1, {"state.npz": b"s" * 70})
    return SweepPaths("digits").run("000002")


def running_folder_of_a_finished_confirm_run(store: LocalStore) -> str:
    store.create(SweepPaths("digits").suggestion("000000-s1"), b"{}")
    return SweepPaths("digits").run("000000-s1")


def shorter_copy(store: LocalStore) -> str:
    store.create(SweepPaths("digits").compact_epochs(3), b"old")
    return SweepPaths("digits").compact_epochs(3)


def half_written_row(store: LocalStore) -> str:
    path = f"{SweepPaths('digits').trials}/.000007.parquet.0123456789abcdef.tmp"
    abandon(store, path)
    return path


def abandon(store: LocalStore, path: str, *, age_s: float = ABANDONED_S + 1) -> None:
    file = Path(store.location) / path
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"half a row")
    os.utime(file, (NOW_S - age_s, NOW_S - age_s))


LEFTOVERS = (
    weights_that_fell_behind,
    weights_without_a_row,
    curve_without_a_row,
    running_folder_of_a_finished_trial,
    half_removed_running_folder,
    shorter_copy,
    half_written_row,
    running_folder_of_a_finished_confirm_run,
)


@pytest.mark.parametrize("leave", LEFTOVERS, ids=lambda leave: leave.__name__)
def test_a_leftover_is_removed_and_nothing_else(swept, leave):
    path = leave(swept)
    before = every_file(swept)
    gone = {file for file in before if file == path or file.startswith(f"{path}/")}

    (cleaning,) = maintenance.gc(swept, "digits", dry_run=False, now_s=NOW_S)

    assert dict(cleaning.removed) == {path: sum(len(before[file]) for file in gone)}
    assert every_file(swept) == {file: content for file, content in before.items() if file not in gone}
    assert inspect(swept, "digits").findings == ()
    assert maintenance.gc(swept, "digits", dry_run=False, now_s=NOW_S)[0].removed == {}


def test_a_sweep_without_leftovers_is_not_touched(swept):
    before = {path: swept.read(path) for path in swept.list("")}

    (cleaning,) = maintenance.gc(swept, "digits", dry_run=False, now_s=NOW_S)

    assert cleaning.removed == {}
    assert {path: swept.read(path) for path in swept.list("")} == before


def test_a_dry_run_names_the_same_and_removes_nothing(swept):
    paths = {leave(swept) for leave in LEFTOVERS}
    before = {path: swept.read(path) for path in swept.list("")}

    (looked,) = maintenance.gc(swept, "digits", dry_run=True, now_s=NOW_S)

    assert set(looked.removed) == paths
    assert {path: swept.read(path) for path in swept.list("")} == before
    assert maintenance.gc(swept, "digits", dry_run=False, now_s=NOW_S) == [looked]


def test_a_file_that_may_just_be_being_written_stays(swept):
    abandon(swept, f"{SweepPaths('digits').trials}/.000007.parquet.0123456789abcdef.tmp", age_s=60.0)
    abandon(swept, f"{SweepPaths('digits').logs}/.notes.tmp")  # not ours

    assert maintenance.gc(swept, "digits", dry_run=False, now_s=NOW_S)[0].removed == {}


@pytest.mark.parametrize("path", [SweepPaths("digits").trial(1), SweepPaths("digits").finalist(0, 1)])
@pytest.mark.parametrize("lost", ["damaged", "set aside"])
def test_what_belongs_to_a_lost_row_and_what_was_set_aside_stays(swept, lost, path):
    swept.replace(path, swept.read(path)[:-5])
    if lost == "set aside":
        maintenance.verify(swept, "digits", repair=True)
    swept.remove_tree(SweepPaths("digits").compact)  # a copy that holds a row whose own file is gone is out of date
    before = every_file(swept)

    maintenance.gc(swept, "digits", dry_run=False, now_s=NOW_S)

    assert every_file(swept) == before


def test_a_sweep_at_work_is_refused_by_name_and_skipped_otherwise(swept):
    with_sweep(swept, "other")
    left = curve_without_a_row(swept)
    swept.create(SweepPaths("other").trial_epochs(6), b"half")
    lease = acquire(swept, "digits", beat_s=0.05)
    try:
        with pytest.raises(Conflict, match="sweep digits: process"):
            maintenance.gc(swept, "digits", dry_run=False, now_s=NOW_S)
        digits, other, _ = maintenance.gc(swept, None, dry_run=False, now_s=NOW_S)
    finally:
        lease.release()

    assert digits.removed == {}
    assert "at work" in digits.skipped
    assert set(other.removed) == {SweepPaths("other").trial_epochs(6)}
    assert left in swept.list("sweeps/digits/epochs")


def test_old_probes_and_half_written_files_outside_of_sweeps_are_removed_with_the_whole_store_only(swept):
    abandon(swept, store_paths.probe("0123456789abcdef"))
    abandon(swept, store_paths.probe("fedcba9876543210"), age_s=60.0)
    abandon(swept, ".store.json.0123456789abcdef.tmp")
    half = half_written_row(swept)

    digits, outside = maintenance.gc(swept, None, dry_run=False, now_s=NOW_S)

    assert set(digits.removed) == {half}
    assert set(outside.removed) == {store_paths.probe("0123456789abcdef"), ".store.json.0123456789abcdef.tmp"}
    assert swept.list(store_paths.PROBES) == [store_paths.probe("fedcba9876543210")]
    assert not (Path(swept.location) / ".store.json.0123456789abcdef.tmp").exists()


def test_a_sweep_that_does_not_exist_is_not_found(store):
    with pytest.raises(NotFound):
        maintenance.gc(store, "digits", dry_run=False, now_s=NOW_S)


def command(store: LocalStore, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = vae_search(*arguments, "--store", store.location, folder=Path(store.location))
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def test_the_command_says_what_it_freed(swept):
    curve_without_a_row(swept)

    looked = command(swept, "gc", "digits", "--dry-run")
    done = command(swept, "gc", "--json")
    lease = acquire(swept, "digits")
    try:
        refused = command(swept, "gc", "digits")
    finally:
        lease.release()

    assert looked.stdout.splitlines()[-1] == "4 B would be freed.", looked.stderr
    facts = json.loads(done.stdout)
    assert [(entry["sweep"], entry["freed_bytes"]) for entry in facts] == [("digits", 4), (None, 0)]
    assert refused.returncode == 5
    assert len(refused.stderr.splitlines()) == 1


def test_status_of_one_sweep_says_what_it_takes(swept):
    (facts,) = json.loads(command(swept, "status", "digits", "--json").stdout)
    sizes = {path: len(swept.read(path)) for path in swept.list("sweeps/digits")}

    assert facts["total_bytes"] == sum(sizes.values())
    assert facts["artifacts_bytes"] == sum(size for path, size in sizes.items() if "/artifacts/" in path)
    assert facts["running_bytes"] == sum(size for path, size in sizes.items() if "/running/" in path)
    assert facts["rows_bytes"] > sizes[SweepPaths("digits").trial(0)]
    assert "in the store: rows and curves" in command(swept, "status", "digits").stdout


def test_the_best_are_shown_without_pandas_and_the_spec_s_classes(swept):
    code = (
        "import sys\n"
        "from vae_search.cli.app import main\n"
        f"sys.argv = ['vae-search', 'best', 'digits', '--store', {swept.location!r}]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print({'pandas', 'duckdb', 'vae_search.spec.sweep_spec', 'ray', 'tensorflow'} & set(sys.modules))\n"
    )

    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=True)

    assert "digits: by objective" in done.stdout
    assert done.stdout.splitlines()[-1] == "set()"
