"""What travels between the driver and its workers. Plain data: neither Ray nor TensorFlow is needed to read it."""

from collections.abc import Mapping
from dataclasses import dataclass

from vae_search.config import ParamValue
from vae_search.spec import SweepSpec
from vae_search.states import Reason
from vae_search.vae.measurements import Costs, EpochMeasurement, Scores

# The files of a checkpoint; the last two only after the last epoch.
STATE_FILE = "state.npz"
MEASUREMENTS_FILE = "measurements.json"
WEIGHTS_FILE = "weights.npz"
MODEL_FILE = "model.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerBrief:
    """What a worker must know of its sweep before the first trial."""

    spec: SweepSpec
    store: str
    """location of the store, readable from the worker"""
    lease: int
    rungs: tuple[int, ...]
    log_folder: str | None
    """folder on the worker's machine for its log file; None for no log"""
    trials_per_process: int = 250
    """a worker that has served so many makes room for a fresh one: TensorFlow keeps 1–2 MB of each"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialOrder:
    """One trial to be trained."""

    trial: int
    params: Mapping[str, ParamValue]
    """active parameters by name, fixed ones included"""
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a trial cannot be trained further; its own config's fault."""

    reason: Reason
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialReport:
    """What a worker tells after each step. Reporting the same epoch twice changes nothing."""

    trial: int
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
