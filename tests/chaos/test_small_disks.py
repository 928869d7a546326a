"""A disk that fills while a sweep runs: it pauses or ends, and after room was made nothing is missing."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.chaos.campaign import SHARE, chance, count
from tests.chaos.invariants import Seen, check_invariants
from tests.chaos.story import SWEEP, TRIALS
from tests.chaos.storyteller import Storyteller
from tests.chaos.sweeps import NOTHING, QUICK, sweep_of
from vae_search.store.backends.local import LocalStore

CHECKPOINT_BYTES = 100_000


@contextmanager
def disk_of(kib: int, folder: Path) -> Iterator[Callable[[int], None]]:
    """A file system of `kib` at `folder`, and a function that gives it another size."""
    folder.mkdir(exist_ok=True)

    def mount(options: str) -> bool:
        return (
            subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True).returncode
            == 0
        )

    if not mount(f"size={kib}k"):
        pytest.skip("may not mount a small disk")
    try:
        yield lambda larger_kib: pytest.fail("cannot resize") if not mount(f"remount,size={larger_kib}k") else None
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_disk_that_fills_in_a_sweep_keeps_what_was_finished_and_resume_does_the_rest(
    storyteller: Storyteller, tmp_path: Path
) -> None:
    chance("small disks")
    ended = 0
    for kib in range(16, 400, 64 if SHARE < 1 else 8):
        with disk_of(kib, tmp_path / f"disk{kib}") as resize:
            store = LocalStore(tmp_path / f"disk{kib}" / "store")
            first = storyteller.tell(store)
            failure = first.said("unavailable")
            assert first.said("bug") is None, first.said("bug")
            assert failure is None or "No space left on device" in failure
            ended += failure is not None
            before = check_invariants(store, SWEEP, Seen(rows={}), shown=first.shown, trials=TRIALS, finished=False)

            resize(4096)
            again = storyteller.tell(store)

            shown = [*first.shown, *again.shown]
            check_invariants(store, SWEEP, before, shown=shown, trials=TRIALS, finished=True)
    print(f"{ended} sweeps ended because the disk was full")
    assert ended >= 2


@pytest.mark.ray
@pytest.mark.timeout(3600)
@pytest.mark.exhaustive
def test_a_real_sweep_waits_for_room_on_its_disk_and_goes_on() -> None:
    random = chance("full disk, real sweep")
    for kib in random.sample(range(250, 500), count(1, 5)):
        with sweep_of(QUICK) as sweep, disk_of(kib, sweep.folder / "store") as resize:
            driver = sweep.start()
            driver.until(lambda sweep=sweep: is_full(sweep.folder / "store"))
            before = sweep.check(NOTHING, finished=False)
            print(f"{kib} KiB were full after {len(before.rows)} trials")
            resize(64 * 1024)
            assert driver.wait() == 0, driver.errors
            assert driver.errors == ""
            sweep.check(before, finished=True)


@pytest.mark.ray
@pytest.mark.timeout(600)
@pytest.mark.skipif(SHARE < 1, reason="waits out the driver's patience: VAE_SEARCH_CHAOS=1")
@pytest.mark.exhaustive
def test_a_real_sweep_whose_disk_stays_full_ends_as_store_unavailable_and_can_be_resumed() -> None:
    chance("full disk that stays full")
    with sweep_of(QUICK) as sweep, disk_of(400, sweep.folder / "store") as resize:
        driver = sweep.start()
        assert driver.wait() == 7, driver.errors
        assert "No space left on device" in driver.errors
        before = sweep.check(NOTHING, finished=False)
        resize(64 * 1024)
        again = sweep.start()
        assert again.wait() == 0, again.errors
        sweep.check(before, finished=True)


def is_full(disk: Path) -> bool:
    """Whether there is no room for a checkpoint, and stays none for a second."""
    for _ in range(20):
        free = os.statvfs(disk)
        if free.f_bavail * free.f_frsize > CHECKPOINT_BYTES:
            return False
        time.sleep(0.05)
    return True
