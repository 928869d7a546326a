"""Latent traversals that the service shows: one is decoded at a time, and the last ones are kept in memory."""

from dataclasses import dataclass
from typing import Protocol

from vae_search.server.child_processes.one_at_a_time import WAIT_S, OneAtATime
from vae_search.server.submissions import DataRoots
from vae_search.services.models.traversals import Traversal, decoded, version_key
from vae_search.store.backends.base import Store


class Decode(Protocol):
    """See `services.models.traversals.decoded`."""

    def __call__(self, location: str, model: str, number: int, *, with_images: bool) -> Traversal: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TraversalKey:
    """Content of a version's traversal: what was decoded holds as long as this does.

    Args:
        sha256: of the version's manifest. Another version may take its number once a store was cleared.
        with_images: whether the images that it was made for may be read.
    """

    model: str
    number: int
    sha256: str
    with_images: bool

    @property
    def etag(self) -> str:
        """Entity tag of the sheet at its address, which names model and version (RFC 9110, 8.8.3)."""
        return f'"{self.sha256}-{"images" if self.with_images else "prior"}"'


class TraversalReader:
    """Traversals by the content of versions; safe for threads.

    Args:
        location: of the store, for the child process.
        roots: places below which images may be read. A model of other images is shown without their KL.
    """

    def __init__(
        self, store: Store, *, location: str, roots: DataRoots, decode: Decode = decoded, wait_s: float = WAIT_S
    ) -> None:
        self._store = store
        self._location = location
        self._roots = roots
        self._decode = decode
        self._decoded = OneAtATime[Traversal](wait_s=wait_s)

    def key(self, model: str, number: int) -> TraversalKey:
        """The content of a version's traversal; nothing is decoded.

        Raises:
            NotFound: There is no such version.
        """
        found = version_key(self._store, model, number)
        allowed = self._roots.refusal(found.source, written=found.source, follow_links=found.follow_links) is None
        return TraversalKey(model=model, number=number, sha256=found.sha256, with_images=allowed)

    def read(self, key: TraversalKey) -> Traversal:
        """The traversal of a version: at once if it was decoded before, else after some seconds.

        Raises:
            RefusalError: Others are being decoded.
            VaeSearchError: It cannot be decoded.
        """
        return self._decoded.get(
            f"{key.model}:{key.number}:{key.etag}",
            lambda: self._decode(self._location, key.model, key.number, with_images=key.with_images),
        )
