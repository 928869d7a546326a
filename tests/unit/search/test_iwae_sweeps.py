"""Sweeps whose trainings end with the importance-weighted bound: what rows say, who is stopped before, what resumes."""

import pytest

from tests.support.sweeps import Sessions
from vae_search.core.trial_state import State
from vae_search.search.planning.confirm_length import ConfirmLength
from vae_search.spec.hyperparameters import Config
from vae_search.store.backends.local import LocalStore
from vae_search.store.ledger.confirm_runs import ConfirmRuns
from vae_search.store.ledger.trials import Ledger
from vae_search.vae.networks.network import build
from vae_search.vae.networks.network_spec import NetworkSpec

pytestmark = pytest.mark.needs_tensorflow

SPACE = (
    "search_space={latent_dim: {type: int, low: 2, high: 6}, depth: 1, width: 16, batch_size: 64, "
    "learning_rate: {type: float, low: 1e-3, high: 1e-2, log: true}, bound_samples: 4, iwae_from: 0.5}"
)
SETTINGS = (SPACE, "objective={bound: iwae}")
CONFIRMED = (*SETTINGS, "budget={trials: 2, epochs: 4}", "pruning=off", "confirm={finalists: 1, seeds: 1, epochs: 6}")


def told(row) -> dict[str, object]:
    """What a row says of its training, without clocks and counts of attempts."""
    left_out = ("attempts", "lease", "started_at", "finished_at", "cpu_s", "wall_s", "images_per_s")
    names = [name for name in row.__dataclass_fields__ if name not in (*left_out, "peak_memory_bytes", "epochs_sha256")]
    return {name: getattr(row, name) for name in names}


def test_a_row_says_by_which_bound_its_last_epoch_trained_and_holds_the_best_epoch_of_that_bound(open_session, store):
    open_session(*SETTINGS).run()  # rungs at epochs 2 and 4 of 6, of which the first 3 train the ELBO

    rows = Ledger(store, "small").trials()
    ended = {(row.state, row.epochs, row.trained_bound) for row in rows}
    assert (State.COMPLETE, 6, "iwae_4") in ended
    assert (State.PRUNED, 2, "elbo") in ended
    for row in [row for row in rows if row.state is State.COMPLETE]:
        curve = Ledger(store, "small").epochs(row.trial)
        assert [each.train_neg_iwae is None for each in curve] == [True] * 3 + [False] * 3
        bounds = {each.epoch: each.iwae for each in curve if each.epoch > 3}
        assert row.best_epoch == max(bounds, key=bounds.__getitem__)
        assert row.objective == -row.iwae == -bounds[row.best_epoch]


@pytest.mark.slow
def test_a_sweep_that_dies_in_either_phase_ends_as_one_that_did_not(tmp_path, small_task, judge_task):
    deaths = [None, ("000001", 2), ("000001", 3), ("-s1", 5)]  # of 4 epochs 2 train the ELBO, of 6 three
    found = []
    for number, death in enumerate(deaths):
        store = LocalStore(tmp_path / str(number))
        sessions, seen = Sessions(store, small_task, judge_task), list[tuple[str, int]]()

        def is_over(report, death=death, seen=seen) -> bool:
            seen.append((report.key, report.epoch))
            return death is not None and report.key.endswith(death[0]) and report.epoch == death[1]

        try:
            sessions.open(*CONFIRMED, "checkpoint_s=1e-9").run(until=is_over)
            assert death is None or (seen[-1][0][-len(death[0]) :], seen[-1][1]) == death
            sessions.open(*CONFIRMED).run()
        finally:
            sessions.close()
        rows = [*Ledger(store, "small").trials(), *ConfirmRuns(store, "small").rows()]
        found.append([told(row) for row in rows])

    assert all(each == found[0] for each in found)
    assert [(row["epochs"], row["trained_bound"]) for row in found[0]] == [(4, "iwae_4")] * 2 + [(6, "iwae_4")]


def test_a_planned_length_knows_what_the_last_epochs_cost(open_session, store):
    session = open_session(*SETTINGS, "budget={trials: 1, epochs: 6}", "pruning=off")
    session.run()
    row = Ledger(store, "small").trial(0)
    walls_s = [each.wall_s for each in Ledger(store, "small").epochs(0)]

    found = ConfirmLength(session.spec, store, plan=None, incarnation=None)._epoch_s(row)

    assert found == pytest.approx((sum(walls_s[1:3]) + sum(walls_s[4:])) / 4)  # the first of each kind compiles


def test_a_plan_counts_the_draws_of_the_last_epochs_and_the_bound_that_is_taken_after_each(open_session, small_task):
    from vae_search.search.worker.speed_probe import cost_of

    spec = open_session(*SETTINGS, "budget={trials: 1, epochs: 6}", "pruning=off").spec
    params = {"latent_dim": 4, "depth": 1, "width": 16, "batch_size": 64, "iwae_from": 0.5}

    one, four = (cost_of(spec, {**params, "bound_samples": samples}, small_task) for samples in (1, 4))

    config = Config.from_params(params)
    decoder = build(NetworkSpec.of(config, small_task.image_shape, likelihood=spec.likelihood)).decoder_flops
    draws = 3 * (4 - 1) * decoder * len(small_task.train)  # forwards, and backwards at twice the cost
    bound = 16 * decoder * len(small_task.select)
    assert four.epoch_flops - one.epoch_flops == pytest.approx(0.5 * (draws + bound))
