"""Finished trials: written once, never lost, never twice."""

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import duckdb
import pyarrow.parquet as pq
import pytest

from tests.support.rows import epoch_rows, trial_row
from vae_search.errors import CorruptStore, NotFound, StoreUnavailable
from vae_search.store.backends.local import LocalStore
from vae_search.store.ledger.trials import Ledger, LedgerRows
from vae_search.store.paths import SweepPaths
from vae_search.store.sweeps.folders import sweep_names


@pytest.fixture
def ledger(store: LocalStore) -> Ledger:
    return Ledger(store, "digits")


class FullStore(LocalStore):
    """A store on which one folder has no space left."""

    full = "/trials/"

    def create(self, path: str, content: bytes) -> None:
        if self.full in path:
            raise StoreUnavailable(path)
        super().create(path, content)


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def test_a_committed_trial_is_in_the_ledger_with_its_curve(ledger: Ledger) -> None:
    row = ledger.commit(trial_row(3), epoch_rows(3))

    assert row.epochs_sha256 is not None
    assert ledger.trials() == [row]
    assert ledger.trial(3) == row
    assert ledger.epochs(3) == epoch_rows(3)


def test_a_new_sweep_has_no_trials(ledger: Ledger) -> None:
    assert ledger.trials() == []
    with pytest.raises(NotFound):
        ledger.trial(0)
    with pytest.raises(NotFound):
        ledger.epochs(0)


def test_trials_come_in_the_order_of_their_numbers(ledger: Ledger) -> None:
    for trial in (10, 2, 1_000_000, 0):
        ledger.commit(trial_row(trial), [])

    assert [row.trial for row in ledger.trials()] == [0, 2, 10, 1_000_000]


def test_a_second_commit_of_a_trial_returns_the_first_row_and_changes_nothing(
    store: LocalStore, ledger: Ledger
) -> None:
    first = ledger.commit(trial_row(3), epoch_rows(3))
    before = {path: store.read(path) for path in store.list("sweeps")}

    second = ledger.commit(trial_row(3, lease=2, neg_elbo=1.0), epoch_rows(3, epochs=5))

    assert second == first
    assert {path: store.read(path) for path in store.list("sweeps")} == before


def test_of_eight_commits_of_one_trial_all_return_the_same_row(store: LocalStore, ledger: Ledger) -> None:
    start = Barrier(8)

    def commit(lease: int) -> object:
        start.wait()
        return ledger.commit(trial_row(3, lease=lease), epoch_rows(3))

    with ThreadPoolExecutor(8) as pool:
        rows = list(pool.map(commit, range(8)))

    assert len({row.lease for row in rows}) == 1
    assert ledger.trials() == rows[:1]
    assert store.list(SweepPaths("digits").trials) == [SweepPaths("digits").trial(3)]


