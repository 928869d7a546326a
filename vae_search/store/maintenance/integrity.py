"""Integrity of a sweep's files: check them against the invariants."""

import hashlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress

from vae_search.core.trial_state import State
from vae_search.errors import Conflict, CorruptStore, NotFound
from vae_search.spec.measures.pareto import pareto_criteria
from vae_search.spec.search_space import SearchSpace
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import Store
from vae_search.store.backends.file_sets import read_file_set
from vae_search.store.backends.json_records import from_json_bytes, from_sealed_json
from vae_search.store.leases.records import newest_lease, read_holder
from vae_search.store.ledger.checkpoints import PAUSE_FILE
from vae_search.store.ledger.checksums import check_seal
from vae_search.store.ledger.compaction import usable_trials
from vae_search.store.ledger.confirm_runs import ConfirmRow, finalist_from_parquet
from vae_search.store.ledger.rows import TrialRow, trial_from_parquet
from vae_search.store.maintenance.borrowed_files import borrowed_findings
from vae_search.store.maintenance.command_files import command_findings
from vae_search.store.maintenance.findings import Finding, Inspection
from vae_search.store.paths import SweepPaths
from vae_search.store.queries.ranking import best_first
from vae_search.store.sweeps import sweep_record
from vae_search.store.sweeps.identity import identity_of


def inspect(store: Store, sweep: str) -> Inspection:
    """Check every file of a sweep: seals, hashes, what refers to what, and the numbers of leases.

    Raises:
        NotFound: There is no such sweep.
    """
    paths = store.list(SweepPaths(sweep).folder)
    if SweepPaths(sweep).resolved not in paths:
        sweep_record.read(store, sweep)  # says what is wrong
    with suppress(CorruptStore):  # which is a finding of its own
        if (name := sweep_record.other_name(store, sweep)) is not None:
            return _inspect_renamed(store, sweep, name, paths)
    rows, findings = _read_rows(store, sweep, paths)
    confirmed, of_finalists = _read_finalists(store, sweep, paths)
    all_rows = {store_paths.trial_key(number): row for number, row in rows.items()} | confirmed
    findings += [*of_finalists, *command_findings(store, sweep, paths)]
    findings += _record_findings(store, sweep, all_rows)
    findings += _lease_findings(store, sweep, all_rows)
    lost = _lost_rows(paths, all_rows)
    findings += _curve_findings(store, sweep, paths, rows, lost=lost)
    findings += _artifact_findings(store, sweep, paths, all_rows, lost=lost)
    findings += [*_copy_findings(store, sweep, paths), *borrowed_findings(store, sweep, paths)]
    findings += _running_findings(store, sweep, paths, all_rows)
    curves = [path for path in paths if store_paths.table_of(path) == "epochs"]
    return Inspection(
        sweep=sweep,
        rows=len(rows),
        finalists=len(confirmed),
        curves=len(curves),
        artifacts=len(_artifacts(paths)),
        set_aside=tuple(sorted({*store_paths.tombstones(paths)} - {*rows})),
        findings=tuple(sorted(findings, key=lambda finding: finding.path)),
    )


def _inspect_renamed(store: Store, sweep: str, name: str, paths: list[str]) -> Inspection:
    """Inspect a folder that somebody renamed or copied: its files are sealed for their old places."""
    rows = [path for path in paths if store_paths.table_of(path) == "trials"]
    intact = 0
    for path, content in zip(rows, store.read_many(rows), strict=True):
        with suppress(CorruptStore):
            check_seal(content or b"", path=f"{store_paths.SWEEPS}/{name}{path.removeprefix(SweepPaths(sweep).folder)}")
            intact += 1
    problem = f"{sweep_record.renamed(name)} {intact} of its {len(rows)} rows are intact there."
    return Inspection(
        sweep=sweep,
        rows=intact,
        finalists=0,
        curves=0,
        artifacts=0,
        set_aside=(),
        findings=(Finding(path=SweepPaths(sweep).resolved, problem=problem, damaged=True),),
        renamed_from=name,
    )


def _read_rows(store: Store, sweep: str, paths: list[str]) -> tuple[dict[int, TrialRow], list[Finding]]:
    rows, findings = {}, []
    present = [path for path in paths if store_paths.table_of(path) == "trials"]
    for path, content in zip(present, store.read_many(present), strict=True):
        try:
            row = trial_from_parquet(content or b"", path=path)
            if path != SweepPaths(sweep).trial(row.trial) or row.sweep != sweep:
                raise CorruptStore(f"holds the row of {row.sweep}/{row.trial}.", path=path)
        except CorruptStore as error:
            findings.append(_damage(path, error))
            continue
        rows[row.trial] = row
    return rows, findings


