"""From finalists to a champion: what is decided, what is written, and that asking again changes nothing."""

import json

import pytest

from tests.support.candidates import NOW, FakeBackend, candidate, failed_row, put_finalist, put_sweep
from vae_search.cli.app import main
from vae_search.errors import Conflict, CorruptStore, NotFound, ProcessLost
from vae_search.registry import model_paths
from vae_search.registry.log import Action
from vae_search.registry.model_integrity import inspect_model
from vae_search.registry.promotion.decision import PromotionPolicy
from vae_search.registry.promotion.evidence import Candidate
from vae_search.registry.promotion.pipeline import PromotionOutcome, candidates, promote_best
from vae_search.registry.registry import Registry
from vae_search.registry.version_files import problems, read_version
from vae_search.store import paths as store_paths
from vae_search.store.backends.local import LocalStore
from vae_search.store.ledger import artifacts
from vae_search.store.ledger.image_bounds_file import seeds_from_parquet
from vae_search.store.maintenance.integrity import inspect
from vae_search.store.paths import SweepPaths

GOOD, BETTER = (231.9, 232.0, 232.1), (230.9, 231.0, 231.1)


def ask(store, backend, sweep="digits", **rules):
    return promote_best(store, sweep, model="fashion", rules=PromotionPolicy(**rules), backend=backend, now=lambda: NOW)


def state(store):
    return Registry(store, "fashion", now=lambda: NOW).state()


def log(store):
    return [(entry.action, entry.version, entry.candidate) for entry in state(store).entries]


def test_the_first_healthy_finalist_becomes_the_first_champion(store, backend):
    put_sweep(store, candidate(GOOD, trial=3))

    decision = ask(store, backend)

    assert (decision.outcome, decision.version, decision.champion) == (PromotionOutcome.PROMOTED, 1, 1)
    assert log(store) == [(Action.REGISTER, 1, "digits/3"), (Action.PROMOTE, 1, "digits/3")]
    assert decision.ruling.contest is None
    assert decision.test.neg_iwae == 233.0
    assert (inspect(store, "digits").findings, inspect_model(store, "fashion").findings) == ((), ())


@pytest.mark.parametrize(
    ("samples", "said"), [({}, "ELBO"), ({"bound_samples": 8, "iwae_from": 0.7}, "ELBO, from epoch 20 on IWAE-8")]
)
def test_a_card_says_by_which_bound_the_weights_were_trained(store, backend, samples, said):
    put_sweep(store, candidate(GOOD, trial=3, params={"latent_dim": 16, **samples}))  # 27 epochs
    ask(store, backend)

    files = read_version(store, "fashion", 1, sha256=state(store).versions[1].manifest_sha256)

    assert json.loads(files["card.json"])["trained_bound"] == said
    assert f"trained by: {said}, " in files["card.md"].decode()


def test_a_version_holds_all_that_it_was_promoted_for(store, backend):
    finalist = candidate(GOOD, trial=3, mutual_information=7.5, marginal_kl=7.5)
    put_sweep(store, finalist)
    ask(store, backend)

    files = read_version(store, "fashion", 1, sha256=state(store).versions[1].manifest_sha256)

    card = json.loads(files["card.json"])
    assert set(files) == {
        "config.json",
        "saved_model.pb",
        "variables/variables.index",
        "card.json",
        "card.md",
        "per_image.parquet",
        "test.json",
    }
    assert files["saved_model.pb"] == b"weights of 000003-s1"
    assert seeds_from_parquet(files["per_image.parquet"], where="") == finalist.bounds
    assert card["provenance"]["trial"] == 3
    assert card["scores"]["neg_iwae_over_seeds"]["estimate"] == pytest.approx(232.0)
    assert card["scores"]["bits_per_dim"] == pytest.approx(232.0 / 500)
    assert len(card["gates"]) == 16
    assert card["diagnosis"]["mutual_information"] == 7.5
    assert [step["k"] for step in card["diagnosis"]["ladder"]] == [50, 500, 5000]
    assert "Mutual information of image and code, at least: 7.5 nats" in files["card.md"].decode()
    assert "| 5000 | 232.900 | 0.100 ± 0.010 | 200.0 | 4.0 |" in files["card.md"].decode()
    assert "# fashion, version 1" in files["card.md"].decode()
    assert "| 232.00 [231.75, 232.25] |" in files["card.md"].decode()  # t(2) = 4.30, sd 0.1, three seeds


