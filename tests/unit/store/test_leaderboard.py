"""Counting and ranking columns gives what counting and ranking every row gives, whatever the files are like."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.rows import epoch_rows, trial_row
from vae_search.core.trial_state import Reason, State
from vae_search.errors import Conflict
from vae_search.store.backends.local import LocalStore
from vae_search.store.ledger.rows import TrialRow
from vae_search.store.ledger.trials import Ledger
from vae_search.store.paths import SweepPaths, trial_key
from vae_search.store.queries.leaderboard import Leaderboard, read_leaderboard
from vae_search.store.queries.ranking import ranked
from vae_search.store.sweeps.sweep_record import StoredRecord

BY = ("objective", "neg_elbo", "instability", "train_flops")
# Few values, so that many are equal; -0.0 equals 0.0, and numbers then decide.
VALUE = st.sampled_from([None, -1.5, -0.0, 0.0, 1e-300, 2.0, 2.5, 1e9])
ENDS = [(State.COMPLETE, None), *((reason.state, reason) for reason in Reason)]
HARM = ("cut", "flipped", "of another trial", "set aside", "removed", "misnamed")


@dataclass(frozen=True)
class Harm:
    kind: str
    trial: int


@st.composite
def row(draw: st.DrawFn, trial: int) -> TrialRow:
    state, reason = draw(st.sampled_from(ENDS))
    values = {name: draw(VALUE) for name in ("objective", "neg_elbo", "instability", "train_flops", "cpu_s")}
    if state is State.COMPLETE and values["neg_elbo"] is None:
        values["neg_elbo"] = 0.0
    return trial_row(trial, state=state, reason=reason, **values)


@st.composite
def ledgers(draw: st.DrawFn) -> tuple[list[TrialRow], int, list[Harm]]:
    """Rows, how many of them are compacted, and what then happens to their files."""
    numbers = sorted(draw(st.sets(st.integers(0, 12), max_size=9)))
    rows = [draw(row(number)) for number in numbers]
    harm = st.builds(Harm, st.sampled_from(HARM), st.sampled_from(numbers or [0]))
    return rows, draw(st.integers(0, 9)), draw(st.lists(harm, max_size=3))


def do_harm(store: LocalStore, harm: Harm) -> None:
    path = SweepPaths("digits").trial(harm.trial)
    if path not in store.list(SweepPaths("digits").trials):
        return
    content = store.read(path)
    match harm.kind:
        case "cut":
            store.replace(path, content[:-9])
        case "flipped":
            store.replace(path, content[:60] + bytes([content[60] ^ 1]) + content[61:])
        case "of another trial":
            store.replace(SweepPaths("digits").trial(harm.trial + 20), content)
        case "set aside":
            store.replace(SweepPaths("digits").tombstone(harm.trial), b"{}")
            store.remove(path)
        case "removed":
            store.remove(path)
        case "misnamed":
            store.replace(f"{SweepPaths('digits').trials}/{harm.trial}.parquet", content)


def dominating_none(rows: list[TrialRow]) -> list[int]:
    """The Pareto front by its definition; NULL is worse than any number."""
    complete = [row for row in rows if row.state is State.COMPLETE]

    def point(row: TrialRow) -> list[float]:
        values = (row.neg_elbo, row.instability, row.train_flops)
        return [math.inf if value is None else value for value in values]

    def dominates(one: TrialRow, other: TrialRow) -> bool:
        return point(one) != point(other) and all(a <= b for a, b in zip(point(one), point(other), strict=True))

    members = [row for row in complete if not any(dominates(other, row) for other in complete)]
    return [row.trial for row in sorted(members, key=lambda row: (row.neg_elbo, row.trial))]


def assert_same(store: LocalStore, leaderboard: Leaderboard) -> None:
    ledger = Ledger(store, "digits").read()
    rows = [*ledger.rows]
    assert leaderboard.damaged == ledger.damaged
    assert leaderboard.set_aside == ledger.set_aside
    assert leaderboard.finished == len(rows)
    assert {state: leaderboard.states[state] for state in State} == {
        state: sum(row.state is state for row in rows) for state in State
    }
    assert leaderboard.cpu_s == pytest.approx(sum(row.cpu_s or 0.0 for row in rows))
    having = [(row.objective, row.trial) for row in rows if row.objective is not None]
    assert leaderboard.best == (min(having)[::-1] if having else None)
    for by in BY:
        for every_state in (False, True):
            expected = ranked(rows, by=by, every_state=every_state)
            assert leaderboard.ranked(by=by, every_state=every_state) == expected
            assert leaderboard.ranked(by=by, every_state=every_state, count=2) == expected[:2]
            moved = ranked(rows, by=by, every_state=every_state, first=(7, 2, 30, 0))
            assert leaderboard.ranked(by=by, every_state=every_state, first=(7, 2, 30, 0)) == moved
            assert leaderboard.ranked(by=by, every_state=every_state, first=(7, 2, 30, 0), count=3) == moved[:3]
    narrow = leaderboard.narrowed({1, 2, 3, 30})
    few = [row for row in rows if row.trial in {1, 2, 3}]
    assert narrow.ranked(by="objective", every_state=True) == ranked(few, by="objective", every_state=True)
    assert [row.trial for row in leaderboard.front()] == dominating_none(rows)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ledgers(), st.integers(0, 9))
@pytest.mark.slow
def test_columns_and_rows_give_the_same_standings(made: tuple[list[TrialRow], int, list[Harm]], seen: int) -> None:
    rows, compacted, harms = made
    with TemporaryDirectory() as folder:
        store = LocalStore(Path(folder))
        before = None
        for position, each in enumerate(rows):
            if position == compacted:
                Ledger(store, "digits").compact()
            if position == seen:
                before = read_leaderboard(store, "digits")
            Ledger(store, "digits").commit(each, epoch_rows(each.trial, epochs=1))
        for harm in harms:
            do_harm(store, harm)

        assert_same(store, read_leaderboard(store, "digits"))
        # A reader who has seen some rows opens the others alone; what has happened to bytes that he has read meanwhile
        # is for `verify` to find.
        if not any(harm.kind in ("cut", "flipped") for harm in harms):
            assert_same(store, read_leaderboard(store, "digits", before=before))


def test_a_sweep_without_rows_has_none_finished(store: LocalStore) -> None:
    leaderboard = read_leaderboard(store, "digits")

    assert (leaderboard.finished, leaderboard.best, leaderboard.cpu_s) == (0, None, 0.0)
    assert leaderboard.ranked(by="objective", every_state=True) == []


@pytest.mark.parametrize("compacted", [False, True])
def test_rows_of_two_tasks_are_counted_but_not_ranked(store: LocalStore, compacted: bool) -> None:
    for trial in range(3):
        Ledger(store, "digits").commit(trial_row(trial, comparability_key="ab"[trial // 2] * 64), [])
    if compacted:
        Ledger(store, "digits").compact()

    leaderboard = read_leaderboard(store, "digits")

    assert leaderboard.finished == 3
    with pytest.raises(Conflict, match="3 trials were scored on 2 different tasks"):
        leaderboard.ranked(by="objective", every_state=False, count=1)


def test_only_the_rows_that_are_shown_are_read_in_full(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    built = []
    for trial in range(6):
        Ledger(store, "digits").commit(trial_row(trial), epoch_rows(trial))
        if trial == 3:
            Ledger(store, "digits").compact()
    checked = TrialRow.__post_init__
    monkeypatch.setattr(TrialRow, "__post_init__", lambda row: (built.append(row.trial), checked(row))[1])

    shown = read_leaderboard(store, "digits").ranked(by="objective", every_state=False, count=5)

    assert [row.trial for row in shown] == [0, 1, 2, 3, 4]
    assert sorted(built) == [0, 1, 2, 3, 4]


class CountingStore(LocalStore):
    """Notes the rows' files that are opened."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.opened: list[str] = []

    def read_many(self, paths: Iterable[str]) -> Iterator[bytes | None]:
        wanted = [*paths]
        self.opened += wanted
        return super().read_many(wanted)


