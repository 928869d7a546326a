"""Real sweeps on a real Ray: drivers and workers are killed, stopped, interrupted; the store must not notice."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.campaign import chance, count
from tests.chaos.invariants import Seen, check_invariants
from tests.chaos.sweeps import RunningDriver, Sweep, sweep_of
from vae_search.states import Reason, State
from vae_search.store import checkpoints, layout
from vae_search.store.ledger import Ledger

pytestmark = [pytest.mark.ray, pytest.mark.timeout(7200)]

GIB = 2**30
PIECE = 2**27
NOTHING = Seen(rows={})
QUICK = """
name: quick
data: {source: digits}
search_space:
  latent_dim: {type: int, low: 2, high: 8}
  learning_rate: {type: float, low: 1e-3, high: 1e-2, log: true}
  depth: 1
  width: {type: categorical, choices: [16, 32]}
  batch_size: 32
budget: {trials: 16, epochs: 72}
pruning: {min_epochs: 9, reduction_factor: 3}
checkpoint_s: 0.5
max_retries: 20
"""
# Epochs of more than a second, and no checkpoint before the last one unless somebody asks for it.
SLOW = """
name: slow
data: {source: digits}
search_space: {latent_dim: 8, depth: 4, width: 1024, batch_size: 8, learning_rate: 1e-4}
budget: {trials: 2, epochs: 8}
pruning: off
checkpoint_s: 10000
"""


def saved_epochs(sweep: Sweep) -> dict[int, int]:
    """The epoch of the newest intact checkpoint of each trial in flight that has one."""
    found = {}
    for trial in sweep.in_flight():
        checkpoint = checkpoints.newest_intact(sweep.store, sweep.name, layout.trial_key(trial))
        if checkpoint is not None:
            found[trial] = checkpoint.epoch
    return found


def check(sweep: Sweep, before: Seen, *, finished: bool) -> Seen:
    return check_invariants(sweep.store, sweep.name, before, shown=sweep.shown, trials=sweep.trials, finished=finished)


def starts(sweep: Sweep) -> Counter[int]:
    """How often each trial was begun from nothing."""
    return Counter(int(trial) for trial in sweep.logged(r"trial (\d+) starts: "))


def begun(sweep: Sweep) -> int:
    """How often workers have begun with a trial, anew or from a checkpoint."""
    return len(sweep.logged(r"trial \d+ (?:starts|continues)"))


def live_a_while(sweep: Sweep, driver: RunningDriver, random: random.Random) -> None:
    """Return at a random moment of the driver's life: one in four is on its way up, the others train."""
    lasts_s = random.uniform(0.2, 8) if random.random() < 0.25 else None
    before = begun(sweep)
    while lasts_s is None and driver.process.poll() is None and begun(sweep) == before:
        time.sleep(0.02)
    time.sleep(lasts_s or random.uniform(0, 6))


def test_drivers_that_are_killed_lose_repeat_and_show_twice_nothing() -> None:
    kills, wanted, sweeps, worst_s = 0, count(5, 100), 0, 0.0
    while kills < wanted:
        random = chance("driver kill -9", sweeps)
        sweeps += 1
        with sweep_of(QUICK) as sweep:
            now, had_checkpoints = NOTHING, dict[int, int]()
            while kills < wanted:
                driver = sweep.start()
                live_a_while(sweep, driver, random)
                lost_s = sweep.unsaved_s(since=driver.started_at)
                if driver.process.poll() is not None:
                    break
                driver.kill()
                kills += 1
                saved = saved_epochs(sweep)
                worst_s = max(worst_s, lost_s)
                now = check(sweep, now, finished=False)
                print(f"kill {kills}: {len(now.rows)} rows; {lost_s:.1f} s lost; saved: {saved}")
                again = {trial: n for trial, n in had_checkpoints.items() if starts(sweep)[trial] > n}
                assert not again, f"begun from nothing in spite of a checkpoint: {sorted(again)}"
                had_checkpoints |= {trial: starts(sweep)[trial] for trial in saved}
            else:
                driver = sweep.start()
            assert driver.wait() == 0, driver.errors
            check(sweep, now, finished=True)
            assert not [trial for trial, n in had_checkpoints.items() if starts(sweep)[trial] > n]
    print(f"{kills} kills of drivers in {sweeps} sweeps; at most {worst_s:.1f} s of a trial's training lost")


def test_workers_that_are_killed_cost_no_trial_and_make_no_failure() -> None:
    kills, wanted, sweeps = 0, count(3, 20), 0
    while kills < wanted:
        random = chance("worker kill -9", sweeps)
        sweeps += 1
        with sweep_of(QUICK) as sweep:
            driver = sweep.start()
            while kills < wanted and driver.process.poll() is None:
                live_a_while(sweep, driver, random)
                workers = sweep.workers()
                if driver.process.poll() is None and workers:
                    os.kill(random.choice(workers), signal.SIGKILL)
                    kills += 1
            assert driver.wait() == 0, driver.errors
            check(sweep, NOTHING, finished=True)
            rows = Ledger(sweep.store, sweep.name).trials()
            assert {row.state for row in rows} <= {State.COMPLETE, State.PRUNED}
            print(f"attempts by trial: { {row.trial: row.attempts for row in rows if row.attempts > 1} }")
    print(f"{kills} kills of workers in {sweeps} sweeps")


