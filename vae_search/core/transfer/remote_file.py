"""Protocol of a file on a server that can be read in spans of bytes, whatever the server speaks."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from typing import Protocol, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """Identity of a file's content, as far as its server tells: two equal ones mean the same bytes."""

    etag: str | None
    last_modified: str | None
    size_bytes: int | None

    @property
    def can_be_compared(self) -> bool:
        """True if the server gives a word by which a change is noticed."""
        return self.etag is not None or self.last_modified is not None

    @property
    def can_be_pieced(self) -> bool:
        """True if spans of several replies can be put together: a weak ETag admits other bytes."""
        if self.size_bytes is None or not self.can_be_compared:
            return False
        return self.etag is None or not self.etag.startswith("W/")

    def to_json(self) -> dict[str, object]:
        """The fields, for a record."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: object) -> Self:
        """Read what `to_json` gave.

        Raises:
            ValueError: It is something else.
        """
        if not isinstance(record, dict) or set(record) != {"etag", "last_modified", "size_bytes"}:
            raise ValueError("must be a version")
        return cls(**record)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """Answer with bytes of a file.

    Args:
        start: position in the file of the first byte that comes.
        is_span: only the span comes that was asked for; else the whole file.
        chunks: the bytes, as they come. It ends early if the connection does.
    """

    version: Version
    start: int
    is_span: bool
    chunks: Iterator[bytes]


class RemoteFile(Protocol):
    """One file on a server."""

    address: str

    def get(self, span: tuple[int, int] | None, *, unless: Version | None) -> AbstractContextManager[Reply]:
        """Ask for the bytes from the first to before the second position, or for all.

        Args:
            unless: the version that is at hand; nothing comes if the file still is the same.

        Raises:
            Unchanged: It still is the version `unless`.
            OutOfRange: The file ends before the span begins.
            RemoteFailure: No bytes come.
        """


class Unchanged(Exception):
    """The server's file is the one that is at hand."""


class OutOfRange(Exception):
    """The server's file is shorter than the span that was asked for."""


class RemoteFailure(Exception):
    """A request that gave no bytes, or not all of them; the text is the reason.

    Args:
        passing: the same request may succeed a little later: no answer, a cut, a server in trouble.
        absent: the server says that there is no such file.
        advice: what to do, if anything is known.
    """

    def __init__(self, reason: str, *, passing: bool = False, absent: bool = False, advice: str | None = None) -> None:
        super().__init__(reason)
        self.passing = passing
        self.absent = absent
        self.advice = advice
