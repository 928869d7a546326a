"""Training a finished trial once more, to see whether its row comes out again (invariant I5)."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vae_search.core.measurements import Diverged, EpochMeasurement
from vae_search.data.tasks import TrainingTask
from vae_search.search.pruning import rung_epochs
from vae_search.spec.hyperparameters import Config, is_own
from vae_search.spec.networks.submitted import code_in_use
from vae_search.spec.sweep_spec import SweepSpec
from vae_search.store.ledger.rows import EpochRow, TrialRow
from vae_search.vae.training.plan import TrainingPlan
from vae_search.vae.training.trainer import Trainer

# Of an epoch; costs differ from run to run.
COMPARED = (
    "neg_elbo",
    "distortion",
    "rate",
    "train_neg_elbo",
    "beta",
    "learning_rate",
    "grad_norm_max",
    "spike_excess",
    "iwae",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduction:
    """The outcome of training a trial once more.

    Args:
        epochs: that were trained again.
        difference: the first one, in words; None if every bit came out again.
        weights_compared: whether the trial's weights were kept, and so are part of the comparison.
    """

    epochs: int
    difference: str | None
    weights_compared: bool


def reproduce(
    row: TrialRow,
    curve: Sequence[EpochRow],
    weights: Mapping[str, np.ndarray] | None,
    *,
    spec: SweepSpec,
    task: TrainingTask,
    on_epoch: Callable[[EpochMeasurement], None],
) -> Reproduction:
    """Train the trial of `row` for as many epochs as it has, in this process, and compare until something differs.

    Args:
        weights: those that were kept, by name; None if they were not.
        on_epoch: called after each epoch that came out again.
    """
    if (difference := _other_code(row, spec)) is not None:
        return Reproduction(epochs=0, difference=difference, weights_compared=False)
    plan = TrainingPlan.of(spec, rungs=rung_epochs(spec.pruning, budget_epochs=spec.budget.epochs))
    trainer = Trainer.of(spec, task)
    run = trainer.start(Config.from_params(row.params), plan, seed=row.seed)
    for expected in curve:
        try:
            found = run.train_epoch()
        except Diverged as error:
            return Reproduction(epochs=run.epoch, difference=f"it diverges: {error}", weights_compared=False)
        difference = _difference(expected, found)
        if difference is not None:
            return Reproduction(epochs=run.epoch, difference=difference, weights_compared=False)
        on_epoch(found)
    if weights is None:
        return Reproduction(epochs=run.epoch, difference=None, weights_compared=False)
    again = run.averaged_weights()
    other = [name for name in weights if name not in again or not np.array_equal(weights[name], again[name])]
    difference = f"the weights {', '.join(other)} are others" if other or len(again) != len(weights) else None
    return Reproduction(epochs=run.epoch, difference=difference, weights_compared=True)


def _other_code(row: TrialRow, spec: SweepSpec) -> str | None:
    """Difference of the code that a network from elsewhere has here to that of its row; None if there is none.

    Raises:
        InvalidSpec: The code is not here.
    """
    architecture = row.params.get("architecture")
    if not is_own(architecture):
        return None
    code = code_in_use(spec.search_space)[str(architecture)]
    before, now = json.loads(row.versions_json or "{}").get(code.package, ""), code.identity.shown_version
    return (
        None
        if before.endswith(code.identity.sha256)
        else f"it was trained with {code.package} {before}, but here is {now}"
    )


def _difference(expected: EpochRow, found: EpochMeasurement) -> str | None:
    for name in COMPARED:
        before, now = getattr(expected, name), getattr(found, name)
        if before != now:
            return f"epoch {found.epoch} has {name} {before!r} in the ledger, but {now!r} now"
    return None