def test_a_better_one_takes_over_and_a_worse_one_is_refused(store, backend):
    put_sweep(store, candidate(GOOD, trial=3))
    put_sweep(store, candidate(BETTER, trial=4), sweep="second")
    put_sweep(store, candidate((231.4, 231.5, 231.6), trial=5), sweep="third")

    decisions = [ask(store, backend, sweep) for sweep in ("digits", "second", "third")]

    assert [decision.outcome for decision in decisions] == ["promoted", "promoted", "rejected"]
    assert [decision.champion for decision in decisions] == [1, 2, 2]
    assert decisions[1].ruling.contest.over_seeds.estimate == pytest.approx(1.0)
    assert "over seeds the gain is -0.5" in decisions[2].ruling.reasons[0]
    assert log(store)[-1] == (Action.REJECT, None, "third/5")
    assert backend.tests == 2


def test_asking_again_changes_nothing(store, backend):
    put_sweep(store, candidate(GOOD, trial=3))
    put_sweep(store, candidate(GOOD, trial=4), sweep="second")
    first, refused = ask(store, backend), ask(store, backend, "second")
    before = {path: store.read(path) for path in store.list("models")}

    again, refused_again = ask(store, backend), ask(store, backend, "second")

    assert (again.outcome, again.version, again.ruling) == (PromotionOutcome.KEPT, 1, first.ruling)
    assert (refused_again.outcome, refused_again.ruling) == (PromotionOutcome.REJECTED, refused.ruling)
    assert {path: store.read(path) for path in store.list("models")} == before
    assert backend.tests == 1


def test_a_refusal_holds_for_its_rules_and_its_champion_only(store, backend):
    put_sweep(store, candidate(GOOD, trial=3))
    put_sweep(store, candidate((231.80, 231.90, 232.00), trial=4), sweep="second")
    ask(store, backend)

    assert ask(store, backend, "second", min_gain=0.2).outcome is PromotionOutcome.REJECTED
    assert ask(store, backend, "second", min_gain=0.05).outcome is PromotionOutcome.REJECTED
    assert [action for action, _, _ in log(store)].count(Action.REJECT) == 2


def test_a_champion_that_was_rolled_back_does_not_come_back_by_asking(store, backend):
    put_sweep(store, candidate(GOOD, trial=3))
    put_sweep(store, candidate(BETTER, trial=4), sweep="second")
    ask(store, backend)
    ask(store, backend, "second")
    Registry(store, "fashion", now=lambda: NOW).roll_back(why="people dislike its pictures")

    decision = ask(store, backend, "second")

    assert (decision.outcome, decision.version, decision.champion) == (PromotionOutcome.KEPT, 2, 1)


def test_the_best_finalist_that_passes_the_gates_faces_the_champion(store, backend):
    collapsed = candidate(BETTER, trial=1, active_units=0)
    lucky = candidate((230.0,), trial=2)
    put_sweep(store, candidate(GOOD, trial=3), collapsed, lucky)

    decision = ask(store, backend)

    assert [each.trial for each in candidates(store, "digits")] == [1, 3, 2]
    assert (decision.outcome, decision.candidate) == (PromotionOutcome.PROMOTED, "digits/3")
    assert log(store)[0] == (Action.REJECT, None, "digits/1")
    assert state(store).entries[0].reasons[0].startswith("gate active_units:")


def test_a_finalist_with_one_seed_never_asks_before_one_that_more_have_confirmed(store, backend):
    put_sweep(store, candidate((225.0,), trial=2), candidate(GOOD, trial=3))

    decision = ask(store, backend)

    assert decision.candidate == "digits/3"
    assert all(entry.candidate == "digits/3" for entry in state(store).entries)


