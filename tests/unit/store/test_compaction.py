"""Derived copies: the same answers, faster; removing or damaging them changes nothing but the time."""

from pathlib import Path

import pytest

from tests.support.rows import epoch_rows, trial_row
from vae_search.errors import StoreUnavailable
from vae_search.store.backends.local import LocalStore
from vae_search.store.ledger.checksums import decode_checked, encode_checked
from vae_search.store.ledger.trials import Ledger
from vae_search.store.paths import SweepPaths
from vae_search.store.queries.sql import query

EVERYTHING = "SELECT sweep, trial, neg_elbo, params_json FROM trials ORDER BY ALL"
CURVES = "SELECT sweep, trial, epoch, neg_elbo FROM epochs ORDER BY ALL"


class CountingStore(LocalStore):
    """Counts what is read."""

    reads = 0

    def read(self, path: str) -> bytes:
        self.reads += 1
        return super().read(path)


@pytest.fixture
def swept(tmp_path) -> CountingStore:
    return filled(tmp_path)


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> tuple:
    """Answers of a store as `swept` is in the beginning."""
    return answers(filled(tmp_path_factory.mktemp("original")))


def filled(folder: Path) -> CountingStore:
    """Trials 0 to 11, without 8, which has not ended yet: eleven rows."""
    store = CountingStore(folder)
    for trial in (*range(8), *range(9, 12)):
        Ledger(store, "digits").commit(trial_row(trial, params={"latent_dim": 2 + trial}), epoch_rows(trial))
    Ledger(store, "other").commit(trial_row(0, sweep="other"), epoch_rows(0, sweep="other"))
    return store


def answers(store: LocalStore) -> tuple:
    ledger = Ledger(store, "digits")
    trials = ledger.read()
    return (
        trials,
        ledger.curves(trials.rows),
        query(store, EVERYTHING),
        query(store, CURVES),
        query(store, CURVES, sweep="digits"),
    )


def copies(size: int) -> list[str]:
    return [SweepPaths("digits").compact_epochs(size), SweepPaths("digits").compact_trials(size)]


def moved(store: LocalStore, old: str, new: str) -> None:
    store.create(new, store.read(old))
    store.remove(old)


def compacted(store: LocalStore) -> list[str]:
    Ledger(store, "digits").compact()
    return store.list(SweepPaths("digits").compact)


def test_answers_are_the_same_with_copies_and_take_fewer_reads(swept, original):
    raw = {path: swept.read(path) for path in swept.list("sweeps/digits/trials")}
    swept.reads = 0
    answers(swept)
    without, swept.reads = swept.reads, 0

    assert compacted(swept) == copies(11)
    swept.reads = 0

    assert answers(swept) == original
    assert swept.reads < 0.4 * without
    assert {path: swept.read(path) for path in swept.list("sweeps/digits/trials")} == raw


def test_a_larger_copy_takes_the_place_of_a_shorter(swept):
    compacted(swept)
    Ledger(swept, "digits").commit(trial_row(8, params={"latent_dim": 10}), epoch_rows(8))
    before = answers(swept)

    assert compacted(swept) == copies(12)
    assert answers(swept) == before


@pytest.mark.parametrize(
    ("harm", "copy"),
    [
        pytest.param(harm, copy, marks=[] if (number + place) % 2 == 0 else [pytest.mark.exhaustive])
        for number, harm in enumerate(["removed", "cut", "flipped", "of another sweep"])
        for place, copy in enumerate([SweepPaths.compact_trials, SweepPaths.compact_epochs])
    ],
)
def test_a_harmed_copy_changes_no_answer(swept, original, copy, harm):
    compacted(swept)
    path = copy(SweepPaths("digits"), 11)
    content = swept.read(path)
    match harm:
        case "removed":
            swept.remove(path)
        case "cut":
            swept.replace(path, content[:-20])
        case "flipped":
            swept.replace(path, content[:100] + bytes([content[100] ^ 1]) + content[101:])
        case "of another sweep":
            swept.replace(path, swept.read(SweepPaths("other").trial(0)))

    assert answers(swept) == original
    assert compacted(swept)
    assert swept.read(path) == content


def test_a_row_that_was_removed_is_not_shown_from_a_copy(swept):
    compacted(swept)
    swept.remove(SweepPaths("digits").trial(3))

    trials, _, everything, curves, _ = answers(swept)
    rows = trials.rows

    assert 3 not in {row.trial for row in rows}
    assert ("digits", 3) not in {row[:2] for row in everything.rows}
    assert ("digits", 3) not in {row[:2] for row in curves.rows}


def test_a_copy_that_has_grown_is_the_same_as_one_made_at_once(swept):
    compacted(swept)
    Ledger(swept, "digits").commit(trial_row(8, params={"latent_dim": 10}), epoch_rows(8))
    swept.reads = 0
    grown = {path: swept.read(path) for path in compacted(swept)}
    assert swept.reads < 12  # one row and curve, and the old copy: what it holds is not read again

    swept.remove_tree(SweepPaths("digits").compact)

    assert {path: swept.read(path) for path in compacted(swept)} == grown


