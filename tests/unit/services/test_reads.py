"""One reading per question: the record and the heartbeat of a sweep are read once for `best` and `status`."""

from collections import Counter
from pathlib import Path

import pytest

from tests.support.stores import filled_store
from vae_search.services import queries, sweep_status
from vae_search.store.backends.local import LocalStore
from vae_search.store.leases.lease import acquire
from vae_search.store.leases.records import DriverProgress
from vae_search.store.paths import SweepPaths


class CountingStore(LocalStore):
    """Counts the reads of each file."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.reads: Counter[str] = Counter()

    def read(self, path: str) -> bytes:
        self.reads[path] += 1
        return super().read(path)


@pytest.fixture
def store(tmp_path: Path) -> CountingStore:
    filled = filled_store(tmp_path)
    acquire(filled, "digits", progress=lambda: DriverProgress(driver_s=12.5, exhausted=True)).release()
    return CountingStore(tmp_path)


def test_the_best_trials_take_one_reading_of_the_record(store: CountingStore) -> None:
    ranking = queries.best(store, "digits", count=1)

    assert ranking.searched == ("latent_dim", "beta", "depth")
    assert store.reads[SweepPaths("digits").resolved] == 1
    assert len(ranking.rows) == 1


def test_a_status_takes_one_reading_of_the_record_and_of_the_heartbeat(store: CountingStore) -> None:
    status = sweep_status.status(store, "digits")

    assert (status.heartbeat, status.driver_s, status.is_exhausted) == (None, 12.5, True)
    assert store.reads[SweepPaths("digits").resolved] == 1
    assert store.reads[SweepPaths("digits").heartbeat] == 1
