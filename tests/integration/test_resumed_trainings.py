"""A training that goes on in another process, from the bytes of its checkpoint, ends with those of a whole one."""

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import combinations, product
from pathlib import Path

import pytest

import vae_search
from tests.support.killed_sweeps import killed_after, results
from tests.support.resumed_trials import Training, copy_checkpoint, ended_elsewhere, find_own_code, write_own_code
from tests.support.training_settings import EPOCHS, SETTINGS, Case, crossed, few, pairs
from vae_search.core.machine import multiplies_bfloat16
from vae_search.store.backends.local import LocalStore
from vae_search.store.ledger.confirm_runs import ConfirmRuns
from vae_search.store.ledger.trials import Ledger

pytestmark = [pytest.mark.needs_tensorflow, pytest.mark.slow, pytest.mark.timeout(300)]

CASES = crossed()
QUICK = few(CASES)
TRIALS_PER_PROCESS = 20


@pytest.fixture(scope="module")
def own_code(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a family and a Keras network, which this process finds."""
    folder = tmp_path_factory.mktemp("own")
    write_own_code(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield folder


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[ProcessPoolExecutor]:
    """Another process, with its own hashes of strings, and nothing compiled."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=TRIALS_PER_PROCESS) as process:
        yield process


def test_every_two_settings_meet_in_a_trial_but_those_that_no_spec_may_have():
    met = set().union(*map(pairs, CASES))
    apart = {
        (one, value, other, another)
        for one, other in combinations(SETTINGS, 2)
        for value, another in product(SETTINGS[one], SETTINGS[other])
        if ((one, value), (other, another)) not in met
    }

    assert apart == {
        ("family", "hvae", "prior", "vamp"),
        ("family", "hvae", "draws", 3),
        ("family", "hvae_conv", "prior", "vamp"),
        ("family", "hvae_conv", "draws", 3),
        ("family", "keras", "prior", "mixture"),
        ("family", "keras", "prior", "vamp"),
        ("family", "keras", "precision", "bfloat16"),
        ("family", "keras", "labels", True),
        ("prior", "vamp", "labels", True),
    }


@pytest.mark.parametrize(
    "case",
    [case if case in QUICK else pytest.param(case, marks=pytest.mark.exhaustive) for case in CASES],
    ids=lambda case: case.name,
)
def test_a_training_that_goes_on_elsewhere_ends_with_the_same_bits(
    case: Case, own_code: Path, elsewhere: ProcessPoolExecutor, quick: bool, tmp_path: Path, without_fsync: None
):
    if case.precision == "bfloat16" and multiplies_bfloat16() is False:
        pytest.skip("this processor has no products of bfloat16")
    find_own_code(own_code)
    store = LocalStore(tmp_path / "whole")
    whole, halted = Training(case, store), []
    for epoch in range(1, EPOCHS):
        whole.train_to(epoch)
        if not quick or epoch == 1 + QUICK.index(case) % (EPOCHS - 1):
            halted.append(LocalStore(tmp_path / f"halted-{epoch}"))
            assert copy_checkpoint(case, store, halted[-1]) == epoch
    expected = whole.end()

    for each in halted:
        found = elsewhere.submit(ended_elsewhere, case, Path(each.location), own_code).result()

        assert found.measurements == expected.measurements
        assert found.state == expected.state
        assert found.files == expected.files
        assert found.scores == expected.scores


HARD = """
name: hard
data: {source: digits, condition: label, mirror: true}
search_space: {architecture: conv, latent_dim: 4, depth: 2, width: 4, batch_size: 64, prior: mixture,
  prior_components: 4, bound_samples: 3, iwae_from: 0.5, free_bits: 0.05, grad_clip: 0.8, weight_decay: 0.01,
  kl_warmup_epochs: 3, learning_rate: 3e-3}
objective: {bound: iwae}
lr_schedule: wsd
ema_decay: 0.9
budget: {trials: 1, epochs: 4}
pruning: off
checkpoint_s: 0.000001
confirm: {finalists: 1, seeds: 1, epochs: 10}
"""
IN_TRIAL = 3
"""epochs: the bound of several draws is trained from the third on"""
IN_DECAY = 9
"""of the confirm run, whose learning rate falls in its last two epochs"""


@pytest.fixture(scope="module")
def precision() -> str:
    return "float32" if multiplies_bfloat16() is False else "bfloat16"


@pytest.mark.parametrize(
    "kills",
    [[4 + IN_DECAY], pytest.param([IN_TRIAL, 4 - IN_TRIAL + IN_DECAY], marks=pytest.mark.exhaustive)],
    ids=["in-decay", "in-both"],
)
def test_a_sweep_of_hard_settings_whose_process_is_killed_leaves_the_rows_of_a_whole_one(
    kills: list[int], precision: str, tmp_path: Path
):
    overrides, rows = [f"precision={precision}"], {}
    for name, deaths in (("whole", []), ("killed", kills)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "sweep.yaml").write_text(HARD)
        for epochs in deaths:
            killed_after(epochs, "sweep.yaml", overrides, folder=folder)
        vae_search.run(folder / "sweep.yaml", store=folder / "store", inline=True, overrides=overrides)
        store = LocalStore(folder / "store")
        rows[name] = [*Ledger(store, "hard").trials(), *ConfirmRuns(store, "hard").rows()]

    trial, confirmed = rows["killed"]
    assert (trial.attempts, confirmed.attempts) == (len(kills), 2)
    assert results(rows["killed"]) == results(rows["whole"])  # the digests of the kept weights among them
    assert None not in (trial.artifact_sha256, confirmed.artifact_sha256)
