"""Data sets of installed packages, by entry point: anything with `__len__` and `__getitem__` that gives one image.

An entry point of the group `vae_search.sources` names what is called without arguments, a class or a function, and
returns the data set. Image k is an array (height, width) or (height, width, channels) as `check_images` understands it;
all images have one shape and one type. Three attributes are optional: `labels`, (count,) whole numbers from 0 on,
`class_names`, a text for each of these numbers, and `identity`, text that changes whenever the images do although the
package stays the same.
"""

import hashlib
import json
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import numpy as np

from vae_search.core.text import did_you_mean, printable
from vae_search.errors import BadData
from vae_search.spec.fields import PLUGIN, SOURCES_GROUP, installed_sources


class PluginSource:
    """A data set of an installed package, in random access: an `ImageReader`.

    Args:
        source: `plugin:NAME`.

    Raises:
        BadData: No package has it, two have it, or its code fails.
    """

    def __init__(self, source: str) -> None:
        self._entry = _entry_of(source)
        self._where = f"{source} (package {self.package})"
        try:
            self._images = self._entry.load()()
            self._count = len(self._images)
        except Exception as error:  # whatever somebody else's code does
            raise self._failed("its entry point", self._entry.value, error) from error
        if not self._count:
            raise BadData(f"{self._where}: there must be images, but its length is 0.")
        self._first = self._image(0)

    @property
    def package(self) -> str:
        """Name and version of the package."""
        distribution = self._entry.dist
        return "of no known name" if distribution is None else f"{distribution.name} {distribution.version}"

    @property
    def shape(self) -> tuple[int, ...]:
        return (self._count, *self._first.shape)

    @property
    def dtype(self) -> np.dtype:
        return self._first.dtype

    @property
    def labels(self) -> np.ndarray | None:
        """(count,) of all images, if the source has some.

        Raises:
            BadData: They are no numbers, or not one for each image.
        """
        try:
            given = getattr(self._images, "labels", None)
            labels = None if given is None else np.asarray(given)
        except Exception as error:
            raise self._failed("its attribute", "labels", error) from error
        if labels is not None and (labels.dtype.kind not in "iu" or labels.shape != (self._count,)):
            raise BadData(
                f"{self._where}: labels must be {self._count:,} whole numbers, one for each image, but they are "
                f"{labels.dtype} of shape {labels.shape}."
            )
        return labels

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, by number; empty if the source has none.

        Raises:
            BadData: They are no texts.
        """
        try:
            names = tuple(getattr(self._images, "class_names", ()))
        except Exception as error:
            raise self._failed("its attribute", "class_names", error) from error
        if not all(isinstance(name, str) for name in names):
            raise BadData(f"{self._where}: class_names must be texts, but they are {printable(repr(names))}.")
        return names

    def identity(self) -> str:
        """Package, version, code and `identity` of the data set: what tells that its images may have changed."""
        digest = hashlib.sha256()
        for path in sorted(_code_of(self._entry)):
            digest.update(path.read_bytes())
        said = str(getattr(self._images, "identity", ""))
        return json.dumps([self._entry.name, self._entry.value, self.package, digest.hexdigest(), said])

    def read(self, start: int, stop: int) -> np.ndarray:
        found = np.empty((stop - start, *self._first.shape), self._first.dtype)
        for target, number in zip(found, range(start, stop), strict=True):
            target[...] = self._image(number) if number else self._first
        return found

    def _image(self, number: int) -> np.ndarray:
        try:
            image = np.asarray(self._images[number])
        except Exception as error:
            raise self._failed("its image", f"{number:,}", error) from error
        first = image if number == 0 else self._first
        if image.ndim not in (2, 3) or image.dtype.kind not in "buif":
            raise BadData(
                f"{self._where}: each image must be an array (height, width) or (height, width, channels) of numbers,\n"
                f"but image {number:,} is {image.dtype} of shape {image.shape}."
            )
        if (image.shape, image.dtype) != (first.shape, first.dtype):
            raise BadData(
                f"{self._where}: all images must have one shape and type, but image {number:,} is {image.dtype} "
                f"{image.shape}\nand image 0 is {first.dtype} {first.shape}. Resize or convert them in the package."
            )
        return image

    def _failed(self, what: str, which: str, error: Exception) -> BadData:
        said = f"{type(error).__name__}: {error}".splitlines()[0]
        return BadData(
            f"{self._where}: {what} {which} cannot be had: {printable(said, 300)}.\n"
            "Mend that package, or install another version of it."
        )


def _entry_of(source: str) -> EntryPoint:
    name = source.removeprefix(PLUGIN)
    found = list(entry_points(group=SOURCES_GROUP, name=name))
    if not found:
        known = installed_sources()
        there = f"There are {', '.join(known)}. {did_you_mean(source, known)}" if known else "There are none."
        raise BadData(
            f"{source}: must be a data set of an installed package (entry points {SOURCES_GROUP}), but none has it.\n"
            f"{there.rstrip()} Install its package here, and on every machine of a cluster."
        )
    if len({entry.value for entry in found}) > 1:
        packages = sorted({"?" if entry.dist is None else entry.dist.name for entry in found})
        raise BadData(f"{source}: one package must have it, but {' and '.join(packages)} do. Remove one of them.")
    return found[0]


def _code_of(entry: EntryPoint) -> set[Path]:
    """Python files of the package: those it was installed with, and the module itself where that lies elsewhere."""
    files: list[Any] = [] if entry.dist is None else list(entry.dist.files or [])
    paths = {Path(str(file.locate())) for file in files if file.suffix == ".py"}
    module = getattr(sys.modules.get(entry.module), "__file__", None)
    if module is not None:
        paths.add(Path(module))
    return {path for path in paths if path.is_file()}
