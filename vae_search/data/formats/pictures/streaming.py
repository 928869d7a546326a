"""Pictures that do not fit in memory once they are decoded: read in ranges, cheaply if these follow one another."""

from collections.abc import Collection, Iterator
from dataclasses import replace
from itertools import islice

import numpy as np

from vae_search.data.formats.choices import Choices
from vae_search.data.formats.pictures.damage import damage
from vae_search.data.formats.pictures.encoded_images import Decoded, Encoded, PictureSet, decode_set, survey_set
from vae_search.data.formats.pictures.modes import Ground
from vae_search.errors import BadData


class PictureStream:
    """Random access to the pictures of a set; see `ImageReader`."""

    def __init__(
        self, pictures: PictureSet, surveyed: Decoded, *, channels: int, choices: Choices, ground: Ground
    ) -> None:
        """Args:
        surveyed: what a survey of the set has found.
        channels: of all parts of the data set.
        """
        self._pictures, self._choices, self._ground = pictures, choices, ground
        self._kept = surveyed.kept
        self._shape = (*surveyed.images.shape[:3], channels)
        self._dtype = surveyed.images.dtype
        self._next, self._rest = 0, self._encoded()

    @property
    def shape(self) -> tuple[int, ...]:
        return self._shape

    @property
    def dtype(self) -> np.dtype:
        return self._dtype

    def read(self, start: int, stop: int) -> np.ndarray:
        if start != self._next:
            self._rest = islice(self._encoded(), start, None)
        batch = list(islice(self._rest, stop - start))
        self._next = start + len(batch)
        few = PictureSet(where=self._pictures.where, count=len(batch), each=lambda: batch)
        decoded = decode_set(few, self._choices, ground=self._ground, is_range=True)
        if decoded.damaged:
            raise BadData(self._damage(decoded.reason))
        images = decoded.images
        return images if images.shape[3] == self._shape[3] else np.repeat(images, self._shape[3], axis=3)

    def _encoded(self) -> Iterator[Encoded]:
        count = self._pictures.count
        kept: Collection[int] = range(count) if len(self._kept) == count else frozenset(self._kept)
        return (picture for index, picture in enumerate(self._pictures.each()) if index in kept)

    def _damage(self, reason: str) -> str:
        """All damaged pictures: who is told of one by one would decode everything once for each."""
        where, count = self._pictures.where, self._pictures.count
        thorough = replace(self._choices, skip_damaged=True)
        names = survey_set(self._pictures, thorough, ground=self._ground).damaged
        return damage([name.removeprefix(f"{where}: ") for name in names], count, reason, where)
