"""The run that went on: its weights are served if they are better and healthy, and it testifies for nothing."""

import json
from dataclasses import replace

import pytest

from tests.support.candidates import NOW, FakeBackend, bounds, candidate, finalist_row, put_finalist, put_sweep
from vae_search.core.trial_state import Reason, State
from vae_search.registry.model_integrity import inspect_model
from vae_search.registry.promotion.champion_record import evidence_of
from vae_search.registry.promotion.continuation.continued import Continued
from vae_search.registry.promotion.continuation.weights import with_weights
from vae_search.registry.promotion.decision import PromotionPolicy
from vae_search.registry.promotion.evidence import Candidate, content_sha256
from vae_search.registry.promotion.pipeline import PromotionOutcome, candidates, promote_best
from vae_search.registry.registry import Registry
from vae_search.registry.version_files import read_version
from vae_search.store.ledger.confirm_runs import ConfirmRow
from vae_search.store.ledger.image_bounds_file import seeds_from_parquet
from vae_search.store.maintenance.integrity import inspect

SEEDS = (231.9, 232.0, 232.1)  # on judge images; on select images seed 1 is the best
RULES = PromotionPolicy()


def row_that_went_on(trial: int = 0, **changes: object) -> ConfirmRow:
    row = finalist_row(trial, 1, epochs=300, neg_elbo=230.0, floor_excess=40.0, bits_per_dim=0.46, **changes)
    fields = {name: getattr(row, name) for name in row.__dataclass_fields__}
    return ConfirmRow(**fields | {"confirm_seed": -1, "continues_epoch": 22, "threads": 2})


def that_went_on(
    of: Candidate | None = None, level: float | None = 227.0, *, rate: float = 15.0, **changes: object
) -> Candidate:
    of = of or candidate(SEEDS)
    judged = None if level is None else bounds(level, seed=77, rate=rate)
    return replace(of, continued=Continued(row=row_that_went_on(of.trial, **changes), bounds=judged))


def test_its_weights_are_served_and_the_seeds_alone_testify():
    found = with_weights(that_went_on(), RULES)

    assert found.artifact_row.key == "000000-c1"
    assert sorted(found.evidence.testimony) == [1, 2, 3]
    assert found.evidence.artifact.neg_iwae.mean() == pytest.approx(227.0)
    assert found.mean_neg_iwae == pytest.approx(232.0)


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"neg_elbo": 235.01}, "no better on select images"),
        ({"active_units": 1}, "gate active_units"),
        ({"skipped_steps": 3}, "gate finite"),
        ({"rate": 0.2}, "gate rate"),
        ({"instability_regression": 5.0}, "gate regression"),
        ({"generalisation_gap": 20.0}, "gate generalisation"),
    ],
)
def test_weights_that_are_no_better_or_not_healthy_leave_the_seeds_theirs(changes, refusal):
    row = row_that_went_on()
    own = {name: value for name, value in changes.items() if name != "rate"}
    went_on = Continued(row=replace(row, **own), bounds=bounds(227.0, seed=77, rate=changes.get("rate", 15.0)))

    found = with_weights(replace(candidate(SEEDS), continued=went_on), RULES)

    assert refusal in found.continued.refusal
    assert found.artifact_row.key == "000000-s1"
    assert sorted(found.judged) == [1, 2, 3]


def test_a_run_that_has_failed_takes_nothing_from_its_seeds(store):
    nothing = {"neg_elbo": None, "objective": None, "floor_excess": None}
    failed = replace(row_that_went_on(3), state=State.FAIL, reason=Reason.DIVERGED, **nothing)
    put_sweep(store, replace(candidate(SEEDS, trial=3), continued=Continued(row=failed, bounds=None)))

    decision = promote_best(store, "digits", model="fashion", rules=RULES, backend=FakeBackend(), now=lambda: NOW)

    assert decision.outcome is PromotionOutcome.PROMOTED
    assert promoted(store, 1)["saved_model.pb"] == b"weights of 000003-s1"
    assert "it has failed" in promoted(store, 1)["card.md"].decode()


def promoted(store, number: int):
    state = Registry(store, "fashion", now=lambda: NOW).state()
    return read_version(store, "fashion", number, sha256=state.versions[number].manifest_sha256)


def test_a_version_serves_them_and_says_what_they_are(store):
    put_sweep(store, that_went_on(candidate(SEEDS, trial=3)))

    promote_best(store, "digits", model="fashion", rules=RULES, backend=FakeBackend(), now=lambda: NOW)

    files = promoted(store, 1)
    card, evidence = json.loads(files["card.json"]), evidence_of(files, where="x")
    assert files["saved_model.pb"] == b"weights of 000003-c1"
    assert card["provenance"]["artifact_seed"] == -1
    assert (card["continuation"]["seed"], card["continuation"]["served"]) == (1, True)
    assert card["scores"]["neg_iwae_over_seeds"]["estimate"] == pytest.approx(232.0)
    assert card["scores"]["neg_iwae_of_artifact"]["estimate"] == pytest.approx(227.0)
    assert "those of seed 1, which went on from epoch 22 to 300 with 2 threads" in files["card.md"].decode()
    assert sorted(seeds_from_parquet(files["per_image.parquet"], where="")) == [-1, 1, 2, 3]
    assert (sorted(evidence.testimony), evidence.artifact_seed) == ([1, 2, 3], -1)
    assert evidence.trainings == candidates(store, "digits")[0].evidence.trainings
    assert (inspect(store, "digits").findings, inspect_model(store, "fashion").findings) == ((), ())


