"""The use cases behind the commands; each reads like a recipe.

Ray, Optuna and TensorFlow are imported inside the recipes that need them: asking for the best must not load them.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vae_search.core.trial_state import State
from vae_search.errors import InvalidSpec, NotFound, SweepFailed
from vae_search.services.sweep_status import SweepStatus, status
from vae_search.spec.hyperparameters import Config
from vae_search.spec.parameters import CategoricalParameter, FixedParameter, Parameter
from vae_search.store import paths as layout
from vae_search.store.backends.base import Store, prove_exclusive
from vae_search.store.leases.lease import read_heartbeat, request_stop
from vae_search.store.ledger import sweep_record
from vae_search.store.ledger.trials import sweep_names
from vae_search.version import VERSION

if TYPE_CHECKING:
    from vae_search.search.progress import Observer
    from vae_search.services.cost_estimate import Estimate
    from vae_search.spec.sweep_spec import SweepSpec

RECORDED_VERSIONS = ("ray", "tensorflow", "keras", "optuna", "numpy")


def run(
    spec: "SweepSpec", *, text: str, store: Store, cache: Path, observer: "Observer", address: str | None = None
) -> SweepStatus:
    """Run a sweep to the end of its budget; one that was interrupted goes on where its ledger stands.

    Args:
        text: the spec as written, kept beside the resolved one.
        cache: folder for downloaded data sets.
        address: of the cluster to train on, from one of its machines: `host:port` or `auto`; None: this machine alone.

    Raises:
        VaeSearchError: See `errors.py`; whatever happens, the sweep stays resumable.
    """
    if spec.name in sweep_names(store):
        sweep_record.check_same(sweep_record.read(store, spec.name), spec)
        before = status(store, spec.name, spec=spec)
        if before.finished:
            return _with_a_result(before)
    # Only now: a wrong name or spec, or a finished sweep, must not wait for Ray's import.
    from vae_search.data.dataset import comparability_key, load_dataset, pixels_key
    from vae_search.data.tasks import JudgeTask, TrainingTask
    from vae_search.search.capacity import local_capacity
    from vae_search.services.datasets import local_copy

    # Refuse what can never run before anything slow.
    if address is None:
        local_capacity(spec.resources)
    else:
        from vae_search.runtime.cluster.gcs import check_cluster

        check_cluster(address, spec.resources)
    observer.on_phase(f"reading {spec.data.source}")
    dataset = load_dataset(local_copy(store, spec.data, cache=cache), cache=cache)
    _check_batches(spec, len(dataset.train))
    record = sweep_record.SweepRecord(
        spec=spec,
        fingerprint=dataset.fingerprint,
        comparability_key=comparability_key(dataset, likelihood=spec.likelihood),
        versions=versions(),
        pixels_key=pixels_key(dataset),
    )
    prove_exclusive(store)
    sweep_record.create_or_check(store, record, text=text)
    from vae_search.runtime.sweep_runner import search

    search(
        record,
        task=TrainingTask.of(dataset),
        judge_task=JudgeTask.of(dataset),
        store=store,
        observer=observer,
        address=address,
    )
    return _with_a_result(status(store, spec.name, spec=spec))


def resume(
    store: Store,
    sweep: str,
    *,
    overrides: Sequence[str],
    cache: Path,
    observer: "Callable[[SweepSpec], Observer]",
    address: str | None = None,
) -> SweepStatus:
    """Run a sweep on with what the store knows of it; on another machine as well.

    Args:
        overrides: `key.key=value`, of keys that a sweep may change on its way, such as budget.trials.
        observer: makes the one who watches from what is run.
        address: see `run`.

    Raises:
        NotFound: There is no such sweep.
        InvalidSpec: An override is wrong.
        VaeSearchError: What `run` raises.
    """
    from vae_search.spec.sweep_spec import overridden

    spec = overridden(sweep_record.latest_spec(store, sweep), overrides)
    if spec.name != sweep:
        raise InvalidSpec(f"--set name={spec.name}: a sweep keeps its name. Run its spec under another name instead.")
    return run(
        spec,
        text=store.read(layout.spec(sweep)).decode(),
        store=store,
        cache=cache,
        observer=observer(spec),
        address=address,
    )


def _with_a_result(found: SweepStatus) -> SweepStatus:
    """A finished sweep in which something has completed."""
    name = found.spec.name
    if not found.leaderboard.states[State.COMPLETE]:
        raise SweepFailed(
            f"sweep {name}: none of its {found.leaderboard.finished} trials completed.\n"
            f"See why with `vae-search best {name} --all`."
        )
    return found


def _check_batches(spec: "SweepSpec", train_images: int) -> None:
    """Refuse a batch that the training images cannot fill; before Ray starts.

    Raises:
        InvalidSpec: Naming both numbers.
    """
    entries = [entry for entry in spec.search_space.parameters if entry.name == "batch_size"]
    largest = max((_largest(entry) for entry in entries), default=Config().batch_size)
    if largest > train_images:
        raise InvalidSpec(
            f"search_space.batch_size: must be at most the number of training images, {train_images:,}, but may become "
            f"{largest:,}. Lower it."
        )


def _largest(entry: Parameter) -> int:
    match entry:
        case FixedParameter():
            return int(entry.value)
        case CategoricalParameter():
            return max(int(choice) for choice in entry.choices)
        case _:
            return int(entry.high)


def estimate(spec: "SweepSpec", *, cache: Path) -> "Estimate":
    """What a sweep would try and cost, without training anything.

    Raises:
        BadData: The images cannot be used.
    """
    from vae_search.data.dataset import load_dataset
    from vae_search.data.tasks import TrainingTask
    from vae_search.search.capacity import local_capacity

    local_capacity(spec.resources)  # refuse what can never run before anything slow
    task = TrainingTask.of(load_dataset(spec.data, cache=cache))
    _check_batches(spec, len(task.train))
    from vae_search.services.cost_estimate import estimate as estimate_costs

    return estimate_costs(spec, task)


def stop(store: Store, sweep: str) -> None:
    """Ask the driver of a running sweep to stop; its workers save their epochs, and it can be resumed.

    Raises:
        NotFound: There is no such sweep, or nobody runs it.
    """
    sweep_record.read(store, sweep)
    heartbeat = read_heartbeat(store, sweep)
    if heartbeat is None or heartbeat.alive is False:
        raise NotFound(f"sweep {sweep}: nobody runs it, so there is nothing to stop.")
    request_stop(store, sweep)


def versions() -> dict[str, str]:
    """The versions of everything that a result depends on."""
    from importlib import metadata  # by far the heaviest of the standard library in here

    found = {name: metadata.version(name) for name in RECORDED_VERSIONS}
    return {"vae-search": VERSION} | found | {"python": ".".join(map(str, sys.version_info[:3]))}