def test_a_driver_that_was_stopped_past_its_lease_writes_no_row_when_it_goes_on() -> None:
    for number in range(count(1, 5)):
        random = chance("driver SIGSTOP", number)
        with sweep_of(QUICK) as sweep:
            first = sweep.start()
            first.until(lambda sweep=sweep: begun(sweep) >= 3)
            time.sleep(random.uniform(0, 1))
            first.process.send_signal(signal.SIGSTOP)
            stopped = check(sweep, NOTHING, finished=False)
            second = sweep.start()
            second.until(lambda sweep=sweep: len(sweep.store.list(layout.leases("quick"))) >= 2)
            trained = begun(sweep)
            second.until(lambda sweep=sweep, trained=trained: begun(sweep) > trained)

            first.process.send_signal(signal.SIGCONT)

            assert first.wait() == 5, first.errors
            assert "was taken over by" in first.errors
            assert second.wait() == 0, second.errors
            check(sweep, stopped, finished=True)
            leases = Counter(row.lease for row in Ledger(sweep.store, sweep.name).trials())
            # It may have been stopped between its last look at the lease and the row that it was writing.
            assert leases[1] - len(stopped.rows) in (0, 1)
            print(f"rows by lease: {dict(leases)}; written by the first driver after it went on: "
                  f"{leases[1] - len(stopped.rows)}")  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_driver_that_is_asked_to_stop_has_every_epoch_saved(number: signal.Signals) -> None:
    for repeat in range(count(1, 5)):
        random = chance(f"driver {number.name}", repeat)
        with sweep_of(SLOW) as sweep:
            driver = sweep.start()
            driver.until(lambda sweep=sweep: begun(sweep) >= 1)
            time.sleep(random.uniform(2, 6))
            in_flight = sweep.in_flight()
            asked_at = time.time()

            driver.process.send_signal(number)

            assert driver.wait() == 130, driver.errors
            took_s = time.time() - asked_at
            assert "vae-search resume slow" in driver.errors
            saved = saved_epochs(sweep)
            print(f"{number.name}: gone after {took_s:.1f} s; checkpoints, by trial: {saved}")
            done = check(sweep, NOTHING, finished=False)
            assert in_flight - done.trials <= set(saved)
            assert all(sweep.saved_at(trial) >= asked_at for trial in saved)
            again = sweep.start()
            assert again.wait() == 0, again.errors
            check(sweep, done, finished=True)
            assert {f"{trial} continues after epoch {epoch}" for trial, epoch in saved.items()} <= set(
                sweep.logged(r"trial (\d+ continues after epoch \d+)")
            )
            assert max(starts(sweep).values()) == 1


def test_a_trial_that_takes_too_long_fails_after_two_attempts() -> None:
    chance("timeout")
    with sweep_of(SLOW.replace("trials: 2, epochs: 8", "trials: 1, epochs: 500") + "trial_timeout_s: 3\n") as sweep:
        driver = sweep.start()

        assert driver.wait() == 6, driver.errors
        (row,) = Ledger(sweep.store, sweep.name).trials()
        assert (row.state, row.reason, row.attempts) == (State.FAIL, Reason.TIMEOUT, 3)  # the third one only tells
        check(sweep, NOTHING, finished=True)


def test_when_there_is_no_memory_at_all_the_sweep_ends_with_the_cause_and_can_be_resumed() -> None:
    chance("no memory")
    with sweep_of(QUICK.replace("trials: 16, epochs: 72", "trials: 2, epochs: 9").replace("20\n", "2\n")) as sweep:
        driver = sweep.start(RAY_memory_usage_threshold="0.001", RAY_memory_monitor_refresh_ms="100")

        assert driver.wait() == 4, driver.errors
        assert "running low on memory" in driver.errors
        assert len(driver.errors.splitlines()) <= 4
        now = check(sweep, NOTHING, finished=False)
        assert not now.rows
        again = sweep.start()
        assert again.wait() == 0, again.errors
        check(sweep, now, finished=True)
        assert {row.state for row in Ledger(sweep.store, sweep.name).trials()} <= {State.COMPLETE, State.PRUNED}


def test_a_trial_whose_workers_are_killed_for_memory_twice_fails_as_oom() -> None:
    chance("memory monitor")
    used, total = memory_bytes()
    room = 4 * GIB
    if total - used < 2 * room:
        pytest.skip("needs 8 GiB of free memory to fill")
    spec = SLOW.replace("trials: 2, epochs: 8", "trials: 1, epochs: 5000")
    with sweep_of(spec) as sweep:
        driver = sweep.start(
            RAY_memory_usage_threshold=f"{(used + room) / total:.4f}", RAY_memory_monitor_refresh_ms="100"
        )
        for strike in (1, 2):
            driver.until(lambda wanted=strike: begun(sweep) >= wanted)
            fill_memory(driver, until=lambda wanted=strike: len(strikes(sweep)) >= wanted, most=room + GIB)

        assert driver.wait() == 6, driver.errors
        (row,) = Ledger(sweep.store, sweep.name).trials()
        assert (row.state, row.reason, row.attempts) == (State.FAIL, Reason.OOM, 3)
        assert "Traceback" not in driver.errors
        check(sweep, NOTHING, finished=True)


def strikes(sweep: Sweep) -> list[str]:
    return [path for path in sweep.store.list(layout.running(sweep.name)) if layout.strike_of(path)]


def memory_bytes() -> tuple[int, int]:
    """Used and total, as Ray's memory monitor counts them."""
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    known = {name: int(kib) * 1024 for name, kib, *_ in lines}
    return known["MemTotal:"] - known["MemAvailable:"], known["MemTotal:"]


def fill_memory(driver: RunningDriver, *, until: Callable[[], bool], most: int) -> None:
    """Take memory bit by bit until something has happened, then give all of it back."""
    taken: list[bytes] = []

    def enough() -> bool:
        if len(taken) * PIECE < most:
            taken.append(os.urandom(64) * (PIECE // 64))
        return until()

    driver.until(enough)
