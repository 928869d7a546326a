"""Approval: who passes waits for a person's word, which is one entry in the log; nobody and nothing leads around it."""

import random
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.candidates import NOW, FakeBackend, candidate, failed_row, put_finalist, put_sweep
from vae_search.errors import Conflict, CorruptStore, InvalidSpec, NotFound
from vae_search.registry.abandoned_versions import clean_model
from vae_search.registry.log import Action, Entry
from vae_search.registry.model_integrity import inspect_model
from vae_search.registry.promotion.champion_test import level_of
from vae_search.registry.promotion.decision import PromotionPolicy
from vae_search.registry.promotion.pipeline import PromotionOutcome, promote_best
from vae_search.registry.registry import ModelAddress, Registry
from vae_search.registry.state import CROWNING, OPEN, REQUIRED, ModelState, Status, Turn
from vae_search.registry.version_files import TEST_FILE, write_version
from vae_search.store.backends.local import LocalStore

GOOD, BETTER, BEST = (231.9, 232.0, 232.1), (230.9, 231.0, 231.1), (229.9, 230.0, 230.1)
LOOKS_BETTER = (231.8, 231.9, 232.0)


def ask(store, sweep, *, needs_approval=True, backend=None, **rules):
    policy = PromotionPolicy(needs_approval=needs_approval, **rules)
    return promote_best(
        store, sweep, model="m", rules=policy, backend=backend or FakeBackend(), now=lambda: NOW, actor="grace"
    )


def registry(store, actor="ada"):
    return Registry(store, "m", now=lambda: NOW, actor=actor)


def state(store):
    return registry(store).state()


def actions(store):
    return [(entry.action, entry.version) for entry in state(store).entries]


@pytest.fixture
def sweeps(store: LocalStore) -> LocalStore:
    """Three sweeps, each better than the one before."""
    for trial, (sweep, levels) in enumerate((("first", GOOD), ("second", BETTER), ("third", BEST)), start=1):
        put_sweep(store, candidate(levels, trial=trial), sweep=sweep)
    return store


@pytest.fixture
def waits(sweeps: LocalStore) -> LocalStore:
    """Version 1 is champion by approval, version 2 waits."""
    ask(sweeps, "first")
    registry(sweeps).approve(1, why="the first")
    ask(sweeps, "second")
    return sweeps


def test_a_candidate_that_passes_waits_with_the_whole_evidence(waits):
    backend = FakeBackend()

    decision = ask(waits, "second", backend=backend)

    assert (decision.outcome, decision.version, decision.champion) == (PromotionOutcome.WAITING, 2, 1)
    assert (state(waits).champion, state(waits).challenger) == (1, 2)
    waiting = state(waits).waiting[0]
    assert (waiting.entry.actor, waiting.entry.champion, waiting.number, waiting.holds) == ("grace", 1, 5, True)
    assert len(waiting.entry.verdicts["gates"]) == 16
    assert waiting.entry.verdicts["contest"]["over_seeds"]["estimate"] == pytest.approx(1.0)
    assert decision.test is None  # nobody may choose by the test images
    assert backend.tests == 0
    assert not waits.list("models/m/serving/2")
    assert inspect_model(waits, "m").findings == ()


def test_somebodys_yes_makes_it_champion(waits):
    assert registry(waits).approve(why="sevens are sharp") == 2

    entry = state(waits).entries[-1]
    assert (entry.action, entry.actor, entry.reasons, entry.champion) == (
        Action.APPROVE,
        "ada",
        ("sevens are sharp",),
        1,
    )
    assert state(waits).champions == (1, 2)
    assert waits.list("models/m/serving/2")
    assert not waits.list("models/m/serving/1")
    assert ask(waits, "second").outcome is PromotionOutcome.KEPT
    assert inspect_model(waits, "m").findings == ()
    assert registry(waits).roll_back(why="no") == 1


def test_somebodys_no_leaves_the_champion_and_holds_for_these_runs(waits):
    assert registry(waits).reject(why="it blurs sevens") == 2

    refused = [ask(waits, "second"), ask(waits, "second", needs_approval=False, min_gain=0.2)]
    assert [decision.outcome for decision in refused] == [PromotionOutcome.REJECTED] * 2
    assert refused[0].said.reasons == ("it blurs sevens",)
    assert (state(waits).champion, state(waits).waiting) == (1, ())
    assert actions(waits)[-1] == (Action.REJECT, 2)
    put_finalist(waits, candidate((*BETTER, 231.0), trial=2), sweep="second")
    assert ask(waits, "second").outcome is PromotionOutcome.WAITING  # it is another candidate with another seed


