"""Facts for whoever approves: both sides of the contest seed by seed, gates, history, and what a word will do."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from tests.support.candidates import NOW, FakeBackend, bounds, candidate, finalist_row, put_finalist, put_sweep
from vae_search.errors import NotFound
from vae_search.registry.promotion.continuation.continued import Continued
from vae_search.registry.promotion.decision import PromotionPolicy
from vae_search.registry.promotion.pipeline import promote_best
from vae_search.registry.registry import Registry
from vae_search.services import maintenance
from vae_search.services.browsing.contest_facts import contest_facts
from vae_search.services.browsing.model_facts import history_lines, version_facts, version_file, waiting_facts
from vae_search.services.models.champions import model_state
from vae_search.store.backends.local import LocalStore
from vae_search.store.ledger.confirm_runs import ConfirmRow

GOOD, BETTER = (231.9, 232.0, 232.1), (230.9, 231.0, 231.1)


def ask(store, sweep, **rules):
    policy = PromotionPolicy(needs_approval=True, **rules)
    promote_best(store, sweep, model="m", rules=policy, backend=FakeBackend(), now=lambda: NOW, actor="grace")


def registry(store):
    return Registry(store, "m", now=lambda: NOW, actor="ada")


@pytest.fixture
def waits(store: LocalStore) -> LocalStore:
    put_sweep(store, candidate(GOOD, trial=1), sweep="first")
    put_sweep(store, candidate(BETTER, trial=2), sweep="second")
    ask(store, "first")
    registry(store).approve(1, why="the first")
    ask(store, "second")
    return store


def picture(store, number):
    return contest_facts(store, model_state(store, "m"), number)


def test_the_picture_of_a_contest_has_both_sides_with_their_seeds_and_the_difference(waits):
    facts = picture(waits, 5)

    sides = [(BETTER, facts["candidate"], "second/2", 2), (GOOD, facts["champion"], "first/1", 1)]
    for levels, side, name, version in sides:
        assert (side["candidate"], side["version"]) == (name, version)
        assert [seed["neg_iwae"] for seed in side["seeds"]] == pytest.approx(levels)
        assert [seed["is_artifact"] for seed in side["seeds"]] == [True, False, False]
        assert side["mean"] == pytest.approx(np.mean(levels))
        expected = stats.ttest_1samp(levels, 0.0).confidence_interval(0.95)
        assert (side["interval"]["low"], side["interval"]["high"]) == pytest.approx(tuple(expected))
    assert facts["difference"]["estimate"] == pytest.approx(facts["champion"]["mean"] - facts["candidate"]["mean"])
    assert facts["difference"]["confidence"] == 1 - 2 * facts["contest"]["level"] == 0.95
    assert facts["difference"]["low"] > 0
    assert (facts["passed"], len(facts["gates"])) == (True, 16)
    assert facts["gates"][0] == {
        "name": "seeds",
        "value": 3.0,
        "limit": 3.0,
        "passed": True,
        "explanation": facts["gates"][0]["explanation"],
    }
    json.dumps(facts, allow_nan=False)


def test_a_refused_candidate_has_its_seeds_from_its_sweep_as_long_as_that_is_there(waits):
    put_sweep(waits, candidate((232.9, 233.0, 233.1), trial=3), sweep="worse")
    ask(waits, "worse")

    facts = picture(waits, 6)

    assert [seed["neg_iwae"] for seed in facts["candidate"]["seeds"]] == pytest.approx([232.9, 233.0, 233.1])
    assert (facts["candidate"]["version"], facts["passed"]) == (None, False)
    assert facts["difference"]["estimate"] == pytest.approx(-1.0)
    maintenance.remove(waits, "worse")
    assert picture(waits, 6) == facts | {"candidate": None}


def test_a_first_champion_has_met_nobody(waits):
    facts = picture(waits, 2)

    assert (facts["champion"], facts["difference"], facts["contest"]) == (None, None, None)
    assert facts["candidate"]["mean"] == pytest.approx(232.0)
    for number in (0, 1, 3, 99):
        with pytest.raises(NotFound, match="no verdicts"):
            picture(waits, number)


def test_what_waits_is_shown_with_what_a_word_will_do(waits):
    facts = waiting_facts(waits, "m")

    item = facts["items"][0]
    assert (facts["champion"], facts["needs_approval"], len(facts["items"])) == (1, True, 1)
    assert (item["version"], item["entry"], item["asked_by"], item["can_be_approved"]) == (2, 5, "grace", True)
    assert item["approving"] == (
        "Version 2 becomes champion of m in place of version 1, which stays in the store, and is served from then on."
    )
    assert item["rejecting"].startswith("Version 2 is refused for good and version 1 stays")
    assert item["evidence"] == picture(waits, 5)
    assert item["usual_limits"]
    ask(waits, "second", limits={"rate": 0.5})
    assert not waiting_facts(waits, "m")["items"][0]["usual_limits"]


def test_a_contest_against_another_champion_is_shown_as_outdated(waits):
    put_sweep(waits, candidate((229.9, 230.0, 230.1), trial=3), sweep="third")
    ask(waits, "third")
    registry(waits).approve(3, why="best")

    item = waiting_facts(waits, "m")["items"][0]

    assert (item["version"], item["can_be_approved"]) == (2, False)
    assert "`vae-search promote second --model m`" in item["approving"]


def test_whoever_is_to_approve_does_not_see_the_test_images(waits):
    assert version_facts(waits, "m", 2)["card"]["test"] is None
    assert "233.0" not in json.dumps(waiting_facts(waits, "m"))
    assert json.loads(version_file(waits, "m", 2, "card.json"))["test"] is None
    for name in ("test.json", "card.md"):
        with pytest.raises(NotFound):
            version_file(waits, "m", 2, name)
    registry(waits).approve(2, why="sharp")
    assert version_facts(waits, "m", 2)["card"]["test"]["neg_iwae"] == 233.0


def test_the_history_says_who_did_what_in_sentences(waits):
    registry(waits).reject(2, why="it blurs sevens")
    lines = history_lines(model_state(waits, "m"))

    assert [(line["actor"], line["text"], line["words"]) for line in lines] == [
        ("grace", "first/1 asked; version 1 is reserved for it.", ""),
        ("grace", "first/1 passed, and waits for approval as version 1.", ""),
        ("ada", "ada approved version 1, first/1, which became champion.", "the first"),
        ("grace", "second/2 asked; version 2 is reserved for it.", ""),
        ("grace", "second/2 passed, and waits for approval as version 2.", ""),
        ("ada", "ada rejected version 2, second/2.", "it blurs sevens"),
    ]


def continued(of, **changes) -> Continued:
    row = finalist_row(of.trial, 1, epochs=300, floor_excess=40.0, bits_per_dim=0.46, **({"neg_elbo": 230.0} | changes))
    fields = {name: getattr(row, name) for name in row.__dataclass_fields__}
    own = {"confirm_seed": -1, "continues_epoch": 22, "threads": 2}
    return Continued(row=ConfirmRow(**fields | own), bounds=bounds(227.0, seed=77))


@pytest.mark.parametrize(("changes", "artifact"), [({}, -1), ({"neg_elbo": 236.0}, 1)])
def test_of_a_refused_candidate_the_weights_are_marked_that_would_have_been_served(waits, changes, artifact):
    worse = candidate((232.9, 233.0, 233.1), trial=3)
    put_sweep(waits, replace(worse, continued=continued(worse, **changes)), sweep="worse")
    ask(waits, "worse")

    side = picture(waits, 6)["candidate"]

    assert side["version"] is None
    assert [seed["confirm_seed"] for seed in side["seeds"] if seed["is_artifact"]] == [artifact]
    assert [seed["confirm_seed"] for seed in side["seeds"] if seed["testifies"]] == [1, 2, 3]


def test_a_contest_of_the_same_seeds_says_that_the_weights_decide(store: LocalStore):
    of = candidate(GOOD, trial=1)
    put_sweep(store, of, sweep="first")
    ask(store, "first")
    registry(store).approve(1, why="the first")
    put_finalist(store, replace(of, continued=continued(of)), sweep="first")
    ask(store, "first")

    facts = picture(store, len(model_state(store, "m").entries))

    assert (facts["passed"], facts["contest"]["same_seeds"]) == (True, True)
    assert facts["difference"]["estimate"] == pytest.approx(0.0)
    assert facts["of_artifact"]["confidence"] == 1 - 2 * facts["contest"]["level"]
    assert [side["version"] for side in (facts["candidate"], facts["champion"])] == [2, 1]
