"""Geometry of a contest's picture: places are linear in nats, and nothing lies outside of it."""

import numpy as np
import pytest

from vae_search.server.pages.team.contest_picture import LEFT, RIGHT, WIDTH, contest_picture


def interval(estimate: float, half: float, confidence: float = 0.95) -> dict:
    return {"estimate": estimate, "low": estimate - half, "high": estimate + half, "confidence": confidence}


def side(values, *, version=None, silent=()) -> dict:
    seeds = [
        {"confirm_seed": seed, "neg_iwae": value, "testifies": seed not in silent, "is_artifact": seed == 1}
        for seed, value in enumerate(values)
    ]
    heard = [value for seed, value in enumerate(values) if seed not in silent]
    return {
        "candidate": "s/1",
        "version": version,
        "mean": float(np.mean(heard)) if heard else None,
        "interval": interval(float(np.mean(heard)), 0.4) if len(heard) > 1 else None,
        "seeds": seeds,
    }


def facts(**changes) -> dict:
    found = {
        "champion": side([232.0, 232.1, 231.9], version=1),
        "candidate": side([231.0, 231.4, 231.1, 230.9], version=2, silent={0}),
        "difference": interval(0.9, 0.3, 0.9833333),
        "of_artifact": interval(-0.1, 0.4),
        "contest": {"min_gain": 0.1},
    }
    return found | changes


def test_places_are_linear_in_nats_and_inside_the_drawing():
    sides, gains = contest_picture(facts()).panels
    champion, candidate = sides.rows

    drawn = [(dot.x, value) for dot, value in zip(champion.dots, (232.0, 232.1, 231.9), strict=True)]
    drawn += [(dot.x, value) for dot, value in zip(candidate.dots, (231.0, 231.4, 231.1, 230.9), strict=True)]
    drawn += [(tick.x, float(tick.text)) for tick in sides.ticks] + [(champion.low, 231.6), (champion.high, 232.4)]
    slope, offset = np.polyfit([value for _, value in drawn], [x for x, _ in drawn], 1)
    np.testing.assert_allclose([x for x, _ in drawn], [slope * value + offset for _, value in drawn], atol=0.02)
    everything = [x for x, _ in drawn] + [mark.x for mark in gains.marks]
    everything += [end for row in gains.rows for end in (row.low, row.estimate, row.high)]
    assert all(LEFT <= x <= WIDTH - RIGHT for x in everything)


def test_seeds_that_do_not_testify_and_the_artifact_are_marked():
    _, candidate = contest_picture(facts()).panels[0].rows

    assert [dot.testifies for dot in candidate.dots] == [False, True, True, True]
    assert [dot.is_artifact for dot in candidate.dots] == [False, True, False, False]


def test_an_interval_that_reaches_zero_is_bad_and_the_words_say_all_of_it():
    picture = contest_picture(facts())

    assert [row.tone for row in picture.panels[1].rows] == ["good", "bad"]
    assert "champion, v1: mean 232.000 nats over 3 seeds, 95 % interval 231.600 to 232.400." in picture.words
    assert "candidate, v2: mean 231.133 nats over 3 seeds" in picture.words
    assert "Gain over seeds: 0.900 nats, 98.3333 % interval 0.600 to 1.200." in picture.words


def test_what_is_not_left_is_not_drawn():
    alone = contest_picture(facts(champion=None, difference=None, of_artifact=None, contest=None))

    assert [len(panel.rows) for panel in alone.panels] == [1]
    assert contest_picture(facts(champion=None, candidate=None, difference=None)) is None
    assert len(contest_picture(facts(champion=None, candidate=None)).panels) == 1


@pytest.mark.parametrize("values", [[232.0], [232.0, 232.0], [1e-3, 2e-3], [-1e5, 1e5]])
def test_any_spread_has_an_axis_with_a_few_numbers(values):
    (panel,) = contest_picture(facts(candidate=None, champion=side(values), difference=None)).panels

    assert 1 <= len(panel.ticks) <= 8
    assert len({tick.text for tick in panel.ticks}) == len(panel.ticks)
