"""Whether a sweep's files are what the invariants say, and setting aside those that are not."""

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from vae_search.errors import CorruptStore, NotFound
from vae_search.store import layout, sweeps
from vae_search.store.bundles import read_bundle
from vae_search.store.commit import AlreadyThere, Store
from vae_search.store.json_files import from_json_bytes, to_json_bytes
from vae_search.store.lease_records import newest_lease, read_holder
from vae_search.store.rows import TrialRow, trial_from_parquet
from vae_search.store.sealed import check_seal


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something in the store that should not be so.

    Args:
        damaged: information is lost or wrong; else it is a leftover that the next driver or `gc` removes.
    """

    path: str
    problem: str
    damaged: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What `inspect` found in one sweep."""

    sweep: str
    rows: int
    curves: int
    artifacts: int
    set_aside: tuple[int, ...]
    """trials whose rows were damaged and are set aside; their numbers stay used"""
    findings: tuple[Finding, ...]

    @property
    def damaged(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.damaged)


def inspect(store: Store, sweep: str) -> Inspection:
    """Check every file of a sweep: seals, hashes, what refers to what, and the numbers of leases.

    Raises:
        NotFound: There is no such sweep.
    """
    paths = store.list(layout.sweep(sweep))
    if layout.resolved(sweep) not in paths:
        sweeps.read(store, sweep)  # says what is wrong
    rows, findings = _read_rows(store, sweep, paths)
    findings += _record_findings(store, sweep, rows)
    findings += _lease_findings(store, sweep, rows)
    findings += _curve_findings(store, sweep, paths, rows)
    findings += _artifact_findings(store, sweep, paths, rows)
    findings += _copy_findings(store, sweep, paths)
    findings += _running_findings(store, sweep, paths, rows)
    curves = [path for path in paths if layout.table_of(path) == "epochs"]
    return Inspection(
        sweep=sweep,
        rows=len(rows),
        curves=len(curves),
        artifacts=len(_artifacts(paths)),
        set_aside=tuple(sorted({*layout.tombstones(paths)} - {*rows})),
        findings=tuple(sorted(findings, key=lambda finding: finding.path)),
    )


def set_aside(store: Store, sweep: str, finding: Finding, *, lease: int) -> bool:
    """Move a damaged file out of the way; a row leaves a tombstone, so that its number is never used again.

    May be interrupted and called again. The caller holds the sweep's lease.

    Returns:
        Whether there was a way to do it; records of sweeps and leases need a copy.
    """
    folder = layout.sweep(sweep)
    part = finding.path.removeprefix(f"{folder}/").split("/")[0]
    if part not in ("trials", "epochs", "artifacts", "running"):
        return False
    if part == "trials":
        number = layout.number_of(finding.path)
        if number is not None:
            record = to_json_bytes({"trial": number, "lease": lease, "problem": finding.problem})
            with suppress(AlreadyThere):
                store.create(layout.tombstone(sweep, number), record)
    for path in [finding.path] if part != "artifacts" else store.list(finding.path.rsplit("/", 1)[0]):
        try:
            store.replace(layout.set_aside(sweep, path), store.read(path))
        except NotFound:
            continue
        store.remove(path)
    return True


def _read_rows(store: Store, sweep: str, paths: list[str]) -> tuple[dict[int, TrialRow], list[Finding]]:
    rows, findings = {}, []
    for path in paths:
        if layout.table_of(path) != "trials":
            continue
        try:
            row = trial_from_parquet(store.read(path), path=path)
            if path != layout.trial(sweep, row.trial) or row.sweep != sweep:
                raise CorruptStore(f"{path}: holds the row of {row.sweep}/{row.trial}.")
        except CorruptStore as error:
            findings.append(_damage(path, error))
            continue
        rows[row.trial] = row
    return rows, findings


def _record_findings(store: Store, sweep: str, rows: dict[int, TrialRow]) -> Iterator[Finding]:
    try:
        record = sweeps.read(store, sweep)
    except CorruptStore as error:
        yield _damage(layout.resolved(sweep), error)
        return
    if any(row.spec_sha256 != record.spec.sha256 for row in rows.values()):
        problem = "its spec is not the one that the rows were made with"
        yield Finding(path=layout.resolved(sweep), problem=problem, damaged=True)
    for row in rows.values():
        path = layout.trial(sweep, row.trial)
        if row.comparability_key != record.comparability_key:
            yield Finding(path=path, problem="was scored on another task than its sweep", damaged=True)
        for problem in record.spec.search_space.problems(row.params)[:1]:
            yield Finding(path=path, problem=f"does not fit the search space: {problem}", damaged=True)


