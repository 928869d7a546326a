"""Signals that ask a driver to stop."""

import os
import signal

import pytest

from vae_search.search.driver_lifecycle import stop_signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_each_of_them_asks_once_and_is_as_before_afterwards(number):
    before = signal.getsignal(number)

    with stop_signals() as signalled:
        os.kill(os.getpid(), number)
        asked = signalled.is_set()

    assert asked
    assert signal.getsignal(number) is before


def test_a_hangup_that_is_ignored_stays_so_as_under_nohup():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_signals() as signalled:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not signalled.is_set()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_second_ctrl_c_interrupts_at_once():
    def twice() -> None:
        with stop_signals():
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        twice()