def test_approving_and_rejecting_again_change_nothing(waits):
    ask(waits, "third")
    registry(waits).reject(3, why="noise")
    registry(waits).approve(2, why="fine")
    before = waits.list("models/m/log")

    assert registry(waits).approve(2, why="again") == 2
    assert registry(waits).reject(3, why="again") == 3
    assert waits.list("models/m/log") == before


def test_of_two_that_wait_the_second_needs_a_contest_against_the_first(waits):
    third = ask(waits, "third")
    assert (third.outcome, third.version, third.champion) == (PromotionOutcome.WAITING, 3, 1)
    with pytest.raises(InvalidSpec, match="versions 2, 3 wait"):
        registry(waits).approve(why="which?")
    registry(waits).approve(2, why="fine")

    with pytest.raises(Conflict, match=r"met version 1 in its contest, but version 2 is champion now\.\nAsk for a new"):
        registry(waits).approve(3, why="better still")

    again = ask(waits, "third")
    assert (again.outcome, again.version, again.ruling.contest.number) == (PromotionOutcome.WAITING, 3, 1)
    assert registry(waits).approve(3, why="better still") == 3
    assert inspect_model(waits, "m").findings == ()


def test_one_that_waits_and_loses_its_new_contest_is_given_up(waits):
    ask(waits, "third")
    registry(waits).approve(3, why="the best")

    assert ask(waits, "second").outcome is PromotionOutcome.REJECTED

    assert state(waits).versions[2].status is Status.GIVEN_UP
    with pytest.raises(Conflict, match="version 2 does not wait for approval: it is given up"):
        registry(waits).approve(2, why="still")


def test_a_waiting_version_may_be_approved_again_once_its_champion_is_back(waits):
    ask(waits, "third")
    registry(waits).approve(3, why="the best")
    registry(waits).roll_back(why="it was not")

    assert registry(waits).approve(2, why="then this one") == 2


def test_a_model_that_once_asked_for_approval_asks_every_sweep(waits):
    loose = ask(waits, "third", needs_approval=False)

    assert (loose.outcome, state(waits).champion) == (PromotionOutcome.WAITING, 1)
    with pytest.raises(CorruptStore, match="contradicts"):
        registry(waits).add(
            Action.PROMOTE, seen=state(waits), version=3, candidate_sha256="x", manifest_sha256="x", candidate="x"
        )


def test_a_refusal_of_a_spec_that_asks_for_approval_binds_the_model_as_well(store):
    put_sweep(store, candidate(GOOD, trial=1, active_units=0), sweep="sick")
    put_sweep(store, candidate(GOOD, trial=2), sweep="well")
    assert ask(store, "sick").outcome is PromotionOutcome.REJECTED

    assert ask(store, "well", needs_approval=False).outcome is PromotionOutcome.WAITING


def test_a_contest_is_spent_once_whatever_somebody_says(waits):
    put_sweep(waits, candidate(LOOKS_BETTER, trial=9), sweep="close")
    ask(waits, "second")
    registry(waits).reject(2, why="no")

    contest = ask(waits, "close").ruling.contest

    assert (contest.number, contest.level) == (2, level_of(2))
    assert state(waits).contests == 2
    assert state(waits).turn_of(state(waits).versions[2].candidate_sha256) == Turn(number=1, step=1)
    registry(waits).add(Action.ROLLBACK, seen=state(waits), version=1)
    assert state(waits).contests == 2


def test_two_that_wait_share_the_level_of_their_champion(waits):
    assert ask(waits, "third").ruling.contest.level == level_of(2)


def test_a_yes_to_verdicts_that_nobody_has_seen_is_refused(waits):
    ask(waits, "second", min_gain=0.2)  # under other rules: other verdicts

    with pytest.raises(Conflict, match="waits on entry 6 of the log, not on entry 5"):
        registry(waits).approve(2, why="fine", entry=5)
    assert registry(waits).approve(2, why="fine", entry=6) == 2


