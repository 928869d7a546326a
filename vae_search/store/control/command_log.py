"""Command log of one sweep: commands are added by anybody, and read by the sweep's driver."""

import secrets
from collections.abc import Callable
from datetime import datetime

from vae_search.store.backends.base import Store
from vae_search.store.control.commands import CommandAction, SweepCommand, SweepControl, fold
from vae_search.store.logs.chained_log import ChainedLog
from vae_search.store.paths import SweepPaths
from vae_search.store.sweeps import sweep_record


class CommandLog:
    """The commands to one sweep, each read once.

    Args:
        incarnation: of the sweep.
    """

    def __init__(self, store: Store, sweep: str, *, incarnation: str | None) -> None:
        self._log = ChainedLog(store, SweepPaths(sweep).commands)
        self._incarnation = incarnation
        self._commands: list[SweepCommand] = []

    def commands(self) -> tuple[SweepCommand, ...]:
        """All commands in their order, those to other incarnations included.

        Raises:
            CorruptStore: One is damaged, or of a kind that this program does not know.
        """
        records = self._log.records()
        for number, record in enumerate(records[len(self._commands) :], start=len(self._commands) + 1):
            self._commands.append(SweepCommand.from_record(record, where=self._log.path(number)))
        return tuple(self._commands)

    def control(self, *, since: int = 0) -> SweepControl:
        """Fold the commands; arguments as for `fold`, errors as for `commands`."""
        return fold(self.commands(), incarnation=self._incarnation, since=since)

    def add(self, command: SweepCommand) -> int:
        """Add a command behind those that are there; its number."""
        while True:
            count = len(self._log.records())
            if self._log.append(command.to_record(), after=count):
                return count + 1


def command(
    store: Store,
    sweep: str,
    action: CommandAction,
    *,
    actor: str | None,
    now: Callable[[], datetime],
    **what: object,
) -> int:
    """Give a sweep a command; `what` are further fields of a `SweepCommand`. Its number, once it is durable.

    Raises:
        NotFound: There is no such sweep.
    """
    incarnation = sweep_record.read_stored(store, sweep).incarnation
    given = SweepCommand(
        action=action,
        at=now(),
        nonce=secrets.token_hex(16),
        actor=actor,
        incarnation=incarnation,
        **what,  # type: ignore[arg-type]
    )
    return CommandLog(store, sweep, incarnation=incarnation).add(given)
