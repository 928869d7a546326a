"""What the logs of a sweep say, in all and of one trial."""

import pytest

from vae_search.errors import NotFound
from vae_search.store.ledger.logs import log_lines
from vae_search.store.paths import SweepPaths

WORKER = """\
2026-11-24 22:29:48,123 INFO vae_search.search.worker.trial_runner: run 000007 starts: {"trial": 17}
2026-11-24 22:29:49,123 INFO vae_search.search.worker.trial_runner: run 000017 starts: {}
2026-11-24 22:29:50,123 ERROR vae_search.search.worker.trial_runner: run 000007 raised
Traceback (most recent call last):
ValueError: bad shape
2026-11-24 22:29:51,123 INFO vae_search.search.worker.trial_runner: run 000007-s1 starts: {}
2026-11-24 22:29:52,123 INFO vae_search.search.worker.trial_runner: run 0000070 starts: {}
"""


@pytest.fixture
def written(store):
    store.replace(f"{SweepPaths('small').logs}/worker-b-1.log", WORKER.encode())
    store.replace(f"{SweepPaths('small').logs}/driver-000001.log", b"2026-11-24 22:29:47,000 INFO x: caf\xe9\n")
    store.replace(f"{SweepPaths('other').logs}/driver-000001.log", b"another sweep's\n")
    return store


def test_every_file_stands_under_its_name(written):
    lines = list(log_lines(written, "small", trial=None))

    assert lines == [
        *("── driver-000001.log", "2026-11-24 22:29:47,000 INFO x: caf\ufffd", "── worker-b-1.log"),
        *WORKER.splitlines(),
    ]


def test_of_one_trial_its_entries_its_traceback_and_its_confirm_runs(written):
    lines = WORKER.splitlines()

    assert list(log_lines(written, "small", trial=7)) == ["── worker-b-1.log", lines[0], *lines[2:6]]
    assert list(log_lines(written, "small", trial=17)) == ["── worker-b-1.log", lines[1]]
    with pytest.raises(NotFound, match=r"no log in .* names trial 1"):
        list(log_lines(written, "small", trial=1))


@pytest.mark.parametrize("sweep", ["none", "../small"])
def test_a_sweep_without_logs_is_not_found(written, sweep):
    with pytest.raises(NotFound):
        list(log_lines(written, sweep, trial=None))
