"""The use cases behind the commands; each reads like a recipe.

Ray, Optuna and TensorFlow are imported inside the recipes that need them: asking for the best must not load them.
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vae_search.config import Config
from vae_search.errors import Conflict, CorruptStore, InvalidSpec, NotFound, StoreUnavailable, SweepFailed
from vae_search.space import CategoricalParameter, FixedParameter, Parameter
from vae_search.spec import SweepSpec, overridden
from vae_search.states import State
from vae_search.store import artifacts, layout, sweeps
from vae_search.store.commit import Store, prove_exclusive
from vae_search.store.lease import Heartbeat, acquire, driver_s_before, read_heartbeat, request_stop
from vae_search.store.ledger import Ledger, sweep_names
from vae_search.store.ranking import RankedBy, ranked
from vae_search.store.rows import TrialRow
from vae_search.store.verify import Inspection, inspect, set_aside

if TYPE_CHECKING:
    from vae_search.search.estimate import Estimate
    from vae_search.search.observer import Observer
    from vae_search.search.reproduce import Reproduction
    from vae_search.vae.measurements import EpochMeasurement

RECORDED_VERSIONS = ("vae-search", "ray", "tensorflow", "keras", "optuna", "numpy")


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepStatus:
    """How a sweep stands, from the store alone."""

    spec: SweepSpec
    rows: tuple[TrialRow, ...]
    damaged: tuple[str, ...]
    """files that could not be read"""
    set_aside: tuple[int, ...]
    """trials whose damaged rows were set aside; they count as finished"""
    heartbeat: Heartbeat | None
    driver_s: float
    """seconds that drivers have spent on it"""
    in_flight: int
    """trials that were issued and have no row yet"""

    @property
    def used(self) -> int:
        """Trials of the budget that are over, those whose rows are lost included."""
        return len(self.rows) + len(self.damaged) + len(self.set_aside)

    @property
    def finished(self) -> bool:
        """Whether the budget of trials or of minutes is used."""
        budget = self.spec.budget
        time_is_up = budget.minutes is not None and self.driver_s >= 60.0 * budget.minutes
        return (time_is_up and not self.in_flight) or self.used >= budget.trials

    @property
    def state(self) -> Literal["running", "finished", "interrupted"]:
        """In one word; an interrupted sweep goes on when it is run again."""
        # A driver on another machine cannot be looked up; until its lease ends it counts as running.
        if self.heartbeat is not None and self.heartbeat.alive is not False:
            return "running"
        return "finished" if self.finished else "interrupted"


def run(spec: SweepSpec, *, text: str, store: Store, cache: Path, observer: "Observer") -> SweepStatus:
    """Run a sweep to the end of its budget; one that was interrupted goes on where its ledger stands.

    Args:
        text: the spec as written, kept beside the resolved one.
        cache: folder for downloaded data sets.

    Raises:
        VaeSearchError: See `errors.py`; whatever happens, the sweep stays resumable.
    """
    if spec.name in sweep_names(store):
        sweeps.check_same(sweeps.read(store, spec.name), spec)
        before = status(store, spec.name, spec=spec)
        if before.finished:
            return _with_a_result(before)
    # Only now: a wrong name or spec, or a finished sweep, must not wait for Ray's import.
    from vae_search.data.dataset import comparability_key, load_dataset
    from vae_search.data.task import TrainingTask
    from vae_search.search.room import local_room

    local_room(spec.resources)  # refuse what can never run before anything slow
    observer.on_phase(f"reading {spec.data.source}")
    dataset = load_dataset(spec.data, cache=cache)
    _check_batches(spec, len(dataset.train))
    record = sweeps.SweepRecord(
        spec=spec,
        fingerprint=dataset.fingerprint,
        comparability_key=comparability_key(dataset, likelihood=spec.likelihood),
        versions=versions(),
    )
    prove_exclusive(store)
    sweeps.create_or_check(store, record, text=text)
    from vae_search.search.session import search

    search(record, task=TrainingTask.of(dataset), store=store, observer=observer)
    return _with_a_result(status(store, spec.name, spec=spec))


def resume(
    store: Store, sweep: str, *, overrides: Sequence[str], cache: Path, observer: "Callable[[SweepSpec], Observer]"
) -> SweepStatus:
    """Run a sweep on with what the store knows of it; on another machine as well.

    Args:
        overrides: `key.key=value`, of keys that a sweep may change on its way, such as budget.trials.
        observer: makes the one who watches from what is run.

    Raises:
        NotFound: There is no such sweep.
        InvalidSpec: An override is wrong.
        VaeSearchError: What `run` raises.
    """
    spec = overridden(sweeps.latest_spec(store, sweep), overrides)
    if spec.name != sweep:
        raise InvalidSpec(f"--set name={spec.name}: a sweep keeps its name. Run its spec under another name instead.")
    return run(spec, text=store.read(layout.spec(sweep)).decode(), store=store, cache=cache, observer=observer(spec))


def _with_a_result(found: SweepStatus) -> SweepStatus:
    """A finished sweep in which something has completed."""
    name = found.spec.name
    if not any(row.state is State.COMPLETE for row in found.rows):
        raise SweepFailed(
            f"sweep {name}: none of its {len(found.rows)} trials completed.\n"
            f"See why with `vae-search best {name} --all`."
        )
    return found


def _check_batches(spec: SweepSpec, train_images: int) -> None:
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


def status(store: Store, sweep: str, *, spec: SweepSpec | None = None) -> SweepStatus:
    """How a sweep stands.

    Args:
        spec: what it is about to be run with; default: what its last driver ran it with.

    Raises:
        NotFound: There is no such sweep.
    """
    latest = sweeps.latest_spec(store, sweep)
    ledger = Ledger(store, sweep)
    rows = tuple(ledger.trials())
    return SweepStatus(
        spec=spec or latest,
        rows=rows,
        damaged=tuple(ledger.damaged),
        set_aside=tuple(ledger.set_aside),
        heartbeat=read_heartbeat(store, sweep),
        driver_s=driver_s_before(store, sweep),
        in_flight=sum(path.endswith("/suggestion.json") for path in store.list(layout.running(sweep))),
    )


def statuses(store: Store) -> tuple[list[SweepStatus], list[str]]:
    """How all sweeps stand, by name, and what is wrong with those whose record is damaged."""
    found, troubles = [], []
    for name in sweep_names(store):
        try:
            found.append(status(store, name))
        except CorruptStore as error:
            troubles.append(str(error))
    return found, troubles


def estimate(spec: SweepSpec, *, cache: Path) -> "Estimate":
    """What a sweep would try and cost, without training anything.

    Raises:
        BadData: The images cannot be used.
    """
    from vae_search.data.dataset import load_dataset
    from vae_search.data.task import TrainingTask
    from vae_search.search.room import local_room

    local_room(spec.resources)  # refuse what can never run before anything slow
    task = TrainingTask.of(load_dataset(spec.data, cache=cache))
    _check_batches(spec, len(task.train))
    with _native_remarks_hidden():
        from vae_search.search.estimate import estimate as estimate_costs

    return estimate_costs(spec, task)


def best(rows: Sequence[TrialRow], *, by: RankedBy = "objective", every_state: bool = False) -> list[TrialRow]:
    """COMPLETE trials, best first; with `every_state` the others follow, by their last held-out value.

    Raises:
        Conflict: The rows do not all belong to one comparability key (invariant I7).
    """
    return ranked(rows, by=by, every_state=every_state)


def stop(store: Store, sweep: str) -> None:
    """Ask the driver of a running sweep to stop; it checkpoints nothing more and can be resumed.

    Raises:
        NotFound: There is no such sweep, or nobody runs it.
    """
    sweeps.read(store, sweep)
    heartbeat = read_heartbeat(store, sweep)
    if heartbeat is None or heartbeat.alive is False:
        raise NotFound(f"sweep {sweep}: nobody runs it, so there is nothing to stop.")
    request_stop(store, sweep)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """One sweep's files before and after a repair; the same twice if nothing was repaired."""

    before: Inspection
    after: Inspection


