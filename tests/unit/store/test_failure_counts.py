from vae_search.core.trial_state import Reason
from vae_search.store.ledger.failure_counts import failure_counts, record_failure
from vae_search.store.paths import SweepPaths


def test_strikes_are_counted_by_trial_and_reason(store):
    record_failure(store, "small", "000004", Reason.OOM, detail="MemoryError")
    record_failure(store, "small", "000004", Reason.OOM, detail="MemoryError")
    record_failure(store, "small", "000004", Reason.TIMEOUT, detail="600 s")
    record_failure(store, "small", "000004-s1", Reason.TIMEOUT, detail="600 s")

    assert failure_counts(store, "small", "000004") == {Reason.OOM: 2, Reason.TIMEOUT: 1}
    assert failure_counts(store, "small", "000005") == {}


def test_strikes_go_with_the_running_folder_and_other_files_in_it_are_none(store):
    record_failure(store, "small", "000004", Reason.OOM, detail="MemoryError")
    store.create(SweepPaths("small").suggestion("000004"), b"{}")
    store.create(f"{SweepPaths('small').checkpoint('000004', 1, 3)}/state.npz", b"")

    assert failure_counts(store, "small", "000004") == {Reason.OOM: 1}

    store.remove_tree(SweepPaths("small").run("000004"))
    assert failure_counts(store, "small", "000004") == {}
