"""Record of a sweep: its spec as submitted, and everything that was resolved when it began.

The spec's classes are imported where one is read: they take a tenth of a second, and the best trials are shown without.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vae_search.core.dataset_summary import DatasetSummary
from vae_search.core.validation import InvalidValueError
from vae_search.errors import Conflict, CorruptStore, InvalidSpec, NotFound
from vae_search.spec.search_space_yaml import read_space
from vae_search.store.backends.base import AlreadyThere, Store
from vae_search.store.backends.json_records import from_json_bytes, to_json_bytes
from vae_search.store.leases.records import newest_lease
from vae_search.store.paths import SweepPaths

if TYPE_CHECKING:
    from vae_search.spec.sweep_spec import SweepSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepRecord:
    """Identity of a sweep, the same for ever."""

    spec: "SweepSpec"
    fingerprint: str
    """of the decoded images"""
    comparability_key: str
    versions: Mapping[str, str]
    pixels_key: str | None = None
    """of `data.dataset.pixels_key`; None as well in records from before there was any"""
    images: DatasetSummary | None = None
    """as they were read when the sweep began; None in records from before they were kept"""


def create_or_check(store: Store, record: SweepRecord, *, text: str) -> None:
    """Write the record of a new sweep; an existing one must be the same sweep.

    Args:
        text: the spec as the user wrote it.

    Raises:
        Conflict: The store holds another sweep of this name, or the images have changed.
    """
    content = to_json_bytes(
        {
            "spec": record.spec.to_json(),
            "fingerprint": record.fingerprint,
            "comparability_key": record.comparability_key,
            "versions": dict(record.versions),
            "pixels_key": record.pixels_key,
            "images": None if record.images is None else record.images.to_json(),
        }
    )
    name = record.spec.name
    try:
        store.create(SweepPaths(name).resolved, content)
    except AlreadyThere:
        _check(read(store, name), record)
        return
    store.replace(SweepPaths(name).spec, text.encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRecord:
    """Content of a sweep's record as it is stored, read once; its parts are checked when they are asked for."""

    sweep: str
    fields: Mapping[str, object]

    @property
    def searched(self) -> tuple[str, ...]:
        """Names of the parameters that the sweep searches, in the order of its spec.

        Raises:
            CorruptStore: The record is damaged.
        """
        try:
            space = read_space(self._spec_tree.get("search_space"))
        except InvalidValueError as error:
            raise CorruptStore(
                "holds no valid search space.", path=self._path, advice="Restore it from a copy."
            ) from error
        return tuple(dict.fromkeys(parameter.name for parameter in space.searched))

    @property
    def pareto_criteria(self) -> tuple[tuple[str, ...], str]:
        """Criteria of a Pareto sweep, none if it is another one, and which of them orders its front.

        Raises:
            CorruptStore: The record is damaged.
        """
        objective = self._spec_tree.get("objective")
        if not isinstance(objective, dict):
            raise CorruptStore("holds no valid objective.", path=self._path, advice="Restore it from a copy.")
        return tuple(objective.get("pareto") or ()), objective.get("prefer", "neg_elbo")

    @property
    def images(self) -> DatasetSummary | None:
        """Images as they were read when the sweep began; None in records from before they were kept."""
        return DatasetSummary.from_json(self.fields.get("images"))

    def checked(self) -> SweepRecord:
        """Parse the whole record.

        Raises:
            CorruptStore: It is damaged.
        """
        spec, versions = self.fields.get("spec"), self.fields.get("versions")
        fingerprint, key = self.fields.get("fingerprint"), self.fields.get("comparability_key")
        if not (
            isinstance(spec, dict)
            and isinstance(versions, dict)
            and isinstance(fingerprint, str)
            and isinstance(key, str)
        ):
            raise CorruptStore(
                "must hold spec, fingerprint, comparability_key and versions.",
                path=self._path,
                advice="Restore it from a copy.",
            )
        pixels_key = self.fields.get("pixels_key")
        return SweepRecord(
            spec=_spec_in(spec, self._path),
            fingerprint=fingerprint,
            comparability_key=key,
            versions=versions,
            pixels_key=pixels_key if isinstance(pixels_key, str) else None,
            images=self.images,
        )

    def latest_spec(self, store: Store) -> "SweepSpec":
        """The spec that the sweep's last driver ran it with: its budget, for example, may have grown since it began.

        Raises:
            CorruptStore: A record is damaged.
        """
        began_with = self.checked().spec
        for number in range(newest_lease(store, self.sweep), 0, -1):
            path = SweepPaths(self.sweep).lease(number)
            tree = from_json_bytes(store.read(path), where=path).get("spec")
            if isinstance(tree, dict):
                return _spec_in(tree, path)
        return began_with

    @property
    def _path(self) -> str:
        return SweepPaths(self.sweep).resolved

    @property
    def _spec_tree(self) -> Mapping[str, object]:
        """The spec as plain data; empty if there is none."""
        tree = self.fields.get("spec")
        return tree if isinstance(tree, dict) else {}


def read_stored(store: Store, sweep: str) -> StoredRecord:
    """Read the record of a sweep, once for all that is asked of it.

    Raises:
        NotFound: There is no such sweep.
        CorruptStore: Its record is no JSON object.
    """
    path = SweepPaths(sweep).resolved
    try:
        content = store.read(path)
    except NotFound:
        raise NotFound(f"no sweep {sweep!r} in {store.location}. `vae-search status` lists the sweeps.") from None
    return StoredRecord(sweep=sweep, fields=from_json_bytes(content, where=path))


def read(store: Store, sweep: str) -> SweepRecord:
    """Read and parse the record of a sweep; errors as for `read_stored` and `StoredRecord.checked`."""
    return read_stored(store, sweep).checked()


def latest_spec(store: Store, sweep: str) -> "SweepSpec":
    """Read the spec that the sweep's last driver ran it with.

    Raises:
        NotFound: There is no such sweep.
        CorruptStore: A record is damaged.
    """
    return read_stored(store, sweep).latest_spec(store)


def check_same(existing: SweepRecord, spec: "SweepSpec") -> None:
    """Refuse to continue a sweep with a spec that would make its trials incomparable.

    Raises:
        Conflict: With one line per difference.
    """
    from vae_search.spec.sweep_spec import identity_changes

    changes = identity_changes(existing.spec, spec)
    if changes:
        raise Conflict(
            f"sweep {spec.name}: the store holds a sweep of this name with another spec; its results would not be "
            f"comparable.\n{'; '.join(changes)}\nChange it back, or give the spec another name."
        )


def _spec_in(tree: dict[str, object], path: str) -> "SweepSpec":
    from vae_search.spec.sweep_spec import SweepSpec

    try:
        return SweepSpec.from_json(tree)
    except InvalidSpec as error:
        raise CorruptStore(
            f"holds no valid spec: {error.problems[0]}.", path=path, advice="Restore it from a copy."
        ) from error


def _check(existing: SweepRecord, record: SweepRecord) -> None:
    check_same(existing, record.spec)
    if existing.fingerprint != record.fingerprint:
        raise Conflict(
            f"sweep {record.spec.name}: the images at {record.spec.data.source} have changed since the sweep began "
            f"(fingerprint {existing.fingerprint[:12]}… then, {record.fingerprint[:12]}… now).\n"
            "Restore them, or give the spec another name."
        )
    if existing.comparability_key != record.comparability_key:
        raise Conflict(
            f"sweep {record.spec.name}: another version of this program began it, with another splitting or "
            f"scoring of its images (comparability key {existing.comparability_key[:12]}… then, "
            f"{record.comparability_key[:12]}… now).\nGive the spec another name."
        )
