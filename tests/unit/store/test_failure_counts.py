import pytest

from vae_search.core.trial_state import Reason
from vae_search.store.ledger.failure_counts import failure_counts, record_failure
from vae_search.store.paths import SweepPaths


def test_strikes_are_counted_by_trial_and_reason(store):
    record_failure(store, "small", "000004", Reason.OOM, detail="MemoryError")
    record_failure(store, "small", "000004", Reason.OOM, detail="MemoryError")
    record_failure(store, "small", "000004", Reason.TIMEOUT, detail="600 s", limit_s=600.0)
    record_failure(store, "small", "000004-s1", Reason.TIMEOUT, detail="600 s", limit_s=600.0)

    assert failure_counts(store, "small", "000004", trial_timeout_s=600.0) == {Reason.OOM: 2, Reason.TIMEOUT: 1}
    assert failure_counts(store, "small", "000005", trial_timeout_s=600.0) == {}


def test_strikes_go_with_the_running_folder_and_other_files_in_it_are_none(store):
    record_failure(store, "small", "000004", Reason.OOM, detail="MemoryError")
    store.create(SweepPaths("small").suggestion("000004"), b"{}")
    store.create(f"{SweepPaths('small').checkpoint('000004', 1, 3)}/state.npz", b"")

    assert failure_counts(store, "small", "000004", trial_timeout_s=600.0) == {Reason.OOM: 1}

    store.remove_tree(SweepPaths("small").run("000004"))
    assert failure_counts(store, "small", "000004", trial_timeout_s=600.0) == {}


@pytest.mark.parametrize(
    ("earned_s", "now_s", "counts"),
    [
        (600.0, 600.0, 1),
        (600.0, 60.0, 1),  # it takes longer than the longer one
        (600.0, 6000.0, 0),  # nobody has seen it take so long
        (600.0, None, 0),
        (None, 600.0, 0),  # of a version that did not record it
    ],
)
def test_a_timeout_belongs_to_the_limit_that_it_was_earned_under(store, earned_s, now_s, counts):
    record_failure(store, "small", "000004", Reason.TIMEOUT, detail="", limit_s=earned_s)
    record_failure(store, "small", "000004", Reason.OOM, detail="")

    found = failure_counts(store, "small", "000004", trial_timeout_s=now_s)

    assert (found[Reason.TIMEOUT], found[Reason.OOM]) == (counts, 1)