def test_long_weights_do_not_carry_a_config_whose_seeds_are_no_better(store):
    """One training, however long, is no evidence for a config: no lucky seed."""
    put_sweep(store, that_went_on(candidate(SEEDS, trial=3)))
    promote_best(store, "digits", model="fashion", rules=RULES, backend=FakeBackend(), now=lambda: NOW)
    put_sweep(store, that_went_on(candidate(SEEDS, trial=4), 220.0), sweep="other")

    decision = promote_best(store, "other", model="fashion", rules=RULES, backend=FakeBackend(), now=lambda: NOW)

    assert decision.outcome is PromotionOutcome.REJECTED
    assert decision.ruling.reasons[0].startswith("over seeds")


def test_seeds_that_are_better_do_not_take_longer_weights_from_users(store):
    """A champion's weights stay as long as what would be served instead of them is worse."""
    put_sweep(store, that_went_on(candidate(SEEDS, trial=3)))
    promote_best(store, "digits", model="fashion", rules=RULES, backend=FakeBackend(), now=lambda: NOW)
    put_sweep(store, candidate((229.9, 230.0, 230.1), trial=4), sweep="other")

    decision = promote_best(store, "other", model="fashion", rules=RULES, backend=FakeBackend(), now=lambda: NOW)

    assert decision.outcome is PromotionOutcome.REJECTED
    assert decision.ruling.reasons[0].startswith("the artifact's own gain")


def ask(store, sweep: str = "digits", rules: PromotionPolicy = RULES):
    return promote_best(store, sweep, model="fashion", rules=rules, backend=FakeBackend(), now=lambda: NOW)


@pytest.fixture
def by_hand(store):
    """Seeds that somebody has promoted while the run that goes on from one of them was still trained."""
    put_sweep(store, candidate(SEEDS, trial=3))
    assert ask(store).version == 1
    return store


def test_seeds_that_were_promoted_before_give_way_to_what_went_on_from_them(by_hand):
    put_finalist(by_hand, that_went_on(candidate(SEEDS, trial=3)))

    decision, again = ask(by_hand), ask(by_hand)

    assert (decision.outcome, decision.version) == (PromotionOutcome.PROMOTED, 2)
    assert promoted(by_hand, 2)["saved_model.pb"] == b"weights of 000003-c1"
    contest = decision.ruling.contest
    assert contest.over_seeds.estimate == pytest.approx(0.0)
    assert contest.of_artifact.estimate == pytest.approx(231.9 - 227.0)
    assert "weights alone were compared" in promoted(by_hand, 2)["card.md"].decode()
    assert (again.outcome, again.version) == (PromotionOutcome.KEPT, 2)
    assert registry_of(by_hand).entries[-1].led


def registry_of(store):
    return Registry(store, "fashion", now=lambda: NOW).state()


@pytest.mark.parametrize(
    ("level", "reason"), [(231.85, "the gain is 0.050 nats"), (231.95, "the artifact's own gain is -0.050")]
)
def test_weights_that_gain_too_little_change_nothing_for_users(by_hand, level, reason):
    put_finalist(by_hand, that_went_on(candidate(SEEDS, trial=3), level))

    decision = ask(by_hand)

    assert (decision.outcome, decision.champion) == (PromotionOutcome.REJECTED, 1)
    assert any(each.startswith(reason) for each in decision.ruling.reasons)
    assert not any(each.startswith("over seeds") for each in decision.ruling.reasons)


def test_what_went_on_and_is_not_served_is_no_new_candidate(by_hand):
    of = candidate(SEEDS, trial=3)
    worse = replace(row_that_went_on(3), neg_elbo=236.0)
    put_finalist(by_hand, replace(of, continued=Continued(row=worse, bounds=bounds(227.0, seed=77))))
    before = registry_of(by_hand).entries

    decision = ask(by_hand)

    assert (decision.outcome, decision.version) == (PromotionOutcome.KEPT, 1)
    assert registry_of(by_hand).entries == before
    assert ask(by_hand, rules=PromotionPolicy(min_gain=0.2)).outcome is PromotionOutcome.KEPT


def test_a_log_that_knows_a_candidate_by_all_of_its_runs_still_does(store, monkeypatch):
    """As older versions wrote it, which took in runs whose weights are not served."""
    worse = replace(row_that_went_on(3), neg_elbo=236.0)
    went_on = Continued(row=worse, bounds=bounds(227.0, seed=77))
    put_sweep(store, replace(candidate(SEEDS, trial=3), continued=went_on))
    with monkeypatch.context() as older:
        older.setattr(Candidate, "sha256", property(lambda self: content_sha256(self.all_rows)))
        assert ask(store).version == 1

    assert (ask(store).outcome, ask(store).version) == (PromotionOutcome.KEPT, 1)
