"""What a model server finds: at every moment whole, promoted versions, and in the end the champion alone."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import groupby
from pathlib import Path

import pytest

from tests.chaos.faults import Faults, injected
from tests.support.candidates import NOW, FakeBackend, candidate, put_sweep
from vae_search.errors import StoreUnavailable
from vae_search.registry.log import Action
from vae_search.registry.model_integrity import inspect_model
from vae_search.registry.promotion.decision import PromotionPolicy
from vae_search.registry.promotion.pipeline import PromotionOutcome, promote_best
from vae_search.registry.registry import Registry
from vae_search.registry.serving import publish_champion
from vae_search.registry.state import Status
from vae_search.registry.version_files import read_version
from vae_search.services import maintenance
from vae_search.store.backends.base import Store
from vae_search.store.backends.local import LocalStore
from vae_search.store.backends.uri import open_store

LEVELS = {"first": (231.9, 232.0, 232.1), "better": (230.9, 231.0, 231.1), "worse": (235.9, 236.0, 236.1)}
LATER_S = (NOW + timedelta(days=8)).timestamp()
LONG_AFTER_S = (NOW + timedelta(days=10_000)).timestamp()  # hidden folders are as old as the clock of this machine says


def put_sweeps(store: LocalStore) -> None:
    for trial, (sweep, levels) in enumerate(LEVELS.items()):
        put_sweep(store, candidate(levels, trial=trial), sweep=sweep)


def ask(store: Store, sweep: str, backend: FakeBackend | None = None) -> PromotionOutcome:
    policy, backend = PromotionPolicy(), backend or FakeBackend()
    return promote_best(store, sweep, model="fashion", rules=policy, backend=backend, now=lambda: NOW).outcome


def registry(store: Store) -> Registry:
    return Registry(store, "fashion", now=lambda: NOW)


class ModelServer:
    """Looks at the served folder whenever it is told to, and takes the highest number, as TensorFlow Serving does.

    Args:
        in_bucket: folders appear and go file by file; only one with a `saved_model.pb` can be loaded.
    """

    def __init__(self, store: LocalStore, *, in_bucket: bool = False) -> None:
        self._folder = Path(store.location, "models/fashion/serving")
        self._store = LocalStore(Path(store.location))  # without the faults of the one under test
        self._in_bucket = in_bucket
        self._looking = False
        self.loaded: list[int | None] = []

    def look(self) -> None:
        if self._looking:
            return
        self._looking = True
        numbers = {int(path.name): path for path in self._folder.glob("*") if path.name.isdecimal()}
        if self._in_bucket:
            numbers = {number: path for number, path in numbers.items() if (path / "saved_model.pb").exists()}
        versions = registry(self._store).state().versions
        for number, path in numbers.items():
            promoted = versions[number]
            assert promoted.status is Status.PROMOTED, f"version {number} is served, and is {promoted.status}"
            whole = read_version(self._store, "fashion", number, sha256=promoted.manifest_sha256)
            found = {file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*") if file.is_file()}
            names = ("saved_model.pb", "variables/variables.index")
            assert found == {name: whole[name] for name in names}, f"version {number} is not whole"
        self.loaded.append(max(numbers, default=None))
        self._looking = False


@contextmanager
def watched(store: LocalStore) -> Iterator[ModelServer]:
    """A server that looks before every change of a file."""
    server = ModelServer(store)

    def look(number: int, call: str) -> None:
        server.look()

    with injected(Faults(root=Path(store.location), fail=look)):
        yield server
    server.look()


def in_turn(loaded: list[int | None]) -> list[int | None]:
    return [number for number, _ in groupby(loaded)]


def served(store: LocalStore) -> list[str]:
    return sorted(path.name for path in Path(store.location, "models/fashion/serving").iterdir())


@pytest.mark.slow
@pytest.mark.usefixtures("without_fsync")
def test_a_server_only_ever_sees_whole_promoted_versions_and_serves_the_champion(store):
    put_sweeps(store)

    with watched(store) as server:
        outcomes = [ask(store, sweep) for sweep in LEVELS]
        registry(store).roll_back(why="people dislike its pictures")
        registry(store).roll_back(to=2, why="they got used to them")

    assert outcomes == ["promoted", "promoted", "rejected"]
    assert in_turn(server.loaded) == [None, 1, 2, 1, 2]
    assert served(store) == ["2"]
    assert inspect_model(store, "fashion").findings == ()


def test_a_candidate_that_is_refused_after_its_files_were_written_is_never_served(store):
    """The case of the review: two at once, the better one first."""

    class Overtaken(FakeBackend):
        def test_score(self, files):
            ask(store, "better")
            return super().test_score(files)

    put_sweeps(store)

    with watched(store) as server:
        outcome = ask(store, "first", Overtaken())

    assert outcome == "rejected"
    assert Path(store.location, "models/fashion/versions/1/saved_model.pb").exists()
    assert in_turn(server.loaded) == [None, 2]


class Dead(BaseException):
    """The process is gone: nothing that it could still do happens."""


def promote_again(store: LocalStore) -> None:
    ask(store, "better")


def collect_garbage(store: LocalStore) -> None:
    maintenance.gc(store, None, dry_run=False, now_s=LONG_AFTER_S)


def repair(store: LocalStore) -> None:
    maintenance.verify_models(store, repair=True)


def roll_back(store: LocalStore) -> None:
    registry(store).roll_back(to=registry(store).state().champion, why="")


@pytest.mark.slow
@pytest.mark.usefixtures("without_fsync")
def test_a_kill_at_any_file_operation_leaves_a_champion_served_and_is_mended(tmp_path: Path, quick: bool):
    mends = (promote_again, collect_garbage, repair, roll_back)
    before = LocalStore(tmp_path / "before")
    put_sweeps(before)
    ask(before, "first")
    kill_at = step = 5 if quick else 1
    while True:
        store = LocalStore(Path(shutil.copytree(before.location, tmp_path / str(kill_at))))
        server = ModelServer(store)

        def fail(number: int, call: str, server: ModelServer = server, kill_at: int = kill_at) -> None:
            server.look()
            if number >= kill_at:
                raise Dead

        try:
            with injected(Faults(root=Path(store.location), fail=fail)):
                ask(store, "better")
        except Dead:
            pass
        else:
            break
        server.look()
        assert set(server.loaded) <= {1, 2}, "no version was served for a moment"

        mends[kill_at % len(mends)](store)

        champion = registry(store).state().champion
        assert [name for name in served(store) if name.isdecimal()] == [str(champion)]
        assert inspect_model(store, "fashion").damaged == ()
        collect_garbage(store)
        assert served(store) == [str(champion)]
        kill_at += step
    assert kill_at > 60


class Bucket(LocalStore):
    """A store without rename, on which somebody looks before every request that changes something."""

    look: Callable[[], None] = staticmethod(lambda: None)

    def local_path(self, path: str) -> Path | None:
        return None

    def create(self, path: str, content: bytes) -> None:
        self.look()
        super().create(path, content)

    def replace(self, path: str, content: bytes) -> None:
        self.look()
        super().replace(path, content)

    def remove(self, path: str) -> None:
        self.look()
        super().remove(path)

    def remove_tree(self, prefix: str) -> None:
        for path in reversed(self.list(prefix)):
            self.look()
            LocalStore.remove(self, path)
        super().remove_tree(prefix)


@pytest.mark.usefixtures("without_fsync")
def test_in_a_bucket_a_version_counts_from_its_last_file_to_its_first(tmp_path):
    store = Bucket(tmp_path / "store")
    put_sweeps(store)
    server = ModelServer(store, in_bucket=True)
    store.look = server.look

    for sweep in LEVELS:
        ask(store, sweep)
    registry(store).roll_back(why="")
    server.look()

    assert in_turn(server.loaded) == [None, 1, 2, 1]
    assert served(store) == ["1"]


@pytest.mark.slow
def test_over_the_protocol_of_s3_the_champion_alone_is_served(s3_location):
    store = open_store(s3_location)
    for trial, sweep in enumerate(("first", "better")):
        put_sweep(store, candidate(LEVELS[sweep], trial=trial), sweep=sweep)
        ask(store, sweep)
    folder = "models/fashion/serving"
    promoted = store.list(folder)

    registry(store).roll_back(why="")

    assert promoted == [f"{folder}/2/saved_model.pb", f"{folder}/2/variables/variables.index"]
    assert store.list(folder) == [f"{folder}/1/saved_model.pb", f"{folder}/1/variables/variables.index"]
    assert inspect_model(store, "fashion").findings == ()


def test_a_late_process_that_publishes_an_older_champion_corrects_itself(store):
    put_sweeps(store)
    ask(store, "first")
    states = [registry(store).state()]  # what a process saw that slept from here on
    ask(store, "better")

    publish_champion(store, "fashion", lambda: states.pop() if states else registry(store).state())

    assert served(store) == ["2"]


def test_a_store_from_before_there_was_a_served_folder_is_intact_and_gets_one(store):
    put_sweeps(store)
    ask(store, "first")
    shutil.rmtree(Path(store.location, "models/fashion/serving"))

    assert inspect_model(store, "fashion").findings == ()

    repair(store)

    assert served(store) == ["1"]


@pytest.mark.parametrize(
    ("harm", "problem", "damaged"),
    [
        (lambda folder: (folder / "1/saved_model.pb").write_bytes(b"x"), "is not the version that was promoted", True),
        (
            lambda folder: (folder / "1/variables/variables.index").unlink(),
            "is not the version that was promoted",
            True,
        ),
        (lambda folder: (folder / "1/saved_model.pb").unlink(), "is not whole", False),
        (lambda folder: (folder / "1").rename(folder / "7"), "is served, but was never promoted", True),
    ],
)
def test_what_is_served_is_verified_and_repaired(store, harm, problem, damaged):
    put_sweeps(store)
    ask(store, "first")
    harm(Path(store.location, "models/fashion/serving"))

    finding = inspect_model(store, "fashion").findings[0]

    assert (finding.problem.startswith(problem), finding.damaged) == (True, damaged)
    (after,) = maintenance.verify_models(store, repair=True)
    assert after.findings == ()


def test_a_rollback_that_cannot_be_published_says_that_it_is_in_the_log(store, monkeypatch):
    put_sweeps(store)
    ask(store, "first")
    ask(store, "better")

    def full(number: int, call: str) -> int | None:
        return 28 if call == "mkdir" else None  # ENOSPC: the served folder alone makes folders here

    with (
        injected(Faults(root=Path(store.location), fail=full)),
        pytest.raises(StoreUnavailable, match=r"version 1 is champion, but is not served yet(.|\n)*verify --repair"),
    ):
        registry(store).roll_back(why="")

    assert registry(store).state().champion == 1
    assert served(store) == ["2"]


def test_gc_removes_the_files_of_refused_candidates_but_their_test_score(store):
    class Overtaken(FakeBackend):
        def test_score(self, files):
            ask(store, "better")
            return super().test_score(files)

    put_sweeps(store)
    ask(store, "first", Overtaken())

    looked = maintenance.gc(store, None, dry_run=True, now_s=NOW.timestamp())
    present = store.list("models/fashion/versions/1")
    done = maintenance.gc(store, None, dry_run=False, now_s=NOW.timestamp())

    assert len(present) > 1
    assert [cleaning.removed for cleaning in looked] == [cleaning.removed for cleaning in done]
    assert "models/fashion/versions/1" in {path for cleaning in done for path in cleaning.removed}
    assert store.list("models/fashion/versions/1") == ["models/fashion/versions/1/test.json"]
    assert inspect_model(store, "fashion").findings == ()
    assert registry(store).state().champion == 2


def test_gc_gives_up_a_number_by_the_log_before_its_files_go(store):
    """The promotion may only sleep: it then reserves another number, and does not look at the test images again."""

    class Slept(FakeBackend):
        def test_score(self, files):
            if self.tests == 0:
                maintenance.gc(store, None, dry_run=False, now_s=NOW.timestamp())
                early.append(registry(store).state().versions[1].status)
                maintenance.gc(store, None, dry_run=False, now_s=LATER_S)
            return super().test_score(files)

    early: list[Status] = []
    backend = Slept()
    put_sweeps(store)

    outcome = ask(store, "first", backend)

    state = registry(store).state()
    assert early == [Status.RESERVED]
    assert [entry.action for entry in state.entries] == [
        Action.REGISTER,
        Action.REJECT,
        Action.REGISTER,
        Action.PROMOTE,
    ]
    assert (outcome, state.champion, backend.tests) == ("promoted", 2, 1)
    assert inspect_model(store, "fashion").damaged == ()
