"""The log and what it amounts to: champions come and go in one order that nobody can rewrite unnoticed."""

import json
from dataclasses import replace

import pytest

from tests.support.candidates import NOW
from vae_search.errors import CorruptStore, InvalidSpec, NotFound
from vae_search.registry import model_paths
from vae_search.registry.log import Action, Entry, ModelLog, model_names
from vae_search.registry.model_integrity import inspect_model
from vae_search.registry.registry import ModelAddress, Registry
from vae_search.registry.state import Status
from vae_search.registry.version_files import write_version
from vae_search.store.backends.local import LocalStore
from vae_search.store.logs.chained_log import sealed


@pytest.fixture
def registry(store: LocalStore) -> Registry:
    return Registry(store, "fashion", now=lambda: NOW)


def promoted(store: LocalStore, registry: Registry, name: str) -> int:
    """Promote a version of one file, without asking anybody."""
    state = registry.state()
    number = len(state.versions) + 1
    what = {"version": number, "candidate": f"digits/{name}", "candidate_sha256": name}
    assert registry.add(Action.REGISTER, seen=state, **what)
    sha256 = write_version(store, "fashion", number, {"config.json": name.encode()})
    assert registry.add(Action.PROMOTE, seen=registry.state(), manifest_sha256=sha256, **what)
    return number


def test_a_new_model_has_no_champion(registry):
    state = registry.state()

    assert (state.champion, state.challenger, state.versions) == (None, None, {})


def test_the_last_promoted_version_is_the_champion(store, registry):
    for name in ("a", "b", "c"):
        promoted(store, registry, name)

    state = registry.state()
    assert state.champion == 3
    assert state.champions == (1, 2, 3)
    assert {number: version.candidate for number, version in state.versions.items()} == {
        1: "digits/a",
        2: "digits/b",
        3: "digits/c",
    }


def test_an_entry_that_was_decided_on_too_late_is_not_added(store, registry):
    other = Registry(store, "fashion", now=lambda: NOW)
    seen = other.state()
    promoted(store, registry, "a")

    assert not other.add(Action.REGISTER, seen=seen, version=1, candidate="digits/b", candidate_sha256="b")
    assert not other.add(Action.REGISTER, seen=seen, version=1, candidate="digits/b", candidate_sha256="b")
    assert [entry.candidate for entry in other.state().entries] == ["digits/a"] * 2


def test_an_applied_create_whose_answer_was_lost_counts_as_ours(store):
    class AnswerLost(LocalStore):
        def create(self, path: str, content: bytes) -> None:
            super().create(path, content)
            super().create(path, content)  # as a client does that tries again: AlreadyThere

    registry = Registry(AnswerLost(store.local_path("")), "fashion", now=lambda: NOW)

    assert registry.add(Action.REGISTER, seen=registry.state(), version=1, candidate="digits/a", candidate_sha256="a")
    assert len(registry.state().entries) == 1


def test_a_reserved_number_is_the_challenger_until_its_verdict(store, registry):
    promoted(store, registry, "a")
    for number in (2, 3):
        what = {"version": number, "candidate": "digits/b", "candidate_sha256": "b"}
        registry.add(Action.REGISTER, seen=registry.state(), **what)

    assert registry.state().challenger == 3

    registry.add(Action.REJECT, seen=registry.state(), version=3, candidate_sha256="b")

    assert registry.state().challenger is None
    assert registry.state().versions[2].status is Status.GIVEN_UP


def test_a_rollback_goes_back_and_can_be_repeated(store, registry):
    for name in ("a", "b", "c"):
        promoted(store, registry, name)

    assert registry.roll_back(to=2, why="c draws noise") == 2
    assert registry.roll_back(to=2, why="c draws noise") == 2
    assert registry.state().champions == (1, 2)
    assert registry.state().entries[-1].reasons == ("c draws noise",)
    assert len(registry.state().entries) == 7
    assert registry.roll_back(why="further") == 1
    assert registry.roll_back(to=3, why="it was right after all") == 3
    assert registry.state().champions == (1, 3)


def test_a_rollback_to_what_is_not_there_is_refused(store, registry):
    with pytest.raises(NotFound, match="no champion before"):
        registry.roll_back(why="")
    promoted(store, registry, "a")
    with pytest.raises(NotFound, match=r"version 7 does not exist. Versions that can be used: 1\."):
        registry.roll_back(to=7, why="")


def test_a_damaged_version_never_becomes_champion_again(store, registry):
    for name in ("a", "b"):
        promoted(store, registry, name)
    store.replace("models/fashion/versions/1/config.json", b"A")

    with pytest.raises(CorruptStore, match=r"versions/1/config\.json"):
        registry.roll_back(to=1, why="")
    assert registry.state().champion == 2


def test_a_version_that_an_old_log_has_retired_stays_out_of_use(store, registry):
    for name in ("a", "b", "c"):
        promoted(store, registry, name)
    registry.add(Action.RETIRE, seen=registry.state(), version=2, reasons=("wrong licence",))

    assert registry.state().versions[2].status is Status.RETIRED
    assert registry.state().champions == (1, 3)
    assert registry.roll_back(why="") == 1
    with pytest.raises(NotFound, match="version 2 is retired"):
        registry.roll_back(to=2, why="")
    with pytest.raises(CorruptStore, match="contradicts"):  # of the champion no log may say so
        registry.add(Action.RETIRE, seen=registry.state(), version=1)


