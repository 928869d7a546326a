"""Chained logs as their readers follow them: each record once, none lost, none kept."""

import pytest

from vae_search.errors import CorruptStore
from vae_search.store.logs.chained_log import ChainedLog


def written(store, count: int) -> None:
    log = ChainedLog(store, "log")
    for number in range(len(log.records()), count):
        assert log.append({"word": number + 1}, after=number)
        log.records()


def test_each_record_is_handed_over_once_and_kept_by_nobody(store):
    written(store, 3)
    log, taken = ChainedLog(store, "log"), []

    def take(first: int, records) -> None:
        taken.append((first, [record["word"] for record in records]))

    log.follow(take)
    log.follow(take)
    written(store, 5)
    log.follow(take)

    assert taken == [(1, [1, 2, 3]), (4, [4, 5])]
    assert not log._records
    assert log.append({"word": 6}, after=5)


def test_records_that_could_not_be_taken_come_again(store):
    written(store, 2)
    log, taken = ChainedLog(store, "log"), []

    def refuse(first: int, records) -> None:
        raise CorruptStore("is of a newer program.")

    with pytest.raises(CorruptStore):
        log.follow(refuse)
    log.follow(lambda first, records: taken.extend(records))

    assert [record["word"] for record in taken] == [1, 2]


def test_records_before_a_damaged_one_are_handed_over_and_it_is_named_each_time(store):
    written(store, 3)
    content = store.read("log/000002.json")
    store.replace("log/000002.json", content.replace(b'"word": 2', b'"word": 7'))
    log, taken = ChainedLog(store, "log"), []
    for _ in range(2):
        with pytest.raises(CorruptStore) as caught:
            log.follow(lambda first, records: taken.extend(records))
        assert caught.value.path == "log/000002.json"
    store.replace("log/000002.json", content)
    log.follow(lambda first, records: taken.extend(records))

    assert [record["word"] for record in taken] == [1, 2, 3]
