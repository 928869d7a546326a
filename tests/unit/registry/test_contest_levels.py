"""The level that a champion's contests share: what is spent, by whom, and that equals seldom win in a model's life."""

import json

import numpy as np
import pytest
from scipy import stats

from tests.support.candidates import NOW, FakeBackend, candidate, put_finalist, put_sweep
from tests.support.paths import ROOT
from tests.unit.registry.test_champion_test import evidence, simulated
from vae_search.display.models import decision_lines, show_models
from vae_search.registry.log import Entry
from vae_search.registry.promotion.champion_record import evidence_of
from vae_search.registry.promotion.champion_test import LIFE_LEVEL, Interval, champion_test, level_of, power
from vae_search.registry.promotion.decision import PromotionDecision, PromotionPolicy
from vae_search.registry.promotion.evidence import Candidate
from vae_search.registry.promotion.pipeline import PromotionOutcome, promote_best
from vae_search.registry.registry import Registry
from vae_search.registry.state import Turn
from vae_search.registry.version_files import CARD_FILE, CARD_TEXT_FILE, read_version
from vae_search.services.payloads import decision_facts, model_facts
from vae_search.store.backends.local import LocalStore

GOOD, BETTER, WORSE = (231.9, 232.0, 232.1), (230.9, 231.0, 231.1), (232.9, 233.0, 233.1)
CLOSE, LOOKS_BETTER = (231.89, 231.99, 232.09), (231.8, 231.9, 232.0)  # both too close to win


def ask(store, sweep, backend=None, **rules):
    policy = PromotionPolicy(**rules)
    return promote_best(store, sweep, model="m", rules=policy, backend=backend or FakeBackend(), now=lambda: NOW)


def state(store):
    return Registry(store, "m", now=lambda: NOW).state()


def challenge(store, *levels, first_trial=10):
    """One sweep after the other asks; the numbers and the levels of their contests."""
    contests = []
    for trial, values in enumerate(levels, start=first_trial):
        put_sweep(store, candidate(values, trial=trial), sweep=f"sweep-{trial}")
        contest = ask(store, f"sweep-{trial}").ruling.contest
        contests.append((contest.number, contest.level))
    return contests


def test_one_contest_has_half_of_a_life_and_all_together_the_whole():
    spent = np.cumsum([level_of(contest) for contest in range(1, 100_001)])

    assert level_of(1) == 0.025
    assert spent[19] == pytest.approx(LIFE_LEVEL * 20 / 21)
    assert spent[-1] < LIFE_LEVEL


@pytest.mark.parametrize("step", [1, 2, 20])
def test_the_interval_over_seeds_is_welchs_at_the_level_of_the_contest(step):
    rng = np.random.default_rng(0)
    sides = [np.repeat(rng.normal(level, 0.2, 5)[:, None], 50, axis=1) for level in (231.5, 232.0)]

    found = champion_test(*(evidence(side) for side in sides), turn=Turn(number=7, step=step))

    test = stats.ttest_ind(sides[1][:, 0], sides[0][:, 0], equal_var=False)
    low, high = test.confidence_interval(1 - 2 * LIFE_LEVEL / (step * (step + 1)))
    assert (found.over_seeds.low, found.over_seeds.high) == pytest.approx((low, high))
    assert (found.number, found.level) == (7, level_of(step))


def test_equals_replace_a_champion_in_at_most_five_of_a_hundred_lives():
    rng = np.random.default_rng(1)
    lives, sweeps = 300, 12
    replaced = {"spent": 0, "always the same level": 0}
    for _ in range(lives):
        champion = evidence(simulated(rng, 5, images=40, own_sd=0.5))
        results, step = [], 1
        for _ in range(sweeps):
            challenger = evidence(simulated(rng, 5, images=40, own_sd=0.5))
            results.append(champion_test(challenger, champion, turn=Turn(step=step), min_gain=0.0))
            step += results[-1].over_seeds.estimate > 0
        replaced["spent"] += any(result.won for result in results)
        replaced["always the same level"] += any(champion_test_at_first_level(result) for result in results)

    assert replaced["spent"] / lives <= LIFE_LEVEL
    assert replaced["always the same level"] / lives > 2 * LIFE_LEVEL  # the draws are hard enough to tell


