"""What is said of a front."""

from vae_search.core.criteria import Criteria
from vae_search.display.front import front_cell, front_ends, front_line, front_size
from vae_search.services.payloads import front_facts, front_in, front_order
from vae_search.store.queries.front import Front, Member, front_among

CRITERIA = ("neg_elbo", "train_flops")


def front_of(*values: tuple[float, float], prefer: str = "neg_elbo") -> Front:
    trials = [Member(trial=trial, values=dict(zip(CRITERIA, each, strict=True))) for trial, each in enumerate(values)]
    return front_among(trials, Criteria(names=CRITERIA, prefer=prefer))


def test_the_ends_are_named_and_the_preferred_one_comes_first():
    values = [(98.214, 1e10), (99.0, 5e9), (120.0, 1.25e9), (130.0, 2e9)]

    assert front_line(front_of(*values)) == (
        "front of neg_elbo, train_flops: 3 trials; lowest neg_elbo 98.21 nats (trial 0, preferred); "
        "cheapest 1.25e+09 FLOPs (trial 2)"
    )
    assert [*front_ends(front_of(*values, prefer="train_flops"))] == ["cheapest", "lowest neg_elbo"]
    assert front_cell(front_of(*values, prefer="train_flops")) == "1.25e+09 FLOPs (trial 2, preferred), front of 3"
    assert front_facts(front_of(*values))[-1] == {"trial": 2, "neg_elbo": 120.0, "train_flops": 1.25e9}


def test_a_front_of_three_criteria_has_a_most_stable_end():
    trials = [
        Member(trial=4, values={"neg_elbo": 98.0, "instability": 0.5, "train_flops": 1e9}),
        Member(trial=5, values={"neg_elbo": 99.0, "instability": 0.0214, "train_flops": 2e9}),
    ]
    front = front_among(trials, Criteria(names=("neg_elbo", "instability", "train_flops")))

    assert front_ends(front)["most stable"] == "0.021 nats (trial 5)"


def test_a_front_without_trials_has_no_ends():
    assert front_line(front_of()) == "front of neg_elbo, train_flops: none yet"
    assert (front_cell(front_of()), front_size(front_of()), front_facts(front_of())) == ("", "none yet", [])
    assert front_size(front_of((1.0, 1.0))) == "1 trial"


def test_of_a_metric_of_which_more_is_better_the_highest_is_named_here_and_from_a_service():
    criteria = Criteria(names=("neg_elbo", "metric_ssim"), maximised=frozenset({"metric_ssim"}))
    values = [{"neg_elbo": 98.0, "metric_ssim": 0.5}, {"neg_elbo": 99.0, "metric_ssim": 0.75}]
    front = front_among([Member(trial=trial, values=each) for trial, each in enumerate(values)], criteria)

    assert front_ends(front)["highest metric_ssim"] == "0.75 (trial 1)"
    assert front_in({"front_of": front_order(front), "front": front_facts(front)}) == front