def _read_finalists(store: Store, sweep: str, paths: list[str]) -> tuple[dict[str, ConfirmRow], list[Finding]]:
    rows, findings = {}, []
    for path in paths:
        if not path.startswith(f"{SweepPaths(sweep).finalists}/"):
            continue
        try:
            row = finalist_from_parquet(store.read(path), path=path)
            if path != SweepPaths(sweep).finalist(row.trial, row.confirm_seed) or row.sweep != sweep:
                raise CorruptStore(f"holds the row of {row.sweep}/{row.key}.", path=path)
        except CorruptStore as error:
            findings.append(_damage(path, error))
            continue
        rows[row.key] = row
    return rows, findings


def _path_of(row: TrialRow) -> str:
    folder = SweepPaths(row.sweep).finalists if isinstance(row, ConfirmRow) else SweepPaths(row.sweep).trials
    return f"{folder}/{row.key}.parquet"


def _record_findings(store: Store, sweep: str, rows: Mapping[str, TrialRow]) -> Iterator[Finding]:
    try:
        record = sweep_record.read(store, sweep)
    except CorruptStore as error:
        yield _damage(SweepPaths(sweep).resolved, error)
        return
    if any(row.spec_sha256 != record.spec.sha256 for row in rows.values()):
        problem = "its spec is not the one that the rows were made with"
        yield Finding(path=SweepPaths(sweep).resolved, problem=problem, damaged=True)
    identity = identity_of(store, sweep)
    for row in rows.values():
        path = _path_of(row)
        if identity and (foreign := identity.problem_of(row.incarnation)):
            yield Finding(path=path, problem=foreign, damaged=True)
        if row.comparability_key != record.comparability_key:
            yield Finding(path=path, problem="was scored on another task than its sweep", damaged=True)
        for problem in _problems(record.spec.search_space, row)[:1]:
            yield Finding(path=path, problem=f"does not fit the search space: {problem}", damaged=True)


def _problems(space: SearchSpace, row: TrialRow) -> list[str]:
    """Reasons why a row's parameters are no point of the space; a long confirm run may have a longer KL warm-up."""
    if not isinstance(row, ConfirmRow):
        return space.problems(row.params)
    params = {name: value for name, value in row.params.items() if name != "kl_warmup_epochs"}
    return space.problems(params, partial=True)


def _lease_findings(store: Store, sweep: str, rows: Mapping[str, TrialRow]) -> Iterator[Finding]:
    for number in range(1, (newest := newest_lease(store, sweep)) + 1):
        try:
            read_holder(store, sweep, number)
        except (CorruptStore, NotFound) as error:
            yield _damage(SweepPaths(sweep).lease(number), error)
    for row in rows.values():
        if not 1 <= row.lease <= newest:
            problem = f"was written under lease {row.lease}, but there are leases 1 to {newest}"
            yield Finding(path=_path_of(row), problem=problem, damaged=True)


def _curve_findings(
    store: Store, sweep: str, paths: list[str], rows: Mapping[int, TrialRow], *, lost: Collection[str]
) -> Iterator[Finding]:
    expected = {SweepPaths(sweep).trial_epochs(number): row for number, row in rows.items()}
    for (path, row), content in zip(expected.items(), store.read_many(expected), strict=True):
        if content is None:
            yield Finding(path=path, problem="is missing, but its trial has a row", damaged=True)
            continue
        try:
            check_seal(content, path=path)
        except CorruptStore as error:
            yield _damage(path, error)
            continue
        if hashlib.sha256(content).hexdigest() != row.epochs_sha256:
            yield Finding(path=path, problem="is not the learning curve that belongs to the row", damaged=True)
    for path in sorted({path for path in paths if store_paths.table_of(path) == "epochs"} - {*expected}):
        number = store_paths.number_of(path)
        if number is None or store_paths.trial_key(number) not in lost:
            yield Finding(path=path, problem="belongs to no row", damaged=False)