@pytest.mark.parametrize(
    ("number", "error", "words"),
    [(1, Conflict, "is promoted, since ada said so"), (7, NotFound, "version 7 does not exist")],
)
def test_only_what_waits_can_be_approved_or_rejected(waits, number, error, words):
    registry(waits).reject(2, why="no")

    with pytest.raises(error, match=words):
        registry(waits).reject(number, why="")
    with pytest.raises(NotFound, match="no version waits"):
        registry(waits).approve(why="")
    with pytest.raises(Conflict, match="version 2 does not wait for approval: it is given up, since ada said so"):
        registry(waits).approve(2, why="")


@pytest.mark.parametrize("first", ["approve", "reject", "roll_back", "promote"])
def test_of_two_words_in_one_moment_the_log_takes_one(waits, first):
    """The second decides on what it read before the first was written, and finds that out when it writes."""
    ask(waits, "third")
    registry(waits).approve(2, why="so that there is a champion to go back to")
    ask(waits, "third")
    meanwhile = {
        "approve": lambda: registry(waits, "bob").approve(3, why="yes"),
        "reject": lambda: registry(waits, "bob").reject(3, why="no"),
        "roll_back": lambda: registry(waits, "bob").roll_back(why="back"),
        "promote": lambda: ask(waits, "third", min_gain=0.2),
    }[first]

    class Beaten(Registry):
        def add(self, action, *, seen, **what):
            if self.is_first:
                self.is_first = False
                meanwhile()
            return super().add(action, seen=seen, **what)

    late = Beaten(waits, "m", now=lambda: NOW, actor="ada")
    late.is_first = True
    if first == "approve":
        assert late.approve(3, why="yes, too") == 3  # both wanted the same
    else:
        with pytest.raises(Conflict):
            late.approve(3, why="yes", entry=state(waits).waiting[0].number)
    assert sum(entry.action is Action.APPROVE for entry in state(waits).entries) == 2 + (first == "approve")
    assert inspect_model(waits, "m").damaged == ()


def test_a_rollback_to_the_one_before_does_not_undo_what_came_in_the_same_moment(waits):
    ask(waits, "third")

    class Beaten(Registry):
        def add(self, action, *, seen, **what):
            if state(waits).champion == 2:
                registry(waits, "bob").roll_back(why="bob was first")
            return super().add(action, seen=seen, **what)

    registry(waits).approve(2, why="fine")
    with pytest.raises(Conflict, match=r"version 1 has become champion in this moment.*\n?.*--to"):
        Beaten(waits, "m", now=lambda: NOW).roll_back(why="back")
    assert state(waits).champion == 1


def test_a_process_that_dies_before_its_entry_is_finished_by_asking_again(sweeps):
    class Killed(LocalStore):
        def create(self, path: str, content: bytes) -> None:
            if path.endswith("log/000002.json"):
                raise KeyboardInterrupt
            super().create(path, content)

    backend = FakeBackend()
    with pytest.raises(KeyboardInterrupt):
        ask(Killed(sweeps.local_path("")), "first", backend=backend)

    decision = ask(sweeps, "first", backend=backend)

    assert (decision.outcome, decision.version, backend.tests) == (PromotionOutcome.WAITING, 1, 1)
    assert actions(sweeps) == [(Action.REGISTER, 1), (Action.WAIT, 1)]


def test_gc_keeps_what_waits_and_removes_what_was_rejected(waits):
    later = NOW + timedelta(days=30)
    assert clean_model(waits, registry(waits, None), now=later, dry_run=False) == {}
    registry(waits).reject(2, why="no")
    assert [finding.problem for finding in inspect_model(waits, "m").findings] == ["was never promoted"]

    assert list(clean_model(waits, registry(waits, None), now=later, dry_run=False)) == ["models/m/versions/2"]
    assert waits.list("models/m/versions/2") == [f"models/m/versions/2/{TEST_FILE}"]
    assert inspect_model(waits, "m").findings == ()
    assert state(waits).champion == 1


def test_every_byte_of_a_waiting_version_is_checked_before_it_is_approved(waits):
    waits.replace("models/m/versions/2/config.json", b"[]")

    assert [finding.path for finding in inspect_model(waits, "m").damaged] == ["models/m/versions/2/config.json"]
    with pytest.raises(CorruptStore, match=r"versions/2/config\.json"):
        registry(waits).approve(2, why="fine")
    assert state(waits).champion == 1
    again = ask(waits, "second", min_gain=0.2)
    assert (again.outcome, again.version) == (PromotionOutcome.WAITING, 3)  # written anew, under a number of its own
    assert state(waits).versions[2].status is Status.GIVEN_UP


