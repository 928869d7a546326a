"""Image grids: samples, reconstructions, traversals and interpolations of a model version or a kept trial."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vae_search.core.dataset_summary import Classes
from vae_search.core.references import parse_trial_reference
from vae_search.core.text import shown
from vae_search.core.trial_state import State
from vae_search.errors import InvalidSpec, NotFound
from vae_search.exports.output_files import check_output, write_output
from vae_search.services import queries
from vae_search.services.models import champions
from vae_search.spec.sections import DataSpec
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import Store
from vae_search.store.ledger import artifacts
from vae_search.store.ledger.artifacts import MODEL_FILE, WEIGHTS_FILE
from vae_search.store.ledger.confirm_runs import ConfirmRuns, selecting_seed, testifying
from vae_search.store.ledger.rows import TrialRow
from vae_search.store.ledger.trials import Ledger
from vae_search.store.sweeps import sweep_record
from vae_search.store.sweeps.sweep_record import SweepRecord
from vae_search.vae.quiet_import import native_remarks_hidden

if TYPE_CHECKING:
    from vae_search.vae.inference.model import VaeModel

COLUMNS = 8
TRAVERSED_IMAGES = 500  # that tell which latents are active


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Model to draw from, and the data that it was made for."""

    model: "VaeModel"
    data: DataSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleSheet:
    """Picture of samples.

    Args:
        rows: classes of its rows, from the top; empty if rows are no classes.
    """

    path: Path
    rows: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeldOut:
    """Held-out images as networks see them, and their labels for a conditional model."""

    images: np.ndarray
    labels: np.ndarray | None


def sample(
    store: Store, address: str, *, count: int, seed: int, output: Path, of_class: str | None = None
) -> SampleSheet:
    """Draw images from the prior and write them as one PNG grid; of a conditional model a row for each class.

    Args:
        address: a model such as `fashion` or `fashion:3`, a trial such as `digits/42`, or a sweep for its best trial.
        of_class: the one class of all images, by name or number.

    Raises:
        InvalidSpec: The output cannot be written to; or the model has no such class, or sees none.
        NotFound: No such model or trial, or its weights were not kept.
        CorruptStore: The weights are damaged.
    """
    check_output(output)
    model = subject(store, address).model
    from vae_search.vae.inference.image_grids import MOST_ROWS, grid_png, samples_png

    known = model.known_classes
    if of_class is None:
        path = write_output(output, samples_png(model, count, seed=seed))
        return SampleSheet(path=path, rows=tuple(map(known.title, known.seen[:MOST_ROWS])))
    if not model.classes:
        raise InvalidSpec(f"--class: {address} does not see labels, so that it has no classes. Leave it out.")
    number = _class_number(known, of_class, address)
    made = model.sample(count, seed=seed, labels=np.full(count, number))
    return SampleSheet(path=write_output(output, grid_png(made)))


def _class_number(known: Classes, given: str, address: str) -> int:
    number = known.number_of(given)
    if number is None:
        raise InvalidSpec(f"--class: {address} has no class {shown(given)}. {known.hint(given)}")
    return number


def reconstruct(store: Store, address: str, *, count: int, cache: Path, output: Path) -> Path:
    """Write held-out images, each with its reconstruction below it, as one PNG; else as `sample`."""
    check_output(output)
    found = subject(store, address)
    from vae_search.vae.inference.image_grids import reconstructions, sheet_png

    held = held_out(store, found, cache, count)
    return write_output(output, sheet_png(reconstructions(found.model, held.images, held.labels, columns=COLUMNS)))


def traverse(store: Store, address: str, *, rows: int, cache: Path, output: Path) -> Path:
    """Write the most active latents, one in each row, moved from -3 to 3, as one PNG; else as `sample`."""
    check_output(output)
    found = subject(store, address)
    from vae_search.vae.inference.image_grids import sheet_png, traversals

    held = held_out(store, found, cache, TRAVERSED_IMAGES)
    moved = traversals(found.model, held.images, held.labels, rows=rows, columns=COLUMNS)
    return write_output(output, sheet_png(moved))


