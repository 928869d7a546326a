"""Signals to a driver, or to its whole process group, at random moments: epochs saved, nothing lost, nothing left."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.chaos.campaign import chance, count
from tests.chaos.sweeps import NOTHING, QUICK, SLOW, Sweep, sweep_of
from vae_search.store.leases.records import has_ended, newest_lease

pytestmark = [pytest.mark.ray, pytest.mark.timeout(7200)]

STOP_S = 15.0  # within which a driver leaves
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def folders_left(sweep: Sweep) -> list[Path]:
    return sorted(sweep.folder.glob("vae-*"))  # its TMPDIR


def gone_after_s(sweep: Sweep, *, within_s: float) -> float:
    """Seconds until none of the sweep's processes is left and none of its temporary folders."""
    began_s = time.monotonic()
    while sweep.processes() or folders_left(sweep):
        assert time.monotonic() - began_s < within_s, (sweep.processes(), folders_left(sweep))
        time.sleep(0.05)
    return time.monotonic() - began_s


def test_a_signal_to_the_whole_group_saves_every_epoch_ends_the_lease_and_leaves_nothing_behind() -> None:
    with sweep_of(SLOW) as sweep:
        driver = sweep.start()
        driver.until(lambda: sweep.begun >= 1)
        in_flight = sweep.in_flight()
        asked_at = time.time()

        os.killpg(driver.process.pid, signal.SIGTERM)

        assert driver.wait() == 130, driver.errors
        assert time.time() - asked_at < 2 * STOP_S  # a hanging Ray took a minute
        assert "vae-search resume slow" in driver.errors
        assert has_ended(sweep.store, "slow", 1)
        saved = sweep.saved_epochs()
        done = sweep.check(NOTHING, finished=False)
        assert in_flight - done.trials <= set(saved)
        gone_after_s(sweep, within_s=5)


def test_ray_and_its_folder_go_with_a_driver_that_is_killed() -> None:
    with sweep_of(QUICK) as sweep:
        driver = sweep.start()
        driver.until(lambda: bool(sweep.workers()))

        os.kill(driver.process.pid, signal.SIGKILL)
        driver.wait()

        print(f"gone after {gone_after_s(sweep, within_s=20):.1f} s")


@pytest.mark.exhaustive
def test_drivers_that_get_signals_at_random_moments_stop_in_time_lose_nothing_and_leave_nothing() -> None:
    stops, wanted, sweeps, longest_s, over = 0, count(3, 24), 0, 0.0, 0
    while stops < wanted:
        random = chance("signals", sweeps)
        sweeps += 1
        with sweep_of((QUICK, SLOW)[sweeps % 2]) as sweep:
            now, code = NOTHING, None
            while stops < wanted and code != 0:
                driver = sweep.start()
                number, group = random.choice(SIGNALS), random.random() < 0.5
                if random.random() < 0.25:  # on its way up; before its first words Python itself would end at once
                    driver.until_or_over(lambda driver=driver: bool(driver.lines("")))
                    time.sleep(random.uniform(0, 6))
                else:
                    begun = sweep.begun
                    driver.until_or_over(lambda sweep=sweep, begun=begun: sweep.begun > begun)
                    time.sleep(random.uniform(0, 5))
                if driver.process.poll() is not None:
                    code = driver.wait()
                    break
                in_flight, asked_at = sweep.in_flight(), time.time()
                (os.killpg if group else os.kill)(driver.process.pid, number)
                code = driver.wait()
                took_s = time.time() - asked_at
                stops, longest_s, over = stops + 1, max(longest_s, took_s), over + (code == 0)
                to = "group" if group else "driver"
                assert code in (0, 130), (number, to, code, driver.errors)
                assert "Traceback" not in driver.errors, driver.errors
                lease = newest_lease(sweep.store, sweep.name)
                assert lease == 0 or has_ended(sweep.store, sweep.name, lease)
                left_s = gone_after_s(sweep, within_s=5)
                now = sweep.check(now, finished=False)
                saved = sweep.saved_epochs()
                print(f"{stops}: {number.name} to the {to}: exit {code} after {took_s:.1f} s, all gone {left_s:.1f} s "
                      f"later; {len(now.rows)} rows, in flight {sorted(in_flight)}, saved {saved}")  # fmt: skip
                assert took_s < STOP_S
            if code != 0:
                driver = sweep.start()
                assert driver.wait() == 0, driver.errors
            sweep.check(now, finished=True)
    print(f"{stops} signals in {sweeps} sweeps; {over} after the last trial; at most {longest_s:.1f} s")
