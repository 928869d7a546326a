"""Access to a store that this process reads and writes itself."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from vae_search.access.interface import Event
from vae_search.core.machine import system_user
from vae_search.core.settings import QUERY_TIMEOUT_S, cache_folder
from vae_search.services import queries, sweep_status
from vae_search.services.browsing.sweep_facts import progress_facts, sweep_facts
from vae_search.services.payloads import Facts, best_facts, decision_facts, landed_facts, model_facts
from vae_search.spec.measures.pareto import pareto_criteria
from vae_search.store.backends.base import Store
from vae_search.store.control.present_spec import read_present_spec
from vae_search.store.ledger.logs import log_lines
from vae_search.store.queries.live_progress import ProgressFollower

if TYPE_CHECKING:
    from vae_search.registry.state import ModelState
    from vae_search.spec.hyperparameters import ParamValue
    from vae_search.spec.sweep_spec import SweepSpec
    from vae_search.store.queries.query_result import QueryResult

LOOK_S = 2.0  # between two looks at a sweep that is watched


class DirectAccess:
    """A store, asked by the functions of `services`.

    Args:
        sleep: waits between two looks at a sweep.
        monotonic: clock that a driver's silence is measured by.
    """

    def __init__(
        self,
        store: Store,
        *,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._sleep = sleep
        self._monotonic = monotonic

    def statuses(self) -> Facts:
        """Read the status of all sweeps."""
        found = sweep_status.statuses(self._store)
        items = [sweep_facts(status) for status in found.sweeps]
        return {"items": items, "troubles": list(found.troubles), "remarks": list(found.remarks)}

    def status(self, sweep: str, *, details: bool = False) -> Facts:
        """Read the status of one sweep."""
        from vae_search.services.control.standing import detail_facts

        facts = sweep_facts(sweep_status.status(self._store, sweep))
        return facts | (detail_facts(self._store, sweep) if details else {})

    def latest_spec(self, sweep: str) -> "SweepSpec":
        """Read the spec of a sweep."""
        return read_present_spec(self._store, sweep)

    def best(
        self, sweep: str, *, count: int | None, by: str, every_state: bool, pareto: bool, where: str | None
    ) -> Facts:
        """Rank a sweep's trials."""
        if pareto:
            return best_facts(queries.pareto(self._store, sweep, count=count, where=where))
        return best_facts(queries.best(self._store, sweep, count=count, by=by, every_state=every_state, where=where))

    def query(self, sql: str, *, sweep: str | None, timeout_s: float | None) -> "QueryResult":
        """Answer a SELECT."""
        limit_s = QUERY_TIMEOUT_S if timeout_s is None else timeout_s
        return queries.query(self._store, sql, sweep=sweep, timeout_s=limit_s)

    def logs(self, sweep: str, *, trial: int | None) -> Iterator[str]:
        """Read a sweep's logs, a line at a time."""
        return (f"{line}\n" for line in log_lines(self._store, sweep, trial=trial))

    def events(self, sweep: str) -> Iterator[Event]:
        """Look at a sweep from time to time; a driver that is silent for long counts as gone."""
        spec = read_present_spec(self._store, sweep)
        following = ProgressFollower(self._store, sweep, pareto_criteria(spec), monotonic=self._monotonic)
        yield "progress", progress_facts(following, spec)
        while True:
            update = following.look()
            for row in update.landed:
                yield "trial", landed_facts(row)
            facts = progress_facts(following, spec, update)
            yield "progress", facts
            if not facts["runs"]:
                return
            self._sleep(LOOK_S)

    def stop(self, sweep: str) -> Facts | None:
        """Ask a sweep's driver to stop, as this system's user."""
        from vae_search.queue.sweep_queue import SweepQueue
        from vae_search.services.queue import orders

        return orders.stop(self._store, SweepQueue(self._store, now=_now), sweep, actor=system_user())

    def models(self) -> Facts:
        """Read the logs of all models."""
        from vae_search.services.models import champions

        states, troubles = champions.model_states(self._store)
        return {"items": [model_facts(state) for state in states], "troubles": troubles}

    def model(self, model: str) -> "ModelState":
        """Read one model's log."""
        from vae_search.services.models import champions

        return champions.model_state(self._store, model)

    def promote(self, sweep: str, *, model: str | None) -> Facts:
        """Judge a sweep's finalists, as this system's user."""
        from vae_search.services.models import champions

        decision = champions.promote(self._store, sweep, model=model, cache=cache_folder(), actor=system_user())
        return decision_facts(decision)

    def judge(self, model: str, version: int | None, *, approved: bool, why: str) -> Facts:
        """Approve or reject a version that waits, as this system's user."""
        from vae_search.services.models import approval

        word = approval.approve if approved else approval.reject
        return asdict(word(self._store, model, version, why=why, actor=system_user()))

    def enqueue(self, sweep: str, params: "Mapping[str, ParamValue]") -> Facts:
        """Have a config tried next, as this system's user."""
        from vae_search.services.control import commands

        number = commands.enqueue_config(self._store, sweep, params, actor=system_user(), now=_now)
        return self._commanded(sweep, number)

    def stop_trial(self, sweep: str, trial: int) -> Facts:
        """Let a trial end as it stands, as this system's user."""
        from vae_search.services.control import commands

        return self._commanded(sweep, commands.stop_trial(self._store, sweep, trial, actor=system_user(), now=_now))

    def change(self, sweep: str, settings: "Mapping[str, ParamValue]") -> Facts:
        """Change settings of a sweep, as this system's user."""
        from vae_search.services.control import commands

        number = commands.change_settings(self._store, sweep, settings, actor=system_user(), now=_now)
        return self._commanded(sweep, number)

    def _commanded(self, sweep: str, number: int) -> Facts:
        from vae_search.services.control.commands import is_driven

        return {"command": number, "driven": is_driven(self._store, sweep)}

    def roll_back(self, model: str, *, to: int | None, why: str) -> int:
        """Make an older version champion again, as this system's user."""
        from vae_search.services.models import champions

        return champions.roll_back(self._store, model, to=to, why=why, actor=system_user())


def _now() -> datetime:
    return datetime.now(UTC)