def test_a_finalist_that_failed_with_a_seed_asks_last(store, backend):
    broken = candidate(BETTER, trial=1)
    broken = Candidate(rows=(*broken.rows, failed_row(1)), bounds=broken.bounds)
    put_sweep(store, broken, candidate((232.0,), trial=2), candidate(GOOD, trial=3))

    assert [each.trial for each in candidates(store, "digits")] == [3, 2, 1]


def test_nobody_is_promoted_if_none_is_healthy_and_the_test_images_stay_unseen(store, backend):
    put_sweep(store, candidate(GOOD, trial=1, active_units=0), candidate(BETTER, trial=2, shuffle_gap=0.0))

    decision = ask(store, backend)

    assert (decision.outcome, decision.candidate, decision.champion) == (PromotionOutcome.REJECTED, "digits/2", None)
    assert len(state(store).entries[0].verdicts["gates"]) == 16
    assert backend.tests == 0


def test_a_champion_of_another_task_cannot_be_faced(store, backend):
    put_sweep(store, candidate(GOOD, trial=3))
    other = "e" * 64
    put_sweep(store, candidate(BETTER, trial=4, comparability_key=other), sweep="second", key=other)
    ask(store, backend)

    with pytest.raises(Conflict, match="comparability key"):
        ask(store, backend, "second")
    assert state(store).champion == 1


@pytest.mark.parametrize("key", ["e" * 64, "c" * 64])
def test_finalists_that_were_not_judged_alike_are_not_ranked(store, backend, key):
    put_sweep(store, candidate(GOOD, trial=3), candidate(BETTER, trial=4, comparability_key="e" * 64), key=key)

    with pytest.raises(Conflict, match="not judged alike"):
        ask(store, backend)


class Unlucky(FakeBackend):
    """Its helper process is lost, so many times."""

    def __init__(self, times: int = 1) -> None:
        super().__init__()
        self.losses = times

    def reload_difference(self, files, recorded):
        if self.losses > 0:
            self.losses -= 1
            raise ProcessLost("The process that loads a model anew was lost: it was ended by SIGKILL.")
        return super().reload_difference(files, recorded)


class Unloadable(FakeBackend):
    """Its models do not load."""

    def __init__(self) -> None:
        super().__init__()
        self.loads = 0

    def reload_difference(self, files, recorded):
        self.loads += 1


def test_a_measurement_that_was_not_made_is_no_verdict_and_is_tried_again(store):
    put_sweep(store, candidate(GOOD, trial=3))
    backend = Unlucky()

    with pytest.raises(ProcessLost, match="SIGKILL"):
        ask(store, backend)
    assert log(store) == []

    assert ask(store, backend).outcome is PromotionOutcome.PROMOTED


def test_a_model_that_does_not_load_is_refused_once_and_loaded_again_whenever_it_asks(store, backend):
    put_sweep(store, candidate(GOOD, trial=3))
    unloadable = Unloadable()

    decisions = [ask(store, unloadable), ask(store, unloadable)]

    assert [decision.outcome for decision in decisions] == [PromotionOutcome.REJECTED] * 2
    assert decisions[0].ruling == decisions[1].ruling
    assert (len(log(store)), unloadable.loads) == (1, 2)
    assert "cannot be loaded" in decisions[0].ruling.reasons[0]
    assert ask(store, backend).outcome is PromotionOutcome.PROMOTED  # as after a refusal by an older version


def test_a_limit_that_is_set_to_what_it_is_makes_no_other_rules():
    assert PromotionPolicy(limits={"rate": 1.0}).sha256 == PromotionPolicy().sha256
    assert PromotionPolicy(limits={"rate": 2.0}).sha256 != PromotionPolicy().sha256
    assert PromotionPolicy(min_gain=0.2).sha256 != PromotionPolicy().sha256


