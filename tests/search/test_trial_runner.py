"""What goes wrong inside a worker, and whose fault it is. Faults are put where a real one would be raised."""

import pytest
import tensorflow as tf

from vae_search.errors import StoreUnavailable
from vae_search.states import Reason
from vae_search.vae.training import TrainingRun


def failing(monkeypatch, *errors: BaseException | None) -> None:
    """Make the next epochs raise these errors in turn (None: train as usual), and the later ones train."""
    waiting = list(errors)
    train_epoch = TrainingRun.train_epoch

    def raises_or_trains(run: TrainingRun):
        error = waiting.pop(0) if waiting else None
        if error is not None:
            raise error
        return train_epoch(run)

    monkeypatch.setattr(TrainingRun, "train_epoch", raises_or_trains)


@pytest.mark.parametrize("error", [MemoryError(), tf.errors.ResourceExhaustedError(None, None, "OOM when allocating")])
def test_running_out_of_memory_once_is_forgiven(open_session, monkeypatch, error):
    session = open_session()
    session.start()
    failing(monkeypatch, error)

    report = session.runner.step()

    assert report.failure is None
    assert report.epoch == 1


def test_running_out_of_memory_twice_is_the_configs_fault(open_session, monkeypatch):
    session = open_session()
    session.start()
    failing(monkeypatch, None, MemoryError("first"), MemoryError("second"))

    session.runner.step()
    report = session.runner.step()

    assert report.failure.reason is Reason.OOM
    assert report.failure.error.startswith("MemoryError: second")


@pytest.mark.parametrize("error", [ValueError("bad shape"), tf.errors.InvalidArgumentError(None, None, "bad shape")])
def test_whatever_a_config_raises_is_its_own_fault_and_told_in_the_first_line(open_session, monkeypatch, error):
    session = open_session()
    session.start()
    failing(monkeypatch, error)

    report = session.runner.step()

    assert report.failure.reason is Reason.RAISED
    assert "bad shape" in report.failure.error.splitlines()[0]


def test_a_store_that_cannot_be_written_is_no_fault_of_the_config(open_session, monkeypatch):
    session = open_session()
    session.start()
    failing(monkeypatch, StoreUnavailable("no space left"))

    with pytest.raises(StoreUnavailable):
        session.runner.step()
