"""A sweep as an Optuna study, for people who look at studies: rebuilt from its rows, never the other way round."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from vae_search.core.trial_state import State
from vae_search.search.messages import TrialAssignment
from vae_search.search.study.study import OPTUNA_STATES, drawn
from vae_search.spec.search_space import SearchSpace
from vae_search.store.ledger.rows import EpochRow, TrialRow

SHOWN_COLUMNS = (
    *("neg_elbo", "distortion", "rate", "iwae", "instability", "active_units", "epochs", "cpu_s", "train_flops"),
    *("seed", "node_id", "reason", "error"),
)
"""of a row, as user attributes of its trial; NULL ones are left out"""


def frozen_trials(
    space: SearchSpace,
    rows: Sequence[TrialRow],
    curves: Mapping[int, Sequence[EpochRow]],
    orders: Iterable[TrialAssignment] = (),
) -> list[FrozenTrial]:
    """The trials of a sweep, each at the place of its number.

    The value is the objective, and neg_elbo where a sweep has none; as Optuna has it, a PRUNED trial's is its last
    intermediate one. Intermediate values are the bound that the sweep ranks by: neg_elbo of each epoch,
    or -IWAE where it was taken.

    Args:
        rows: finished trials, in any order.
        curves: their learning curves by trial; a damaged one may be missing.
        orders: what is in flight, as RUNNING; confirm runs and trials that have a row do not count.

    Returns:
        As many as the greatest number tells. One of which nothing intact is known stands there as FAIL: Optuna's
        numbers are places in a list, and would differ from the sweep's behind a gap.
    """
    found = {order.trial: _running(space, order) for order in orders if not order.confirms}
    found |= {row.trial: _finished(space, row, curves.get(row.trial, ())) for row in rows}
    lost = create_trial(state=TrialState.FAIL, user_attrs={"lost": "no intact row of this trial was found"})
    return [found.get(number, lost) for number in range(max(found, default=-1) + 1)]


def fill(storage: BaseStorage, name: str, trials: Sequence[FrozenTrial]) -> None:
    """Put a study with these trials into an empty storage."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # of the metric's name alone
        study = optuna.create_study(direction="minimize", storage=storage, study_name=name)
        study.set_metric_names(["objective"])
    study.add_trials(trials)


def write_sqlite(path: Path, name: str, trials: Sequence[FrozenTrial]) -> None:
    """Write the study into a new SQLite file, as `optuna.load_study` reads it."""
    storage = RDBStorage(f"sqlite:///{path}")
    try:
        fill(storage, name, trials)
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _finished(space: SearchSpace, row: TrialRow, curve: Sequence[EpochRow]) -> FrozenTrial:
    params, distributions = drawn(space, row.params)
    # Of one measure: beside -IWAE at rungs the ELBO of other epochs would look like an unsteady training.
    iwae = {epoch.epoch: -epoch.iwae for epoch in curve if epoch.iwae is not None}
    values = iwae or {epoch.epoch: epoch.neg_elbo for epoch in curve if epoch.neg_elbo is not None}
    value = None
    if row.state is State.COMPLETE:
        value = row.neg_elbo if row.objective is None else row.objective
    elif row.state is State.PRUNED and values:
        value = values[max(values)]
    trial = create_trial(
        state=OPTUNA_STATES[row.state],
        value=value,
        params=params,
        distributions=distributions,
        intermediate_values=values,
        user_attrs={name: shown for name in SHOWN_COLUMNS if (shown := getattr(row, name)) is not None},
    )
    # Optuna's times are local and naive.
    trial.datetime_start = row.started_at.astimezone().replace(tzinfo=None)
    trial.datetime_complete = row.finished_at.astimezone().replace(tzinfo=None)
    return trial


def _running(space: SearchSpace, order: TrialAssignment) -> FrozenTrial:
    params, distributions = drawn(space, order.params)
    return create_trial(state=TrialState.RUNNING, params=params, distributions=distributions)