def test_a_sweep_without_confirm_runs_has_nothing_to_promote(store, backend):
    put_sweep(store)

    with pytest.raises(NotFound, match="no confirm run has completed"):
        ask(store, backend)
    with pytest.raises(NotFound, match="no sweep 'none'"):
        ask(store, backend, "none")


def test_damage_stops_a_promotion_before_it_begins(store, backend):
    put_sweep(store, candidate(GOOD, trial=3))
    path = SweepPaths("digits").finalist(3, 2)
    store.replace(path, store.read(path)[:-5])

    with pytest.raises(CorruptStore, match=path):
        ask(store, backend)


def test_a_champion_that_came_while_the_files_were_written_is_faced_as_well(store):
    """The candidate beats the champion that it saw, but not the one that is there when it is done."""

    class Overtaken(FakeBackend):
        def test_score(self, files):
            if self.tests == 0:
                self.tests += 1
                ask(store, FakeBackend(), "best")
            return super().test_score(files)

    put_sweep(store, candidate(GOOD, trial=3))
    put_sweep(store, candidate(BETTER, trial=4), sweep="second")
    put_sweep(store, candidate((229.9, 230.0, 230.1), trial=5), sweep="best")
    ask(store, FakeBackend())

    decision = ask(store, Overtaken(), "second")

    assert (decision.outcome, decision.champion) == (PromotionOutcome.REJECTED, 3)
    assert log(store)[2:] == [
        (Action.REGISTER, 2, "second/4"),
        (Action.REGISTER, 3, "best/5"),
        (Action.PROMOTE, 3, "best/5"),
        (Action.REJECT, 2, "second/4"),
    ]
    assert state(store).challenger is None


def test_the_same_candidate_from_two_places_is_promoted_once(store):
    class Twice(FakeBackend):
        def test_score(self, files):
            if self.tests == 0:
                self.tests += 1
                ask(store, FakeBackend())
            return super().test_score(files)

    put_sweep(store, candidate(GOOD, trial=3))

    decision = ask(store, Twice())

    assert (decision.outcome, decision.version, decision.champion) == (PromotionOutcome.KEPT, 2, 2)
    assert [action for action, _, _ in log(store)] == [Action.REGISTER, Action.REGISTER, Action.PROMOTE]
    assert inspect_model(store, "fashion").damaged == ()


