"""Command log of one sweep: commands are added by anybody, and read by the sweep's driver."""

import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from vae_search.store.backends.base import Store
from vae_search.store.control.commands import CommandAction, SweepCommand, SweepControl, fold, given_before
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
        """Add a command behind those that are there; its number, or that of the same one which is there already.

        Raises:
            Conflict: Its idempotency key was used for another one.
        """
        while True:
            count = len(self._log.records())
            if command.idempotency_key is not None and (earlier := given_before(self.commands(), command)):
                return earlier
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


def find_config(
    store: Store, sweep: str, params: Mapping[str, int | float | str], *, actor: str | None, idempotency_key: str
) -> int | None:
    """Find the `ENQUEUE` that was given with this key: its number, or None.

    Raises:
        NotFound: There is no such sweep.
        Conflict: The key was used for another command.
    """
    incarnation = sweep_record.read_stored(store, sweep).incarnation
    again = SweepCommand(
        action=CommandAction.ENQUEUE,
        at=datetime.now(UTC),
        nonce="",
        actor=actor,
        incarnation=incarnation,
        idempotency_key=idempotency_key,
        params=params,
    )
    return given_before(CommandLog(store, sweep, incarnation=incarnation).commands(), again)
