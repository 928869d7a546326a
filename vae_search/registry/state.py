"""State of a model: its versions and its champion. A pure fold over the log's entries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from vae_search.errors import Conflict, CorruptStore, InvalidSpec, NotFound
from vae_search.registry import model_paths
from vae_search.registry.log import Action, Entry

CHAMPION, CHALLENGER = "champion", "challenger"


REQUIRED = "required"
CROWNING = (Action.PROMOTE, Action.APPROVE)  # the version is champion from such an entry on


class Status(StrEnum):
    """Of a version."""

    RESERVED = "reserved"  # it has a number; whether it has all its files, only they tell
    WAITING = "waiting"  # it has passed gates and contest, and waits for somebody's approval
    PROMOTED = "promoted"  # it is or was champion
    GIVEN_UP = "given up"  # its candidate was refused in the end, or promoted under another number
    RETIRED = "retired"


OPEN = (Status.RESERVED, Status.WAITING)  # it may still become champion for the first time


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version number and what became of it."""

    number: int
    status: Status
    candidate: str
    candidate_sha256: str
    manifest_sha256: str | None
    """of its files; None if it neither waits for approval nor was ever promoted"""
    incarnation: str | None = None
    """of the candidate's sweep; None if not known"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Place of a contest among those of one champion.

    Args:
        number: of all its contests, counted from 1.
        step: one more than the earlier contests in which the candidate looked better; these alone use up the level.
    """

    number: int = 1
    step: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Version that waits for approval, with the verdicts that it waits on.

    Args:
        number: of the entry in the log.
        holds: whether the champion of its contest is the present one; else it needs another contest.
    """

    version: Version
    number: int
    entry: Entry
    holds: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelState:
    """A model after all of its entries.

    Args:
        champions: the versions that were made champion, the present one last; a rollback takes from the end.
        needs_approval: whether a candidate that passes waits until somebody approves it, whatever its own spec says.
        said: the entry by which somebody approved or rejected a candidate, by the candidate's content.
    """

    model: str
    entries: tuple[Entry, ...]
    versions: dict[int, Version]
    champions: tuple[int, ...]
    needs_approval: bool = False
    said: Mapping[str, Entry] = field(default_factory=dict)

    @property
    def champion(self) -> int | None:
        """The version that the alias `champion` means."""
        return self.champions[-1] if self.champions else None

    @property
    def challenger(self) -> int | None:
        """The version that the alias `challenger` means: the newest whose fate is open, with files or not."""
        return max((v.number for v in self.versions.values() if v.status in OPEN), default=None)

    @property
    def waiting(self) -> tuple[Waiting, ...]:
        """The versions that wait for approval, the oldest first."""
        found: dict[int, Waiting] = {}
        for number, entry in enumerate(self.entries, start=1):
            version = self.versions.get(entry.version or 0)
            if entry.action is Action.WAIT and version is not None and version.status is Status.WAITING:
                holds = entry.champion == self.champion
                found[version.number] = Waiting(version=version, number=number, entry=entry, holds=holds)
        return tuple(found[number] for number in sorted(found))

    def promoted_as(self, candidate_sha256: str) -> int | None:
        """The version under which a candidate was promoted, if it ever was."""
        for entry in self.entries:
            if entry.action in CROWNING and entry.candidate_sha256 == candidate_sha256:
                return entry.version
        return None

    def judgement(self, version: int) -> Entry | None:
        """The last entry with the verdicts on a version's candidate."""
        of = self.versions[version]
        judged = (e for e in reversed(self.entries) if e.judged and e.candidate_sha256 == of.candidate_sha256)
        return next(judged, None)

    def rejection(self, candidate_sha256: str, rules_sha256: str) -> Entry | None:
        """The entry by which a candidate was refused under the same rules and against the present champion."""
        for entry in reversed(self.entries):
            asked = (entry.candidate_sha256, entry.rules_sha256, entry.champion)
            if entry.action is Action.REJECT and asked == (candidate_sha256, rules_sha256, self.champion):
                return entry
        return None

    def turn_of(self, candidate_sha256: str) -> Turn:
        """Turn of a candidate in the present champion's contests: the next one, or its own if it had one.

        Whoever asks again with the same runs looks at nothing new; with an added seed, or from another sweep, does. A
        champion that is back after a rollback goes on counting where it was.
        """
        earlier = self._contests()
        for place, entry in enumerate(earlier):
            if entry.candidate_sha256 == candidate_sha256:
                earlier = earlier[:place]
        return Turn(number=len(earlier) + 1, step=sum(entry.led for entry in earlier) + 1)

    @property
    def contests(self) -> int:
        """Contests that the present champion has had."""
        return len(self._contests())

    def _contests(self) -> list[Entry]:
        """The entries on contests with the present champion, the first of each candidate by its content."""
        found: dict[str | None, Entry] = {}
        for entry in self.entries:
            if entry.contested and entry.champion == self.champion:
                found.setdefault(entry.candidate_sha256, entry)
        return list(found.values())

    def versions_of(self, candidate_sha256: str) -> list[Version]:
        """The numbers that a candidate has had, the newest first."""
        found = [version for version in self.versions.values() if version.candidate_sha256 == candidate_sha256]
        return sorted(found, key=lambda version: -version.number)

    def waiting_version(self, number: int | None) -> Waiting:
        """A version that waits for approval.

        Args:
            number: None means the only one that waits.

        Raises:
            NotFound: There is no such version, or none waits.
            InvalidSpec: Several wait, and none was named.
            Conflict: It does not wait.
        """
        waiting = {each.version.number: each for each in self.waiting}
        if number is None and len(waiting) == 1:
            return next(iter(waiting.values()))
        if number is None:
            if not waiting:
                raise NotFound(f"model {self.model}: no version waits for approval.")
            raise InvalidSpec(
                f"model {self.model}: versions {', '.join(map(str, waiting))} wait for approval. Say which is meant."
            )
        version = self.versions.get(number)
        if version is None:
            raise NotFound(f"model {self.model}: version {number} does not exist.")
        if number not in waiting:
            said = self.said.get(version.candidate_sha256)
            by = "" if said is None else f", since {said.actor or 'somebody'} said so ({'; '.join(said.reasons)})"
            what = "has no verdict yet" if version.status is Status.RESERVED else f"is {version.status}"
            raise Conflict(f"model {self.model}: version {number} does not wait for approval: it {what}{by}.")
        return waiting[number]

    def loadable(self, number: int) -> Version:
        """A version whose files are whole by the log: it was promoted, or waits for approval.

        Raises:
            NotFound: There is none of this number.
        """
        version = self.versions.get(number)
        return version if version is not None and version.status is Status.WAITING else self.promoted(number)

    def promoted(self, number: int) -> Version:
        """A version that has been promoted and was not retired.

        Raises:
            NotFound: There is none of this number.
        """
        version = self.versions.get(number)
        if version is None or version.status is not Status.PROMOTED:
            what = "does not exist" if version is None else f"is {version.status}"
            usable = [str(v.number) for v in self.versions.values() if v.status is Status.PROMOTED]
            raise NotFound(
                f"model {self.model}: version {number} {what}. "
                + (f"Versions that can be used: {', '.join(usable)}." if usable else "It has no version yet.")
            )
        return version