def test_a_version_that_waits_can_be_looked_at_by_name(waits):
    assert ModelAddress.parse("m@challenger").resolve(state(waits)) == 2
    assert ModelAddress.parse("m:2").resolve(state(waits)) == 2
    assert ModelAddress.parse("m").resolve(state(waits)) == 1


def test_entries_of_older_programs_have_no_word_of_approval():
    entry = Entry(action=Action.PROMOTE, at=NOW, nonce="n", version=1)

    assert "approval" not in entry.to_record()
    assert Entry.from_record(entry.to_record(), where="") == entry
    assert "approval" in Entry(action=Action.WAIT, at=NOW, nonce="n", approval="required").to_record()


def test_a_finalist_that_fails_a_gate_does_not_wait(store):
    sick = candidate(GOOD, trial=1)
    put_sweep(store, type(sick)(rows=(*sick.rows, failed_row(1)), bounds=sick.bounds), sweep="sick")

    assert ask(store, "sick").outcome is PromotionOutcome.REJECTED
    assert state(store).waiting == ()


STEPS = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from(["register", "wait", "pass", "approve", "reject", "back"])),
    min_size=6,
    max_size=24,
)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(steps=STEPS, seed=st.integers(0, 2**16))
def test_whatever_two_actors_do_in_turn_the_log_stays_valid_and_has_one_champion(steps, seed):
    """Each decides on the state that he read before the other's last step, as two processes may."""
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda _: None)
        store = LocalStore(Path(folder))
        actors = [Registry(store, "m", now=lambda: NOW, actor=name) for name in ("ada", "bob")]
        seen, rng = [actor.state() for actor in actors], random.Random(seed)
        for who, step in steps:
            seen[1 - who] = actors[1 - who].state()
            with suppress(Conflict, NotFound, CorruptStore):
                do(store, actors[who], step, seen[who], rng)

        state = Registry(store, "m", now=lambda: NOW).state()  # reads the chain from its first entry on
        assert inspect_model(store, "m").damaged == ()
    entries = state.entries
    changes = [entry.version for entry in entries if entry.action in (*CROWNING, Action.ROLLBACK)]
    assert state.champion == (changes[-1] if changes else None)
    assert max(Counter(entry.version for entry in entries if entry.action in CROWNING).values(), default=0) <= 1
    asked = next((place for place, entry in enumerate(entries) if entry.approval == REQUIRED), len(entries))
    assert all(entry.action is not Action.PROMOTE for entry in entries[asked:])
    for place, entry in enumerate(entries):
        if entry.action is Action.APPROVE:  # it waited, on a contest against the champion that it took over from
            last = [each for each in entries[:place] if each.version == entry.version][-1]
            assert (last.action, last.champion) == (Action.WAIT, entry.champion)


def do(store: LocalStore, actor: Registry, step: str, seen: ModelState, rng: random.Random) -> None:
    """One step; `seen` is what the actor has read, perhaps too early."""
    open_numbers = [v.number for v in seen.versions.values() if v.status in OPEN] or [1]
    number = rng.choice(open_numbers)
    version = seen.versions.get(number)
    sha256 = None if version is None else version.candidate_sha256
    about = {"version": number, "candidate": f"sweep/{number}", "candidate_sha256": sha256}
    verdicts = {"gates": [], "contest": None}
    if version is None and step in ("wait", "pass"):
        step = "register"
    match step:
        case "register":
            number = len(seen.versions) + 1
            actor.add(Action.REGISTER, seen=seen, version=number, candidate="sweep/1", candidate_sha256=f"c{number}")
        case "wait":
            files = {"config.json": b"%d" % number}
            written = write_version(store, "m", number, files)
            asks = {"manifest_sha256": written, "verdicts": verdicts, "approval": rng.choice([None, "required"])}
            actor.add(Action.WAIT, seen=seen, **about, **asks)
        case "pass":
            written = write_version(store, "m", number, {"config.json": b"%d" % number})
            actor.add(Action.PROMOTE, seen=seen, **about, manifest_sha256=written, verdicts=verdicts)
        case "approve":
            actor.approve(number, why="yes")
        case "reject":
            actor.reject(number, why="no")
        case "back":
            actor.roll_back(rng.choice([None, *seen.champions]), why="back")
