"""Killed, or failing, at every single operation on a file: of the commit, the lease, checkpoints and compaction."""

import errno
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.chaos.campaign import SHARE, chance, count
from tests.chaos.invariants import Seen, check_invariants, seen
from tests.chaos.story import SWEEP, TRIALS
from tests.chaos.storyteller import Storyteller, Told
from tests.support.paths import ROOT
from tests.support.tiers import STRIDE as QUICK_STRIDE
from tests.support.tiers import stride_offset
from vae_search.store.backends.local import LocalStore

SEEDS = count(1, 20)
STRIDE = 1 if SHARE == 1 else 5  # for faults that last, or are waited out
CODES = (errno.ENOSPC, errno.EIO)
MEMORY = Path("/dev/shm")  # noqa: S108 - a kill loses no page cache, so the campaign need not wait for a disk


@pytest.fixture(scope="module")
def points(quick: bool) -> Callable[[int], range]:
    """The operations to fail at, of so many: all, or in the quick tier a third, which the code's content chooses."""
    if quick:
        print(f"file operations: every third, from {stride_offset() + 1}; all of them with --tier all")
        return lambda number: range(1 + stride_offset(), number + 1, QUICK_STRIDE)
    return lambda number: range(1, number + 1)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="chaos-", dir=MEMORY if MEMORY.is_dir() else None) as name:
        yield Path(name)


@pytest.fixture
def fresh(folder: Path) -> Iterator[LocalStore]:
    yield LocalStore(folder / "store")
    shutil.rmtree(folder / "store", ignore_errors=True)


def empty(store: LocalStore) -> None:
    shutil.rmtree(store.location, ignore_errors=True)


def everything(store: LocalStore) -> dict[str, bytes]:
    """All files but those that every driver writes: leases and its heartbeat."""
    paths = [path for path in store.list("") if "/leases/" not in path and not path.endswith("heartbeat.json")]
    return {path: store.read(path) for path in paths}


def recover(storyteller: Storyteller, store: LocalStore, before: Seen, shown: list[int], *, seed: int) -> None:
    again = storyteller.tell(store, seed=seed)
    assert again.said("bug") is None, again.said("bug")
    assert again.status == 0
    assert not set(again.shown) & before.trials, "a finished trial was run again"
    check_invariants(store, SWEEP, before, shown=[*shown, *again.shown], trials=TRIALS, finished=True)


def recover_once_more(storyteller: Storyteller, store: LocalStore, *, seed: int) -> None:
    files = everything(store)
    third = storyteller.tell(store, seed=seed)
    assert (third.status, third.shown, third.said("bug")) == (0, [], None)
    assert everything(store) == files, "recovering a second time changed something"


@pytest.mark.timeout(3600)
def test_a_kill_at_any_file_operation_loses_and_repeats_nothing(
    storyteller: Storyteller, fresh: LocalStore, points: Callable[[int], range], quick: bool
) -> None:
    kills: Counter[str] = Counter()
    for seed in range(SEEDS):
        random = chance("file operations", seed)
        whole = storyteller.tell(fresh, seed=seed)
        assert (whole.status, whole.said("bug")) == (0, None)
        for point in points(len(whole.calls)):
            call = whole.calls[point - 1]
            empty(fresh)
            died = storyteller.tell(fresh, seed=seed, kill_at=point, torn=random.random())
            assert died.status == -9, f"point {point}, {call}: {died}"
            kills[call] += 1
            before = seen(fresh, SWEEP)
            assert set(died.shown) <= before.trials, f"point {point}, {call}: shown before its row was there"
            recover(storyteller, fresh, before, died.shown, seed=seed)
            recover_once_more(storyteller, fresh, seed=seed)
        empty(fresh)
    print(f"{kills.total()} kills over {SEEDS} seeds: {dict(kills)}")
    every = {"open", "write", "fsync", "link", "unlink", "replace", "mkdir", "rmdir"}
    assert set(kills) <= every if quick else set(kills) == every
    assert kills.total() >= len(whole.calls) // QUICK_STRIDE


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("first", range(count(1, 2)))
def test_a_file_operation_that_fails_once_ends_the_driver_in_words_and_loses_nothing(
    storyteller: Storyteller, fresh: LocalStore, points: Callable[[int], range], first: int
) -> None:
    chance("one failure", first)
    number = len(storyteller.tell(fresh).calls)
    ended = 0
    for point in points(number):
        empty(fresh)
        failed = storyteller.tell(fresh, fail_at=point, errno=CODES[(point + first) % 2])
        assert failed.said("bug") is None, f"operation {point}: {failed.said('bug')}"
        ended += failed.said("unavailable") is not None
        recover(storyteller, fresh, seen(fresh, SWEEP), failed.shown, seed=0)
    tried = len(points(number))
    print(f"{tried} failures of one operation each, {ended} of which ended the driver")
    assert ended > tried / 2


