"""Answers that are kept: one look for all who ask, none older than promised, and no more than fit."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from vae_search.errors import NotFound, StoreUnavailable
from vae_search.services.browsing.kept_answers import STALE, KeptAnswers


class Source:
    """Counts the looks at it."""

    def __init__(self) -> None:
        self.looks = 0
        self.now_s = 0.0
        self.before: list[int | None] = []

    def read(self, name: str, before: int | None) -> int:
        self.looks += 1
        self.before.append(before)
        return self.looks

    def kept(self, **more: object) -> KeptAnswers[int]:
        options = {"fresh_s": lambda _: 2.0, "monotonic": lambda: self.now_s, "most": 10}
        return KeptAnswers(self.read, **(options | more))


def test_an_answer_is_given_again_while_it_is_fresh_and_then_read_from_the_one_before():
    source = Source()
    kept = source.kept()

    found = [kept.answer("a"), kept.answer("a")]
    source.now_s = 2.0
    found += [kept.answer("a"), kept.answer("a")]

    assert found == [1, 1, 2, 2]
    assert source.before == [None, 1]


def test_of_many_who_ask_at_once_one_looks():
    looking, go_on, source = threading.Event(), threading.Event(), Source()

    def slow(name: str, before: int | None) -> int:
        looking.set()
        assert go_on.wait(30)
        return source.read(name, before)

    kept = KeptAnswers(slow, fresh_s=lambda _: 2.0, monotonic=lambda: 0.0, most=10)
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(kept.answer, "a") for _ in range(8)]
        assert looking.wait(30)
        go_on.set()
        assert {answer.result() for answer in answers} == {1}
    assert source.looks == 1


@pytest.mark.parametrize(("age_s", "waits"), [(2.0, False), (2.0 * STALE, True)])
def test_while_another_looks_only_those_wait_whose_answer_is_too_old(age_s, waits):
    source, looking, go_on = Source(), threading.Event(), threading.Event()

    def read(name: str, before: int | None) -> int:
        if before is not None:
            looking.set()
            assert go_on.wait(30)
        return source.read(name, before)

    kept = KeptAnswers(read, fresh_s=lambda _: 2.0, monotonic=lambda: source.now_s, most=10)
    kept.answer("a")
    source.now_s = age_s
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(kept.answer, "a")
        assert looking.wait(30)
        second = pool.submit(kept.answer, "a")
        if not waits:
            assert second.result(30) == 1
        go_on.set()
        assert first.result(30) == 2
        assert second.result(30) == (2 if waits else 1)


def test_what_is_gone_is_forgotten_and_trouble_that_passes_is_not():
    source, trouble = Source(), [None, NotFound("gone"), None, StoreUnavailable("away"), None]

    def read(name: str, before: int | None) -> int:
        error = trouble.pop(0)
        if error is not None:
            raise error
        return source.read(name, before)

    kept = KeptAnswers(read, fresh_s=lambda _: 0.0, monotonic=lambda: 0.0, most=10)
    kept.answer("a")
    with pytest.raises(NotFound):
        kept.answer("a")
    kept.answer("a")
    with pytest.raises(StoreUnavailable):
        kept.answer("a")
    kept.answer("a")

    assert source.before == [None, None, 2]


def test_those_that_were_asked_for_longest_ago_go_first():
    source = Source()
    kept = source.kept(weigh=lambda _: 4)
    for name in ("a", "b", "a", "c"):
        kept.answer(name)
    assert source.looks == 3

    kept.answer("a")
    assert source.looks == 3
    kept.answer("b")

    assert source.looks == 4


def test_a_newer_answer_is_read_aside_while_the_one_at_hand_will_do():
    source, calls = Source(), []
    kept = source.kept(aside=calls.append)
    assert kept.answer("a") == 1
    assert not calls  # there was none to give meanwhile
    source.now_s = 2.0
    assert [kept.answer("a"), kept.answer("a")] == [1, 1]
    (renew,) = calls

    renew()

    assert kept.answer("a") == 2
    source.now_s += 2.0 * STALE
    assert kept.answer("a") == 3
    assert len(calls) == 1


def test_trouble_aside_is_met_by_who_asks_next_and_the_end_of_the_service_by_nobody():
    source, calls, errors = Source(), [], [None, StoreUnavailable("away"), None]

    def read(name: str, before: int | None) -> int:
        if (error := errors.pop(0)) is not None:
            raise error
        return source.read(name, before)

    def aside(call):
        calls.append(call)
        if len(calls) == 3:
            raise RuntimeError("cannot schedule new futures after shutdown")

    kept = KeptAnswers(read, fresh_s=lambda _: 2.0, monotonic=lambda: source.now_s, most=10, aside=aside)
    kept.answer("a")
    for at_s, answer in ((2.0, 1), (3.0, 1), (5.0, 2)):
        source.now_s = at_s
        assert kept.answer("a") == answer
        if len(calls) < 3:
            calls[-1]()


def test_what_was_read_before_a_change_is_given_to_nobody_after_it():
    source = Source()
    kept = source.kept()
    kept.answer("a")
    source.now_s = 1.0
    kept.outdate("a")
    assert not kept.is_at_hand("a")

    source.now_s = 1.5
    assert [kept.answer("a"), kept.answer("a")] == [2, 2]
    assert [kept.answer("a", since_s=1.5), kept.answer("a", since_s=1.6)] == [2, 3]
    assert source.before == [None, 1, 2]


def test_a_look_that_began_before_a_change_is_repeated_after_it():
    source, looking, go_on = Source(), threading.Event(), threading.Event()

    def slow(name: str, before: int | None) -> int:
        looking.set()
        assert go_on.wait(30)
        return source.read(name, before)

    kept = KeptAnswers(slow, fresh_s=lambda _: 2.0, monotonic=lambda: source.now_s, most=10)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(kept.answer, "a")
        assert looking.wait(30)
        source.now_s = 0.5
        kept.outdate("a")
        source.now_s = 1.0
        second = pool.submit(kept.answer, "a")
        go_on.set()
        assert (first.result(30), second.result(30)) == (1, 2)


def test_all_who_waited_for_a_look_share_its_trouble():
    class Announced:
        """A source of times that says how many have asked."""

        def __init__(self) -> None:
            self.asked, self.all_asked = 0, threading.Event()

        def __call__(self) -> float:
            self.asked += 1
            if self.asked >= 9:  # a time for each who asks, and one for the look
                self.all_asked.set()
            return 0.0

    clock, looks = Announced(), []

    def away(name: str, before: int | None) -> int:
        looks.append(name)
        assert clock.all_asked.wait(30)
        raise StoreUnavailable("away")

    kept = KeptAnswers(away, fresh_s=lambda _: 2.0, monotonic=clock, most=10)
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(kept.answer, "a") for _ in range(8)]
        troubles = [answer.exception(30) for answer in answers]

    assert all(isinstance(trouble, StoreUnavailable) for trouble in troubles)
    assert looks == ["a"]


def test_a_look_aside_that_never_comes_keeps_nobody_waiting():
    source, dropped = Source(), []
    kept = source.kept(aside=dropped.append)
    kept.answer("a")
    source.now_s = 2.0
    assert kept.answer("a") == 1

    source.now_s = 2.0 * STALE
    assert kept.answer("a") == 2
    source.now_s += 2.0
    assert kept.answer("a") == 2
    assert len(dropped) == 2


def test_an_answer_that_another_look_replaces_meanwhile_does_not_pass_for_the_newer_one():
    source = Source()
    changed: list[bool] = []

    def fresh_s(value: int) -> float:
        if value == 1 and not changed:  # between taking the answer and judging it, a change is made and looked at
            changed.append(True)
            source.now_s = 1.0
            kept.outdate("a")
            source.now_s = 1.5
            with ThreadPoolExecutor(1) as pool:
                assert pool.submit(kept.answer, "a").result() == 2
        return 5.0

    kept = source.kept(fresh_s=fresh_s)
    kept.answer("a")

    assert kept.answer("a") == 2


def test_names_that_never_had_an_answer_are_not_kept_while_the_source_is_away():
    def away(name: str, before: int | None) -> int:
        raise StoreUnavailable("is away.")

    kept = KeptAnswers(away, fresh_s=lambda _: 2.0, monotonic=lambda: 0.0, most=10)
    for name in "abc":
        with pytest.raises(StoreUnavailable):
            kept.answer(name)

    assert not kept._kept  # nothing else tells what is held
