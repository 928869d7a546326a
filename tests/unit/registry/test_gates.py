"""Every gate stops the candidate that it is there for, and only that one."""

from dataclasses import replace

import numpy as np
import pytest

from tests.support.candidates import FACTS, FLOOR, bounds, candidate, failed_row, finalist_row
from vae_search.errors import Conflict, InvalidSpec
from vae_search.registry.promotion.decision import PromotionPolicy, decide
from vae_search.registry.promotion.evidence import Candidate
from vae_search.registry.promotion.gate_results import GateInputs, SampleQuality
from vae_search.registry.promotion.gates import GATES, checked_limits, judge
from vae_search.registry.state import Turn

LEVELS = (231.9, 232.0, 232.1)


def with_seed(seed: int, **changes: object) -> Candidate:
    """A healthy candidate with one seed that is not."""
    healthy = candidate()
    rows = tuple(
        finalist_row(0, row.confirm_seed, **changes) if row.confirm_seed == seed else row for row in healthy.rows
    )
    return Candidate(rows=rows, bounds=healthy.bounds)


def shifted(nats: float) -> Candidate:
    """Better by far than is possible, as grey pixels in a Bernoulli likelihood would make it."""
    return candidate([level - nats for level in LEVELS])


def elbo_above_iwae() -> Candidate:
    healthy = candidate()
    third = healthy.bounds[3]
    return Candidate(rows=healthy.rows, bounds={**healthy.bounds, 3: replace(third, distortion=third.distortion - 5.0)})


def one_failed() -> Candidate:
    healthy = candidate()
    return Candidate(rows=(*healthy.rows, failed_row()), bounds=healthy.bounds)


def learned_nothing() -> Candidate:
    """16 nats better than no latents at all, where 195 are possible."""
    return candidate(
        [366.0, 366.0, 366.1], shuffle_gap=10.0, generalisation_gap=0.1, neg_elbo=369.0, floor_excess=179.0
    )


def worse_samples(value: float, *, error: float = 0.1) -> GateInputs:
    return replace(FACTS, sample_quality=SampleQuality(metric="frechet_a", value=value, standard_error=error))


SPOILED = {
    "seeds": (candidate(LEVELS[:2]), FACTS),
    "completed": (one_failed(), FACTS),
    "finite": (with_seed(2, skipped_steps=1), FACTS),
    "learned": (learned_nothing(), FACTS),
    "bound": (elbo_above_iwae(), FACTS),
    "floor": (shifted(60.0), FACTS),
    "rate": (candidate(LEVELS, rate=0.4), FACTS),
    "active_units": (with_seed(3, active_units=1), FACTS),
    "shuffle_gap": (with_seed(2, shuffle_gap=7.0), FACTS),
    "warm_up": (with_seed(1, params={"kl_warmup_epochs": 27}), FACTS),
    "regression": (with_seed(1, instability_regression=1.2), FACTS),
    "generalisation": (with_seed(2, generalisation_gap=8.0), FACTS),
    "seed_spread": (candidate((230.0, 232.0, 234.0)), FACTS),
    "reload": (candidate(), replace(FACTS, reload_difference=-0.002)),
    "sample_quality": (candidate(), worse_samples(11.5)),
    "duplicates": (candidate(), replace(FACTS, held_out_share_in_train=0.02)),
}


def test_a_healthy_candidate_passes_every_gate():
    verdicts = judge(candidate(), FACTS, {})

    assert [verdict.name for verdict in verdicts] == [gate.name for gate in GATES]
    assert [verdict for verdict in verdicts if not verdict.passed] == []


def test_weights_of_an_epoch_in_warm_up_do_not_pass_although_training_went_on_after_it():
    of_warmup = with_seed(1, params={"kl_warmup_epochs": 20}, best_epoch=15)

    stopped = [verdict.name for verdict in judge(of_warmup, FACTS, {}) if not verdict.passed]

    assert stopped == ["warm_up"]


def test_there_is_a_spoiled_candidate_for_every_gate():
    assert set(SPOILED) == {gate.name for gate in GATES}


@pytest.mark.parametrize("name", SPOILED)
def test_a_spoiled_candidate_is_stopped_by_its_gate_alone(name):
    spoiled, facts = SPOILED[name]

    stopped = [verdict.name for verdict in judge(spoiled, facts, {}) if not verdict.passed]

    assert stopped == [name]


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("finite", "skipped_steps"),
        ("active_units", "active_units"),
        ("shuffle_gap", "shuffle_gap"),
        ("generalisation", "generalisation_gap"),
        ("regression", "instability_regression"),
    ],
)
def test_what_was_not_measured_does_not_pass(name, column):
    verdicts = {verdict.name: verdict for verdict in judge(with_seed(2, **{column: None}), FACTS, {})}

    assert not verdicts[name].passed
    assert verdicts[name].value is None
    assert "not measured: seed 2" in verdicts[name].explanation


