"""A running sweep followed from the store: only what is new is read."""

import pytest

from tests.support.candidates import finalist_row
from tests.support.rows import epoch_rows, trial_row
from vae_search.core.criteria import Criteria
from vae_search.core.trial_state import Reason, State
from vae_search.store import paths as store_paths
from vae_search.store.backends.local import LocalStore
from vae_search.store.leases.lease import SILENCE_S, acquire
from vae_search.store.ledger.checkpoints import PAUSE_FILE
from vae_search.store.ledger.confirm_runs import ConfirmRow, ConfirmRuns
from vae_search.store.ledger.trials import Ledger
from vae_search.store.paths import SweepPaths
from vae_search.store.queries.leaderboard import read_leaderboard
from vae_search.store.queries.live_progress import ProgressFollower


def issue(store: LocalStore, key: str, epoch: int = 0) -> None:
    store.create(SweepPaths("digits").suggestion(key), b"{}")
    if epoch:
        store.create(f"{SweepPaths('digits').checkpoint(key, 1, epoch)}/state", b"")


def commit_trial(store: LocalStore, trial: int, **changes: object) -> None:
    Ledger(store, "digits").commit(trial_row(trial, **changes), epoch_rows(trial))
    store.remove_tree(SweepPaths("digits").run(store_paths.trial_key(trial)))


def test_each_look_tells_what_is_new(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    commit_trial(store, 0)
    issue(store, "000001", epoch=1)
    lease = acquire(store, "digits")
    following = ProgressFollower(store, "digits", None, monotonic=lambda: 0.0)

    assert following.look().landed == []
    assert following.running == {"000001": 1}
    listed = []
    listing = LocalStore.list
    monkeypatch.setattr(LocalStore, "list", lambda self, prefix: (listed.append(prefix), listing(self, prefix))[1])
    following.look()
    assert SweepPaths("digits").trials not in listed  # nothing has changed, so nobody counts ten thousand rows again

    issue(store, "000002")
    commit_trial(store, 1, objective=1.0)
    ConfirmRuns(store, "digits").commit(finalist_row(0, 1))
    look = following.look()
    assert [(type(row).__name__, row.trial) for row in look.landed] == [("TrialRow", 1), ("ConfirmRow", 0)]
    assert (following.states[State.COMPLETE], following.best, following.confirmed) == (2, (1, 1.0), 1)
    assert following.epochs_seen == 1 + 27  # of trial 1 the second epoch, and a whole confirm run
    assert look.driver is not None
    assert following.look().landed == []
    lease.release()


def test_trials_that_wait_at_a_rung_are_counted_apart_from_those_that_run(store: LocalStore) -> None:
    issue(store, "000001", epoch=1)
    issue(store, "000002", epoch=3)
    store.create(f"{SweepPaths('digits').run('000002')}/{PAUSE_FILE}", b"{}")

    following = ProgressFollower(store, "digits", None, monotonic=lambda: 0.0)

    assert (following.running, following.paused) == ({"000001": 1}, 1)
    store.remove(f"{SweepPaths('digits').run('000002')}/{PAUSE_FILE}")  # it goes on
    following.look()
    assert (following.running, following.paused) == ({"000001": 1, "000002": 3}, 0)


def test_the_last_look_takes_everything_in(store: LocalStore) -> None:
    lease = acquire(store, "digits")
    following = ProgressFollower(store, "digits", None, monotonic=lambda: 0.0)
    commit_trial(store, 0)  # began and ended between two looks
    store.create(SweepPaths("digits").trial(1), b"damaged")
    lease.release()

    look = following.look()

    assert (look.driver, look.silent) == (None, False)
    assert [row.trial for row in look.landed] == [0]


def test_a_driver_without_a_beat_is_silent(store: LocalStore) -> None:
    lease = acquire(store, "digits", beat_s=1e6)
    now_s = [0.0]
    following = ProgressFollower(store, "digits", None, monotonic=lambda: now_s[0])

    assert not following.look().silent
    now_s[0] = SILENCE_S
    assert following.look().silent
    lease.beat()
    assert not following.look().silent
    lease.release()


def test_the_front_of_a_pareto_sweep_is_kept_up(store: LocalStore) -> None:
    pareto = Criteria(names=("neg_elbo", "train_flops"))
    none = {"objective": None}
    commit_trial(store, 0, neg_elbo=100.0, train_flops=5.0, **none)
    commit_trial(store, 1, neg_elbo=110.0, train_flops=2.0, **none)
    issue(store, "000002")
    following = ProgressFollower(store, "digits", pareto, monotonic=lambda: 0.0)
    assert [member.trial for member in following.front.members] == [0, 1]

    commit_trial(store, 2, neg_elbo=99.0, train_flops=5.0, **none)  # beats trial 0
    commit_trial(store, 3, neg_elbo=105.0, train_flops=6.0, **none)  # beaten
    commit_trial(store, 4, neg_elbo=90.0, train_flops=1.0, state=State.PRUNED, reason=Reason.RUNG, **none)
    following.look()

    assert [member.trial for member in following.front.members] == [2, 1]
    assert following.front == read_leaderboard(store, "digits").shown_front(pareto)
    assert ProgressFollower(store, "digits", None, monotonic=lambda: 0.0).front is None


def test_states_that_a_run_may_go_on_from_are_no_runs_and_their_epochs_are_no_news(store: LocalStore) -> None:
    acquire(store, "digits")
    issue(store, "000000-s1", epoch=22)
    following = ProgressFollower(store, "digits", None, monotonic=lambda: 0.0)
    store.create(f"{SweepPaths('digits').checkpoint('000000-c1', 1, 22)}/state", b"")

    following.look()
    before = (following.running, following.epochs_seen)
    issue(store, "000000-c1", epoch=26)
    following.look()

    assert before == ({"000000-s1": 22}, 0)
    assert (following.running, following.epochs_seen) == ({"000000-s1": 22, "000000-c1": 26}, 4)


def test_a_run_that_went_on_between_two_looks_has_its_own_epochs(store: LocalStore) -> None:
    following = ProgressFollower(store, "digits", None, monotonic=lambda: 0.0)
    row = finalist_row(0, 1, epochs=60)
    fields = {name: getattr(row, name) for name in row.__dataclass_fields__}
    went_on = {"confirm_seed": -1, "continues_epoch": 22, "threads": 2}
    ConfirmRuns(store, "digits").commit(ConfirmRow(**fields | went_on))

    following.look()

    assert following.epochs_seen == 38