def champion_test_at_first_level(result) -> bool:
    """Clause (a) of a contest that is already held, as if it were the champion's first."""
    over = result.over_seeds
    return over.estimate - over.standard_error * stats.t.ppf(0.975, over.degrees_of_freedom) > 0


def test_the_power_that_is_told_is_what_a_simulation_finds():
    rng = np.random.default_rng(2)
    won, told = 0, []
    for _ in range(500):
        sides = [simulated(rng, 5, images=200, level=level, own_sd=0.5) for level in (-0.4, 0.0)]
        result = champion_test(*(evidence(side) for side in sides), turn=Turn(step=2))
        won += result.over_seeds.low > 0 and result.over_seeds.estimate >= result.min_gain
        told.append(power(result.over_seeds, level=result.level, gain=0.4))

    assert won / 500 == pytest.approx(np.mean(told), abs=0.08)


def test_without_spread_power_is_a_matter_of_the_least_gain():
    point = Interval(estimate=0.3, low=0.3, high=0.3, standard_error=0.0, degrees_of_freedom=8.0)

    assert [power(point, level=0.025, gain=gain) for gain in (0.05, 0.25)] == [0.0, 1.0]


def test_each_look_at_something_new_is_a_contest_and_asking_again_is_none(store):
    put_sweep(store, candidate(GOOD, trial=3))
    ask(store, "digits")

    assert challenge(store, CLOSE, LOOKS_BETTER) == [(1, level_of(1)), (2, level_of(2))]
    again = [ask(store, "sweep-10"), ask(store, "sweep-11", min_gain=0.3), ask(store, "sweep-10", min_gain=0.3)]

    assert [decision.ruling.contest.number for decision in again] == [1, 2, 1]
    assert [decision.ruling.contest.level for decision in again] == [level_of(1), level_of(2), level_of(1)]
    assert state(store).contests == 2
    assert "contest 2 must lie above 0" in again[1].ruling.reasons[0]


def test_each_added_seed_is_another_look(store):
    put_sweep(store, candidate(GOOD, trial=3))
    ask(store, "digits")
    put_sweep(store, sweep="second")
    contests = []
    for seeds in (3, 4, 5):
        grown = candidate((231.89, 231.99, 232.09, 231.94, 232.04)[:seeds], trial=4)
        put_finalist(store, grown, sweep="second")
        contests.append(ask(store, "second").ruling.contest)

    assert [contest.number for contest in contests] == [1, 2, 3]
    assert [contest.level for contest in contests] == [level_of(step) for step in (1, 2, 3)]


def test_whoever_looks_no_better_costs_a_contest_and_no_level(store):
    put_sweep(store, candidate(GOOD, trial=3))
    ask(store, "digits")

    assert challenge(store, WORSE, WORSE, CLOSE, CLOSE) == [
        (1, level_of(1)),
        (2, level_of(1)),
        (3, level_of(1)),
        (4, level_of(2)),
    ]


def test_whoever_fails_a_gate_spends_nothing(store):
    put_sweep(store, candidate(GOOD, trial=3))
    ask(store, "digits")
    put_sweep(store, candidate(CLOSE, trial=4, active_units=0), sweep="sick")
    ask(store, "sick")

    assert challenge(store, CLOSE) == [(1, level_of(1))]


def test_a_new_champion_begins_anew_and_one_that_is_back_goes_on(store):
    put_sweep(store, candidate(GOOD, trial=3))
    ask(store, "digits")

    before = challenge(store, CLOSE, BETTER)
    after = challenge(store, WORSE, first_trial=20)
    Registry(store, "m", now=lambda: NOW).roll_back(why="people dislike its pictures")

    assert (before, after) == ([(1, level_of(1)), (2, level_of(2))], [(1, level_of(1))])
    assert state(store).champion == 1
    assert challenge(store, CLOSE, first_trial=30) == [(3, level_of(3))]


