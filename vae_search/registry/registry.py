"""The registry of one model: what may be added to its log, and what its names mean."""

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from vae_search.errors import Conflict, InvalidSpec, NotFound
from vae_search.registry.log import Action, Entry, ModelLog
from vae_search.registry.serving import publish_champion
from vae_search.registry.state import CHALLENGER, CHAMPION, ModelState, Version, Waiting, fold
from vae_search.registry.version_files import read_version
from vae_search.store.backends.base import Store

_ADDRESS = re.compile(r"(?P<model>[^@:]+)(?:@(?P<alias>[a-z]+)|:(?P<version>[1-9]\d{0,8}))?")


class Registry:
    """One model's log, read and added to. Any number of processes may do so at once.

    An entry is added only if the log is still as it was when the entry was decided on; whoever comes too late reads on
    and decides again. One of them always succeeds, so nobody has to count his tries.

    Args:
        actor: who gives the orders that are entered; None for a sweep's driver.
    """

    def __init__(
        self,
        store: Store,
        model: str,
        *,
        now: Callable[[], datetime],
        actor: str | None = None,
        nonce: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        self.model = model
        self._store = store
        self._log = ModelLog(store, model)
        self._now = now
        self._actor = actor
        self._nonce = nonce

    def state(self) -> ModelState:
        """The model as its log has it now; a model without a log has no versions.

        Raises:
            CorruptStore: The log is damaged.
        """
        return fold(self.model, self._log.entries())

    def add(self, action: Action, *, seen: ModelState, **what: object) -> bool:
        """Add an entry that was decided on at `seen`; `what` are further fields of an `Entry`.

        Returns:
            False if the log has grown since.
        """
        entry = Entry(
            action=action,
            at=self._now(),
            nonce=self._nonce(),
            champion=seen.champion,
            actor=self._actor,
            **what,  # type: ignore[arg-type]
        )
        fold(self.model, (*seen.entries, entry))  # an entry that contradicts the log must not get into it
        return self._log.append(entry, after=len(seen.entries))

    def roll_back(self, to: int | None = None, *, why: str) -> int:
        """Make an older version the champion again.

        Args:
            to: that version; None means the champion before the present one. Naming the champion changes nothing.

        Returns:
            The champion.

        Raises:
            NotFound: There is no such version, or none before.
            Conflict: None was named, and the champion has changed meanwhile.
            CorruptStore: Its files are damaged.
            StoreUnavailable: It is champion or not, which the message says, and is not served yet.
        """
        seen: ModelState | None = None
        while True:
            state = self.state()
            seen = seen or state
            if to is None and state.champion != seen.champion:
                raise Conflict(
                    f"model {self.model}: version {state.champion} has become champion in this moment; nothing was "
                    "rolled back. Look again, and name the version: `--to`."
                )
            if to is None and len(state.champions) < 2:
                raise NotFound(f"model {self.model}: there is no champion before the present one to go back to.")
            target = state.promoted(state.champions[-2] if to is None else to)
            read_version(self._store, self.model, target.number, sha256=target.manifest_sha256)
            if target.number == state.champion or self.add(
                Action.ROLLBACK, seen=state, version=target.number, reasons=(why,)
            ):
                publish_champion(self._store, self.model, self.state)
                return target.number

    def approve(self, number: int | None = None, *, why: str, entry: int | None = None) -> int:
        """Make a version that waits the champion. Of several who decide at once, the log puts one first.

        Args:
            number: of the version; None means the only one that waits.
            entry: number of the entry whose verdicts were looked at; None: whichever the version waits on.

        Returns:
            The version, which is champion now. Approving it again changes nothing.

        Raises:
            NotFound: There is no such version, or none waits.
            InvalidSpec: Several wait, and none was named.
            Conflict: It does not wait, or on other verdicts, or the champion is another than in its contest.
            CorruptStore: Its files are damaged.
            StoreUnavailable: It is champion or not, which the message says, and is not served yet.
        """
        while True:
            state = self.state()
            if number is not None and number == state.champion and _approved(state, number):
                publish_champion(self._store, self.model, self.state)
                return number
            waiting = state.waiting_version(number)
            number = waiting.version.number
            if not waiting.holds:
                raise Conflict(outdated_contest(self.model, waiting, champion=state.champion))
            self._check_seen(waiting, entry)
            read_version(self._store, self.model, number, sha256=waiting.version.manifest_sha256)
            about = _about(waiting.version)
            manifest_sha256 = waiting.version.manifest_sha256
            if self.add(Action.APPROVE, seen=state, manifest_sha256=manifest_sha256, reasons=(why,), **about):
                publish_champion(self._store, self.model, self.state)
                return number

    def reject(self, number: int | None = None, *, why: str, entry: int | None = None) -> int:
        """Refuse a version that waits; the champion stays. Its candidate, with the same runs, cannot ask again.

        Args:
            number, entry: as for `approve`.

        Returns:
            The version. Rejecting it again changes nothing.

        Raises:
            NotFound: There is no such version, or none waits.
            InvalidSpec: Several wait, and none was named.
            Conflict: It does not wait, or on other verdicts.
        """
        while True:
            state = self.state()
            if number is not None and _rejected(state, number):
                return number
            waiting = state.waiting_version(number)
            number = waiting.version.number
            self._check_seen(waiting, entry)
            if self.add(Action.REJECT, seen=state, reasons=(why,), **_about(waiting.version)):
                return number

    def _check_seen(self, waiting: Waiting, entry: int | None) -> None:
        if entry not in (None, waiting.number):
            raise Conflict(
                f"model {self.model}: version {waiting.version.number} waits on entry {waiting.number} of the log, not "
                f"on entry {entry}. Look at its verdicts again."
            )


def outdated_contest(model: str, waiting: Waiting, *, champion: int | None) -> str:
    """Reason why a version that waits cannot be approved: its contest was against another champion; in two lines."""
    sweep = waiting.version.candidate.partition("/")[0]
    against = waiting.entry.champion
    met = "no champion" if against is None else f"version {against}"
    return (
        f"model {model}: version {waiting.version.number} met {met} in its contest, but version {champion} is champion "
        f"now.\nAsk for a new contest: `vae-search promote {sweep} --model {model}`, or reject it."
    )


def _about(version: Version) -> dict[str, object]:
    return {
        "version": version.number,
        "candidate": version.candidate,
        "candidate_sha256": version.candidate_sha256,
        "incarnation": version.incarnation,
    }


def _approved(state: ModelState, number: int) -> bool:
    said = state.said.get(state.versions[number].candidate_sha256)
    return said is not None and said.action is Action.APPROVE and said.version == number


def _rejected(state: ModelState, number: int) -> bool:
    version = state.versions.get(number)
    said = None if version is None else state.said.get(version.candidate_sha256)
    return said is not None and said.action is Action.REJECT and said.version == number


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAddress:
    """Reference to a version of a model, resolved."""

    model: str
    alias: str = CHAMPION
    version: int | None = None
    """if given, the alias does not count"""

    @classmethod
    def parse(cls, text: str) -> "ModelAddress":
        """`fashion` or `fashion@champion`, `fashion@challenger`, `fashion:3`.

        Raises:
            InvalidSpec: It is none of these.
        """
        found = _ADDRESS.fullmatch(text)
        if found is None or found["alias"] not in (None, CHAMPION, CHALLENGER):
            raise InvalidSpec(
                f"{text[:80]!r}: a model is written NAME, NAME@{CHAMPION}, NAME@{CHALLENGER} or NAME:VERSION, such as "
                "fashion:3."
            )
        version = int(found["version"]) if found["version"] else None
        return cls(model=found["model"], alias=found["alias"] or CHAMPION, version=version)

    def resolve(self, state: ModelState) -> int:
        """The number of the version that is meant.

        Raises:
            NotFound: There is none.
        """
        if not state.entries:
            raise NotFound(f"no model {self.model!r}. `vae-search models` lists the models.")
        if self.version is not None:
            return state.loadable(self.version).number
        number = state.champion if self.alias == CHAMPION else state.challenger
        if number is None:
            raise NotFound(f"model {self.model}: it has no {self.alias}.")
        return number
