"""Access to a store: everything that commands ask of one, whether it lies here or a service has it.

Answers are payloads (`services/payloads`), so that both show the same.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from vae_search.registry.state import ModelState
    from vae_search.services.payloads import Facts
    from vae_search.spec.hyperparameters import ParamValue
    from vae_search.spec.sweep_spec import SweepSpec
    from vae_search.store.queries.query_result import QueryResult

Event = tuple[str, dict[str, Any]]
"""`progress` with `progress_facts`, or `trial` with `landed_facts`"""


class StoreAccess(Protocol):
    """Questions and orders; each raises the errors of `vae_search/errors.py` that its service function does."""

    def statuses(self) -> "Facts":
        """All sweeps (`items`, of `sweep_facts`), `troubles` of those that cannot be shown, and `remarks`."""

    def status(self, sweep: str, *, details: bool = False) -> "Facts":
        """One sweep, of `sweep_facts`; with `details` also `detail_facts`."""

    def latest_spec(self, sweep: str) -> "SweepSpec":
        """The spec that the sweep is run with now, or will be."""

    def best(
        self, sweep: str, *, count: int | None, by: str, every_state: bool, pareto: bool, where: str | None
    ) -> "Facts":
        """A ranking, of `best_facts`; all of it if `count` is None."""

    def query(self, sql: str, *, sweep: str | None, timeout_s: float | None) -> "QueryResult":
        """The answer to a SELECT; without `timeout_s` the usual limit holds."""

    def logs(self, sweep: str, *, trial: int | None) -> Iterator[str]:
        """The logs of a sweep in pieces, lines with their ends."""

    def events(self, sweep: str) -> Iterator[Event]:
        """Progress of a sweep and the runs that end, until nobody runs it any more."""

    def stop(self, sweep: str) -> "Facts | None":
        """Ask a sweep's driver to stop; the item of the queue that is held for it, if it is in one."""

    def models(self) -> "Facts":
        """All models (`items`, of `model_facts`), and `troubles` of those whose log is damaged."""

    def model(self, model: str) -> "ModelState":
        """A model with its history."""

    def promote(self, sweep: str, *, model: str | None) -> "Facts":
        """Let a sweep's finalists ask to become champion; a decision, of `decision_facts`."""

    def judge(self, model: str, version: int | None, *, approved: bool, why: str) -> "Facts":
        """Approve or reject a version that waits, None meaning the only one; see `services.models.approval`."""

    def enqueue(self, sweep: str, params: "Mapping[str, ParamValue]") -> "Facts":
        """Have a config tried next; the number of the `command`, and whether a driver is at work (`driven`)."""

    def stop_trial(self, sweep: str, trial: int) -> "Facts":
        """Let a trial end as it stands; what is answered is as for `enqueue`."""

    def change(self, sweep: str, settings: "Mapping[str, ParamValue]") -> "Facts":
        """Change settings of a sweep; what is answered is as for `enqueue`."""

    def roll_back(self, model: str, *, to: int | None, why: str) -> int:
        """Make an older version champion again; its number."""
