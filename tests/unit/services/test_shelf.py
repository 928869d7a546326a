"""The shelf: one reads, the others take what is there; nothing older than it may be is handed out."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from vae_search.services.browsing.shelf import Shelf


@dataclass
class Clock:
    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


def counting(values: list[int]):
    def read() -> int:
        values.append(len(values))
        return values[-1]

    return read


def test_a_value_is_kept_until_its_mark_changes_or_it_is_too_old():
    clock, read = Clock(), counting([])
    shelf = Shelf[int](monotonic=clock, keep_s=lambda value, cost_s: 10.0)

    first, again = shelf.take("a", read, mark=1), shelf.take("a", read, mark=1)
    marked = shelf.take("a", read, mark=2)
    clock.now_s = 9.9
    kept = shelf.take("a", read, mark=2)
    clock.now_s = 10.1

    assert (first, again, marked, kept, shelf.take("a", read, mark=2)) == (0, 0, 1, 1, 2)


def test_a_value_that_took_long_to_read_may_be_kept_longer():
    clock = Clock()

    def slow() -> float:
        clock.now_s += 3.0
        return clock.now_s

    shelf = Shelf[float](monotonic=clock, keep_s=lambda value, cost_s: 20.0 * cost_s)
    first = shelf.take("a", slow, mark=None)
    clock.now_s += 59.0
    kept = shelf.take("a", slow, mark=None)
    clock.now_s += 2.0

    assert (first, kept) == (3.0, 3.0)
    assert shelf.take("a", slow, mark=None) == 67.0


def test_many_who_ask_at_once_cause_one_reading():
    values: list[int] = []
    begun, go = threading.Event(), threading.Event()

    def slow() -> int:
        begun.set()
        go.wait(10)
        values.append(1)
        return len(values)

    shelf = Shelf[int](monotonic=Clock(), keep_s=lambda value, cost_s: 10.0)
    with ThreadPoolExecutor(20) as pool:
        asked = [pool.submit(shelf.take, "a", slow, mark=None) for _ in range(20)]
        begun.wait(10)
        go.set()
        answers = [each.result(10) for each in asked]

    assert answers == [1] * 20


def test_whoever_may_have_an_old_value_does_not_wait_for_the_new_one():
    begun, go = threading.Event(), threading.Event()
    shelf = Shelf[str](monotonic=Clock(), keep_s=lambda value, cost_s: 10.0)
    shelf.take("a", lambda: "old", mark=1)

    def slow() -> str:
        begun.set()
        go.wait(10)
        return "new"

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(shelf.take, "a", slow, mark=2)
        begun.wait(10)
        meanwhile = shelf.take("a", lambda: "never", mark=2, may_be_old=True)
        go.set()

        assert (meanwhile, reading.result(10)) == ("old", "new")


def test_a_reading_that_fails_leaves_the_shelf_usable():
    shelf = Shelf[int](monotonic=Clock(), keep_s=lambda value, cost_s: 10.0)

    with pytest.raises(ZeroDivisionError):
        shelf.take("a", lambda: 1 // 0, mark=None)

    assert shelf.take("a", lambda: 7, mark=None) == 7


def test_the_shelf_is_bounded_and_lets_go_of_what_is_gone():
    shelf = Shelf[str](monotonic=Clock(), keep_s=lambda value, cost_s: 10.0, most=2)
    for key in "abc":
        shelf.take(key, lambda key=key: key, mark=None)

    assert shelf.values() == ["b", "c"]
    shelf.keep_only(frozenset("c"))
    assert shelf.values() == ["c"]
