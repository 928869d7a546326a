"""Integrity check of a model's log and versions."""

from dataclasses import dataclass

from vae_search.core.references import NAME_LAW
from vae_search.errors import CorruptStore
from vae_search.registry import model_paths
from vae_search.registry.log import ModelLog
from vae_search.registry.serving import serving_findings
from vae_search.registry.state import Status, fold
from vae_search.registry.version_files import TEST_FILE, problems
from vae_search.store.backends.base import Store
from vae_search.store.maintenance.findings import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInspection:
    """Result of `inspect_model`.

    Args:
        entries: of the log.
        versions: that were promoted, retired ones included, or wait for approval.
    """

    model: str
    entries: int
    versions: int
    champion: int | None
    findings: tuple[Finding, ...]

    @property
    def damaged(self) -> tuple[Finding, ...]:
        """Findings that are damage; the others are leftovers."""
        return tuple(finding for finding in self.findings if finding.damaged)


def foreign_folder(path: str) -> ModelInspection:
    """Inspect a folder beside the models that cannot be a model's: nothing in it is looked at."""
    finding = Finding(path=path, problem=f"is no model's folder: a name {NAME_LAW}", damaged=False)
    name = path.rpartition("/")[2]
    return ModelInspection(model=name, entries=0, versions=0, champion=None, findings=(finding,))


def inspect_model(store: Store, model: str) -> ModelInspection:
    """Check the chain of a model's log, every byte of its promoted and waiting versions, and what is served.

    Raises:
        NotFound: No model can have this name.
    """
    try:
        state = fold(model, ModelLog(store, model).entries())
    except CorruptStore as error:
        problem = error.problem if error.advice is None else f"{error.problem} {error.advice}"
        finding = Finding(path=error.path or model_paths.versions(model), problem=problem.splitlines()[0], damaged=True)
        return ModelInspection(model=model, entries=0, versions=0, champion=None, findings=(finding,))
    findings = []
    promoted = [of for of in state.versions.values() if of.manifest_sha256 is not None]
    for of in promoted:
        found = problems(store, model, of.number, sha256=of.manifest_sha256 or "")
        findings += [Finding(path=path, problem=problem, damaged=True) for path, problem in found.items()]
    present = {
        number
        for path in store.list(model_paths.versions(model))
        # `gc` leaves the score on the test images of a refused candidate.
        if (number := model_paths.version_of(path)) and not path.endswith(f"/{TEST_FILE}")
    }
    for number in sorted(present - {of.number for of in promoted}):
        folder, known = model_paths.version(model, number), state.versions.get(number)
        if known is None:
            findings.append(Finding(path=folder, problem="has no entry in the log, whose end is missing", damaged=True))
        elif known.status is Status.GIVEN_UP:
            findings.append(Finding(path=folder, problem="was never promoted", damaged=False))
        else:
            findings.append(Finding(path=folder, problem="waits for its promotion, or was left behind", damaged=False))
    findings += serving_findings(store, model, state)
    return ModelInspection(
        model=model,
        entries=len(state.entries),
        versions=len(promoted),
        champion=state.champion,
        findings=tuple(findings),
    )