def verify(store: Store, sweep: str | None, *, repair: bool) -> list[Verification]:
    """Check every file of a sweep, or of all sweeps; with `repair`, set damaged files aside.

    Raises:
        NotFound: There is no such sweep.
        Conflict: A driver is at work on a sweep that is to be repaired.
    """
    names = [sweep] if sweep is not None else sweep_names(store)
    found = []
    for name in names:
        before = after = inspect(store, name)
        if repair and before.damaged:
            lease = acquire(store, name)
            try:
                for finding in before.damaged:
                    set_aside(store, name, finding, lease=lease.number)
            finally:
                lease.release()
            after = inspect(store, name)
        found.append(Verification(before=before, after=after))
    return found


def remove(store: Store, sweep: str) -> None:
    """Remove a sweep with all its trials and weights.

    Raises:
        NotFound: There is no such sweep.
        Conflict: A driver is at work on it.
    """
    if not store.list(layout.sweep(sweep)):
        raise NotFound(f"no sweep {sweep!r} in {store.location}. `vae-search status` lists the sweeps.")
    lease = acquire(store, sweep)
    try:
        store.remove(layout.resolved(sweep))  # first: what is left of an interrupted removal is no sweep any more
        store.remove_tree(layout.sweep(sweep))
    finally:
        lease.release()
    store.remove_tree(layout.sweep(sweep))  # the lease's own last records


