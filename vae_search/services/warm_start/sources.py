"""Earlier sweeps of a store that a warm start may look at: their records, read once, all at a time."""

from collections.abc import Iterator
from dataclasses import dataclass

from vae_search.core.text import printable
from vae_search.errors import CorruptStore
from vae_search.services.warm_start.similarity import Similarity, similarity, strangeness
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import Store
from vae_search.store.backends.json_records import from_json_bytes
from vae_search.store.paths import SweepPaths
from vae_search.store.sweeps.forks import measure_changes
from vae_search.store.sweeps.sweep_record import StoredRecord, SweepRecord, read_stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Earlier sweep that a new one may learn from."""

    record: SweepRecord
    lends_trials: bool
    """whether its trials are measured as the new sweep's are; else only its best config can cross"""
    similarity: Similarity

    @property
    def name(self) -> str:
        return self.record.spec.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Sweeps that a warm start looks at, the most similar first, and what is said of others that were named."""

    found: tuple[Source, ...]
    remarks: tuple[str, ...]


def named_sources(store: Store, new: SweepRecord, names: tuple[str, ...]) -> Sources:
    """Read the sweeps that a spec names, in its order; the name of the new one is refused.

    Raises:
        NotFound: One is not there.
        CorruptStore: The record of one is damaged.
    """
    remarks = [f"{new.spec.name}: a sweep does not learn from itself"] if new.spec.name in names else []
    records = [read_stored(store, name).checked() for name in names if name != new.spec.name]
    return Sources(found=tuple(_source(new, record) for record in records), remarks=tuple(remarks))


def similar_sources(store: Store, new: SweepRecord) -> Sources:
    """Look through the store for sweeps of the same task, and for similar ones on other data.

    One listing, and one read of each record; a damaged one is passed over with a remark.
    """
    found: list[Source] = []
    remarks: list[str] = []
    for stored in _records(store, new.spec.name, remarks):
        try:
            if not _may_be(stored, new):
                continue
            record = stored.checked()
        except CorruptStore as trouble:
            remarks.append(f"{stored.sweep}: is passed over, since its record {trouble.problem}")
            continue
        source = _source(new, record)
        if source.lends_trials or strangeness(new.spec, new.images, record.spec, record.images) is None:
            found.append(source)
    found.sort(key=lambda source: (not source.lends_trials, source.similarity.order, source.name))
    return Sources(found=tuple(found), remarks=tuple(remarks))


def _records(store: Store, own: str, remarks: list[str]) -> Iterator[StoredRecord]:
    names = [name for name in store.folders(store_paths.SWEEPS) if store_paths.is_sweep_name(name) and name != own]
    paths = [SweepPaths(name).resolved for name in names]
    for name, path, content in zip(names, paths, store.read_many(paths), strict=True):
        if content is None:
            continue
        try:
            record = StoredRecord(sweep=name, fields=from_json_bytes(content, where=path))
        except CorruptStore:
            remarks.append(f"{name}: is passed over, since its record is damaged")
            continue
        if record.other_name is not None:
            remarks.append(f"{name}: is passed over, since its record names sweep {printable(record.other_name)}")
            continue
        yield record


def _may_be(stored: StoredRecord, new: SweepRecord) -> bool:
    """True unless a look at the raw record shows that it is of another task and of images of another shape."""
    if stored.fields.get("comparability_key") == new.comparability_key:
        return True
    images = stored.images
    return (
        images is not None
        and new.images is not None
        and (images.height, images.width, images.channels)
        == (
            new.images.height,
            new.images.width,
            new.images.channels,
        )
    )


def _source(new: SweepRecord, record: SweepRecord) -> Source:
    same_task = record.comparability_key == new.comparability_key and record.metric_version == new.metric_version
    return Source(
        record=record,
        lends_trials=same_task and record.code == new.code and not measure_changes(record.spec, new.spec),
        similarity=similarity(new.spec, new.images, record.spec, record.images),
    )
