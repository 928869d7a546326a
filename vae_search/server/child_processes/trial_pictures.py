"""Pictures of trials whose weights are kept: drawn when somebody asks, one trial at a time, the last ones kept."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from vae_search.core.scratch import scratch_folder
from vae_search.errors import BadData, InvalidSpec, NotFound
from vae_search.server.child_processes.commands import printed
from vae_search.server.child_processes.one_at_a_time import WAIT_S, OneAtATime
from vae_search.server.submissions import DataRoots
from vae_search.spec.sections import DataSpec

logger = logging.getLogger(__name__)

SAMPLES, RECONSTRUCTIONS = "samples.png", "reconstructions.png"
TIMEOUT_S = 120.0

Pictures = Mapping[str, bytes]


class Draw(Protocol):
    """See `drawn`."""

    def __call__(self, location: str, sweep: str, trial: int, *, with_images: bool) -> Pictures: ...


def drawn(location: str, sweep: str, trial: int, *, with_images: bool) -> Pictures:
    """Draw samples from the prior, and held-out images with their reconstructions, as PNG files by name.

    Args:
        location: of the store.
        with_images: whether the sweep's images may be read; without them there are no reconstructions.

    Raises:
        NotFound: There is no such trial, or its weights were not kept.
        VaeSearchError: They are damaged, or the process was lost.
    """
    with scratch_folder("pictures-") as folder:

        def draw(command: str, name: str) -> bytes:
            arguments = [command, f"{sweep}/{trial}", "--output", name, "--store", location]
            try:
                printed(arguments, what="the drawing", folder=folder, timeout_s=TIMEOUT_S)
            except InvalidSpec as error:  # of the same exit code; nothing here is anybody's to be invalid
                raise NotFound(str(error)) from error
            return (Path(folder) / name).read_bytes()

        found = {SAMPLES: draw("sample", SAMPLES)}
        if with_images:
            try:
                found[RECONSTRUCTIONS] = draw("reconstruct", RECONSTRUCTIONS)
            except (NotFound, BadData) as error:  # the images have moved; the samples are worth seeing all the same
                logger.warning("%s/%d: %s", sweep, trial, error)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class PicturesKey:
    """Content of a trial's pictures: what was drawn holds as long as this does.

    Args:
        sha256: of the weights. Another sweep of the same name has others.
        with_images: whether the sweep's images may be read.
    """

    sweep: str
    trial: int
    sha256: str
    with_images: bool

    @property
    def etag(self) -> str:
        """Entity tag of each of the pictures at its address, which names sweep and trial (RFC 9110, 8.8.3)."""
        return f'"{self.sha256}-{"images" if self.with_images else "samples"}"'


class TrialPictures:
    """Pictures by the digest of the weights that draw them; safe for threads.

    Args:
        location: of the store, for the child processes.
        roots: places below which images may be read.
    """

    def __init__(self, *, location: str, roots: DataRoots, draw: Draw = drawn, wait_s: float = WAIT_S) -> None:
        self._location = location
        self._roots = roots
        self._draw = draw
        self._drawn = OneAtATime[Pictures](wait_s=wait_s)

    def key(self, sweep: str, trial: int, *, sha256: str, data: DataSpec) -> PicturesKey:
        """The content of a trial's pictures; nothing is drawn.

        Args:
            sha256: of its weights.
            data: of the sweep, read together with the digest.
        """
        allowed = self._roots.refusal_of(data) is None
        return PicturesKey(sweep=sweep, trial=trial, sha256=sha256, with_images=allowed)

    def read(self, key: PicturesKey) -> Pictures:
        """The pictures of a trial: at once if they were drawn before, else after some seconds.

        Raises:
            RefusalError: Others are being drawn.
            VaeSearchError: They cannot be drawn.
        """
        return self._drawn.get(
            f"{key.sweep}/{key.trial}:{key.etag}",
            lambda: self._draw(self._location, key.sweep, key.trial, with_images=key.with_images),
        )
