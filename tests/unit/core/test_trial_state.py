"""The life of a trial."""

import pytest

from vae_search.core.trial_state import Reason, State


def test_the_names_are_optunas_and_survive_as_plain_text() -> None:
    assert [str(state) for state in State] == ["RUNNING", "COMPLETE", "PRUNED", "FAIL"]
    assert State("PRUNED") is State.PRUNED


def test_only_a_running_trial_is_not_finished() -> None:
    assert [state for state in State if not state.is_finished] == [State.RUNNING]


@pytest.mark.parametrize("reason", list(Reason))
def test_stopped_on_purpose_is_pruned_and_everything_else_failed(reason: Reason) -> None:
    assert (reason.state is State.PRUNED) == (reason in ("rung", "time", "stopped"))
    assert reason.state in (State.PRUNED, State.FAIL)
