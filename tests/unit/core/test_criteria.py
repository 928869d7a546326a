"""Criteria of Pareto sweeps: one list of names that the spec, the rankings and the words share."""

from vae_search.core.criteria import CRITERIA, METRIC, WORDS
from vae_search.spec.sweep_spec import json_schema
from vae_search.store.ledger.rows import TRIAL_SCHEMA


def test_every_criterion_has_words_a_column_and_a_place_in_the_spec():
    spec = json_schema()["$defs"]["Objective"]["properties"]["prefer"]["anyOf"]

    assert tuple(WORDS) == CRITERIA == tuple(spec[0]["enum"])
    assert spec[1]["pattern"] == f"^{METRIC}"  # of a metric of the spec, whose words follow from its name
    assert {*CRITERIA} <= {*TRIAL_SCHEMA.names}
