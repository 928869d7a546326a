"""Trials that take too long or too much memory, on a real Ray: they end as FAIL, or the sweep ends with the cause."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.campaign import chance
from tests.chaos.sweeps import NOTHING, QUICK, SLOW, RunningDriver, Sweep, sweep_of
from vae_search.core.trial_state import Reason, State
from vae_search.store.ledger.failure_counts import strike_of
from vae_search.store.ledger.trials import Ledger
from vae_search.store.paths import SweepPaths

pytestmark = [pytest.mark.ray, pytest.mark.exhaustive, pytest.mark.timeout(600)]

GIB = 2**30
PIECE = 2**27


def test_a_trial_that_takes_too_long_fails_after_two_attempts() -> None:
    chance("timeout")
    with sweep_of(SLOW.replace("trials: 2, epochs: 8", "trials: 1, epochs: 500") + "trial_timeout_s: 3\n") as sweep:
        driver = sweep.start()

        assert driver.wait() == 6, driver.errors
        (row,) = Ledger(sweep.store, sweep.name).trials()
        assert (row.state, row.reason, row.attempts) == (State.FAIL, Reason.TIMEOUT, 3)  # the third one only tells
        sweep.check(NOTHING, finished=True)


def test_when_there_is_no_memory_at_all_the_sweep_ends_with_the_cause_and_can_be_resumed() -> None:
    chance("no memory")
    with sweep_of(QUICK.replace("trials: 16, epochs: 72", "trials: 2, epochs: 9").replace("20\n", "2\n")) as sweep:
        driver = sweep.start(RAY_memory_usage_threshold="0.001", RAY_memory_monitor_refresh_ms="100")

        assert driver.wait() == 4, driver.errors
        assert "running low on memory" in driver.errors
        assert len(driver.errors.splitlines()) <= 4
        now = sweep.check(NOTHING, finished=False)
        assert not now.rows
        again = sweep.start()
        assert again.wait() == 0, again.errors
        sweep.check(now, finished=True)
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
            driver.until(lambda wanted=strike: sweep.begun >= wanted)
            fill_memory(driver, until=lambda wanted=strike: len(strikes(sweep)) >= wanted, most=room + GIB)

        assert driver.wait() == 6, driver.errors
        (row,) = Ledger(sweep.store, sweep.name).trials()
        assert (row.state, row.reason, row.attempts) == (State.FAIL, Reason.OOM, 3)
        assert "Traceback" not in driver.errors
        sweep.check(NOTHING, finished=True)


def strikes(sweep: Sweep) -> list[str]:
    return [path for path in sweep.store.list(SweepPaths(sweep.name).running) if strike_of(path)]


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