def test_who_reads_again_opens_new_rows_alone_and_gets_the_same_object_if_there_are_none(tmp_path: Path) -> None:
    store = CountingStore(tmp_path)
    ledger, paths = Ledger(store, "digits"), SweepPaths("digits")
    for trial in range(4):
        ledger.commit(trial_row(trial), epoch_rows(trial))
    first = read_leaderboard(store, "digits")
    first.ranked(by="objective", every_state=False)
    ledger.commit(trial_row(5), epoch_rows(5))
    store.opened.clear()

    second = read_leaderboard(store, "digits", before=first)
    rows = second.ranked(by="objective", every_state=False)

    assert [row.trial for row in rows] == [0, 1, 2, 3, 5]
    assert store.opened == [paths.trial(5)] * 2  # its columns, then the whole of it
    assert read_leaderboard(store, "digits", before=second) is second


def test_who_reads_again_sees_neither_a_row_that_has_gone_nor_those_of_another_sweep_of_the_name(store) -> None:
    for trial in range(4):
        Ledger(store, "digits").commit(trial_row(trial), epoch_rows(trial))
    first = read_leaderboard(store, "digits")
    store.remove(SweepPaths("digits").trial(2))
    assert sorted(read_leaderboard(store, "digits", before=first).numbers) == [0, 1, 3]

    record = StoredRecord(sweep="digits", fields={"incarnation": "f" * 32})
    other = read_leaderboard(store, "digits", record=record, before=first)

    assert other.numbers == []
    assert len(other.damaged) == 3


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("state", [None, "COMPLETE"])
def test_trials_come_in_the_order_of_a_column_those_without_a_value_last(store, descending, state) -> None:
    values = [2.0, None, -0.0, 0.0, 5.0]
    for trial, value in enumerate(values):
        Ledger(store, "digits").commit(trial_row(trial, instability=value), [])
    Ledger(store, "digits").commit(trial_row(5, state=State.FAIL, reason=Reason.RAISED, instability=None), [])

    found = read_leaderboard(store, "digits").in_order("instability", descending=descending, state=state)

    expected = [4, 0, 2, 3, 1] if descending else [2, 3, 0, 4, 1]
    assert found == expected + ([5] if state is None else [])