def test_a_commit_that_fails_before_the_row_can_be_made_again(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        Ledger(FullStore(tmp_path), "digits").commit(trial_row(3), epoch_rows(3))

    ledger = Ledger(LocalStore(tmp_path), "digits")
    assert ledger.trials() == []
    with pytest.raises(NotFound):
        ledger.epochs(3)
    assert ledger.commit(trial_row(3), epoch_rows(3)) == ledger.trial(3)
    assert ledger.epochs(3) == epoch_rows(3)


def test_the_curve_of_a_dead_attempt_is_replaced(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        Ledger(FullStore(tmp_path), "digits").commit(trial_row(3), epoch_rows(3, epochs=9))

    ledger = Ledger(LocalStore(tmp_path), "digits")
    ledger.commit(trial_row(3), epoch_rows(3, epochs=2))

    assert ledger.epochs(3) == epoch_rows(3, epochs=2)


def test_rows_of_another_sweep_or_trial_are_refused(store: LocalStore, ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="digits/3 cannot hold a row of other/3"):
        ledger.commit(trial_row(3, sweep="other"), [])
    with pytest.raises(ValueError, match="digits/3 cannot hold a row of digits/4"):
        ledger.commit(trial_row(3), epoch_rows(4))

    assert store.list("") == []


def test_damaged_rows_are_left_out_and_named_and_the_rest_is_read(store: LocalStore, ledger: Ledger) -> None:
    rows = [ledger.commit(trial_row(trial), epoch_rows(trial)) for trial in range(6)]
    paths = [store.local_path(SweepPaths("digits").trial(trial)) for trial in range(6)]
    flip(paths[0], paths[0].stat().st_size // 2)
    paths[1].write_bytes(paths[1].read_bytes()[:-9])
    paths[2].write_bytes(b"")
    paths[5].with_name("000006.parquet").write_bytes(paths[5].read_bytes())  # trial 5 again, as 6
    paths[5].with_name("notes.parquet").write_text("not mine")
    paths[5].with_name("README.txt").write_text("ignored")

    found = ledger.read()

    assert found.rows == tuple(rows[3:])
    names = ("000000", "000001", "000002", "000006", "notes")
    assert found.damaged == tuple(f"sweeps/digits/trials/{name}.parquet" for name in names)
    with pytest.raises(CorruptStore, match=r"^sweeps/digits/trials/000002\.parquet: damaged"):
        ledger.trial(2)
    with pytest.raises(CorruptStore, match="000002"):
        ledger.commit(trial_row(2), epoch_rows(2))


def test_damage_is_forgotten_when_it_was_mended(store: LocalStore, ledger: Ledger) -> None:
    row = ledger.commit(trial_row(0), [])
    path = store.local_path(SweepPaths("digits").trial(0))
    flip(path, 100)
    ledger.trials()
    flip(path, 100)

    assert ledger.read() == LedgerRows(rows=(row,), damaged=(), foreign={}, set_aside=())


@pytest.mark.parametrize("file", [SweepPaths("digits").trial(0), SweepPaths("digits").trial_epochs(0)])
def test_no_flipped_bit_ever_changes_what_is_read(store: LocalStore, ledger: Ledger, file: str) -> None:
    ledger.commit(trial_row(0), epoch_rows(0))
    path, chance = store.local_path(file), random.Random(11)
    content = path.read_bytes()

    for _ in range(150):
        broken = bytearray(content)
        broken[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        path.write_bytes(broken)

        with pytest.raises(CorruptStore, match=file):
            ledger.epochs(0)


def test_a_curve_that_is_missing_or_of_another_attempt_is_found(store: LocalStore, ledger: Ledger) -> None:
    ledger.commit(trial_row(0), epoch_rows(0))
    path = SweepPaths("digits").trial_epochs(0)
    other = LocalStore(store.local_path("other"))
    Ledger(other, "digits").commit(trial_row(0), epoch_rows(0, epochs=3))

    store.replace(path, other.read(path))
    with pytest.raises(CorruptStore, match=r"epochs/000000\.parquet: is not the learning curve"):
        ledger.epochs(0)

    store.remove(path)
    with pytest.raises(CorruptStore, match=r"epochs/000000\.parquet: is missing"):
        ledger.epochs(0)


def test_anyone_can_count_the_trials_with_plain_duckdb(store: LocalStore) -> None:
    for sweep in ("digits", "fashion"):
        for trial in range(3):
            Ledger(store, sweep).commit(trial_row(trial, sweep), epoch_rows(trial, sweep))
    files = f"{store.location}/sweeps/*/trials/*.parquet"

    found = duckdb.execute("SELECT count(*), count(DISTINCT trial), sum(neg_elbo) FROM read_parquet(?)", [files])

    assert found.fetchall() == [(6, 3, 606.0)]


def test_anyone_can_read_a_row_with_plain_pyarrow(store: LocalStore, ledger: Ledger) -> None:
    row = ledger.commit(trial_row(0), epoch_rows(0))
    path = store.local_path(SweepPaths("digits").trial(0))

    record = pq.ParquetFile(path, page_checksum_verification=True).read().to_pylist()[0]

    assert record["epochs_sha256"] == row.epochs_sha256
    assert record["finished_at"] == row.finished_at


def test_sweeps_are_named_in_order(store: LocalStore) -> None:
    for sweep in ("fashion", "digits"):
        store.create(SweepPaths(sweep).resolved, b"{}")
    store.create("sweeps/README", b"not a sweep")

    assert sweep_names(store) == ["digits", "fashion"]