def test_an_entry_that_contradicts_the_log_is_not_written(store, registry):
    promoted(store, registry, "a")

    with pytest.raises(CorruptStore, match="never registered"):
        registry.add(Action.PROMOTE, seen=registry.state(), version=9, manifest_sha256="x")
    assert len(registry.state().entries) == 2


def test_every_changed_or_missing_byte_of_the_log_is_found(store, registry):
    for name in ("a", "b"):
        promoted(store, registry, name)
    for number in range(1, 5):
        path = model_paths.model_entry("fashion", number)
        content = store.read(path)
        for position in range(len(content)):
            changed = bytearray(content)
            changed[position] ^= 1 << position % 8
            store.replace(path, bytes(changed))
            with pytest.raises(CorruptStore):
                ModelLog(store, "fashion").entries()
        for length in range(0, len(content), 7):
            store.replace(path, content[:length])
            with pytest.raises(CorruptStore):
                ModelLog(store, "fashion").entries()
        store.replace(path, content)
    assert registry.state() == Registry(store, "fashion", now=lambda: NOW).state()


def test_an_entry_that_was_rewritten_breaks_the_chain(store, registry):
    for name in ("a", "b"):
        promoted(store, registry, name)
    first = json.loads(store.read(model_paths.model_entry("fashion", 1)))
    entry = Entry(
        action=Action.REGISTER, at=NOW, nonce="n", version=1, candidate="digits/evil", candidate_sha256="evil"
    )
    store.replace(
        model_paths.model_entry("fashion", 1),
        sealed(entry.to_record(), number=1, previous_sha256=first["previous_sha256"]),
    )

    with pytest.raises(CorruptStore, match=r"000002\.json: does not follow"):
        ModelLog(store, "fashion").entries()
    assert [finding.path for finding in inspect_model(store, "fashion").damaged] == ["models/fashion/log/000002.json"]


def test_a_missing_entry_is_named(store, registry):
    for name in ("a", "b"):
        promoted(store, registry, name)
    store.remove(model_paths.model_entry("fashion", 2))

    with pytest.raises(CorruptStore, match=r"000002\.json: is missing"):
        ModelLog(store, "fashion").entries()


def test_a_log_whose_end_was_cut_off_is_given_away_by_its_versions(store, registry):
    for name in ("a", "b"):
        promoted(store, registry, name)
    for number in (4, 3):
        store.remove(model_paths.model_entry("fashion", number))

    (finding,) = inspect_model(store, "fashion").damaged
    assert (finding.path, finding.problem) == (
        "models/fashion/versions/2",
        "has no entry in the log, whose end is missing",
    )


def test_the_models_of_a_store_are_listed(store, registry):
    promoted(store, registry, "a")

    assert model_names(store) == ["fashion"]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("fashion", ModelAddress(model="fashion")),
        ("fashion@champion", ModelAddress(model="fashion")),
        ("fashion@challenger", ModelAddress(model="fashion", alias="challenger")),
        ("fashion:12", ModelAddress(model="fashion", version=12)),
    ],
)
def test_an_address_is_a_name_an_alias_or_a_version(text, address):
    assert ModelAddress.parse(text) == address


@pytest.mark.parametrize("text", ["", "@champion", "fashion@best", "fashion:0", "fashion:x", "a:1@champion", "a:-1"])
def test_what_is_no_address_is_refused(text):
    with pytest.raises(InvalidSpec, match="a model is written NAME"):
        ModelAddress.parse(text)


def test_an_address_is_resolved_by_the_log(store, registry):
    with pytest.raises(NotFound, match="no model 'fashion'"):
        ModelAddress.parse("fashion").resolve(registry.state())
    for name in ("a", "b"):
        promoted(store, registry, name)

    assert ModelAddress.parse("fashion").resolve(registry.state()) == 2
    assert ModelAddress.parse("fashion:1").resolve(registry.state()) == 1
    with pytest.raises(NotFound, match="has no challenger"):
        ModelAddress.parse("fashion@challenger").resolve(registry.state())


@pytest.mark.parametrize("name", ["", "../x", "A", "a" * 64, "a/b", ".a"])
def test_a_name_that_could_lead_elsewhere_is_no_model(store, name):
    with pytest.raises(NotFound, match="cannot be the name of a model"):
        Registry(store, name, now=lambda: NOW)


def test_who_gave_an_order_stands_in_the_log_and_logs_without_actors_stay_as_they_were(store):
    named = Entry(action=Action.ROLLBACK, at=NOW, nonce="n", version=1, actor="ada")
    unnamed = replace(named, actor=None)

    assert Entry.from_record(named.to_record(), where="log").actor == "ada"
    assert "actor" not in unnamed.to_record()
    assert Entry.from_record(unnamed.to_record(), where="log") == unnamed


def test_a_registry_enters_its_actor(store):
    registry = Registry(store, "fashion", now=lambda: NOW, actor="ada")
    registry.add(Action.REGISTER, seen=registry.state(), version=1, candidate="digits/1", candidate_sha256="c" * 64)

    assert [entry.actor for entry in registry.state().entries] == ["ada"]