def versions() -> dict[str, str]:
    """The versions of everything that a result depends on."""
    found = {name: metadata.version(name) for name in RECORDED_VERSIONS}
    return found | {"python": ".".join(map(str, sys.version_info[:3]))}


def trial_address(text: str) -> tuple[str, int | None]:
    """`digits/42` -> ("digits", 42); `digits` -> ("digits", None), meaning its best trial.

    Raises:
        InvalidSpec: What follows the slash is no number.
    """
    sweep, slash, number = text.partition("/")
    if slash and not number.isdecimal():
        raise InvalidSpec(f"{text}: a trial is written SWEEP/NUMBER, such as {sweep}/42, but {number!r} is no number.")
    return sweep, int(number) if slash else None


def sample(store: Store, address: str, *, count: int, seed: int, output: Path) -> Path:
    """Draw images from a trial's kept weights and write them as one PNG grid.

    Args:
        address: `SWEEP/42`, or `SWEEP` for its best trial.

    Raises:
        NotFound: No such trial, or its weights were not kept.
        CorruptStore: The weights are damaged.
    """
    sweep, trial = trial_address(address)
    record = sweeps.read(store, sweep)
    rows = Ledger(store, sweep).trials()
    if trial is None:
        ranking = best(rows)
        if not ranking:
            raise NotFound(f"sweep {sweep}: no trial has completed yet.")
        trial = ranking[0].trial
    row = next((row for row in rows if row.trial == trial), None)
    if row is None:
        raise NotFound(f"trial {sweep}/{trial} has not finished, or does not exist; the sweep has {len(rows)} trials.")
    if output.is_dir() or not os.access(output.parent, os.W_OK):
        raise InvalidSpec(f"{output}: must be a file in a folder that can be written. Give another -o.")
    try:
        files = artifacts.load(store, sweep, trial, sha256=row.artifact_sha256)
    except NotFound:
        raise NotFound(
            f"trial {sweep}/{trial}: its weights were not kept; only the best {record.spec.keep} trials keep theirs."
        ) from None
    from vae_search.search.orders import MODEL_FILE, WEIGHTS_FILE

    with _native_remarks_hidden():
        from vae_search.vae.model import VaeModel
    from vae_search.vae.samples import grid_png

    model = VaeModel.from_files(files[MODEL_FILE], files[WEIGHTS_FILE])
    picture = grid_png(model.sample(count, seed=seed))
    try:
        output.write_bytes(picture)
    except OSError as error:
        raise StoreUnavailable(f"{output}: cannot be written: {error.strerror}. Give another -o.") from error
    return output


def reproduce(
    store: Store, address: str, *, cache: Path, on_epoch: "Callable[[EpochMeasurement], None]"
) -> "Reproduction":
    """Train a finished trial once more and compare it with its row, its learning curve and its kept weights.

    Args:
        address: `SWEEP/42`.

    Raises:
        NotFound: No such trial.
        Conflict: It does not come out again.
        CorruptStore: Its row, curve or weights are damaged.
    """
    sweep, trial = trial_address(address)
    if trial is None:
        raise InvalidSpec(f"{address}: name one trial, such as {sweep}/42.")
    record, ledger = sweeps.read(store, sweep), Ledger(store, sweep)
    row, curve = ledger.trial(trial), ledger.epochs(trial)
    from vae_search.data.dataset import comparability_key, load_dataset
    from vae_search.data.task import TrainingTask
    from vae_search.search.orders import WEIGHTS_FILE

    dataset = load_dataset(record.spec.data, cache=cache)
    if comparability_key(dataset, likelihood=record.spec.likelihood) != row.comparability_key:
        raise Conflict(f"trial {address}: was trained on other images than {record.spec.data.source} holds now.")
    with _native_remarks_hidden():
        from vae_search.search.reproduce import reproduce as train_again
        from vae_search.vae.arrays import arrays_of

    kept = store.list(layout.artifact(sweep, trial))
    files = artifacts.load(store, sweep, trial, sha256=row.artifact_sha256) if kept else None
    found = train_again(
        row,
        curve,
        None if files is None else arrays_of(files[WEIGHTS_FILE]),
        spec=record.spec,
        task=TrainingTask.of(dataset),
        on_epoch=on_epoch,
    )
    if found.difference is not None:
        raise Conflict(
            f"trial {address}: {found.difference}.\nBits come out again on the same type of machine and with the same "
            f"versions only; they were {row.versions_json}."
        )
    return found


@contextmanager
def _native_remarks_hidden() -> Iterator[None]:
    """Keep what TensorFlow's libraries write to standard error while they load (no GPU found, and such) from the user.

    They write to the file descriptor itself and before any setting of theirs is read, so it is turned away meanwhile.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(nowhere)
        os.close(kept)
