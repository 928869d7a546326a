"""The record of a sweep: its spec as submitted, and everything that was resolved when it began.

The spec's classes are imported where one is read: they take a tenth of a second, and the best trials are shown without.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vae_search.core.validation import InvalidValueError
from vae_search.errors import Conflict, CorruptStore, InvalidSpec, NotFound
from vae_search.spec.search_space_yaml import read_space
from vae_search.store import paths as layout
from vae_search.store.backends.base import AlreadyThere, Store
from vae_search.store.backends.json_records import from_json_bytes, to_json_bytes
from vae_search.store.leases.records import newest_lease

if TYPE_CHECKING:
    from vae_search.spec.sweep_spec import SweepSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepRecord:
    """What identifies a sweep for ever."""

    spec: "SweepSpec"
    fingerprint: str
    """of the decoded images"""
    comparability_key: str
    versions: Mapping[str, str]
    pixels_key: str | None = None
    """of `data.dataset.pixels_key`; None as well in records from before there was any"""


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
        }
    )
    name = record.spec.name
    try:
        store.create(layout.resolved(name), content)
    except AlreadyThere:
        _check(read(store, name), record)
        return
    store.replace(layout.spec(name), text.encode())


def read(store: Store, sweep: str) -> SweepRecord:
    """The record of a sweep.

    Raises:
        NotFound: There is no such sweep.
        CorruptStore: Its record is damaged.
    """
    path, fields = layout.resolved(sweep), _fields(store, sweep)
    spec, versions = fields.get("spec"), fields.get("versions")
    fingerprint, key = fields.get("fingerprint"), fields.get("comparability_key")
    if not (
        isinstance(spec, dict) and isinstance(versions, dict) and isinstance(fingerprint, str) and isinstance(key, str)
    ):
        raise CorruptStore(
            f"{path}: must hold spec, fingerprint, comparability_key and versions. Restore it from a copy."
        )
    pixels_key = fields.get("pixels_key")
    return SweepRecord(
        spec=_spec_in(spec, path),
        fingerprint=fingerprint,
        comparability_key=key,
        versions=versions,
        pixels_key=pixels_key if isinstance(pixels_key, str) else None,
    )


def searched_parameters(store: Store, sweep: str) -> list[str]:
    """The names of the parameters that a sweep searches, in the order of its spec.

    Raises:
        NotFound: There is no such sweep.
        CorruptStore: Its record is damaged.
    """
    path, spec = layout.resolved(sweep), _fields(store, sweep).get("spec")
    try:
        space = read_space(spec.get("search_space") if isinstance(spec, dict) else None)
    except InvalidValueError as error:
        raise CorruptStore(f"{path}: holds no valid search space. Restore it from a copy.") from error
    return list(dict.fromkeys(parameter.name for parameter in space.searched))


def pareto_criteria(store: Store, sweep: str) -> tuple[tuple[str, ...], str]:
    """The criteria of a Pareto sweep, none if it is another one, and which of them orders its front.

    Raises:
        NotFound: There is no such sweep.
        CorruptStore: Its record is damaged.
    """
    path, spec = layout.resolved(sweep), _fields(store, sweep).get("spec")
    objective = spec.get("objective") if isinstance(spec, dict) else None
    if not isinstance(objective, dict):
        raise CorruptStore(f"{path}: holds no valid objective. Restore it from a copy.")
    return tuple(objective.get("pareto") or ()), objective.get("prefer", "neg_elbo")


def latest_spec(store: Store, sweep: str) -> "SweepSpec":
    """What the sweep's last driver ran it with: its budget, for example, may have grown since the sweep began.

    Raises:
        NotFound: There is no such sweep.
        CorruptStore: A record is damaged.
    """
    began_with = read(store, sweep).spec
    for number in range(newest_lease(store, sweep), 0, -1):
        path = layout.lease(sweep, number)
        tree = from_json_bytes(store.read(path), where=path).get("spec")
        if isinstance(tree, dict):
            return _spec_in(tree, path)
    return began_with


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


def _fields(store: Store, sweep: str) -> dict[str, object]:
    path = layout.resolved(sweep)
    try:
        content = store.read(path)
    except NotFound:
        raise NotFound(f"no sweep {sweep!r} in {store.location}. `vae-search status` lists the sweeps.") from None
    return from_json_bytes(content, where=path)


def _spec_in(tree: dict[str, object], path: str) -> "SweepSpec":
    from vae_search.spec.sweep_spec import SweepSpec

    try:
        return SweepSpec.from_json(tree)
    except InvalidSpec as error:
        raise CorruptStore(f"{path}: holds no valid spec: {error.problems[0]}. Restore it from a copy.") from error


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
