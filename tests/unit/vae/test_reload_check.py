"""A fresh process that did not come to an answer says nothing about the model."""

import numpy as np
import pytest

from vae_search.errors import ProcessLost
from vae_search.vae.inference.reload_check import score_in_fresh_process

IMAGES = np.zeros((2, 4, 4, 1), np.uint8)


@pytest.mark.parametrize(
    ("python", "why"),
    [
        (("sh", "-c", "kill -9 $$"), "ended by SIGKILL"),  # as for want of memory
        (("sh", "-c", "echo MemoryError >&2; exit 1"), "MemoryError"),
        (("sh", "-c", "exit 3"), "exit code 3"),
        (("sh", "-c", "exec sleep 60"), "did not end within 0.2 s"),
    ],
)
def test_a_lost_process_is_told_as_such_and_not_as_a_model_that_does_not_load(python, why):
    with pytest.raises(ProcessLost, match=why) as lost:
        score_in_fresh_process(
            {"config.json": b"{}"}, IMAGES, timeout_s=0.2 if "sleep" in python[-1] else 60, python=python
        )

    assert len(str(lost.value).splitlines()) <= 3
    assert "tries again" in str(lost.value)
