"""Record of a sweep: its spec, and everything that was resolved when it began, as it is stored and read.

The spec's classes are imported where one is read: they take a tenth of a second, and the best trials are shown without.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from vae_search.core.criteria import METRIC, Criteria
from vae_search.core.dataset_summary import DatasetSummary
from vae_search.core.text import printable
from vae_search.core.validation import InvalidValueError
from vae_search.errors import CorruptStore, NotFound
from vae_search.spec.own_code.own_code import CodeIdentity
from vae_search.spec.search_space_yaml import read_space
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import Store
from vae_search.store.backends.json_records import from_json_bytes
from vae_search.store.leases.records import newest_lease
from vae_search.store.paths import SweepPaths
from vae_search.store.sweeps.borrowing import Borrowing
from vae_search.store.sweeps.spec_in_record import spec_in
from vae_search.store.sweeps.warm_started import WarmStarted

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
    """of `data.comparability.pixels_key`; None as well in records from before there was any"""
    incarnation: str | None = None
    """random; tells the sweep from an earlier one of its name, which was removed. None in records of older versions"""
    images: DatasetSummary | None = None
    """as they were read when the sweep began; None in records from before they were kept"""
    metric_version: int = 1
    """of the scores, part of the key; records from before it was kept are of the first"""
    keys_judged_alike: tuple[str, ...] = ()
    """of the same task under earlier versions of the metric, whose bounds on judge images are the same measure"""
    borrowing: Borrowing | None = None
    """of a fork"""
    warm_started: WarmStarted | None = None
    """of a sweep that learned from earlier ones"""
    code: Mapping[str, CodeIdentity] = field(default_factory=dict)
    """of families and networks that are not ours, by architecture, and of metrics, by column"""
    plan: Mapping[str, object] | None = None
    """of a sweep that divides its time by itself: what was measured and decided when it began"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRecord:
    """Content of a sweep's record as it is stored, read once; its parts are checked when they are asked for."""

    sweep: str
    fields: Mapping[str, object]

    @property
    def incarnation(self) -> str | None:
        """Random name that this sweep got when it was made, which a later one of its name does not have.

        None in records from before there was any.
        """
        found = self.fields.get("incarnation")
        return found if isinstance(found, str) else None

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
    def criteria(self) -> Criteria | None:
        """Criteria of a Pareto sweep; None of another.

        Raises:
            CorruptStore: The record is damaged.
        """
        objective = self._spec_tree.get("objective")
        if not isinstance(objective, dict):
            raise CorruptStore("holds no valid objective.", path=self._path, advice="Restore it from a copy.")
        if not objective.get("pareto"):
            return None
        metrics = self._spec_tree.get("metrics")
        known = [each for each in metrics if isinstance(each, dict)] if isinstance(metrics, list) else []
        maximised = {f"{METRIC}{each.get('name')}" for each in known if each.get("better") == "higher"}
        names = tuple(objective["pareto"])
        return Criteria(
            names=names, prefer=objective.get("prefer", "neg_elbo"), maximised=frozenset(maximised.intersection(names))
        )

    @property
    def other_name(self) -> str | None:
        """Name in the record, if it is not that of the sweep's folder."""
        name = self._spec_tree.get("name")
        return name if isinstance(name, str) and name != self.sweep else None

    @property
    def images(self) -> DatasetSummary | None:
        """Images as they were read when the sweep began; None in records from before they were kept."""
        return DatasetSummary.from_json(self.fields.get("images"))

    @property
    def borrowing(self) -> Borrowing | None:
        """Trials of another sweep that this one's sampler knows; None if it is no fork."""
        return Borrowing.from_json(self.fields.get("borrowing"))

    @property
    def warm_started(self) -> WarmStarted | None:
        """Trials and configs that the sweep took from earlier ones when it began; None if it looked at none."""
        return WarmStarted.from_json(self.fields.get("warm_started"))

    @property
    def lenders(self) -> tuple[Borrowing, ...]:
        """All that lies in the sweep's folder of other sweeps' trials, those of a fork first."""
        own = () if self.borrowing is None else (self.borrowing,)
        return own if self.warm_started is None else (*own, *self.warm_started.borrowed)

    @property
    def plan(self) -> Mapping[str, object] | None:
        """Plan that the sweep began with, as plain data; None if it has none."""
        found = self.fields.get("plan")
        return found if isinstance(found, dict) else None

    @property
    def metric_version(self) -> int:
        """Version of the metric that the sweep was measured by; records from before it was kept are of the first."""
        found = self.fields.get("metric_version")
        return found if isinstance(found, int) else 1

    @property
    def bound(self) -> Literal["elbo", "iwae"]:
        """Bound that trials are ranked by; records from before there was a choice are ranked by the ELBO."""
        objective = self._spec_tree.get("objective")
        return "iwae" if isinstance(objective, dict) and objective.get("bound") == "iwae" else "elbo"

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
        pixels_key, alike = self.fields.get("pixels_key"), self.fields.get("keys_judged_alike")
        return SweepRecord(
            spec=spec_in(spec, self._path),
            fingerprint=fingerprint,
            comparability_key=key,
            versions=versions,
            pixels_key=pixels_key if isinstance(pixels_key, str) else None,
            incarnation=self.incarnation,
            images=self.images,
            metric_version=self.metric_version,
            keys_judged_alike=tuple(map(str, alike)) if isinstance(alike, list) else (),
            borrowing=self.borrowing,
            warm_started=self.warm_started,
            code=self._code,
            plan=self.plan,
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
                return spec_in(tree, path)
        return began_with

    @property
    def _path(self) -> str:
        return SweepPaths(self.sweep).resolved

    @property
    def _code(self) -> dict[str, CodeIdentity]:
        """Code of families, networks and metrics that are not ours; none in the records of other sweeps."""
        fields = self.fields.get("code")
        found = (
            {name: CodeIdentity.from_json(each) for name, each in fields.items()} if isinstance(fields, dict) else {}
        )
        return {name: each for name, each in found.items() if each is not None}

    @property
    def _spec_tree(self) -> Mapping[str, object]:
        """The spec as plain data; empty if there is none."""
        tree = self.fields.get("spec")
        return tree if isinstance(tree, dict) else {}


def read_stored(store: Store, sweep: str) -> StoredRecord:
    """Read the record of a sweep, once for all that is asked of it.

    Raises:
        NotFound: There is no such sweep.
        CorruptStore: Its record is no JSON object, or that of another sweep.
    """
    record = _stored(store, sweep)
    if record.other_name is not None:
        raise CorruptStore(renamed(record.other_name), path=SweepPaths(sweep).resolved)
    return record


def find_stored(store: Store, sweep: str) -> StoredRecord | None:
    """Read the record of a sweep; None if there is no such sweep. Else errors as for `read_stored`."""
    try:
        return read_stored(store, sweep)
    except NotFound:
        return None


def other_name(store: Store, sweep: str) -> str | None:
    """Name that a record gives its sweep, if its folder has another one: somebody renamed or copied it.

    Raises:
        NotFound: There is no such sweep.
        CorruptStore: Its record is no JSON object.
    """
    return _stored(store, sweep).other_name


def renamed(name: str) -> str:
    """Words for a folder that holds the record of another sweep: what is wrong, and what to do."""
    name = printable(name)
    return (
        f"this folder was renamed or copied: its record names sweep {name}. Move it back to "
        f"{store_paths.SWEEPS}/{name}, or remove it if that is there as well."
    )


def read(store: Store, sweep: str) -> SweepRecord:
    """Read and parse the record of a sweep; errors as for `read_stored` and `StoredRecord.checked`."""
    return read_stored(store, sweep).checked()


def find(store: Store, sweep: str) -> SweepRecord | None:
    """Read and parse the record of a sweep; None if there is no such sweep. Else errors as for `read`."""
    try:
        return read(store, sweep)
    except NotFound:
        return None


def latest_spec(store: Store, sweep: str) -> "SweepSpec":
    """Read the spec that the sweep's last driver ran it with.

    Raises:
        NotFound: There is no such sweep.
        CorruptStore: A record is damaged.
    """
    return read_stored(store, sweep).latest_spec(store)


def _stored(store: Store, sweep: str) -> StoredRecord:
    path = SweepPaths(sweep).resolved
    try:
        content = store.read(path)
    except NotFound:
        raise NotFound(f"no sweep {sweep!r} in {store.location}. `vae-search status` lists the sweeps.") from None
    return StoredRecord(sweep=sweep, fields=from_json_bytes(content, where=path))
