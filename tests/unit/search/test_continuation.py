"""The best seed's continuation: which run, how much of the time, and that its length keeps the minutes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.candidates import failed_row, finalist_row
from vae_search.search.planning.confirm_time import SEEDS_SHARE, START_S, confirm_length, rounds_of, time_of_seeds_s
from vae_search.search.planning.continuation import (
    LAST_STAGE,
    PROBE_EPOCHS,
    best_seed,
    first_stage,
    next_stage,
)
from vae_search.search.planning.plan_record import continues_best
from vae_search.spec.planning.decay import DECAY_SHARE, decay_epochs_of
from vae_search.spec.sweep_spec import parse_spec


def trained(
    left_s: float, *, branch: int, epoch_s: float, judge_epochs: float, drift: float = 1.0
) -> tuple[int, float]:
    """Epochs of the whole training and seconds used, on a machine whose epochs take `drift` times as long later."""
    found = first_stage(branch, branch + 2, left_s=left_s, epoch_s=epoch_s, judge_epochs=judge_epochs)
    assert found is not None
    used_s, done, number = START_S, branch, 1
    while True:
        used_s += (found.until - done) * epoch_s * (drift if number > 1 else 1.0)
        done = found.until
        if found.decay_epochs:
            return done, used_s + judge_epochs * epoch_s * drift
        number += 1
        seen_s = epoch_s * (drift if number > 2 else 1.0)  # the clock of a stage tells
        found = next_stage(done, number=number, left_s=left_s - used_s, epoch_s=seen_s, judge_epochs=judge_epochs)


def test_the_best_seed_on_select_images_goes_on_whatever_judge_images_say():
    rows = [
        finalist_row(7, 1, neg_elbo=90.0, iwae=-80.0),
        finalist_row(7, 2, neg_elbo=89.0, iwae=-95.0),
        finalist_row(7, 3, neg_elbo=91.0, iwae=-70.0),
    ]

    assert best_seed(rows, seeds=3) == rows[1]


def test_nobody_goes_on_before_all_seeds_have_ended_or_where_one_has_failed():
    rows = [finalist_row(7, 1), finalist_row(7, 2)]

    assert best_seed(rows, seeds=3) is None
    assert best_seed([*rows, failed_row(7, 3)], seeds=3) is None


@pytest.mark.parametrize(
    ("written", "goes_on"),
    [
        ("search_space: {latent_dim: 4}", True),
        ("search_space: {latent_dim: 4}\nconfirm: {continuation: off}", False),
        ("search_space: {bound_samples: 8}", False),
    ],
)
def test_a_run_goes_on_where_its_rate_and_its_objective_are_constant_until_the_decay(tmp_path, written, goes_on):
    about = "name: a\ndata: {source: digits}\nbudget: {minutes: 9}\npromote: {model: b}\n"

    assert continues_best(parse_spec(f"{about}{written}\n", base=tmp_path)) is goes_on


def test_the_run_that_finalists_are_chosen_by_does_not_go_on():
    rows = [finalist_row(3, 0, neg_elbo=1.0), finalist_row(7, 0, neg_elbo=0.5), finalist_row(7, 1, neg_elbo=90.0)]

    assert best_seed(rows, seeds=1) == rows[2]


def test_of_several_confirmed_configs_the_one_that_promotes_goes_on():
    """A sweep that was extended confirms another one: it may be better than what stands first in the store."""
    first = [finalist_row(3, seed, neg_elbo=80.0, iwae=-90.0, iwae_k=500) for seed in (1, 2)]
    better = [finalist_row(7, seed, neg_elbo=85.0 - seed, iwae=-89.0, iwae_k=500) for seed in (1, 2)]
    failed = [finalist_row(9, 1, iwae=-70.0, iwae_k=500), failed_row(9, 2)]

    assert best_seed([*first, *better, *failed], seeds=2) == better[1]
    assert best_seed([*first, *better[:1]], seeds=2) == first[0]


def test_the_seeds_have_their_share_only_where_somebody_gains_by_the_rest():
    assert time_of_seeds_s(1000, rounds=1.5, threads=2, cpus_per_trial=1) == SEEDS_SHARE * 1000
    assert time_of_seeds_s(1000, rounds=3.0, threads=1, cpus_per_trial=1) == SEEDS_SHARE * 1000
    assert time_of_seeds_s(1000, rounds=1.0, threads=1, cpus_per_trial=1) == 1000
    assert time_of_seeds_s(10, rounds=1.5, threads=2, cpus_per_trial=1) == 10


@given(
    left_s=st.floats(60, 7200),
    share=st.floats(0.0005, 0.01),
    judge_epochs=st.floats(0, 10),
    drift=st.floats(0.7, 1.8),
)
def test_the_minutes_are_kept_although_the_machine_gets_slower_or_faster(left_s, share, judge_epochs, drift):
    epoch_s = share * left_s

    _, used_s = trained(left_s, branch=10, epoch_s=epoch_s, judge_epochs=judge_epochs, drift=drift)

    # An epoch is not divided; the reserve is for scores and files.
    assert 0.95 * left_s - 3 * epoch_s <= used_s <= left_s + epoch_s


def test_the_rate_falls_over_the_last_fifth_at_an_even_speed():
    done, left_s, ends = 100, 1000.0, []
    for number in range(2, LAST_STAGE + 1):
        found = next_stage(done, number=number, left_s=left_s, epoch_s=1.0, judge_epochs=0.0)
        left_s, done = left_s - (found.until - done), found.until
        ends.append(found.decay_epochs)

    assert ends[:-1] == [0] * (LAST_STAGE - 2)
    assert ends[-1] == pytest.approx(DECAY_SHARE * done, rel=0.1)  # the reserve has shrunk meanwhile


def test_where_little_time_is_left_the_rate_falls_at_once():
    found = next_stage(100, number=2, left_s=10, epoch_s=1.0, judge_epochs=0.0)

    assert (found.until, found.decay_epochs) == (109, 9)


def test_time_that_is_over_still_brings_the_run_to_an_end():
    found = next_stage(100, number=LAST_STAGE, left_s=-5.0, epoch_s=1.0, judge_epochs=3.0)

    assert (found.until, found.decay_epochs) == (101, 1)


def test_nothing_goes_on_that_could_not_become_longer_than_the_seeds_were():
    assert first_stage(80, 100, left_s=START_S + 20, epoch_s=1.0, judge_epochs=0.0) is None
    assert first_stage(80, 100, left_s=START_S + 100, epoch_s=1.0, judge_epochs=0.0).until == 80 + PROBE_EPOCHS


def test_half_an_hour_on_two_cores_gives_the_promoted_weights_twice_the_core_time():
    """Arithmetic of the shares: three seeds on two cores, epochs of 5 s, judging of 10 epochs."""
    left_s, setting = 0.75 * 1800, {"finalists": 1, "seeds": 3, "epoch_s": 5.0, "judge_epochs": 10.0}
    whole, part = (confirm_length(share * left_s, workers=2, **setting) for share in (1.0, SEEDS_SHARE))
    used_s = rounds_of(2, finalists=1, seeds=3) * (part + 10) * 5.0
    branch = part - decay_epochs_of(part)

    same_speed, _ = trained(left_s - used_s, branch=branch, epoch_s=5.0, judge_epochs=10.0)
    faster, _ = trained(left_s - used_s, branch=branch, epoch_s=5.0 / 1.6, judge_epochs=10.0)

    assert same_speed > 1.1 * whole
    assert faster > 1.6 * whole