@pytest.mark.parametrize("landed", [[], [4], [4, 6, 7], [8], [1], [1, 4, *range(6, 30)]])
def test_who_does_not_list_finds_what_has_landed_by_what_is_in_flight(landed: list[int], tmp_path: Path) -> None:
    """Trial 1 waits at a rung, 5 trains; numbers are issued in their order."""
    store = CountingStore(tmp_path)
    ledger, paths = Ledger(store, "digits"), SweepPaths("digits")
    for trial in (0, 2, 3):
        ledger.commit(trial_row(trial), [])
    for trial in (1, 5):
        store.create(f"{paths.run(trial_key(trial))}/suggestion.json", b"{}")
    first = read_leaderboard(store, "digits")
    for trial in landed:
        ledger.commit(trial_row(trial), [])
        store.remove_tree(paths.run(trial_key(trial)))

    found = read_leaderboard(store, "digits", before=first, lists=False)

    assert sorted(found.numbers) == sorted([0, 2, 3, *landed])
    assert (found is first) == (not landed)
    store.opened.clear()
    assert read_leaderboard(store, "digits", before=found, lists=False) is found
    assert not {paths.trial(trial) for trial in found.numbers} & {*store.opened}
    assert sorted(read_leaderboard(store, "digits", before=found).numbers) == sorted(found.numbers)


def test_a_damaged_row_that_lands_is_named_by_who_does_not_list_too(store) -> None:
    Ledger(store, "digits").commit(trial_row(0), [])
    first = read_leaderboard(store, "digits")
    store.create(SweepPaths("digits").trial(1), b"rubbish")

    found = read_leaderboard(store, "digits", before=first, lists=False)

    assert found.damaged == (SweepPaths("digits").trial(1),)
    assert read_leaderboard(store, "digits", before=found, lists=False) is found
