"""Calls made aside: their results are taken in order, in the thread that asks, and no error gets lost."""

import threading

import pytest

from vae_search.core.transfer.pipeline import Pipeline


def test_results_are_taken_in_the_order_of_the_calls_by_the_thread_that_settles():
    gates, taken = [threading.Event() for _ in range(3)], []
    pipeline = Pipeline(3)
    for number, gate in enumerate(gates):
        pipeline.begin(lambda n=number, g=gate: (g.wait(30), n)[1], lambda n: taken.append((n, threading.get_ident())))

    gates[1].set()
    gates[2].set()
    pipeline.settle()
    before = [*taken]
    gates[0].set()
    pipeline.settle(wait=True)
    pipeline.close()

    assert before == []
    assert taken == [(number, threading.get_ident()) for number in range(3)]


def test_what_follows_from_a_result_is_waited_for_as_well():
    pipeline, taken = Pipeline(1), []
    pipeline.begin(lambda: 1, lambda first: pipeline.begin(lambda: first + 1, taken.append))

    pipeline.settle(wait=True)
    pipeline.close()

    assert taken == [2]


def test_an_error_is_raised_where_its_result_would_be_taken_and_the_others_remain():
    pipeline, taken = Pipeline(2), []
    pipeline.begin(lambda: 1 // 0, taken.append)
    pipeline.begin(lambda: 2, taken.append)

    with pytest.raises(ZeroDivisionError):
        pipeline.settle(wait=True)
    pipeline.settle(wait=True)
    pipeline.close()

    assert taken == [2]


def test_nothing_runs_and_nothing_begins_after_a_close():
    began, gate, done = threading.Event(), threading.Event(), []
    pipeline = Pipeline(1)
    pipeline.begin(lambda: (began.set(), gate.wait(30), done.append(1)))
    pipeline.begin(lambda: done.append(2))
    began.wait(30)
    threading.Timer(0.05, gate.set).start()

    pipeline.close()

    assert done == [1]


def test_without_width_each_call_is_made_at_once():
    pipeline, order = Pipeline(0), []

    pipeline.begin(lambda: order.append("call"), lambda _: order.append("take"))
    result = pipeline.beside(lambda: order.append("aside"), lambda: order.append("beside") or 7)
    pipeline.settle(wait=True)
    pipeline.close()

    assert order == ["call", "take", "aside", "beside"]
    assert result == 7


@pytest.mark.parametrize("width", [0, 1])
def test_of_two_calls_beside_each_other_the_error_of_the_first_counts(width):
    pipeline = Pipeline(width)

    with pytest.raises(ZeroDivisionError):
        pipeline.beside(lambda: 1 // 0, lambda: [][0])
    with pytest.raises(IndexError):
        pipeline.beside(lambda: 1, lambda: [][0])
    pipeline.close()


def test_two_calls_beside_each_other_run_at_the_same_time():
    both = threading.Barrier(2, timeout=30)
    pipeline = Pipeline(1)

    assert pipeline.beside(both.wait, lambda: both.wait() >= 0)
    pipeline.close()
