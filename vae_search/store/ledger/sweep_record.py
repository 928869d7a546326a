"""Record of a sweep: its spec as submitted, and everything that was resolved when it began.

The spec's classes are imported where one is read: they take a tenth of a second, and the best trials are shown without.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vae_search.core.validation import InvalidValueError
from vae_search.errors import Conflict, CorruptStore, InvalidSpec, NotFound
from vae_search.spec.search_space_yaml import read_space
from vae_search.store import paths as store_paths
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
    incarnation: str | None = None
    """random; tells the sweep from an earlier one of its name, which was removed. None in records of older versions"""


@dataclass(frozen=True, slots=True, kw_only=True)
class BegunSweep:
    """Result of `create_or_check`."""

    record: SweepRecord
    """the stored one"""
    is_new: bool


def create_or_check(store: Store, record: SweepRecord, *, text: str, must_exist: bool = False) -> BegunSweep:
    """Write the record of a new sweep; an existing one must be the same sweep. The caller holds its lease.

    Args:
        text: the spec as the user wrote it.
        must_exist: the sweep is to be continued.

    Raises:
        Conflict: The store holds another sweep of this name, or what is left of one, or the images have changed; or
            the sweep was removed meanwhile.
    """
    name = record.spec.name
    try:
        existing = read(store, name)
    except NotFound:
        existing = None
    if existing is not None:
        _check(existing, record)
        if SweepPaths(name).spec not in store.list(SweepPaths(name).folder):  # its writer died between the two files
            store.replace(SweepPaths(name).spec, text.encode())
        return BegunSweep(record=existing, is_new=False)
    if must_exist:
        raise Conflict(f"sweep {name}: was removed while this driver started. `vae-search run` begins a new one.")
    if left := left_behind(store, name):
        raise Conflict(
            f"sweep {name}: its folder holds what is left of an earlier one ({len(left)} files, such as {left[0]}), "
            f"but no record of it.\nRemove it for good with `vae-search rm {name}`, restore {store_paths.RESOLVED} "
            "from a copy, or give the spec another name."
        )
    content = to_json_bytes(
        {
            "spec": record.spec.to_json(),
            "fingerprint": record.fingerprint,
            "comparability_key": record.comparability_key,
            "versions": dict(record.versions),
            "pixels_key": record.pixels_key,
            "incarnation": record.incarnation,
        }
    )
    try:
        store.create(SweepPaths(name).resolved, content)
    except AlreadyThere:  # by somebody without a lease, or by an earlier attempt of this call whose answer was lost
        return create_or_check(store, record, text=text)
    store.replace(SweepPaths(name).spec, text.encode())
    return BegunSweep(record=record, is_new=True)


def left_behind(store: Store, sweep: str) -> list[str]:
    """List the files of a sweep without a record; none if it has one, or if nothing but its leases is left.

    Leases stay when a sweep is removed, so that their numbers never begin again.
    """
    paths = store.list(SweepPaths(sweep).folder)
    if SweepPaths(sweep).resolved in paths:
        return []
    return [path for path in paths if store_paths.is_of_trials(path)]


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
        pixels_key, incarnation = self.fields.get("pixels_key"), self.fields.get("incarnation")
        return SweepRecord(
            spec=_spec_in(spec, self._path),
            fingerprint=fingerprint,
            comparability_key=key,
            versions=versions,
            pixels_key=pixels_key if isinstance(pixels_key, str) else None,
            incarnation=incarnation if isinstance(incarnation, str) else None,
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


SET_ASIDE = "Set it aside with `vae-search verify --repair`."


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepIdentity:
    """Mark by which a row is known to be a sweep's own, and not an earlier one's of the same name."""

    incarnation: str | None
    """None for a sweep of an older version, whose rows have none either"""

    def problem_of(self, incarnation: object) -> str | None:
        """The reason why what bears this mark is another sweep's; None if it is this one's."""
        if incarnation == self.incarnation:
            return None
        return "belongs to another sweep of this name, which was removed or lies in a copy"


def identity_of(store: Store, sweep: str, record: StoredRecord | None = None) -> SweepIdentity | None:
    """Read the mark of a sweep's rows; None if it has no readable record, so that nobody can tell.

    Args:
        record: of the sweep, if it has been read already.
    """
    try:
        incarnation = (record or read_stored(store, sweep)).fields.get("incarnation")
    except (NotFound, CorruptStore):
        return None
    return SweepIdentity(incarnation=incarnation if isinstance(incarnation, str) else None)


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
