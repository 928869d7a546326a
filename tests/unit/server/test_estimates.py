"""Estimates over HTTP: made by a process of their own, so that the service never loads TensorFlow."""

import sys

import pytest

from tests.support.web_service import app_of, client_of
from vae_search.errors import InvalidSpec, ProcessLost
from vae_search.server.child_processes.estimates import estimated
from vae_search.server.examples import SPEC

pytestmark = [pytest.mark.needs_tensorflow, pytest.mark.slow]


def test_an_estimate_is_what_the_command_prints(store):
    loaded = "tensorflow" in sys.modules
    with client_of(app_of(store)) as client:
        answer = client.post("/api/v1/specs:estimate", content=SPEC)

    assert answer.status_code == 200, answer.text
    assert answer.json()["trials"] == 8
    assert answer.json()["time_s"] > 0
    assert ("tensorflow" in sys.modules) == loaded


def test_trouble_of_the_process_is_told(store):
    with pytest.raises(ProcessLost, match="stopped"):
        estimated(SPEC, location=store.location, timeout_s=0.01)
    with pytest.raises(InvalidSpec, match="batch_size"):
        estimated(SPEC.replace("beta: {", "batch_size: 4096\n  beta: {"), location=store.location)