def test_without_a_floor_what_depends_on_it_does_not_pass():
    stopped = [verdict.name for verdict in judge(with_seed(1, floor_excess=None), FACTS, {}) if not verdict.passed]

    assert stopped == ["learned", "floor"]


def test_an_artifact_that_was_not_reloaded_or_sampled_does_not_pass():
    nothing = GateInputs(reload_difference=None, sample_quality=None, champion_sample_quality=None)

    stopped = [verdict.name for verdict in judge(candidate(), nothing, {}) if not verdict.passed]

    assert stopped == ["duplicates", "reload", "sample_quality"]


def test_a_config_without_any_completed_seed_passes_nothing_that_needs_one():
    verdicts = judge(Candidate(rows=(failed_row(), failed_row(confirm_seed=8)), bounds={}), FACTS, {})

    passed = {verdict.name for verdict in verdicts if verdict.passed}
    assert passed == {"reload", "sample_quality", "duplicates"}


def test_a_short_training_cannot_regress():
    short = dict.fromkeys(["instability", *(f"instability_{part}" for part in ("regression", "roughness", "spikes"))])

    verdict = {verdict.name: verdict for verdict in judge(candidate(**short), FACTS, {})}["regression"]

    assert verdict.passed
    assert "does not apply" in verdict.explanation


def test_the_first_champion_has_no_samples_to_be_compared_with():
    verdict = judge(candidate(), replace(FACTS, champion_sample_quality=None), {})[-1]

    assert verdict.passed
    assert "no champion" in verdict.explanation


def test_samples_that_are_worse_by_less_than_their_noise_pass():
    assert judge(candidate(), worse_samples(11.5, error=0.9), {})[-1].passed
    assert not judge(candidate(), worse_samples(11.5, error=0.5), {})[-1].passed


def test_samples_measured_in_another_way_are_not_compared():
    other = replace(FACTS, sample_quality=SampleQuality(metric="frechet_b", value=1.0, standard_error=0.1))

    assert not judge(candidate(), other, {})[-1].passed


def test_a_limit_can_be_set_and_is_recorded():
    spoiled, facts = SPOILED["rate"]

    (verdict,) = (verdict for verdict in judge(spoiled, facts, {"rate": 0.3}) if verdict.name == "rate")

    assert (verdict.passed, verdict.limit) == (True, 0.3)
    assert verdict.value == pytest.approx(0.4)


def test_limits_have_the_scale_of_what_they_limit():
    verdicts = {verdict.name: verdict for verdict in judge(candidate([232.0] * 3), FACTS, {})}

    span, least_gain, rate = 385.0 - 235.0, 0.0005 * 235.0, 15.0
    image_error = float(bounds(232.0, seed=1).neg_elbo.std(ddof=1)) / np.sqrt(300)
    assert verdicts["shuffle_gap"].limit == pytest.approx(0.5 * rate)
    assert verdicts["generalisation"].limit == pytest.approx(0.02 * span + 2 * np.sqrt(2) * image_error, rel=1e-3)
    assert verdicts["seed_spread"].limit == pytest.approx(2 * least_gain)
    assert verdicts["regression"].limit == pytest.approx(3 * least_gain)
    assert verdicts["learned"].value == pytest.approx(span)
    assert verdicts["learned"].limit == pytest.approx(0.10 * (385.0 - FLOOR))


def test_limits_on_differences_follow_the_gain_that_the_policy_asks_for():
    verdicts = {verdict.name: verdict for verdict in judge(candidate(), replace(FACTS, min_gain=0.5), {})}

    assert verdicts["seed_spread"].limit == pytest.approx(1.0)
    assert verdicts["regression"].limit == pytest.approx(1.5)


def test_the_policys_gain_reaches_the_gates():
    spread = candidate((231.5, 232.0, 232.5))  # standard error 0.29

    def stopped(min_gain: float) -> list[str]:
        ruling = decide(spread, FACTS, None, PromotionPolicy(min_gain=min_gain), turn=Turn())
        return [verdict.name for verdict in ruling.gates if not verdict.passed]

    assert stopped(0.1) == ["seed_spread"]
    assert stopped(0.2) == []


def test_more_seeds_make_the_same_spread_pass():
    """What a contest can resolve is the standard error of the mean, which more seeds make smaller."""
    few, many = (
        {verdict.name: verdict.passed for verdict in judge(candidate((231.5, 232.0, 232.5) * times), FACTS, {})}
        for times in (1, 3)
    )

    assert (few["seed_spread"], many["seed_spread"]) == (False, True)


def test_a_model_with_one_latent_must_use_that_one():
    params = {"architecture": "mlp", "latent_dim": 1, "kl_warmup_epochs": 2}

    def passes(active_units: int) -> bool:
        verdicts = judge(candidate(params=params, active_units=active_units), FACTS, {})
        return {verdict.name: verdict.passed for verdict in verdicts}["active_units"]

    assert passes(1)
    assert not passes(0)


