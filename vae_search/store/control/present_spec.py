"""Present spec of a sweep: what its last driver began with, and what has been set since.

One log orders all settings. A driver's lease says how many commands were in the spec that it began with, so that a
driver that is killed, and started again with the spec that its sweep was submitted with, goes on with what was set.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vae_search.errors import CorruptStore, InvalidSpec
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import Store
from vae_search.store.backends.json_records import from_json_bytes
from vae_search.store.control.command_log import CommandLog
from vae_search.store.control.commands import fold
from vae_search.store.leases.records import newest_lease
from vae_search.store.paths import SweepPaths
from vae_search.store.sweeps import sweep_record
from vae_search.store.sweeps.spec_in_record import spec_in
from vae_search.store.sweeps.sweep_record import StoredRecord

if TYPE_CHECKING:
    from vae_search.spec.sweep_spec import SweepSpec

LIVE_KEYS = ("budget.trials", "budget.minutes", "resources.concurrency")
"""keys of a spec that may change while a driver is at work"""


@dataclass(frozen=True, slots=True, kw_only=True)
class BegunSpec:
    """Spec that a driver begins, or began, with."""

    spec: "SweepSpec"
    asked: "SweepSpec"
    """what the driver was started with; `spec` differs from it by what had been set before"""
    commands: int
    """number of the last command that is in `spec`"""

    def to_record(self) -> dict[str, object]:
        """Fields of a lease."""
        return {"spec": self.spec.to_json(), "asked": self.asked.to_json(), "commands": self.commands}


def with_settings(spec: "SweepSpec", settings: Mapping[str, int | float | str | None]) -> "SweepSpec":
    """The spec with other values of live keys.

    Raises:
        InvalidSpec: A value is none that the key may have.
    """
    from vae_search.spec.sweep_spec import SweepSpec

    if not settings:
        return spec
    tree = spec.to_json()
    for key, value in settings.items():
        section, _, name = key.partition(".")
        tree[section][name] = value
    return SweepSpec.from_json(tree)


def live_values(spec: "SweepSpec") -> dict[str, Any]:
    """The values of the live keys."""
    return {
        "budget.trials": spec.budget.trials,
        "budget.minutes": spec.budget.minutes,
        "resources.concurrency": spec.resources.concurrency,
    }


def present_spec(store: Store, record: StoredRecord, *, until: int | None = None) -> "SweepSpec":
    """The spec that the sweep is run with now, or will be.

    Args:
        until: number of the last command that counts; None: all do.

    Raises:
        CorruptStore: A record is damaged.
    """
    return _overlaid(store, record, last_begun(store, record), until=until)[0]


def read_present_spec(store: Store, sweep: str) -> "SweepSpec":
    """Read the present spec of a sweep; errors as for `present_spec`.

    Raises:
        NotFound: There is no such sweep.
    """
    return present_spec(store, sweep_record.read_stored(store, sweep))


def begun_with(store: Store, record: StoredRecord | None, asked: "SweepSpec") -> BegunSpec:
    """The spec that the next driver of a sweep begins with.

    Of the live keys, those that somebody has changed in what the driver is asked to run are as asked; what he has left
    as it was before is as it was set while the sweep ran.

    Args:
        record: of the sweep; None if it has none yet.
        asked: what the driver is started with.

    Raises:
        CorruptStore: A record is damaged.
        InvalidSpec: What was set does not go with what is asked.
    """
    if record is None:
        return BegunSpec(spec=asked, asked=asked, commands=0)
    began = last_begun(store, record)
    present, commands = _overlaid(store, record, began)
    before, wanted, now = (live_values(spec) for spec in (began.asked, asked, present))
    kept = {key: now[key] for key in LIVE_KEYS if wanted[key] == before[key] and wanted[key] != now[key]}
    return BegunSpec(spec=with_settings(asked, kept), asked=asked, commands=commands)


def last_begun(store: Store, record: StoredRecord) -> BegunSpec:
    """The spec that the last driver of a sweep began with; without one, that of its record.

    Raises:
        CorruptStore: A record is damaged.
    """
    for number in range(newest_lease(store, record.sweep), 0, -1):
        path = SweepPaths(record.sweep).lease(number)
        fields = from_json_bytes(store.read(path), where=path)
        if isinstance(tree := fields.get("spec"), dict):
            spec = spec_in(tree, path)
            asked, commands = fields.get("asked"), fields.get("commands")
            return BegunSpec(
                spec=spec,
                asked=spec_in(asked, path) if isinstance(asked, dict) and asked != tree else spec,
                commands=commands if isinstance(commands, int) else 0,
            )
    spec = record.checked().spec
    return BegunSpec(spec=spec, asked=spec, commands=0)


def trials_in_flight(store: Store, sweep: str) -> set[int]:
    """Trials that were issued and may have no row yet; confirm runs are none."""
    paths = store.list(SweepPaths(sweep).running)
    keys = {store_paths.running_key_of(path) for path in paths if store_paths.is_suggestion(path)}
    return {int(key) for key in keys if key is not None and key.isdecimal()}


def begun_trials(store: Store, sweep: str) -> set[int]:
    """Trials that were ever issued."""
    rows = store.list(SweepPaths(sweep).trials)
    ended = {number for path in rows if (number := store_paths.number_of(path)) is not None}
    return ended | {*store_paths.tombstones(rows)} | trials_in_flight(store, sweep)


def _overlaid(
    store: Store, record: StoredRecord, began: BegunSpec, *, until: int | None = None
) -> tuple["SweepSpec", int]:
    """The spec with what was set since, and the number of commands.

    A budget that was set counts no fewer trials than have begun: its driver may have begun some when it was set.
    """
    commands = CommandLog(store, record.sweep, incarnation=record.incarnation).commands()[:until]
    settings = dict(fold(commands, incarnation=record.incarnation, since=began.commands).settings)
    if isinstance(trials := settings.get("budget.trials"), int):
        settings["budget.trials"] = max(trials, 1 + max(begun_trials(store, record.sweep), default=-1))
    try:
        return with_settings(began.spec, settings), len(commands)
    except InvalidSpec as error:
        raise CorruptStore(
            f"holds a setting that the sweep cannot have: {error.problems[0]}",
            path=SweepPaths(record.sweep).control,
        ) from error
