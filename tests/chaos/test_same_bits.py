"""A trial that was killed and resumed, in the middle of epochs and in other processes, ends with the same bits."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.campaign import chance, count
from tests.chaos.invariants import Seen, check_invariants
from tests.support.paths import ROOT
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import Store
from vae_search.store.backends.uri import open_store
from vae_search.store.ledger import artifacts
from vae_search.store.ledger.artifacts import WEIGHTS_FILE
from vae_search.store.ledger.checkpoints import newest_intact
from vae_search.store.ledger.rows import EpochRow, TrialRow
from vae_search.store.ledger.trials import Ledger
from vae_search.vae.inference.npz import arrays_of

pytestmark = pytest.mark.needs_tensorflow

FAMILIES = ("mlp", "pyramid", "conv", "resnet", "hvae", "hvae_conv")
QUICK_FAMILY = "resnet"  # has the layers of all others
EPOCHS = 6
MEASURED = {"cpu_s", "wall_s"}  # of an epoch: these differ from run to run
SPEC = f"""
name: bits
data: {{source: digits}}
search_space:
  architecture: {{type: categorical, choices: [{", ".join(FAMILIES)}]}}
  latent_dim: 4
  depth: 2
  width: 16
  batch_size: 8
  grad_clip: 1.0
  kl_warmup_epochs: 2
  learning_rate: 3e-3
enqueue: [{", ".join(f"{{architecture: {family}}}" for family in FAMILIES)}]
budget: {{trials: {len(FAMILIES)}, epochs: {EPOCHS}}}
confirm: {{finalists: 0}}
lr_schedule: cosine
pruning: off
keep: {len(FAMILIES)}
checkpoint_s: 0.001
"""


def run(folder: Path, *, kill_at: tuple[int, int] | None = None, wait_s: float = 0.0) -> tuple[int, list[list[int]]]:
    """One driver's life: its exit code, and what it has told: [trial, epoch] of reports, [trial] of finished trials.

    Args:
        kill_at: the trial and the least epoch after whose report it is killed.
        wait_s: so long after the report.
    """
    command = [sys.executable, "-m", "tests.chaos.one_worker", str(folder / "store"), str(folder / "spec.yaml")]
    told, killed = list[list[int]](), False
    with subprocess.Popen(
        command, cwd=ROOT, env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}, text=True, stdout=subprocess.PIPE
    ) as driver:
        for line in driver.stdout:
            told.append([int(word) for word in line.split()[1:]])
            if kill_at is not None and not killed and len(told[-1]) == 2 and tuple(told[-1]) >= kill_at:
                killed = True
                time.sleep(wait_s)
                driver.kill()
        return driver.wait(), told


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A sweep with one trial of each family, that nothing has disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "spec.yaml").write_text(SPEC)
    assert run(folder)[0] == 0
    return open_store(str(folder / "store"))


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory, quick: bool) -> Iterator[Store]:
    """The same sweep, whose driver and worker were killed in the middle of each family's trial; quick: of one."""
    random = chance("same bits")
    folder = tmp_path_factory.mktemp("killed")
    (folder / "spec.yaml").write_text(SPEC)
    store = open_store(str(folder / "store"))
    shown: list[int] = []
    now, lost = Seen(rows={}), []
    for trial in [FAMILIES.index(QUICK_FAMILY)] if quick else range(len(FAMILIES)):
        for epoch in sorted(random.sample(range(1, EPOCHS), count(1, EPOCHS - 1))):
            code, told = run(folder, kill_at=(trial, epoch), wait_s=random.uniform(0, 0.1))
            assert code == -9
            shown += [finished[0] for finished in told if len(finished) == 1]
            now = check_invariants(store, "bits", now, shown=shown, trials=len(FAMILIES), finished=False)
            assert trial not in now.trials
            reported = max(report[1] for report in told if len(report) == 2 and report[0] == trial)
            checkpoint = newest_intact(store, "bits", store_paths.trial_key(trial))
            lost.append(reported - (checkpoint.epoch if checkpoint else 0))
            print(f"killed after epoch {reported} of trial {trial}: {lost[-1]} reported epochs lost")
    code, told = run(folder)
    shown += [finished[0] for finished in told if len(finished) == 1]
    assert code == 0
    check_invariants(store, "bits", now, shown=shown, trials=len(FAMILIES), finished=True)
    assert lost
    assert max(lost) <= 0, "a checkpoint is due after each epoch here, so no reported epoch may be lost"
    return store


def facts(part: TrialRow | EpochRow) -> dict[str, object]:
    return {name: getattr(part, name) for name in part.__dataclass_fields__ if name not in MEASURED}


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    "family",
    [name if name == QUICK_FAMILY else pytest.param(name, marks=pytest.mark.exhaustive) for name in FAMILIES],
)
def test_a_killed_and_resumed_trial_ends_with_the_same_bits(whole: Store, killed: Store, family: str) -> None:
    trial = FAMILIES.index(family)
    undisturbed, resumed = (Ledger(store, "bits").trial(trial) for store in (whole, killed))

    assert undisturbed.params["architecture"] == family
    assert (undisturbed.attempts, resumed.attempts > 1) == (1, True)
    assert resumed.neg_elbo == undisturbed.neg_elbo
    assert (resumed.iwae, resumed.objective) == (undisturbed.iwae, undisturbed.objective)
    assert [facts(epoch) for epoch in Ledger(killed, "bits").epochs(trial)] == [
        facts(epoch) for epoch in Ledger(whole, "bits").epochs(trial)
    ]
    weights = [
        arrays_of(artifacts.load(store, "bits", store_paths.trial_key(trial))[WEIGHTS_FILE])
        for store in (whole, killed)
    ]
    assert weights[0].keys() == weights[1].keys()
    assert all(weights[0][name].tobytes() == weights[1][name].tobytes() for name in weights[0])