def test_every_truncation_and_bit_flip_in_a_version_is_found(store, backend):
    put_sweep(store, candidate(GOOD, trial=3))
    ask(store, backend)
    sha256 = state(store).versions[1].manifest_sha256
    for path in store.list(model_paths.version("fashion", 1)):
        content = store.read(path)
        step = max(1, len(content) // 40)
        damages = [content[:length] for length in range(0, len(content), step)]
        for position in range(0, len(content), step):
            changed = bytearray(content)
            changed[position] ^= 1 << position % 8
            damages.append(bytes(changed))
        for damage in [*damages, content + b"x"]:
            store.replace(path, damage)
            assert problems(store, "fashion", 1, sha256=sha256), path
            with pytest.raises(CorruptStore):
                read_version(store, "fashion", 1, sha256=sha256)
        store.remove(path)
        assert problems(store, "fashion", 1, sha256=sha256) == {path: "is missing"}
        with pytest.raises(CorruptStore, match="is missing"):
            read_version(store, "fashion", 1, sha256=sha256)
        store.replace(path, content)
    assert problems(store, "fashion", 1, sha256=sha256) == {}


def test_a_file_that_does_not_belong_to_a_version_is_named(store, backend):
    put_sweep(store, candidate(GOOD, trial=3))
    ask(store, backend)
    store.create("models/fashion/versions/1/variables/evil.so", b"")

    (finding,) = inspect_model(store, "fashion").damaged

    assert finding.path == "models/fashion/versions/1/variables/evil.so"
    assert finding.problem == "is not a file of this version"


@pytest.mark.parametrize("part", ["row", "weights", "manifest"])
def test_verify_names_damage_of_a_confirm_run(store, part):
    put_sweep(store, candidate(GOOD, trial=3))
    folder = SweepPaths("digits").artifact("000003-s2")
    path = {
        "row": SweepPaths("digits").finalist(3, 2),
        "weights": f"{folder}/{artifacts.WEIGHTS_FILE}",
        "manifest": store_paths.manifest(folder),
    }[part]
    assert inspect(store, "digits").finalists == 3

    if part == "manifest":
        artifacts.drop(store, "digits", "000003-s2")
    else:
        store.replace(path, store.read(path)[:-1])

    damaged = [finding.path for finding in inspect(store, "digits").damaged]
    assert damaged == [path if part == "row" else store_paths.manifest(folder)]


def test_the_running_folder_of_a_confirm_run_is_no_leftover_of_its_trial(store):
    put_sweep(store, candidate(GOOD, trial=3))
    store.create(SweepPaths("digits").suggestion("000003-s4"), b"{}")
    store.create(SweepPaths("digits").suggestion("000003-s1"), b"{}")

    findings = inspect(store, "digits").findings

    assert [finding.path for finding in findings] == [SweepPaths("digits").run("000003-s1")]


def test_the_command_verifies_models_as_well(store, backend, monkeypatch, capsys):
    put_sweep(store, candidate(GOOD, trial=3))
    ask(store, backend)

    def verify() -> tuple[object, str]:
        monkeypatch.setattr("sys.argv", ["vae-search", "verify", "--store", store.location])
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code, capsys.readouterr().out

    code, said = verify()
    assert code in (0, None)
    assert "model fashion: 2 entries in its log, 1 versions, version 1 is champion, all intact" in said
    store.replace("models/fashion/versions/1/saved_model.pb", b"other")
    code, said = verify()
    assert code == 3
    assert "models/fashion/versions/1/saved_model.pb: has 5 of 20 bytes" in said


class Dead(BaseException):
    """The process is gone: nothing that it could still do happens."""


class DyingStore(LocalStore):
    """Dies before its operation number `last` (counted from 0)."""

    def __init__(self, root, last: int) -> None:
        super().__init__(root)
        self._left = last

    def _live(self) -> None:
        if self._left == 0:
            raise Dead
        self._left -= 1

    def create(self, path, content):
        self._live()
        super().create(path, content)

    def replace(self, path, content):
        self._live()
        super().replace(path, content)

    def read(self, path):
        self._live()
        return super().read(path)

    def list(self, prefix):
        self._live()
        return super().list(prefix)


@pytest.mark.slow
def test_a_promotion_that_dies_at_any_operation_leaves_a_champion_and_can_be_finished(tmp_path, monkeypatch, backend):
    monkeypatch.setattr("os.fsync", lambda _: None)
    deaths = 0
    while True:
        store = LocalStore(tmp_path / str(deaths))
        put_sweep(store, candidate(GOOD, trial=3))
        put_sweep(store, sweep="second")
        put_finalist(store, candidate(BETTER, trial=4), sweep="second")
        ask(store, backend)
        dying = FakeBackend()
        try:
            ask(DyingStore(tmp_path / str(deaths), deaths), dying, "second")
        except Dead:
            pass
        else:
            break
        left = state(store)
        assert left.champion in (1, left.promoted_as(candidates(store, "second")[0].sha256))
        assert problems(store, "fashion", left.champion, sha256=left.versions[left.champion].manifest_sha256) == {}

        written_down = any(path.endswith("/test.json") for path in store.list("models") if "versions/1/" not in path)
        decision = ask(store, dying, "second")
        recovered = {path: store.read(path) for path in store.list("models")}
        again = ask(store, dying, "second")

        assert decision.outcome in (PromotionOutcome.PROMOTED, PromotionOutcome.KEPT)
        assert again.outcome is PromotionOutcome.KEPT
        assert state(store).champion == decision.version == again.version
        assert state(store).challenger is None
        assert {path: store.read(path) for path in store.list("models")} == recovered
        assert inspect_model(store, "fashion").damaged == ()
        # A death between looking at the test images and writing the score down is the only way to a second look.
        assert dying.tests <= (1 if written_down else 2)
        deaths += 1
    assert deaths > 30
