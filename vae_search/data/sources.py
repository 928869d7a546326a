"""Data sources: a data set by name, a file, or a folder."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np

from vae_search.core.text import did_you_mean, printable
from vae_search.data.builtin import (
    FASHION_CLASSES,
    read_cifar10,
    read_digits,
    read_fashion_labels,
    read_fashion_mnist,
    read_mnist,
    read_mnist_labels,
)
from vae_search.data.formats.any_path import files_beside, read_path
from vae_search.data.formats.arrays.normal_form import in_normal_form
from vae_search.data.formats.arrays.ranges import note_of, refuse_unscaled, scaled_where_kept
from vae_search.data.formats.choices import NONE, Choices
from vae_search.data.formats.found import Found
from vae_search.data.formats.published.cifar10 import CLASS_NAMES, Cifar10
from vae_search.data.formats.published.photo_patches import VALIDATION_COUNT, read_photo_patches
from vae_search.data.formats.roles import Role
from vae_search.data.formats.safe_reading import place, reading
from vae_search.data.image_checks import Images, check_images, check_pair
from vae_search.data.labelling.source_labels import (
    class_numbers,
    class_numbers_of_names,
    idx_set_labels,
    in_words,
    names_of_classes,
)
from vae_search.data.random_access.derived_readers import joined
from vae_search.data.random_access.identity import files_identity
from vae_search.data.random_access.image_reader import ImageReader, read_all, size_bytes
from vae_search.data.random_access.mapped_images import Keep, in_memory
from vae_search.data.random_access.mapped_source import Checked, Room, mapped_source
from vae_search.data.random_access.plugin_source import PluginSource
from vae_search.data.random_access.spool import Spool, recalled
from vae_search.data.splits import LEAST_PART, Protocol
from vae_search.errors import BadData
from vae_search.spec.fields import NAMES, PLUGIN

# How many of the training images a family of data sets is usually validated on, the last ones, by the shapes of its
# training and test images: MNIST and the sets made in its image, CIFAR-10 (He et al. 2016, 4.2: 45,000 / 5,000) and
# CIFAR-100. All are published in random order.
NO_LABELS: Mapping[Role, np.ndarray] = MappingProxyType({})
USUAL_VALIDATION = {
    ((60_000, 28, 28), (10_000, 28, 28)): 10_000,
    ((50_000, 32, 32, 3), (10_000, 32, 32, 3)): 5_000,
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Source:
    """Checked images, before they are split.

    Args:
        name: as the spec gives it.
        train: the training images, or all images if there are no test images of their own.
        test: the source's own test images.
        protocol: how the data set is usually split, if there is a usual way.
        labels: (count,) of the images of `train` and of `test`, where they came in the same file.
        read_more_labels: reads those that only a conditional model needs: they lie in files of their own, or are names
            of folders.
        class_names: of all labels, by number; empty if the source names none.
        notes: sentences on what was left out, and what was changed before it was read.
        scaling: see `Found`.
        folder: of the cache, where images that do not fit in memory are mapped from; None if they are in memory.
        decoded_as: fingerprint that those in the folder had when they were decoded.
    """

    name: str
    train: Images
    test: Images | None
    protocol: Protocol | None = None
    labels: Mapping[Role, np.ndarray] = field(default_factory=dict)
    read_more_labels: Callable[[], Mapping[Role, np.ndarray]] = lambda: NO_LABELS
    class_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    scaling: str | None = None
    folder: Path | None = None
    decoded_as: str | None = None


def read_source(source: str, *, cache: Path, choices: Choices = NONE, held_bytes: int | None = None) -> Source:
    """Read the images of a data set.

    Args:
        source: one of NAMES, plugin:NAME of an installed package, or the path of a file or folder of a kind that is
            read.
        cache: the folder for downloads, and for decoded images that do not fit in memory.
        choices: of the spec, where a file or folder leaves open what its images are.
        held_bytes: most that decoded images may take in memory; None: as much as is fit here.

    Raises:
        BadData: There is nothing of that kind, it is damaged, it cannot be downloaded, or nobody can train on it.
    """
    keras = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser() / "datasets"
    match source:
        case "digits":  # 1,200 / 300 / 297
            return _checked(source, read_digits(), None, protocol=Protocol(validation=300, test=297))
        case "photo_patches":
            protocol = Protocol(validation=VALIDATION_COUNT, is_fixed=True)
            return _checked(source, *read_photo_patches(), protocol=protocol)
        case "mnist":
            images = _with_protocol(source, *read_mnist(cache=cache, keras=keras))
            return replace(images, read_more_labels=lambda: read_mnist_labels(cache=cache, keras=keras))
        case "fashion_mnist":
            images = _with_protocol(source, *read_fashion_mnist(cache=cache, keras=keras))
            more = partial(read_fashion_labels, cache=cache, keras=keras)
            return replace(images, read_more_labels=more, class_names=FASHION_CLASSES)
        case "cifar10":
            return _labelled(source, read_cifar10(cache=cache))
        case _ if source.startswith(PLUGIN):
            return _read_plugin(source, choices, cache=cache, held_bytes=held_bytes)
        case _:
            return _read_path(Path(source), choices, cache=cache, held_bytes=held_bytes)


def _checked(
    name: str,
    train: np.ndarray | ImageReader,
    test: np.ndarray | ImageReader | None,
    *,
    protocol: Protocol | None = None,
    labels: Mapping[Role, np.ndarray] = NO_LABELS,
    notes: tuple[str, ...] = (),
    room: Room | None = None,
    unscaled: Found | None = None,
) -> Source:
    """Args:
    room: for images that do not fit in memory.
    unscaled: what was found, if its pixels are still to be scaled.
    """
    parts = {"train": train} | ({} if test is None else {"test": test})

    def check(arrays: Mapping[str, np.ndarray], keeps: Mapping[str, Keep]) -> Checked:
        where, scaling = printable(name, 400), None
        if unscaled is not None:
            arrays, scaling = scaled_where_kept(arrays, unscaled.scaling, keeps, where=where)
        if "test" not in arrays:
            train = check_images(arrays["train"], where=where, keep=keeps["train"])
            return Checked(parts={"train": train}, scaling=scaling)
        pair = check_pair(arrays["train"], arrays["test"], where=where, keeps=(keeps["train"], keeps["test"]))
        return Checked(parts=dict(zip(("train", "test"), pair, strict=True)), scaling=scaling)

    folder = decoded_as = None
    if room is None or sum(map(size_bytes, parts.values())) <= room.limit_bytes:
        arrays = {part: read_all(images) for part, images in parts.items()}
        found = check(arrays, dict.fromkeys(arrays, in_memory))
        checked, scaling = found.parts, found.scaling
    else:
        mapped = mapped_source(parts, room=room, check=check, where=printable(name, 400))
        checked, folder, decoded_as, scaling = mapped.parts, mapped.folder, mapped.fingerprint, mapped.scaling
    return Source(
        name=name,
        train=checked["train"],
        test=checked.get("test"),
        protocol=protocol,
        labels=labels,
        notes=notes if scaling is None else (*notes, note_of(scaling)),
        scaling=scaling,
        folder=folder,
        decoded_as=decoded_as,
    )


def _with_protocol(
    name: str,
    train: np.ndarray | ImageReader,
    test: np.ndarray | ImageReader | None,
    labels: Mapping[Role, np.ndarray] = NO_LABELS,
    *,
    notes: tuple[str, ...] = (),
    room: Room | None = None,
    unscaled: Found | None = None,
) -> Source:
    validation = None if test is None else USUAL_VALIDATION.get((train.shape, test.shape))
    protocol = None if validation is None else Protocol(validation=validation)
    return _checked(name, train, test, protocol=protocol, labels=labels, notes=notes, room=room, unscaled=unscaled)


def _labelled(name: str, found: Cifar10) -> Source:
    labels: dict[Role, np.ndarray] = {"train": found.train_labels, "test": found.test_labels}
    return replace(_with_protocol(name, found.train, found.test, labels), class_names=CLASS_NAMES)


def _read_plugin(source: str, choices: Choices, *, cache: Path, held_bytes: int | None) -> Source:
    images = PluginSource(source)
    labels: dict[Role, np.ndarray] = {} if images.labels is None else {"train": images.labels}
    notes = (f"Read from the package {images.package}.",)
    found = Found(train=images, labels=labels, notes=notes, class_names=images.class_names)
    room = Room(cache=cache, identity=lambda: f"{images.identity()} {choices}", held_bytes=held_bytes)
    return _of_found(source, in_normal_form(found, choices, where=source), room=room)


def _missing(path: Path) -> str:
    hint = did_you_mean(path.name.replace("-", "_"), NAMES)
    return (
        f"{place(path)}: must be readable, but: No such file or directory."
        + (f" {hint}" if "Did" in hint else "")
        + f"\nGive a path from the spec's folder, or one of what is built in: {', '.join(NAMES)}."
    )


def _read_path(path: Path, choices: Choices, *, cache: Path, held_bytes: int | None) -> Source:
    where = place(path)
    try:
        with reading(where):
            try:
                path.stat()
            except FileNotFoundError:
                raise BadData(_missing(path)) from None
    except ValueError as error:  # a null character
        raise BadData(f"{where}: must be a path, but no path holds a null character.") from error

    def identity() -> str:
        return f"{files_identity(path, beside=files_beside(path))} {choices}"

    room = Room(cache=cache, identity=identity, held_bytes=held_bytes)
    with_room = replace(choices, room_for=Spool(room).empty)
    found = recalled(room, lambda: read_path(path, with_room, held_bytes=room.limit_bytes), where=where)
    source = _of_found(str(path), found, room=room, may_scale=True)
    if found.labels or not found.in_published_order:
        return source
    counts: dict[Role, int] = {"train": len(source.train), "test": 0 if source.test is None else len(source.test)}
    return replace(source, read_more_labels=lambda: idx_set_labels(path, counts))


def _of_found(name: str, found: Found, *, room: Room, may_scale: bool = False) -> Source:
    """The images of a path, with those to choose models by behind those to train on.

    Args:
        may_scale: pixels in ranges that are known are brought into the usual one, as those are that fit in memory.
    """
    unscaled = found if found.is_unscaled and may_scale else None
    for part in found.parts.values() if found.is_unscaled and not may_scale else ():
        refuse_unscaled(part.dtype, found.scaling, where=printable(name, 400))
    found = replace(found, labels={role: in_words(given) for role, given in found.labels.items()})
    notes = found.notes
    labels = _joined(found, {role: class_numbers(given, len(given)) for role, given in found.labels.items()})
    more = {role: class_numbers(given, len(given), may_be_one=True) for role, given in found.labels.items()}
    named = _joined(found, more | class_numbers_of_names(found.labels))
    names = names_of_classes(found.labels) or found.class_names

    def described(source: Source) -> Source:
        scaling = source.scaling if found.is_unscaled else found.scaling
        return replace(source, read_more_labels=lambda: named, scaling=scaling, class_names=names)

    if found.validation is None:
        usual = _with_protocol if found.in_published_order else _checked
        return described(usual(name, found.train, found.test, labels=labels, notes=notes, room=room, unscaled=unscaled))
    where = printable(name, 400)
    if found.validation.shape[1:] != found.train.shape[1:]:
        sizes = " and ".join("×".join(map(str, part.shape[1:])) for part in (found.train, found.validation))
        raise BadData(f"{where}: training and validation images must have the same size, but they are {sizes}.")
    count = found.validation.shape[0]
    protocol: Protocol | None = Protocol(validation=count, is_own=True)
    if count < 2 * LEAST_PART:
        few = f"Its {count} images for validation are fewer than {2 * LEAST_PART}: some are drawn from the others too."
        protocol, notes = None, (*notes, few)
    images = joined(found.train, found.validation)
    return described(
        _checked(name, images, found.test, protocol=protocol, labels=labels, notes=notes, room=room, unscaled=unscaled)
    )


def _joined(found: Found, labels: Mapping[Role, np.ndarray | None]) -> dict[Role, np.ndarray]:
    """Labels by part that fit its images, those of validation images behind those of the training images."""
    fitting = {
        role: given
        for role, given in labels.items()
        if given is not None and (part := getattr(found, role)) is not None and len(given) == part.shape[0]
    }
    if found.validation is None or "train" not in fitting:
        return fitting
    own, beside = fitting.pop("train"), fitting.pop("validation", None)
    return fitting if beside is None else fitting | {"train": np.concatenate([own, beside])}