def fold(model: str, entries: Sequence[Entry]) -> ModelState:
    """The state after `entries`.

    Raises:
        CorruptStore: They contradict each other.
    """
    versions: dict[int, Version] = {}
    champions: list[int] = []
    said: dict[str, Entry] = {}
    tried_against: dict[int, int | None] = {}  # by waiting version: the champion of its last contest
    needs_approval = False
    for number, entry in enumerate(entries, start=1):
        where = model_paths.model_entry(model, number)
        needs_approval = needs_approval or entry.approval == REQUIRED
        if entry.action is Action.REGISTER:
            _must(entry.version == len(versions) + 1 and bool(entry.candidate and entry.candidate_sha256), where)
            versions[len(versions) + 1] = Version(
                number=len(versions) + 1,
                status=Status.RESERVED,
                candidate=entry.candidate or "",
                candidate_sha256=entry.candidate_sha256 or "",
                manifest_sha256=None,
                incarnation=entry.incarnation,
            )
            continue
        version = versions.get(entry.version or 0)
        if version is None and (entry.version is not None or entry.action is not Action.REJECT):
            raise CorruptStore(f"speaks of version {entry.version}, which was never registered.", path=where)
        champion = champions[-1] if champions else None
        if entry.action in (Action.PROMOTE, Action.WAIT, Action.APPROVE, Action.REJECT):
            _must(version is None or version.status in OPEN, where)
            _give_up(versions, entry.candidate_sha256)
        if version is None:
            continue
        if entry.action is Action.PROMOTE:
            _must(entry.champion == champion and not needs_approval, where)
            versions[version.number] = replace(version, status=Status.PROMOTED, manifest_sha256=entry.manifest_sha256)
            champions.append(version.number)
        elif entry.action is Action.WAIT:
            _must(entry.champion == champion and entry.judged and entry.manifest_sha256 is not None, where)
            versions[version.number] = replace(version, status=Status.WAITING, manifest_sha256=entry.manifest_sha256)
            tried_against[version.number] = champion
        elif entry.action is Action.APPROVE:
            # Nobody becomes champion by a contest against another one than the present.
            _must(version.status is Status.WAITING and entry.champion == champion, where)
            _must(tried_against[version.number] == champion, where)
            versions[version.number] = replace(version, status=Status.PROMOTED)
            champions.append(version.number)
            said[version.candidate_sha256] = entry
        elif entry.action is Action.REJECT and version.status is Status.WAITING and not entry.verdicts:
            said[version.candidate_sha256] = entry
        elif entry.action is Action.ROLLBACK:
            _must(version.status is Status.PROMOTED, where)
            # Back to a place in the row of champions, or on to a version that an earlier rollback took out of it.
            kept = champions.index(version.number) if version.number in champions else len(champions)
            champions = [*champions[:kept], version.number]
        elif entry.action is Action.RETIRE:
            _must(version.status is Status.PROMOTED and version.number not in champions[-1:], where)
            versions[version.number] = replace(version, status=Status.RETIRED)
            champions = [champion for champion in champions if champion != version.number]
    return ModelState(
        model=model,
        entries=tuple(entries),
        versions=versions,
        champions=tuple(champions),
        needs_approval=needs_approval,
        said=said,
    )


def _give_up(versions: dict[int, Version], candidate_sha256: str | None) -> None:
    """With a verdict on its candidate, no other number of it is open any longer."""
    for number, version in versions.items():
        if version.candidate_sha256 == candidate_sha256 and version.status in OPEN:
            versions[number] = replace(version, status=Status.GIVEN_UP, manifest_sha256=None)


def _must(holds: bool, where: str) -> None:
    if not holds:
        raise CorruptStore("contradicts the entries before it.", path=where, advice="Restore the log from a copy.")