def test_a_copy_of_an_older_version_grows_with_the_columns_of_today(swept):
    swept.create(SweepPaths("digits").resolved, b"{}")  # a query shows rows of sweeps that have a record
    (_, path) = compacted(swept)
    older = decode_checked(swept.read(path), path=path).drop_columns(["iwae"]).replace_schema_metadata(None)
    swept.replace(path, encode_checked(older, path=path))
    Ledger(swept, "digits").commit(trial_row(8, params={"latent_dim": 10}), epoch_rows(8))

    compacted(swept)

    assert [row.trial for row in Ledger(swept, "digits").trials()] == list(range(12))
    assert query(swept, "SELECT count(*), count(iwae) FROM trials", sweep="digits").rows == ((12, 0),)


def test_rows_that_wait_for_no_earlier_trial_are_copied(swept):
    """A trial may wait at a rung for hours while hundreds of later ones end."""
    swept.remove(SweepPaths("digits").trial(0))
    before = Ledger(swept, "digits").read()

    assert compacted(swept) == copies(10)
    swept.reads = 0
    assert Ledger(swept, "digits").read() == before
    assert swept.reads == 2  # of the record and the copy


def test_a_copy_leaves_out_a_damaged_row_or_curve_and_takes_it_in_once_it_is_restored(swept):
    row, curve = (swept.read(path) for path in (SweepPaths("digits").trial(6), SweepPaths("digits").trial_epochs(2)))
    swept.replace(SweepPaths("digits").trial(6), b"rubbish")
    swept.replace(SweepPaths("digits").trial_epochs(2), b"rubbish")
    damaged = answers(swept)

    assert compacted(swept) == copies(9)
    assert answers(swept) == damaged
    swept.replace(SweepPaths("digits").trial(6), row)
    swept.replace(SweepPaths("digits").trial_epochs(2), curve)
    whole = answers(swept)

    assert compacted(swept) == copies(11)
    assert answers(swept) == whole


def test_a_copy_of_an_older_version_that_is_named_by_the_end_of_its_range_is_used_and_replaced(swept):
    """It held trials 0 … n-1 without the set-aside ones, and was called n."""
    swept.remove(SweepPaths("digits").trial(5))
    for trial in (9, 10, 11):
        moved(swept, SweepPaths("digits").trial(trial), f"kept/{trial}")
    compacted(swept)
    for old, new in zip(copies(7), copies(8), strict=True):
        content = decode_checked(swept.read(old), path=old).replace_schema_metadata(None)
        swept.create(new, encode_checked(content, path=new))
        swept.remove(old)
    for trial in (9, 10, 11):
        moved(swept, f"kept/{trial}", SweepPaths("digits").trial(trial))
    before = answers(swept)

    assert compacted(swept) == copies(10)
    assert answers(swept) == before


def test_trials_without_epochs_and_set_aside_numbers_are_no_gap(swept):
    swept.remove(SweepPaths("digits").trial(5))
    swept.create(SweepPaths("digits").tombstone(5), b"{}")
    Ledger(swept, "digits").commit(trial_row(8), [])
    before = answers(swept)

    assert compacted(swept) == copies(11)
    assert answers(swept) == before


def test_a_copy_of_other_trials_but_as_many_is_replaced_as_a_pair(swept, monkeypatch):
    compacted(swept)
    swept.remove(SweepPaths("digits").trial(5))
    Ledger(swept, "digits").commit(trial_row(8), epoch_rows(8))
    before = answers(swept)
    written = swept.replace

    def dying(path, content):
        written(path, content)
        raise StoreUnavailable("killed after its first file")

    with monkeypatch.context() as patch:
        patch.setattr(swept, "replace", dying)
        with pytest.raises(StoreUnavailable):
            compacted(swept)

    assert answers(swept) == before
    assert compacted(swept) == copies(11)
    assert answers(swept) == before


def test_a_compaction_that_died_after_its_first_file_is_no_copy_and_is_made_again(swept, original):
    swept.create(SweepPaths("digits").compact_epochs(11), b"half")

    assert answers(swept) == original
    assert compacted(swept) == copies(11)
    assert answers(swept) == original


def test_a_copy_keeps_metrics_beside_rows_that_have_none(tmp_path):
    store = LocalStore(tmp_path)
    ledger = Ledger(store, "digits")
    ledger.commit(trial_row(0), epoch_rows(0))
    ledger.compact()
    for trial in (1, 2):
        ledger.commit(
            trial_row(trial, metrics={"metric_ssim": 0.5 + trial / 10, "metric_mig": None}), epoch_rows(trial)
        )
        ledger.compact()

    rows = Ledger(store, "digits").read().rows
    path = SweepPaths("digits").compact_trials(3)
    found = decode_checked(store.read(path), path=path, columns=["trial", "metric_ssim"]).to_pylist()

    assert [row.value("metric_ssim") for row in rows] == [None, 0.6, 0.7]
    assert [each["metric_ssim"] for each in found] == [None, 0.6, 0.7]


def test_a_row_without_metrics_has_the_columns_that_it_always_had(tmp_path):
    store = LocalStore(tmp_path)
    Ledger(store, "digits").commit(trial_row(0), epoch_rows(0))

    table = decode_checked(store.read(SweepPaths("digits").trial(0)), path=SweepPaths("digits").trial(0))

    assert not [name for name in table.column_names if name.startswith("metric")]
