"""A folder of array files: an image each, a class each, or a part of the data set each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from vae_search.core.text import first_few, printable
from vae_search.data.formats.arrays.layout import FEWEST
from vae_search.data.formats.arrays.naming import ArrayHeader, choose_arrays
from vae_search.data.formats.arrays.numpy_files import npy_header, read_npy
from vae_search.data.formats.choices import Choices
from vae_search.data.formats.found import Found
from vae_search.data.formats.pictures.parts import Parts, parts_of
from vae_search.data.formats.roles import ROLE_NAMES, Role, names_no_images, role_within, words_of
from vae_search.data.formats.safe_reading import place
from vae_search.data.image_checks import check_type, refuse_too_large
from vae_search.errors import BadData

Listed = Sequence[tuple[Parts, Path]]
# Words of files that hold several views of the same samples, and no classes.
VIEWS = {"image", "images", "img", "imgs", "rgb", "depth", "mask", "masks", "noisy", "clean", "noise", "x", "y"} | {
    *("input", "inputs", "target", "targets", "output", "outputs", "source", "left", "right")
}


def read_npy_folder(folder: Path, files: Listed, choices: Choices) -> Found:
    """The images of .npy files below a folder.

    Files that say what part they are, or of which one alone may hold images, are arrays as in a .npz archive. Many of
    one shape that is no count of images are an image each; others of one size are put one after another, as a class
    each.

    Raises:
        BadData: Sizes differ, it is not clear which files hold images, or one is damaged.
    """
    where = place(folder)
    headers = {"/".join(parts).removesuffix(".npy"): npy_header(file) for parts, file in files}
    paths = {"/".join(parts).removesuffix(".npy"): file for parts, file in files}
    shapes = {header.shape for header in headers.values()}
    if len(files) >= FEWEST and len(shapes) == 1 and len(next(iter(shapes))) in (2, 3):
        return _an_image_each(files, next(iter(headers.values())), where)
    likely = {name: header for name, header in headers.items() if not names_no_images(name)}
    if choices.array is None and not any(role_within(name) for name in likely) and _one_size(likely):
        if _may_be_views(likely):
            raise BadData(
                f"{where}: one array must hold the images, but {first_few([*likely], 8)} may be views of the same.\n"
                f"Say which: data.array: {printable(next(iter(likely)))}\n"
                "Are they a class each? Then save them as one .npy file, one after another."
            )
        return _a_class_each(likely, paths, where)
    chosen = choose_arrays(headers, array=choices.array, where=where)
    images = {role: read_npy(paths[name]) for role, name in chosen.images.items()}
    labels = {role: read_npy(paths[name]).reshape(-1) for role, name in chosen.labels.items()}
    return replace(Found.of(images, notes=chosen.notes, in_published_order=True), labels=labels)


def read_part_files(folder: Path, files: Listed, read: Callable[[Path], Found]) -> Found:
    """The images of files that are a part of the data set each, such as `train_32x32.mat` and `test_32x32.mat`.

    Args:
        read: reads one of them.

    Raises:
        BadData: Names do not tell which part they are, or one holds parts itself.
    """
    where = place(folder)
    named = [(parts, file) for parts, file in files if not names_no_images(_stem(parts))]
    if len(named) == 1:
        return read(named[0][1])
    by_role: dict[Role, list[Path]] = {}
    for parts, file in named:
        if (role := role_within(_stem(parts))) is not None:
            by_role.setdefault(role, []).append(file)
    names = ["/".join(parts) for parts, _ in files]
    if "train" not in by_role or any(len(found) > 1 for found in by_role.values()):
        raise BadData(
            f"{where}: one file must say that it is to train on, but of {first_few(names, 8)} that is not clear.\n"
            "Give one of them by its own path."
        )
    found = {role: read(by_role[role][0]) for role in ROLE_NAMES if role in by_role}
    for role, one in found.items():
        if len(one.parts) > 1:
            raise BadData(f"{place(by_role[role][0])}: holds parts of its own. Give it by its own path.")
    used = [file.name for paths in by_role.values() for file in paths]
    unread = [name for name in names if name.rpartition("/")[2] not in used and not names_no_images(name)]
    notes = [f"Read from {' and '.join(map(printable, used))}."]
    notes += [f"Left out: {first_few(unread)}."] if unread else []
    notes += dict.fromkeys(note for one in found.values() for note in one.notes)
    labels = {role: one.labels["train"] for role, one in found.items() if "train" in one.labels}
    images = {role: one.train for role, one in found.items()}
    return replace(Found.of(images, notes=tuple(notes), in_published_order=True), labels=labels)


def _stem(parts: Parts) -> str:
    return parts[-1].partition(".")[0]


def _an_image_each(files: Listed, header: ArrayHeader, where: str) -> Found:
    check_type(header.dtype, where=where)
    refuse_too_large((len(files), *header.shape), header.dtype.itemsize, where=where)
    divided = parts_of([parts for parts, _ in files], where=where)
    images: dict[Role, np.ndarray] = {}
    for role, positions in divided.positions.items():
        images[role] = np.empty((len(positions), *header.shape), header.dtype)
        for target, position in zip(images[role], positions, strict=True):
            target[...] = read_npy(files[position][1])
    return Found.of(images, notes=(*divided.notes, f"Each of {len(files):,} .npy files was read as an image."))


def _one_size(headers: Mapping[str, ArrayHeader]) -> bool:
    kinds = {(header.shape[1:], header.dtype.str) for header in headers.values()}
    return len(headers) > 1 and len(kinds) == 1 and len(next(iter(kinds))[0]) in (1, 2, 3)


def _may_be_views(headers: Mapping[str, ArrayHeader]) -> bool:
    """True if files may show the same samples: two of one count, or of names that are given to pairs."""
    counts = [header.shape[0] for header in headers.values()]
    words = [{*words_of(name)} for name in headers]
    shared = set.intersection(*words)
    return (len(counts) == 2 and counts[0] == counts[1]) or any((own - shared) & VIEWS for own in words)


def _a_class_each(headers: Mapping[str, ArrayHeader], paths: Mapping[str, Path], where: str) -> Found:
    count = sum(header.shape[0] for header in headers.values())
    first = next(iter(headers.values()))
    check_type(first.dtype, where=where)
    refuse_too_large((count, *first.shape[1:]), first.dtype.itemsize, where=where)
    images = np.concatenate([read_npy(paths[name]) for name in headers])
    labels = np.repeat(np.arange(len(headers)), [header.shape[0] for header in headers.values()])
    notes = (f"Put one after another, as a class each: {first_few([*headers], 8)}.",)
    return Found(train=images, labels={"train": labels}, notes=notes, class_names=tuple(headers))
