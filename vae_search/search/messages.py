"""Messages between the driver and its workers: plain data. Neither Ray nor TensorFlow is needed to read it."""

from collections.abc import Mapping
from dataclasses import dataclass

from vae_search.core.measurements import Costs, EpochMeasurement, Scores
from vae_search.core.trial_state import Reason
from vae_search.spec.hyperparameters import ParamValue
from vae_search.spec.own_code.own_code import OwnCode
from vae_search.spec.sweep_spec import SweepSpec
from vae_search.store import paths as store_paths

# The files of a checkpoint; after the last epoch also those of an artifact (`store/artifacts.py`).
STATE_FILE = "state.npz"
MEASUREMENTS_FILE = "measurements.json"
TRIALS_PER_PROCESS = 250  # TensorFlow keeps 1–2 MB of each trial


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerConfig:
    """Facts of its sweep that a worker must know before the first trial."""

    spec: SweepSpec
    store: str
    """location of the store, readable from the worker"""
    lease: int
    rungs: tuple[int, ...]
    log_folder: str | None
    """folder that every node has for the workers' log files; None if the store is none: they are copied into it then"""
    trials_per_process: int = TRIALS_PER_PROCESS
    """a worker that has served so many is replaced by a fresh one"""
    code: tuple[OwnCode, ...] = ()
    """of families, networks and metrics that are not ours"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialAssignment:
    """One trial, or one confirm run of a finalist, to be trained."""

    trial: int
    params: Mapping[str, ParamValue]
    """active parameters by name, fixed ones included"""
    seed: int
    confirm_seed: int | None = None
    """of a confirm run: which of the finalist's fresh seeds; `trial` is then the finalist"""
    command: int | None = None
    """number of the command that enqueued the config; None if nobody did"""
    epochs: int | None = None
    """of a confirm run whose length was decided when the search was over; None: as the spec says"""
    turn_epoch: int | None = None
    """of a confirm run that is to give way to another once; it is saved then"""
    branch_epoch: int | None = None
    """of a fresh seed: the epoch whose state is kept, so that the best one can go on from it"""
    continues_epoch: int | None = None
    """of the run that goes on: that epoch"""
    decay_epochs: int | None = None
    """likewise: epochs at its end in which the learning rate falls"""
    threads: int | None = None
    """likewise; None: `resources.cpus_per_trial`"""
    shards: int | None = None
    """likewise: parts of a batch that its threads work on at once; None: they share each operation instead"""

    @property
    def continued_key(self) -> str:
        """Key of the run that goes on from this one of a fresh seed."""
        return store_paths.confirm_key(self.trial, -(self.confirm_seed or 0))

    @property
    def confirms(self) -> bool:
        """True for a confirm run."""
        return self.confirm_seed is not None

    @property
    def key(self) -> str:
        """Key of the run in paths: `000042`, `000042-s1`, `000042-c1`."""
        if self.confirm_seed is None:
            return store_paths.trial_key(self.trial)
        return store_paths.confirm_key(self.trial, self.confirm_seed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A failure that is the config's own fault: the trial cannot be trained further."""

    reason: Reason
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialReport:
    """A worker's report after each step. Reporting the same epoch twice changes nothing."""

    key: str
    """of the assignment"""
    epoch: int
    """epochs done"""
    measurements: tuple[EpochMeasurement, ...]
    """of all epochs that this attempt has not reported yet, restored ones included"""
    costs: Costs | None
    """so far; None before the first epoch's end"""
    scores: Scores | None
    """after the last epoch only"""
    failure: Failure | None
    node_id: str
    saved_epoch: int
    """of the newest checkpoint; 0 if there is none"""
