"""Named tokens with roles: only their hashes are kept, in a file that nobody but its owner may read.

A token has 256 random bits, so its SHA-256 cannot be turned back and needs no salt; it is shown once.
"""

import fcntl
import hashlib
import hmac
import json
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from vae_search.core.references import NAME_LAW, NAME_PATTERN
from vae_search.core.settings import read_private
from vae_search.core.text import printable, shown
from vae_search.errors import Conflict, InvalidSpec, NotFound, VaeSearchError

PREFIX = "vaes_"  # lets a scanner of source code find a token that was left there
TOKEN_BYTES = 32


class Role(StrEnum):
    """Rights of a person; each role has those of the ones before it."""

    VIEWER = "viewer"  # reads everything that the store holds
    SUBMITTER = "submitter"  # submits sweeps, and controls his own
    APPROVER = "approver"  # controls all sweeps, and says which model is champion

    def reaches(self, other: "Role") -> bool:
        """True if it has the rights of `other`."""
        order = [*Role]
        return order.index(self) >= order.index(other)


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Holder of a token."""

    name: str
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRecord:
    """One token in the file."""

    name: str
    role: Role
    sha256: str
    created_at: str
    """UTC, ISO 8601"""


class TokenFile:
    """The tokens of a service. A change by another process holds from the next request on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # One value, so that no thread pairs old tokens with the mark of a newer file.
        self._kept: tuple[tuple[int, ...], tuple[TokenRecord, ...]] | None = None

    def create(self, name: str, role: Role, *, now: datetime) -> str:
        """Make a token; it is returned once and cannot be found out later.

        Raises:
            InvalidSpec: The name is none.
            Conflict: There is a token of this name.
            VaeSearchError: The file cannot be used.
        """
        if not re.fullmatch(NAME_PATTERN, name):
            raise InvalidSpec(f"token {shown(name)}: a name {NAME_LAW}.")
        token = PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
        record = TokenRecord(name=name, role=role, sha256=_sha256(token), created_at=now.isoformat(timespec="seconds"))
        with self._locked():
            records = self._read() if self.path.exists() else ()
            if any(each.name == name for each in records):
                raise Conflict(f"token {name}: is there already. Revoke it first, or give another name.")
            self._write((*records, record))
        return token

    def revoke(self, name: str) -> None:
        """Make a token useless from now on.

        Raises:
            NotFound: There is none of this name.
            VaeSearchError: The file cannot be used.
        """
        with self._locked():
            records = self._read()
            kept = tuple(each for each in records if each.name != name)
            if len(kept) == len(records):
                raise NotFound(f"{self.path}: there is no token {shown(name)}.")
            self._write(kept)

    def records(self) -> tuple[TokenRecord, ...]:
        """All tokens, read anew only if the file has changed.

        Raises:
            NotFound: There is no such file.
            VaeSearchError: It is damaged, or others may read it.
        """
        try:
            facts = self.path.stat()
        except OSError as error:
            raise NotFound(
                f"{self.path}: cannot be read: {error.strerror}. `vae-search token create` makes the file."
            ) from error
        seen = (facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino, facts.st_mode, facts.st_size)
        kept = self._kept
        if kept is None or kept[0] != seen:
            kept = self._kept = (seen, self._read())
        return kept[1]

    def person(self, token: str) -> Person | None:
        """Holder of a token; None if nobody has it. Takes the same time whichever it is.

        Raises:
            VaeSearchError: As for `records`.
        """
        digest, found = _sha256(token), None
        for record in self.records():
            if hmac.compare_digest(record.sha256, digest):
                found = record
        return None if found is None else Person(name=found.name, role=found.role)

    def _read(self) -> tuple[TokenRecord, ...]:
        content = read_private(self.path)
        try:
            return tuple(_record(each) for each in json.loads(content)["tokens"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise VaeSearchError(
                f"{self.path}: damaged: {printable(str(error), 200)}.\n"
                "Restore it from a copy, or remove it and make new tokens."
            ) from error

    def _write(self, records: tuple[TokenRecord, ...]) -> None:
        text = json.dumps({"tokens": [asdict(each) for each in records]}, indent=1) + "\n"
        partial = self.path.with_name(f".{self.path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - of a descriptor
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self.path)
        finally:
            partial.unlink(missing_ok=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let one process at a time change the file."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path.with_name(f".{self.path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise VaeSearchError(f"{self.path}: cannot be written: {error.strerror}.") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        except OSError as error:
            raise VaeSearchError(f"{self.path}: cannot be written: {error.strerror}.") from error
        finally:
            os.close(descriptor)


def _record(fields: dict[str, str]) -> TokenRecord:
    record = TokenRecord(**{**fields, "role": Role(fields["role"])})  # type: ignore[arg-type]  # checked by Role
    if not all(isinstance(each, str) for each in (record.name, record.sha256)) or len(record.sha256) != 64:
        raise ValueError("a token has no name or no hash")
    return record


def _sha256(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