def test_a_card_tells_the_contest_its_level_and_what_it_could_see(store):
    put_sweep(store, candidate(GOOD, trial=3))
    ask(store, "digits")
    challenge(store, CLOSE, BETTER)

    files = read_version(store, "m", 2, sha256=state(store).versions[2].manifest_sha256)

    told = files[CARD_TEXT_FILE].decode()
    contest = json.loads(files[CARD_FILE])["contest"]
    assert (contest["number"], contest["level"]) == (2, pytest.approx(0.05 / 6))
    assert "Against version 1, in contest 2 of that champion" in told
    assert "(interval at 98.3333 %)" in told
    assert "at most 0.833 of 100 cases" in told
    assert f"by 0.25 nats in {100 * contest['power']['0.25']:.0f} of 100" in told
    assert "One bad seed in five" in told


def test_the_command_line_tells_the_contest_and_the_listing_counts_them(store, capsys):
    put_sweep(store, candidate(GOOD, trial=3))
    first = ask(store, "digits")
    challenge(store, CLOSE)
    refused = ask(store, "sweep-10")

    told = decision_lines(decision_facts(refused))
    show_models([model_facts(state(store))], as_json=False)

    assert decision_lines(decision_facts(first))[-1].startswith("  test images")
    assert told[-1].startswith("  contest 1 of this champion, at level 2.50%; probability of a promotion")
    assert ["m", "version", "1", "1", "1", "3"] in [line.split() for line in capsys.readouterr().out.splitlines()]


def test_an_entry_of_an_older_version_is_read_as_it_was_written(store):
    put_sweep(store, candidate(GOOD, trial=3))
    ask(store, "digits")
    challenge(store, CLOSE)
    entry = state(store).entries[-1]
    contest = dict(entry.verdicts["contest"])
    for added in ("number", "level", "power", "remarks"):
        del contest[added]
    old = Entry(action=entry.action, at=NOW, nonce="", verdicts={**entry.verdicts, "contest": contest})

    ruling = PromotionDecision.of(old)

    assert ruling.contest.over_seeds == PromotionDecision.of(entry).contest.over_seeds
    assert (ruling.contest.number, ruling.contest.level, ruling.contest.power) == (1, 0.025, {})


def old_card(files) -> dict[str, bytes]:
    """A version's files as they were before cards said who testifies."""
    card = json.loads(files[CARD_FILE])
    for seed in card["seeds"]:
        del seed["testifies"]
    return {**files, CARD_FILE: json.dumps(card).encode()}


@pytest.mark.parametrize(
    ("seeds", "testify", "remark"),
    [(3, [1, 2, 3], "still testifies, since only 2 others"), (4, [2, 3, 4], "is left out, 3 testify")],
)
def test_the_seed_that_may_have_chosen_an_old_champion_is_left_out_if_enough_remain(store, seeds, testify, remark):
    put_sweep(store, candidate([232.0 + seed / 10 for seed in range(seeds)], trial=3))
    ask(store, "digits")
    files = read_version(store, "m", 1, sha256=None)

    champion = evidence_of(old_card(files), where="")
    result = champion_test(candidate(BETTER, trial=4).evidence, champion)

    assert [*champion.testimony] == testify
    assert remark in champion.remark
    assert result.remarks == (champion.remark,)
    assert evidence_of(files, where="").remark == ""
    assert [*evidence_of(files, where="").testimony] == [*range(1, seeds + 1)]


