"""Machines that sweeps run on, as a page shows them."""

import pytest

from vae_search.core.machine import this_machine
from vae_search.services.browsing.cluster_facts import cluster_facts
from vae_search.spec.sections import Resources


def test_this_machine_offers_its_cores_to_each_sweep():
    cores = this_machine().cores

    found = cluster_facts(None, {"small": Resources(), "whole": Resources(cpus_per_trial=cores)})

    (node,) = found["nodes"]
    assert (node["cpus"], node["trials_of_one_core"]) == (cores, cores)
    assert node["trials"] == {"small": cores, "whole": 1}
    assert [each["trial_needs"] for each in found["sweeps"]][1].startswith(f"{cores} CPU")


def test_a_trial_that_no_machine_holds_gets_no_place():
    found = cluster_facts(None, {"giant": Resources(cpus_per_trial=1024)})

    assert found["nodes"][0]["trials"] == {"giant": 0}
    assert found["sweeps"][0]["trials_at_once"] == 0


@pytest.mark.parametrize("address", ["http://127.0.0.1:1", "nonsense"])
def test_a_cluster_that_cannot_be_reached_says_why_and_hides_nothing_else(address):
    found = cluster_facts(address, {"small": Resources()})

    assert found["nodes"] == []
    assert address in found["trouble"]
    assert found["sweeps"] == [{"sweep": "small", "trial_needs": "1 CPU", "trials_at_once": 0}]