def _lease_findings(store: Store, sweep: str, rows: dict[int, TrialRow]) -> Iterator[Finding]:
    newest = newest_lease(store, sweep)
    for number in range(1, newest + 1):
        try:
            read_holder(store, sweep, number)
        except (CorruptStore, NotFound) as error:
            yield _damage(layout.lease(sweep, number), error)
    for row in rows.values():
        if not 1 <= row.lease <= newest:
            problem = f"was written under lease {row.lease}, but there are leases 1 to {newest}"
            yield Finding(path=layout.trial(sweep, row.trial), problem=problem, damaged=True)


def _curve_findings(store: Store, sweep: str, paths: list[str], rows: dict[int, TrialRow]) -> Iterator[Finding]:
    present = {path for path in paths if layout.table_of(path) == "epochs"}
    for row in rows.values():
        path = layout.trial_epochs(sweep, row.trial)
        if path not in present:
            yield Finding(path=path, problem="is missing, but its trial has a row", damaged=True)
            continue
        content = store.read(path)
        try:
            check_seal(content, path=path)
        except CorruptStore as error:
            yield _damage(path, error)
            continue
        if hashlib.sha256(content).hexdigest() != row.epochs_sha256:
            yield Finding(path=path, problem="is not the learning curve that belongs to the row", damaged=True)
    for path in sorted(present - {layout.trial_epochs(sweep, number) for number in rows}):
        yield Finding(path=path, problem="belongs to no row", damaged=False)


def _artifact_findings(store: Store, sweep: str, paths: list[str], rows: dict[int, TrialRow]) -> Iterator[Finding]:
    behind = _behind(store, sweep, rows)
    for number in _artifacts(paths):
        folder = layout.artifact(sweep, number)
        if number in behind and layout.manifest(folder) not in paths:
            problem = "left behind by a driver that died while it removed it: the trial is no longer among the best"
            yield Finding(path=folder, problem=problem, damaged=False)
            continue
        expected = rows[number].artifact_sha256 if number in rows else None
        if expected is None:
            yield Finding(path=folder, problem="belongs to no row", damaged=False)
            continue
        try:
            if read_bundle(store, folder).sha256 != expected:
                yield Finding(
                    path=layout.manifest(folder), problem="is not the artifact that belongs to the row", damaged=True
                )
        except (CorruptStore, NotFound) as error:
            yield _damage(layout.manifest(folder), error)


def _behind(store: Store, sweep: str, rows: dict[int, TrialRow]) -> set[int]:
    """The COMPLETE trials that are not among those whose artifacts are kept."""
    try:
        keep = sweeps.latest_spec(store, sweep).keep
    except (CorruptStore, NotFound):  # which is a finding of its own
        return set()
    ranking = sorted((row.objective, row.trial) for row in rows.values() if row.objective is not None)
    return {trial for _, trial in ranking[keep:]}


def _copy_findings(store: Store, sweep: str, paths: list[str]) -> Iterator[Finding]:
    for path in paths:
        if path.startswith(f"{layout.compact(sweep)}/"):
            try:
                check_seal(store.read(path), path=path)
            except CorruptStore:
                yield Finding(path=path, problem="a derived copy that is damaged; readers pass it over", damaged=False)


def _running_findings(store: Store, sweep: str, paths: list[str], rows: dict[int, TrialRow]) -> Iterator[Finding]:
    folder = layout.running(sweep)
    for path in paths:
        if not path.startswith(f"{folder}/") or not path.endswith("/suggestion.json"):
            continue
        number = int(path.split("/")[-2][:6])
        if number in rows:
            yield Finding(path=path, problem="its trial has a row: left behind by a driver that died", damaged=False)
            continue
        try:
            from_json_bytes(store.read(path), where=path)
        except CorruptStore as error:
            yield _damage(path, error)


def _artifacts(paths: list[str]) -> list[int]:
    return sorted({number for path in paths if (number := layout.artifact_of(path)) is not None})


def _damage(path: str, error: Exception) -> Finding:
    sentence = str(error).removeprefix(f"{path}: ").removeprefix("damaged: ").splitlines()[0]
    return Finding(path=path, problem=sentence.removesuffix(" Restore it from a copy."), damaged=True)