def _artifact_findings(
    store: Store, sweep: str, paths: list[str], rows: Mapping[str, TrialRow], *, lost: Collection[str]
) -> Iterator[Finding]:
    kept, behind = _artifacts(paths), _behind(store, sweep, rows)
    for key, row in rows.items():
        # A trial's weights go when it falls behind the best; those of a confirm run stay.
        if isinstance(row, ConfirmRow) and row.artifact_sha256 and key not in kept:
            yield Finding(
                path=store_paths.manifest(SweepPaths(sweep).artifact(key)), problem="is missing", damaged=True
            )
    for key in sorted({*kept}.difference(lost)):
        folder = SweepPaths(sweep).artifact(key)
        if key in behind:  # whole or, its manifest first, half removed
            problem = "its trial is not among the best any more: left behind by a driver that died"
            yield Finding(path=folder, problem=problem, damaged=False)
            continue
        expected = rows[key].artifact_sha256 if key in rows else None
        if expected is None:
            yield Finding(path=folder, problem="belongs to no row", damaged=False)
            continue
        try:
            if read_file_set(store, folder).sha256 != expected:
                yield Finding(
                    path=store_paths.manifest(folder),
                    problem="is not the artifact that belongs to the row",
                    damaged=True,
                )
        except (CorruptStore, NotFound) as error:
            yield _damage(store_paths.manifest(folder), error)


def _behind(store: Store, sweep: str, rows: Mapping[str, TrialRow]) -> set[str]:
    """The COMPLETE trials that are not among those whose artifacts are kept; confirm runs keep theirs."""
    try:
        spec = sweep_record.latest_spec(store, sweep)
    except (CorruptStore, NotFound):  # which is a finding of its own
        return set()
    trials = [row for row in rows.values() if not isinstance(row, ConfirmRow)]
    try:
        kept = {row.trial for row in best_first(trials, pareto_criteria(spec))[: spec.keep]}
    except Conflict:  # of rows with another comparability key: the same
        return set()
    complete = {row.trial for row in trials if row.state is State.COMPLETE}
    return {store_paths.trial_key(trial) for trial in complete - kept}


def _copy_findings(store: Store, sweep: str, paths: list[str]) -> Iterator[Finding]:
    copies = [path for path in paths if path.startswith(f"{SweepPaths(sweep).compact}/")]
    numbers = {store_paths.number_of(path) or 0 for path in paths if store_paths.table_of(path) == "trials"}
    size = usable_trials(store, sweep, numbers, identity_of(store, sweep)).size if copies else 0
    in_use = (SweepPaths(sweep).compact_trials(size), SweepPaths(sweep).compact_epochs(size)) if size else ()
    problem = "a derived copy that is damaged or out of date; readers pass it over"
    for path in set(copies).difference(in_use):
        yield Finding(path=path, problem=problem, damaged=False)


def _running_findings(store: Store, sweep: str, paths: list[str], rows: Mapping[str, TrialRow]) -> Iterator[Finding]:
    identity = identity_of(store, sweep)
    keys = {store_paths.running_key_of(path) for path in paths}
    for path in sorted(SweepPaths(sweep).run(key) for key in keys if key is not None and key in rows):
        yield Finding(path=path, problem="its run has a row: left behind by a driver that died", damaged=False)
    for path in paths:
        if not path.startswith(f"{SweepPaths(sweep).running}/") or store_paths.running_key_of(path) in rows:
            continue
        if path.endswith(f"/{PAUSE_FILE}"):
            try:
                from_sealed_json(store.read(path), where=path)
            except CorruptStore as error:  # its trial goes on from the checkpoint of its rung
                yield _damage(path, error)
        if not store_paths.is_suggestion(path):
            continue
        try:
            record = from_json_bytes(store.read(path), where=path)
        except CorruptStore as error:
            yield _damage(path, error)
            continue
        if identity and (problem := identity.problem_of(record.get("incarnation"))):
            yield Finding(path=path, problem=problem, damaged=True)


def _artifacts(paths: list[str]) -> list[str]:
    return sorted({key for path in paths if (key := store_paths.artifact_of(path)) is not None})


def _lost_rows(paths: list[str], rows: Collection[str]) -> set[str]:
    """Runs whose rows are damaged or set aside. What belongs to them is kept: the row may come back from a copy."""
    files = (store_paths.number_of(path) for path in paths if store_paths.table_of(path) == "trials")
    trials = {*store_paths.tombstones(paths), *(number for number in files if number is not None)}
    finalists = {key for path in paths if (key := store_paths.finalist_of(path)) is not None}
    return {*map(store_paths.trial_key, trials), *finalists}.difference(rows)


def _damage(path: str, error: CorruptStore | NotFound) -> Finding:
    """Describe damage in one line, without the advice that `verify` gives once for all files."""
    if isinstance(error, NotFound):
        return Finding(path=path, problem=str(error).removeprefix(f"{path}: ").splitlines()[0], damaged=True)
    at_path = error.path == path
    problem = error.problem.removeprefix("damaged: ") if at_path else f"{error.path}: {error.problem}"
    if error.advice not in (None, "Restore it from a copy."):
        problem += f" {error.advice}"
    return Finding(path=path, problem=problem.splitlines()[0], damaged=True)
