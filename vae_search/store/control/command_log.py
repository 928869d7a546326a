"""Command log of one sweep: commands are added by anybody, and read by the sweep's driver.

It lies in a folder of the sweep's incarnation, so that whoever adds to it while the sweep is removed, and begun anew
under its name, neither commands the new one nor leaves a hole in its log. Sweeps that got commands before there were
such folders, or that have no incarnation, keep the folder that every sweep of the name had.
"""

import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from vae_search.errors import Conflict, CorruptStore, StoreUnavailable
from vae_search.store.backends.base import Store
from vae_search.store.backends.json_records import from_json_bytes
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
        self._store = store
        self._paths = SweepPaths(sweep)
        self._incarnation = incarnation
        self._log: ChainedLog | None = None  # until there is one
        self._commands: list[SweepCommand] = []

    def commands(self) -> tuple[SweepCommand, ...]:
        """All commands in their order; in a folder of older versions also those to other incarnations.

        Raises:
            CorruptStore: One is damaged, or of a kind that this program does not know.
        """
        log = self._log = self._log or self._find_log()
        if log is None:
            return ()
        records = log.records()
        for number, record in enumerate(records[len(self._commands) :], start=len(self._commands) + 1):
            self._commands.append(SweepCommand.from_record(record, where=log.path(number)))
        return tuple(self._commands)

    def control(self, *, since: int = 0) -> SweepControl:
        """Fold the commands; arguments as for `fold`, errors as for `commands`."""
        return fold(self.commands(), incarnation=self._incarnation, since=since)

    def add(self, command: SweepCommand) -> int:
        """Add a command behind those that are there; its number, or that of the same one which is there already.

        Raises:
            Conflict: Its idempotency key was used for another one.
        """
        log = self._log = self._log or self._find_log() or ChainedLog(self._store, self._own_folder)
        while True:
            count = len(log.records())
            if command.idempotency_key is not None and (earlier := given_before(self.commands(), command)):
                return earlier
            if log.append(command.to_record(), after=count):
                return count + 1

    @property
    def _own_folder(self) -> str:
        return self._paths.commands(self._incarnation)

    def _find_log(self) -> ChainedLog | None:
        """The sweep's log, if it has any."""
        present, former = self._store.list(self._paths.control), f"{self._paths.commands(None)}/"
        if any(path.startswith(f"{self._own_folder}/") for path in present):
            return ChainedLog(self._store, self._own_folder)
        before = [path for path in present if path.startswith(former)]
        if not before:
            return None
        contents = zip(before, self._store.read_many(before), strict=True)
        is_own = any(content is not None and self._may_be_own(content, where=path) for path, content in contents)
        return ChainedLog(self._store, self._paths.commands(None) if is_own else self._own_folder)

    def _may_be_own(self, content: bytes, *, where: str) -> bool:
        """True for a command to this sweep, and for a damaged one, which is then told."""
        try:
            return from_json_bytes(content, where=where).get("incarnation") == self._incarnation
        except CorruptStore:
            return True


def command(
    store: Store,
    sweep: str,
    action: CommandAction,
    *,
    incarnation: str | None,
    actor: str | None,
    now: Callable[[], datetime],
    **what: object,
) -> int:
    """Give a sweep a command; `what` are further fields of a `SweepCommand`. Its number, once it is durable.

    Args:
        incarnation: of the sweep that the caller has looked at and means.

    Raises:
        NotFound: There is no such sweep any more.
        Conflict: It was removed meanwhile, and another has its name; the command is for nobody.
    """
    given = SweepCommand(
        action=action,
        at=now(),
        nonce=secrets.token_hex(16),
        actor=actor,
        incarnation=incarnation,
        **what,  # type: ignore[arg-type]
    )
    number = CommandLog(store, sweep, incarnation=incarnation).add(given)
    try:
        present = sweep_record.read_stored(store, sweep).incarnation
    except StoreUnavailable:  # the command is durable, and who repeats it would give it twice
        return number
    if present != incarnation:
        raise Conflict(
            f"sweep {sweep}: was removed while it was given a command, and another one has its name now; that one was "
            "told nothing.\nLook at it, and give the command again if you mean it."
        )
    return number


def find_config(
    store: Store,
    sweep: str,
    params: Mapping[str, int | float | str],
    *,
    incarnation: str | None,
    actor: str | None,
    idempotency_key: str,
) -> int | None:
    """Find the `ENQUEUE` that was given to this incarnation of a sweep with this key: its number, or None.

    Raises:
        Conflict: The key was used for another command.
    """
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
