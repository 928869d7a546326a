"""What the machine offers, on systems that tell less."""

import os

from vae_search.core.machine import usable_cores
from vae_search.search.capacity import local_capacity
from vae_search.spec.sections import Resources


def test_only_cores_that_the_process_may_use_are_counted(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5, 7}, raising=False)

    assert usable_cores() == 3


def test_without_an_affinity_all_cores_are_counted(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)

    assert usable_cores() == 6
    assert local_capacity(Resources(cpus_per_trial=2)) == 3


def test_a_machine_that_tells_nothing_has_one_core(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: None)

    assert usable_cores() == 1