def interpolate(store: Store, address: str, *, rows: int, cache: Path, output: Path) -> Path:
    """Write ways from one held-out image to another, one in each row, as one PNG; else as `sample`."""
    check_output(output)
    found = subject(store, address)
    from vae_search.vae.inference.image_grids import interpolations, sheet_png

    held = held_out(store, found, cache, 2 * rows)
    rows = min(rows, len(held.images) // 2)
    pairs = held.images[: 2 * rows].reshape(rows, 2, *held.images.shape[1:])
    labels = None if held.labels is None else held.labels[: 2 * rows].reshape(rows, 2)
    return write_output(output, sheet_png(interpolations(found.model, pairs, labels, columns=COLUMNS)))


def subject(store: Store, address: str) -> Subject:
    """Load the model that `address` means; see `sample`.

    Raises:
        NotFound, CorruptStore: As for `sample`.
    """
    if champions.is_model(store, address):
        loaded = champions.load(store, address)
        return Subject(model=loaded.model, data=loaded.data)
    sweep, trial = parse_trial_reference(address)
    record = sweep_record.read(store, sweep)
    files = _best_files(store, record) if trial is None else _trial_files(store, record, trial)
    with native_remarks_hidden():
        from vae_search.vae.inference.model import VaeModel
    return Subject(model=VaeModel.from_files(files[MODEL_FILE], files[WEIGHTS_FILE]), data=record.spec.data)


def _best_files(store: Store, record: SweepRecord) -> Mapping[str, bytes]:
    """Model and weights of the trial that `best` names first.

    A search keeps its best weights by the objective. Those of a config that fresh seeds have put first may be gone;
    then the weights of its confirm run that is best on the select images stand for it.

    Raises:
        NotFound: No trial has completed, or no weights of the best one were kept.
        CorruptStore: The weights are damaged.
    """
    sweep = record.spec.name
    ranking = queries.best(store, sweep, count=1)
    if not ranking.rows:
        raise NotFound(f"sweep {sweep}: no trial has completed yet.")
    (best,) = ranking.rows
    try:
        return _kept_files(store, record, best)
    except NotFound:
        runs = ConfirmRuns(store, sweep).rows()
        own = [run for run in runs if run.trial == best.trial]
        fresh = testifying(own, selecting=selecting_seed(runs))
        complete = fresh or [run for run in own if run.state is State.COMPLETE]
        if not complete:
            raise
    run = min(complete, key=lambda run: (run.neg_elbo or 0.0, run.confirm_seed))
    return artifacts.load(store, sweep, run.key, sha256=run.artifact_sha256)


def _trial_files(store: Store, record: SweepRecord, trial: int) -> Mapping[str, bytes]:
    """Model and weights of one trial; errors as for `sample`."""
    sweep = record.spec.name
    rows = Ledger(store, sweep).trials()
    row = next((row for row in rows if row.trial == trial), None)
    if row is None:
        raise NotFound(f"trial {sweep}/{trial} has not finished, or does not exist; the sweep has {len(rows)} trials.")
    return _kept_files(store, record, row)


def _kept_files(store: Store, record: SweepRecord, row: TrialRow) -> Mapping[str, bytes]:
    """Model and weights of the trial of a row.

    Raises:
        NotFound: Its weights were not kept.
        CorruptStore: The weights are damaged.
    """
    sweep = record.spec.name
    try:
        return artifacts.load(store, sweep, store_paths.trial_key(row.trial), sha256=row.artifact_sha256)
    except NotFound:
        raise NotFound(
            f"trial {sweep}/{row.trial}: its weights were not kept; only the best {record.spec.keep} trials keep "
            "theirs."
        ) from None


def held_out(store: Store, found: Subject, cache: Path, count: int) -> HeldOut:
    """The first `count` judge images, as networks see them: no model was trained or chosen by a search on them."""
    from vae_search.data.pixel_statistics import intensities
    from vae_search.data.tasks import JudgeTask
    from vae_search.services.datasets import open_dataset

    dataset = open_dataset(store, found.data, cache=cache)
    labels = JudgeTask.of(dataset).labels
    return HeldOut(
        images=intensities(dataset.judge[:count], dataset.pixels.levels),
        labels=None if labels is None else labels[:count],
    )
