"""Report of a sweep: read it once, write one page. Loads neither Ray nor TensorFlow."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from vae_search.errors import CorruptStore, NotFound
from vae_search.exports.output_files import check_output, write_output
from vae_search.registry.log import Entry
from vae_search.registry.promotion.evidence import content_sha256
from vae_search.registry.state import ModelState, Version
from vae_search.registry.version_files import read_version
from vae_search.reports.facts import Pictures, ReportData, thinned
from vae_search.reports.page import PICTURES, render
from vae_search.reports.plots_search import MAX_CURVES
from vae_search.search.pruning import rung_epochs
from vae_search.services import sweep_status
from vae_search.services.models import champions
from vae_search.store.backends.base import Store
from vae_search.store.ledger.confirm_runs import by_trial
from vae_search.store.ledger.trials import Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenReport:
    """The file, and what had to be left out of it."""

    path: Path
    damaged: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Origin:
    """The sweep that candidates came from: this one, and not a removed one that had its name.

    Args:
        incarnation: None in old records.
        candidates: digests of its finalists as they are now.
    """

    sweep: str
    incarnation: str | None
    candidates: frozenset[str]

    def holds(self, of: Entry | Version) -> bool:
        """True if an entry or a version is about a candidate of this sweep; by name where no more is known."""
        if (of.candidate or "").rpartition("/")[0] != self.sweep:
            return False
        if None in (of.incarnation, self.incarnation) or of.incarnation == self.incarnation:
            return True
        return of.candidate_sha256 in self.candidates  # the same sweep was run again, to the bit


def report(store: Store, sweep: str, *, output: Path, now: datetime) -> WrittenReport:
    """Write what is known of a sweep, running or not, as one self-contained HTML file.

    Args:
        now: UTC; the page says when it was made.

    Raises:
        InvalidSpec: The output cannot be written to.
        NotFound: There is no such sweep.
        CorruptStore: Its record is damaged; damaged rows are no reason, they are named on the page.
    """
    check_output(output)
    found = findings(store, sweep, now=now)
    return WrittenReport(path=write_output(output, render(found).encode()), damaged=found.damaged)


def findings(
    store: Store,
    sweep: str,
    *,
    now: datetime,
    status: sweep_status.SweepStatus | None = None,
    in_brief: bool = False,
) -> ReportData:
    """Everything that the report is about; errors as for `report`.

    Args:
        status: of the sweep, if it has been read already.
        in_brief: without importances and pictures, and with the curves only of trials that a plot would draw.
    """
    status = status or sweep_status.status(store, sweep)
    ledger = Ledger(store, sweep)
    trials = ledger.read()
    rows = trials.rows
    curves = ledger.curves(thinned(rows, MAX_CURVES) if in_brief else rows)
    damaged = [*trials.damaged, *curves.damaged, *status.damaged_finalists]
    origin = _Origin(
        sweep=sweep,
        incarnation=status.incarnation,
        candidates=frozenset(
            content_sha256(runs)
            for rows in (status.confirm_rows, (*status.confirm_rows, *status.continued_rows))
            for runs in by_trial(rows).values()
        ),
    )
    scored_by: Literal["objective", "neg_elbo"] = "neg_elbo" if status.spec.objective.pareto else "objective"
    rungs = rung_epochs(status.spec.pruning, budget_epochs=status.spec.budget.epochs)
    found = None
    if not in_brief:
        from vae_search.search.study.importances import importances  # loads Optuna

        found = importances(
            status.spec.search_space, rows, curves.by_trial, by=scored_by, rungs=rungs, bound=status.spec.bound
        )
    model = _model(store, status.spec.promote.model, damaged) if status.spec.promote else None
    return ReportData(
        spec=status.spec,
        state=status.state,
        at=now,
        rows=rows,
        curves=curves.by_trial,
        confirm_rows=status.confirm_rows,
        continued_rows=status.continued_rows,
        images=status.images,
        rungs=rungs,
        in_flight=status.in_flight,
        set_aside=trials.set_aside,
        importances={} if found is None else found.shares,
        importances_epoch=None if found is None else found.epoch,
        entries=tuple(entry for entry in model.entries if origin.holds(entry)) if model else (),
        pictures=_pictures(store, model, origin, damaged) if model and not in_brief else None,
        damaged=tuple(damaged),
    )


def _model(store: Store, name: str, damaged: list[str]) -> ModelState | None:
    """The model that the sweep names; None if it does not exist yet, or if its log is damaged."""
    try:
        return champions.model_state(store, name)
    except NotFound:
        return None
    except CorruptStore as error:
        damaged.append(error.path or str(error))
        return None


def _pictures(store: Store, model: ModelState, origin: _Origin, damaged: list[str]) -> Pictures | None:
    """Pictures that the champion drew, if it came from this sweep."""
    version = model.versions.get(model.champion or 0)
    if version is None or not origin.holds(version):
        return None
    try:
        files = read_version(store, model.model, version.number, sha256=version.manifest_sha256)
    except CorruptStore as error:
        damaged.append(error.path or str(error))
        return None
    pictures = {name: files[name] for name in PICTURES if name in files}
    return Pictures(version=f"{model.model}:{version.number}", files=pictures) if pictures else None
