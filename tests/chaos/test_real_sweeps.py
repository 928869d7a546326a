"""Real sweeps on a real Ray: drivers and workers are killed, stopped, interrupted; the store must not notice."""

import os
import random
import signal
import time
from collections import Counter

import pytest

from tests.chaos.campaign import chance, count
from tests.chaos.sweeps import NOTHING, QUICK, SLOW, RunningDriver, Sweep, sweep_of
from vae_search.core.trial_state import State
from vae_search.store.ledger.trials import Ledger
from vae_search.store.paths import SweepPaths

pytestmark = [pytest.mark.ray, pytest.mark.timeout(7200)]


def live_to_first_row(sweep: Sweep, driver: RunningDriver) -> None:
    """Return when a trial has ended and others train."""
    while driver.process.poll() is None and not sweep.store.list(SweepPaths(sweep.name).trials):
        time.sleep(0.02)


def live_a_while(sweep: Sweep, driver: RunningDriver, random: random.Random) -> None:
    """Return at a random moment of the driver's life: one in four is on its way up, the others train."""
    lasts_s = random.uniform(0.2, 8) if random.random() < 0.25 else None
    before = sweep.begun
    while lasts_s is None and driver.process.poll() is None and sweep.begun == before:
        time.sleep(0.02)
    time.sleep(lasts_s or random.uniform(0, 6))


def test_drivers_that_are_killed_lose_repeat_and_show_twice_nothing(quick: bool) -> None:
    kills, wanted, sweeps, worst_s = 0, 1 if quick else count(5, 100), 0, 0.0
    while kills < wanted:
        random = chance("driver kill -9", sweeps)
        sweeps += 1
        with sweep_of(QUICK) as sweep:
            now, had_checkpoints = NOTHING, dict[int, int]()
            while kills < wanted:
                driver = sweep.start()
                if quick:
                    live_to_first_row(sweep, driver)
                else:
                    live_a_while(sweep, driver, random)
                lost_s = sweep.unsaved_s(since=driver.started_at)
                if driver.process.poll() is not None:
                    break
                driver.kill()
                kills += 1
                saved = sweep.saved_epochs()
                worst_s = max(worst_s, lost_s)
                now = sweep.check(now, finished=False)
                print(f"kill {kills}: {len(now.rows)} rows; {lost_s:.1f} s lost; saved: {saved}")
                again = {trial: n for trial, n in had_checkpoints.items() if sweep.starts[trial] > n}
                assert not again, f"begun from nothing in spite of a checkpoint: {sorted(again)}"
                had_checkpoints |= {trial: sweep.starts[trial] for trial in saved}
            else:
                driver = sweep.start()
            assert driver.wait() == 0, driver.errors
            sweep.check(now, finished=True)
            assert not [trial for trial, n in had_checkpoints.items() if sweep.starts[trial] > n]
    print(f"{kills} kills of drivers in {sweeps} sweeps; at most {worst_s:.1f} s of a trial's training lost")


@pytest.mark.exhaustive
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
            sweep.check(NOTHING, finished=True)
            rows = Ledger(sweep.store, sweep.name).trials()
            assert {row.state for row in rows} <= {State.COMPLETE, State.PRUNED}
            print(f"attempts by trial: { {row.trial: row.attempts for row in rows if row.attempts > 1} }")
    print(f"{kills} kills of workers in {sweeps} sweeps")


@pytest.mark.exhaustive
def test_a_driver_that_was_stopped_past_its_lease_writes_no_row_when_it_goes_on() -> None:
    for number in range(count(1, 5)):
        random = chance("driver SIGSTOP", number)
        with sweep_of(QUICK) as sweep:
            first = sweep.start()
            first.until(lambda sweep=sweep: sweep.begun >= 3)
            time.sleep(random.uniform(0, 1))
            first.process.send_signal(signal.SIGSTOP)
            stopped = sweep.check(NOTHING, finished=False)
            second = sweep.start()
            second.until(lambda sweep=sweep: len(sweep.store.list(SweepPaths("quick").leases)) >= 2)
            trained = sweep.begun
            second.until(lambda sweep=sweep, trained=trained: sweep.begun > trained)

            first.process.send_signal(signal.SIGCONT)

            assert first.wait() == 5, first.errors
            assert "was taken over by" in first.errors
            assert second.wait() == 0, second.errors
            sweep.check(stopped, finished=True)
            leases = Counter(row.lease for row in Ledger(sweep.store, sweep.name).trials())
            # It may have been stopped between its last look at the lease and the row that it was writing.
            assert leases[1] - len(stopped.rows) in (0, 1)
            print(f"rows by lease: {dict(leases)}; written by the first driver after it went on: "
                  f"{leases[1] - len(stopped.rows)}")  # fmt: skip


@pytest.mark.exhaustive
def test_a_driver_that_is_asked_to_stop_has_every_epoch_saved() -> None:
    for repeat in range(count(1, 10)):
        number = (signal.SIGTERM, signal.SIGINT)[repeat % 2]  # SIGINT is also met by tests/integration/test_sweep.py
        random = chance(f"driver {number.name}", repeat)
        with sweep_of(SLOW) as sweep:
            driver = sweep.start()
            driver.until(lambda sweep=sweep: sweep.begun >= 1)
            time.sleep(random.uniform(2, 6))
            in_flight = sweep.in_flight()
            asked_at = time.time()

            driver.process.send_signal(number)

            assert driver.wait() == 130, driver.errors
            took_s = time.time() - asked_at
            assert "vae-search resume slow" in driver.errors
            saved = sweep.saved_epochs()
            print(f"{number.name}: gone after {took_s:.1f} s; checkpoints, by trial: {saved}")
            done = sweep.check(NOTHING, finished=False)
            assert in_flight - done.trials <= set(saved)
            assert all(sweep.saved_at(trial) >= asked_at for trial in saved)
            again = sweep.start()
            assert again.wait() == 0, again.errors
            sweep.check(done, finished=True)
            assert {f"{trial:06d} continues after epoch {epoch}" for trial, epoch in saved.items()} <= set(
                sweep.logged(r"run (\d+ continues after epoch \d+)")
            )
            assert max(sweep.starts.values()) == 1
