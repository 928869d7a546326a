"""Criteria of Pareto sweeps: one list of names that the spec, the rankings and the words share."""

from typing import get_args

from vae_search.core.criteria import CRITERIA, WORDS, RankedBy
from vae_search.spec.sweep_spec import json_schema
from vae_search.store.ledger.rows import TRIAL_SCHEMA


def test_every_criterion_has_words_a_column_and_a_place_in_the_spec():
    spec = json_schema()["$defs"]["Objective"]["properties"]["prefer"]

    assert tuple(WORDS) == CRITERIA == tuple(spec["enum"])
    assert {*CRITERIA} <= {*TRIAL_SCHEMA.names}


def test_whatever_orders_a_front_orders_a_ranking_as_well():
    assert get_args(RankedBy) == ("objective", *CRITERIA)
