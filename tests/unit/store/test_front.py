"""What is shown of a front follows from the trials by its definition."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tests.support.rows import epoch_rows, trial_row
from vae_search.core.criteria import Criteria
from vae_search.core.trial_state import Reason, State
from vae_search.store.ledger.trials import Ledger
from vae_search.store.queries.front import Member, front_among, member_of
from vae_search.store.queries.leaderboard import read_leaderboard
from vae_search.store.queries.ranking import best_first

CRITERIA = ("neg_elbo", "instability", "train_flops")
VALUE = st.sampled_from([None, 1.0, 2.0, 3.0, 4.0])
TRIALS = st.lists(st.tuples(st.sampled_from([1.0, 2.0, 3.0]), VALUE, VALUE), max_size=12)


def members(values: list[tuple[float | None, ...]]) -> list[Member]:
    return [Member(trial=trial, values=dict(zip(CRITERIA, each, strict=True))) for trial, each in enumerate(values)]


@given(TRIALS, st.sampled_from(CRITERIA), st.integers(0, 12))
def test_it_is_the_front_that_is_ranked_however_the_trials_arrive(values, prefer, cut):
    known = members(values)
    rows = [replace(trial_row(member.trial), objective=None, **member.values) for member in known]
    criteria = Criteria(names=CRITERIA, prefer=prefer)

    at_once = front_among(known, criteria)
    earlier = front_among(known[:cut], criteria)
    later = front_among([*earlier.members, *known[cut:]], criteria)

    assert [member.trial for member in at_once.members] == [row.trial for row in best_first(rows, criteria)]
    assert later == at_once


@given(TRIALS.filter(bool), st.sampled_from(CRITERIA))
def test_its_ends_are_the_least_values_of_all_trials(values, prefer):
    front = front_among(members(values), Criteria(names=CRITERIA, prefer=prefer))

    for place, name in enumerate(CRITERIA):
        known = [each[place] for each in values if each[place] is not None]
        end = front.extreme(name)
        assert (end and end.values[name]) == (min(known) if known else None)
    if front.extreme(prefer) is not None:
        assert front.extreme(prefer) == front.members[0]  # which `prefer` picks


def test_standings_know_the_front_of_complete_trials_from_their_columns(store):
    pareto = Criteria(names=("neg_elbo", "train_flops"), prefer="train_flops")
    cut = {"state": State.PRUNED, "reason": Reason.RUNG}
    values = [(3.0, 9.0, {}), (4.0, 2.0, {}), (5.0, 3.0, {}), (1.0, 1.0, cut)]
    rows = [
        trial_row(trial, objective=None, neg_elbo=nats, train_flops=flops, **changes)
        for trial, (nats, flops, changes) in enumerate(values)
    ]
    for row in rows:
        Ledger(store, "digits").commit(row, epoch_rows(row.trial))

    found = read_leaderboard(store, "digits").shown_front(pareto)

    assert found.members == (member_of(rows[1], pareto), member_of(rows[0], pareto))
    assert read_leaderboard(store, "digits").shown_front(None) is None


def test_a_collapsed_model_is_on_no_front_however_cheap_unless_all_have_collapsed(store):
    """In all three ways in which a front is found."""
    pareto = Criteria(names=("neg_elbo", "train_flops"))
    values = [(90.0, 9.0, 12.0), (95.0, 2.0, 1.0), (99.0, 1.0, 0.02), (99.5, 0.5, None)]
    rows = [
        trial_row(trial, objective=None, neg_elbo=nats, train_flops=flops, rate=rate)
        for trial, (nats, flops, rate) in enumerate(values)
    ]
    for row in rows:
        Ledger(store, "digits").commit(row, epoch_rows(row.trial))
    leaderboard = read_leaderboard(store, "digits")

    found = [
        [row.trial for row in best_first(rows, pareto)],
        [row.trial for row in leaderboard.best_first(pareto, count=None)],
        [member.trial for member in leaderboard.shown_front(pareto).members],
        [member.trial for member in front_among([member_of(row, pareto) for row in rows], pareto).members],
    ]

    assert found == [[0, 1, 3]] * 4  # the last one's rate is not known
    assert [row.trial for row in best_first(rows[2:3], pareto)] == [2]


@given(TRIALS, st.sampled_from(CRITERIA))
def test_a_front_where_more_is_better_is_that_of_the_negatives(values, prefer):
    """In all three ways in which a front is found, and from what was measured, not from its negative."""
    names = ("neg_elbo", "metric_ssim", "train_flops")
    as_said = {"neg_elbo": "neg_elbo", "instability": "metric_ssim", "train_flops": "train_flops"}
    turned = [(nats, None if of is None else -of, flops) for nats, of, flops in values]
    known = [Member(trial=trial, values=dict(zip(names, each, strict=True))) for trial, each in enumerate(turned)]
    rows = [
        replace(trial_row(trial), objective=None, neg_elbo=nats, train_flops=flops, metrics={"metric_ssim": ssim})
        for trial, (nats, ssim, flops) in enumerate(turned)
    ]
    criteria = Criteria(names=names, prefer=as_said[prefer], maximised=frozenset({"metric_ssim"}))

    expected = front_among(members(values), Criteria(names=CRITERIA, prefer=prefer))

    numbers = [member.trial for member in expected.members]
    found = front_among(known, criteria)
    assert [member.trial for member in found.members] == numbers
    assert [row.trial for row in best_first(rows, criteria)] == numbers
    assert {member.trial: member.values["metric_ssim"] for member in found.members} == {
        trial: turned[trial][1] for trial in numbers
    }
    end = found.extreme("metric_ssim")
    assert (end and end.values["metric_ssim"]) == max((ssim for _, ssim, _ in turned if ssim is not None), default=None)


def test_the_columns_of_a_leaderboard_give_the_front_of_what_more_is_better(store):
    values = [(90.0, 0.5), (95.0, 0.9), (99.0, 0.7), (89.0, None)]
    rows = [
        replace(trial_row(trial), objective=None, neg_elbo=nats, metrics={"metric_ssim": ssim})
        for trial, (nats, ssim) in enumerate(values)
    ]
    for row in rows:
        Ledger(store, "digits").commit(row, epoch_rows(row.trial))
    criteria = Criteria(names=("neg_elbo", "metric_ssim"), prefer="metric_ssim", maximised=frozenset({"metric_ssim"}))
    leaderboard = read_leaderboard(store, "digits")

    assert [row.trial for row in leaderboard.best_first(criteria, count=None)] == [1, 0, 3]
    assert [member.trial for member in leaderboard.shown_front(criteria).members] == [1, 0, 3]
