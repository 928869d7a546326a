"""Specs to start from."""

import pytest

from vae_search.server.submissions import DataRoots, checked_spec
from vae_search.spec.template import STARTERS


@pytest.mark.parametrize("title", STARTERS)
def test_a_starter_may_be_submitted_as_it_stands(title):
    spec, _ = checked_spec(STARTERS[title].encode(), DataRoots())

    assert spec.budget.trials >= 24


def test_the_starters_have_names_of_their_own():
    names = [checked_spec(text.encode(), DataRoots())[0].name for text in STARTERS.values()]

    assert len({*names}) == len(names)
