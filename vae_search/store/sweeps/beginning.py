"""Beginning of a sweep: write its record, or make sure that the stored one is the same sweep's."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vae_search.errors import Conflict
from vae_search.spec.own_code.own_code import CodeIdentity
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import AlreadyThere, Store
from vae_search.store.backends.json_records import to_json_bytes
from vae_search.store.paths import SweepPaths
from vae_search.store.sweeps.folders import left_behind
from vae_search.store.sweeps.sweep_record import SweepRecord, find
from vae_search.version import VERSION

if TYPE_CHECKING:
    from vae_search.spec.sweep_spec import SweepSpec


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
    existing = find(store, name)
    if existing is not None:
        _check(existing, record)
        with suppress(AlreadyThere):  # else its writer died between the two files
            store.create(SweepPaths(name).spec, text.encode())
        return BegunSweep(record=existing, is_new=False)
    if must_exist:
        raise Conflict(f"sweep {name}: was removed while this driver started. `vae-search run` begins a new one.")
    check_nothing_left(store, name)
    content = to_json_bytes(
        {
            "spec": record.spec.to_json(),
            "fingerprint": record.fingerprint,
            "comparability_key": record.comparability_key,
            "versions": dict(record.versions),
            "pixels_key": record.pixels_key,
            "incarnation": record.incarnation,
            "images": None if record.images is None else record.images.to_json(),
            "metric_version": record.metric_version,
            "keys_judged_alike": [*record.keys_judged_alike],
        }
        | ({} if record.borrowing is None else {"borrowing": record.borrowing.to_json()})
        | ({} if record.warm_started is None else {"warm_started": record.warm_started.to_json()})
        | ({"code": {name: each.to_json() for name, each in record.code.items()}} if record.code else {})
        | ({} if record.plan is None else {"plan": dict(record.plan)})
    )
    try:
        store.create(SweepPaths(name).resolved, content)
    except AlreadyThere:  # by somebody without a lease, or by an earlier attempt of this call whose answer was lost
        return create_or_check(store, record, text=text)
    with suppress(AlreadyThere):  # never replaced: who slept since the line before may write into another sweep
        store.create(SweepPaths(name).spec, text.encode())
    return BegunSweep(record=record, is_new=True)


def check_nothing_left(store: Store, sweep: str) -> None:
    """Refuse to begin a sweep among the files of an earlier one.

    Raises:
        Conflict: There are some.
    """
    if left := left_behind(store, sweep):
        raise Conflict(
            f"sweep {sweep}: its folder holds what is left of an earlier one ({len(left)} files, such as {left[0]}), "
            f"but no record of it.\nRemove it for good with `vae-search rm {sweep}`, restore {store_paths.RESOLVED} "
            "from a copy, or give the spec another name."
        )


def check_same(existing: SweepRecord, spec: "SweepSpec") -> None:
    """Refuse to continue a sweep with a spec that would make another sweep of it.

    Raises:
        Conflict: With one line per difference.
    """
    from vae_search.spec.sweep_spec import identity_changes

    changes = identity_changes(existing.spec, spec)
    if changes:
        raise Conflict(
            f"sweep {spec.name}: the store holds a sweep of this name that began with other settings, and keeps these "
            f"to its end:\n{'; '.join(changes)}\nChange them back, or give the spec another name."
        )


def check_code(existing: SweepRecord, code: Mapping[str, CodeIdentity]) -> None:
    """Refuse to continue a sweep with other code of a family or network that is not ours.

    Raises:
        Conflict: With what has changed.
    """
    for name, began_with in existing.code.items():
        changes = began_with.changes(code[name]) if name in code else []
        if changes:
            raise Conflict(
                f"sweep {existing.spec.name}: the code of {name} has changed since the sweep began: "
                f"{'; '.join(changes[:3])}.\nBring it back, or give the spec another name."
            )


def check_metric(existing: SweepRecord, metric_version: int) -> None:
    """Refuse to continue a sweep whose trials were ranked by another version of the metric.

    Raises:
        Conflict: Saying what to do instead.
    """
    name, began_with = existing.spec.name, existing.versions.get("vae-search")
    program = f"vae-search {began_with}" if began_with not in (None, VERSION) else "the version that began it"
    if existing.metric_version != metric_version:
        raise Conflict(
            f"sweep {name}: its trials were measured by version {existing.metric_version} of the metric, and this "
            f"program measures by version {metric_version}: in one ranking they would not be comparable.\n"
            f"Give the spec another name to search anew, or continue this one with {program}. "
            "What it has found stays as it is, and can be read, compared and used."
        )


def _check(existing: SweepRecord, record: SweepRecord) -> None:
    check_same(existing, record.spec)
    check_metric(existing, record.metric_version)
    check_code(existing, record.code)
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