@pytest.mark.timeout(3600)
def test_a_disk_that_is_full_from_any_operation_on_loses_nothing(
    storyteller: Storyteller, fresh: LocalStore, points: Callable[[int], range]
) -> None:
    chance("full disk")
    number = len(storyteller.tell(fresh).calls)
    for point in points(number)[::STRIDE]:
        empty(fresh)
        failed = storyteller.tell(fresh, fail_at=point, lasting=True)
        assert failed.said("bug") is None, f"operation {point}: {failed.said('bug')}"
        recover(storyteller, fresh, seen(fresh, SWEEP), failed.shown, seed=0)


@pytest.mark.timeout(3600)
def test_a_patient_driver_gets_over_any_single_failure(
    storyteller: Storyteller, fresh: LocalStore, points: Callable[[int], range]
) -> None:
    chance("one failure, patiently")
    number = len(storyteller.tell(fresh).calls)
    for point in points(number)[::STRIDE]:
        empty(fresh)
        told = storyteller.tell(fresh, fail_at=point, errno=CODES[point % 2], patient=True)
        assert (told.said("bug"), told.said("unavailable"), told.status) == (None, None, 0), (
            f"operation {point}: {told}"
        )
        check_invariants(fresh, SWEEP, Seen(rows={}), shown=told.shown, trials=TRIALS, finished=True)


def test_the_layer_sees_every_operation_that_strace_sees(fresh: LocalStore) -> None:
    strace = shutil.which("strace")
    if strace is None or subprocess.run([strace, "true"], capture_output=True).returncode:
        pytest.skip("strace is not there, or may not trace")
    names = {
        "link": "link", "linkat": "link", "unlink": "unlink", "unlinkat": "unlink", "rename": "replace",
        "renameat": "replace", "renameat2": "replace", "mkdir": "mkdir", "mkdirat": "mkdir", "rmdir": "rmdir",
        "fsync": "fsync", "fdatasync": "fsync", "write": "write", "pwrite64": "write", "ftruncate": "other",
        "truncate": "other", "symlink": "other", "symlinkat": "other", "chmod": "other", "fchmod": "other",
    }  # fmt: skip
    calls = f"trace={','.join([*names, 'openat'])}"

    done = subprocess.run(
        [strace, "-f", "-y", "-e", calls, sys.executable, "-m", "tests.chaos.story"],
        cwd=ROOT,
        input=json.dumps({"root": fresh.location, "seed": 0}) + "\n",
        text=True,
        capture_output=True,
        check=True,
    )

    seen_by_strace: Counter[str] = Counter()
    for line in done.stderr.splitlines():
        found = re.match(r"(?:\[pid +\d+\] )?(\w+)\(", line)
        if found is None or fresh.location not in line:
            continue
        if found[1] != "openat":
            seen_by_strace[names[found[1]]] += 1
        elif "O_CREAT" in line:
            seen_by_strace["open"] += 1
    seen_by_layer = Counter(Told(**json.loads(done.stdout)[0]).calls)
    assert seen_by_strace == seen_by_layer