def test_the_champion_of_a_real_old_store_can_still_be_faced():
    store = LocalStore(ROOT / "tests/fixtures/store_f001553/store")
    state = Registry(store, "before", now=lambda: NOW).state()

    champion = evidence_of(read_version(store, "before", 1, sha256=state.versions[1].manifest_sha256), where="")

    assert [*champion.testimony] == [1, 2, 3]
    assert "only 2 others" in champion.remark
    assert len(champion.trainings) == 3
    assert (state.contests, state.turn_of("new")) == (0, Turn(number=1, step=1))


def chosen_by(levels, *, trial):
    """A finalist that was chosen by the first of these, its run 0."""
    of = candidate(levels, trial=trial)
    rows = tuple(type(row)(**{**fields_of(row), "confirm_seed": row.confirm_seed - 1}) for row in of.rows)
    return Candidate(rows=rows, bounds={seed - 1: bounds for seed, bounds in of.bounds.items()})


def fields_of(row):
    return {name: getattr(row, name) for name in row.__dataclass_fields__}


def test_the_run_that_chose_the_candidate_is_heard_neither_now_nor_when_it_is_champion(store):
    lucky = chosen_by((231.0, *GOOD), trial=3)
    put_sweep(store, lucky)
    ask(store, "digits")
    files = read_version(store, "m", 1, sha256=state(store).versions[1].manifest_sha256)
    card = json.loads(files[CARD_FILE])

    champion = evidence_of(files, where="")

    assert [*lucky.evidence.testimony] == [1, 2, 3]
    assert champion.silent == {0}
    assert [*champion.testimony] == [1, 2, 3]
    assert card["provenance"]["artifact_seed"] == 1
    assert card["scores"]["neg_iwae_over_seeds"]["estimate"] == pytest.approx(232.0)
    assert "confirmed with 3 fresh seeds" in files[CARD_TEXT_FILE].decode()


def test_the_same_trainings_under_another_name_are_no_replication(store):
    put_sweep(store, candidate(GOOD, trial=3))
    ask(store, "digits")
    put_sweep(store, candidate(GOOD, trial=3), sweep="again")

    contest = ask(store, "again").ruling.contest

    assert contest.remarks[0].startswith("3 of the candidate's 3 trainings are the champion's own")


def test_other_seeds_or_epochs_are_other_trainings(store):
    put_sweep(store, candidate(GOOD, trial=3))
    ask(store, "digits")
    put_sweep(store, candidate(GOOD, trial=3, epochs=54), sweep="longer")
    put_sweep(store, candidate(GOOD, trial=4), sweep="other-seeds")

    assert [ask(store, sweep).ruling.contest.remarks for sweep in ("longer", "other-seeds")] == [(), ()]


@pytest.mark.parametrize(
    ("before", "now", "alike"),
    [
        ([], ["precision=bfloat16"], False),
        ([], ["data.mirror=true"], False),
        (["data.mirror=true"], ["data.mirror=true"], True),
        (["precision=bfloat16", "data.mirror=true"], ["precision=bfloat16"], False),
    ],
)
def test_the_same_config_in_another_precision_or_mirrored_is_another_training(store, before, now, alike):
    put_sweep(store, candidate(GOOD, trial=3), overrides=before)
    ask(store, "digits")
    put_sweep(store, candidate(GOOD, trial=3), sweep="again", overrides=now)

    assert bool(ask(store, "again").ruling.contest.remarks) is alike


class Unreachable(FakeBackend):
    """Whoever measures anything fails."""

    def export(self, candidate, artifact):
        raise AssertionError("nothing must be measured")


def test_who_has_too_few_seeds_is_refused_once_and_nothing_is_measured(store):
    put_sweep(store, chosen_by((220.0, 232.0, 232.1), trial=3))

    decisions = [ask(store, "digits", Unreachable()) for _ in range(2)]

    assert [decision.outcome for decision in decisions] == [PromotionOutcome.REJECTED] * 2
    assert decisions[0].ruling == decisions[1].ruling
    assert decisions[0].ruling.reasons == (
        "gate seeds: 2 confirm runs completed, beside the one that it was chosen by",
    )
    assert len(state(store).entries) == 1