def test_a_code_without_effect_does_not_pass_because_nothing_was_learned():
    """Where the span is nothing, a share of it is, too: the limit is on the rate, of one nat at least."""
    collapsed = candidate([382.0, 382.1, 382.2], rate=0.01, shuffle_gap=0.02, neg_elbo=385.0, floor_excess=195.0)

    stopped = {verdict.name for verdict in judge(collapsed, FACTS, {}) if not verdict.passed}

    assert {"learned", "rate", "shuffle_gap"} <= stopped


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"ratee": 1.0}, "Did you mean rate?"),
        ({"rate": float("nan")}, "must be finite"),
        ({"seeds": 2}, "must be >= 3"),
    ],
)
def test_limits_that_cannot_be_used_are_refused(limits, message):
    with pytest.raises(InvalidSpec, match=message.replace("?", r"\?")):
        checked_limits(limits)


def test_seeds_of_two_tasks_are_not_one_candidate():
    rows = (finalist_row(0, 1), finalist_row(0, 2, comparability_key="e" * 64))

    with pytest.raises(Conflict, match="2 different tasks"):
        Candidate(rows=rows, bounds={1: bounds(), 2: bounds()})


def test_the_artifact_is_chosen_by_the_select_images():
    rows = (finalist_row(0, 1, neg_elbo=236.0), finalist_row(0, 2, neg_elbo=235.0), finalist_row(0, 3, neg_elbo=237.0))
    lucky_on_judge = {1: bounds(228.0), 2: bounds(232.0), 3: bounds(232.0)}

    assert Candidate(rows=rows, bounds=lucky_on_judge).evidence.artifact_seed == 2


def test_seeds_that_ended_with_a_bound_of_several_draws_are_compared_by_one():
    trained = {"trained_bound": "iwae_8"}
    rows = (
        finalist_row(0, 1, neg_elbo=235.0, objective=231.0, **trained),
        finalist_row(0, 2, neg_elbo=236.0, objective=230.0, **trained),
        finalist_row(0, 3, neg_elbo=237.0, objective=232.0, **trained),
    )

    assert Candidate(rows=rows, bounds={seed: bounds() for seed in (1, 2, 3)}).evidence.artifact_seed == 2


def test_equal_seeds_have_no_spread_and_pass():
    verdict = {verdict.name: verdict for verdict in judge(candidate([232.0] * 3), FACTS, {})}["seed_spread"]

    assert verdict.passed
    assert verdict.value == pytest.approx(0.0, abs=1e-9)
    assert np.isfinite(verdict.limit)


def test_limits_in_nats_grow_with_bounds_that_count_thousands():
    """At a bound of 3,900 nats 5.9 of them are no regression, and 0.004 no difference."""
    thousands = candidate((3900.0, 3900.1, 3900.2), instability_regression=4.0)
    wide = replace(
        thousands,
        bounds={
            seed: replace(of, baseline=of.baseline + 4903.1 - of.baseline.mean())
            for seed, of in thousands.bounds.items()
        },
    )

    def passed(of: Candidate, difference: float) -> dict[str, bool]:
        return {verdict.name: verdict.passed for verdict in judge(of, replace(FACTS, reload_difference=difference), {})}

    assert passed(wide, 0.003)["regression"]
    assert passed(wide, 0.003)["reload"]
    assert not passed(wide, 0.005)["reload"]
    assert not passed(with_seed(1, instability_regression=4.0), 0.0)["regression"]
    worse = replace(wide, rows=tuple(replace(row, instability_regression=6.0) for row in wide.rows))
    assert not passed(worse, 0.0)["regression"]


def test_a_metric_with_a_limit_is_a_gate_on_the_worst_seed_in_its_direction():
    def judged(limit: float, *values: float | None, more: bool) -> bool:
        rows = [replace(row, metrics={"metric_x": value}) for row, value in zip(candidate().rows, values, strict=False)]
        rows += candidate().rows[len(values) :]
        given = replace(candidate(), rows=tuple(rows))
        found = judge(given, FACTS, {"metric_x": limit}, more_is_better={"metric_x"} if more else ())
        return {gate.name: gate.passed for gate in found}["metric_x"]

    many = len(candidate().rows)

    assert judged(0.7, *[0.8] * many, more=True)
    assert not judged(0.7, *[0.8] * (many - 1), 0.6, more=True)
    assert judged(0.7, *[0.6] * many, more=False)
    assert not judged(0.7, *[0.6] * (many - 1), 0.8, more=False)
    assert not judged(0.7, *[0.8] * (many - 1), None, more=True)  # not measured


def test_rules_without_metrics_are_the_rules_that_they_were():
    assert PromotionPolicy().sha256 == PromotionPolicy(limits={"seeds": 3}).sha256
    assert PromotionPolicy(limits={"metric_x": 1.0}).sha256 != PromotionPolicy().sha256
    assert (
        PromotionPolicy(limits={"metric_x": 1.0}, more_is_better=frozenset({"metric_x"})).sha256
        != PromotionPolicy(limits={"metric_x": 1.0}).sha256
    )
