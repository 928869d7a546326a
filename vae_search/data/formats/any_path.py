"""Readers of any path, chosen by its name and by what is in it."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from vae_search.data.formats.arrays.array_folder import read_npy_folder, read_part_files
from vae_search.data.formats.arrays.csv_pixels import read_csv
from vae_search.data.formats.arrays.hdf5 import read_hdf5
from vae_search.data.formats.arrays.matlab import read_matlab
from vae_search.data.formats.arrays.normal_form import in_normal_form
from vae_search.data.formats.arrays.numpy_files import read_npy, read_npz
from vae_search.data.formats.choices import NONE, Choices
from vae_search.data.formats.conversions import cifar100_conversion, conversion, in_command, is_zarr, pages_conversion
from vae_search.data.formats.found import Found
from vae_search.data.formats.pictures.archives import ENDINGS, is_archive, list_archives, read_archives
from vae_search.data.formats.pictures.encoded_images import SUFFIXES, holds_several
from vae_search.data.formats.pictures.folder_listing import FolderListing, list_pictures
from vae_search.data.formats.pictures.image_folder import held, read_image_folder
from vae_search.data.formats.pictures.parts import Parts
from vae_search.data.formats.published.cifar10 import (
    CLASS_NAMES,
    Cifar10,
    holds_cifar10,
    is_cifar10_folder,
    read_cifar10_archive,
    read_cifar10_folder,
)
from vae_search.data.formats.published.idx import (
    TEST,
    TRAIN,
    idx_file,
    idx_set_of,
    idx_sets,
    labels_file,
    read_idx_folder,
    read_other_idx,
)
from vae_search.data.formats.published.stl10 import is_stl10, read_stl10
from vae_search.data.formats.roles import ROLE_NAMES, Role, role_of, role_within
from vae_search.data.formats.safe_reading import place, reading, refuse_irregular
from vae_search.data.formats.tables.parquet import read_parquet
from vae_search.data.formats.tables.tfrecord import is_tfrecord, read_tfrecords
from vae_search.data.random_access.array_file import large_array
from vae_search.errors import BadData
from vae_search.spec.fields import NAMES

ARRAYS = (".npy", ".npz", ".mat", ".h5", ".hdf5", ".csv", ".csv.gz")
FILES = f".npy, .npz, HDF5, .mat, .csv, .parquet, TFRecord, {', '.join(ENDINGS[:3])}"
LEAD_IN = " Convert them where they lie:"
Listed = Sequence[tuple[Parts, Path]]


def read_path(path: Path, choices: Choices = NONE, *, held_bytes: int) -> Found:
    """The images of a file or folder, by part, in the form that is checked.

    Args:
        held_bytes: most that may be in memory; of what is more, some kinds are read in ranges.

    Raises:
        BadData: There is nothing of a kind that is read, it is damaged, or what its images are is not clear.
    """
    where = place(path)
    found = _read_folder(path, choices, held_bytes) if path.is_dir() else _read_file(path, choices, held_bytes)
    return in_normal_form(found, choices, where=where)


def files_beside(path: Path) -> tuple[Path, ...]:
    """Other files that are read with a file although its path does not name them; of a folder, all lie inside."""
    if path.is_dir() or _kind(path.name) is not None:
        return ()
    return tuple(
        file for images in idx_set_of(path).values() for file in (images, labels_file(images)) if file.is_file()
    )


def _read_folder(folder: Path, choices: Choices, held_bytes: int) -> Found:
    where = place(folder)
    if idx_file(folder, TRAIN) or idx_file(folder, TEST):
        return read_idx_folder(folder)
    if is_cifar10_folder(folder):
        return _of_cifar10(read_cifar10_folder(folder))
    if is_stl10(folder):
        return read_stl10(folder)
    if is_zarr(folder):
        raise BadData(f"{where}: zarr is not read. Convert it where it lies, and give x.npy:{conversion(folder)}")
    if command := cifar100_conversion(folder):
        raise BadData(_is_cifar100(folder, command))
    listing = list_pictures(folder, follows_out=choices.follow_links)
    if listing.pictures:
        return read_image_folder(folder, listing, choices)
    sets = idx_sets(folder)
    if len(sets) == 1:
        return read_other_idx(next(iter(sets.values())))
    if sets:
        files = [file.name for parts in sets.values() for file in parts.values()]
        raise BadData(
            f"{where}: must hold one data set, but it holds {len(sets)}: {', '.join(sets)}.\n"
            f"Give one by its file, such as {files[0]}."
        )
    return _read_files(folder, listing, choices, held_bytes)


def _read_files(folder: Path, listing: FolderListing, choices: Choices, held_bytes: int) -> Found:
    """The images of a folder of containers: shards, parts, or an array for each image."""
    where = place(folder)
    by_kind: dict[str, list[tuple[Parts, Path]]] = {}
    for parts, file in listing.others:
        if (kind := _kind(file.name)) is not None:
            by_kind.setdefault(kind, []).append((parts, file))
    if len(by_kind) > 1:
        some = ", ".join(f"{files[0][1].name}" for files in by_kind.values())
        raise BadData(f"{where}: must hold files of one kind, but it holds {some}. Give one by its own path.")
    if not by_kind:
        held_words = f", only {held(listing)}" if listing.left_out else ""
        advice = next((line for _, file in listing.others if (line := conversion(file))), "")
        raise BadData(
            f"{where}: must hold pictures ({', '.join(SUFFIXES[:3])} …) or train-images-idx3-ubyte[.gz], "
            f"but it holds neither{held_words}.{advice and LEAD_IN}{advice}"
        )
    ((kind, files),) = by_kind.items()
    for _, file in files:
        refuse_irregular(file)
    readers: dict[str, Callable[[Path], Found]] = {
        ".npz": lambda file: read_npz(file, where=place(file), choices=choices),
        ".mat": lambda file: read_matlab(file, choices, held_bytes),
        ".h5": lambda file: read_hdf5(file, choices, held_bytes),
        ".csv": read_csv,
    }
    match kind:
        case ".npy":
            return read_npy_folder(folder, files, choices)
        case ".parquet":
            return read_parquet(_by_role(files, where), choices, where=where)
        case "tfrecord":
            return read_tfrecords(_by_role(files, where), choices, where=where)
        case "archive":
            by_role = _by_role(files, where)
            archives = [file for paths in by_role.values() for file in paths]
            roles = [role for role, paths in by_role.items() for _ in paths] if len(by_role) > 1 else None
            found = list_archives(archives)
            return read_archives(found, choices, where=where, roles=roles)
        case _:
            return read_part_files(folder, files, readers[kind])


def _kind(name: str) -> str | None:
    lower = name.lower()
    if is_archive(lower):
        return "archive"
    if is_tfrecord(lower):
        return "tfrecord"
    same = {".hdf5": ".h5", ".csv.gz": ".csv"}
    ending = next((ending for ending in (".parquet", *ARRAYS) if lower.endswith(ending)), None)
    return None if ending is None else same.get(ending, ending)


def _by_role(files: Listed, where: str) -> dict[Role, list[Path]]:
    """Files by the part that their names say, or the folders that they lie in; all to train on if none says any."""
    found: dict[Role | None, list[Path]] = {}
    for parts, file in files:
        role = role_within(parts[-1].partition(".")[0])
        role = role or next((role for part in reversed(parts[:-1]) if (role := role_of(part)) is not None), None)
        found.setdefault(role, []).append(file)
    if [*found] == [None]:
        return {"train": found[None]}
    if None in found:
        raise BadData(
            f"{where}: all names of files must say a part, or none, but {found[None][0].name} says none, unlike others."
            "\nPut train into its name, or give it by its own path."
        )
    if "train" not in found:
        first = next(iter(found.values()))[0].name
        raise BadData(
            f"{where}: there must be files to train on, but {first} says that it is none.\n"
            "Give it by its own path to train on it, or put a file with train in its name beside it."
        )
    return {role: found[role] for role in ROLE_NAMES if role in found}


def _read_file(path: Path, choices: Choices, held_bytes: int) -> Found:
    where = place(path)
    refuse_irregular(path)
    name = path.name.lower()
    if is_archive(name):
        return _read_archive(path, choices)
    if is_tfrecord(name):
        return read_tfrecords({"train": [path]}, choices, where=where)
    if is_stl10(path):
        return read_stl10(path)
    match _kind(name):
        case ".npz":
            return read_npz(path, where=where, choices=choices)
        case ".npy":
            large = large_array(path, held_bytes)
            return Found(train=read_npy(path) if large is None else large)
        case ".parquet":
            return read_parquet({"train": [path]}, choices)
        case ".csv":
            return read_csv(path)
        case ".mat":
            return read_matlab(path, choices, held_bytes)
        case ".h5":
            return read_hdf5(path, choices, held_bytes)
    if parts := idx_set_of(path):
        return read_other_idx(parts)
    raise BadData(_another(path))


def _read_archive(path: Path, choices: Choices) -> Found:
    where = place(path)
    listing = list_archives([path])
    if listing.pictures:
        return read_archives(listing, choices, where=where)
    if re.match("cifar-?100", path.name, re.IGNORECASE):
        unpack = f"tar -xf '{in_command(path.name)}'"
        raise BadData(f"{where}: CIFAR-100 is not read from its archive. Unpack it, and give its folder:\n{unpack}")
    if path.name.lower().endswith((".tar.gz", ".tgz")) and holds_cifar10(listing.left_out):
        with reading(where), path.open("rb") as archive:
            return _of_cifar10(read_cifar10_archive(archive, where=where))
    kinds = ", ".join(f"{count:,} {ending}" for ending, count in listing.left_out.items()) or "nothing"
    raise BadData(
        f"{where}: must hold pictures ({', '.join(SUFFIXES[:3])} …), but it holds {kinds}.\n"
        "Unpack it, and give what is in it."
    )


def _of_cifar10(found: Cifar10) -> Found:
    labels: dict[Role, np.ndarray] = {"train": found.train_labels, "test": found.test_labels}
    return Found(train=found.train, test=found.test, labels=labels, in_published_order=True, class_names=CLASS_NAMES)


def _is_cifar100(path: Path, command: str) -> str:
    return f"{place(path)}: CIFAR-100 is not read as it is. Convert it where it lies, and give x.npz:\n{command}"


def _another(path: Path) -> str:
    where, advice = place(path), conversion(path)
    if command := cifar100_conversion(path):
        return _is_cifar100(path, command)
    if path.name.lower().endswith(SUFFIXES) and holds_several(path):
        return f"{where}: holds several pictures. Convert it where it lies, and give the new folder pages:\n" + (
            pages_conversion(path.name)
        )
    if advice:
        return f"{where}: is not read as it is. Convert it where it lies, and give what comes of it:{advice}"
    # A folder of MNIST's own names is read whole; other names must be given to it first.
    if path in [idx_file(path.parent, part) for part in (TRAIN, TEST)]:
        hint = " Give the folder that it is in."
    elif path.name.lower().endswith(SUFFIXES):
        hint = " It is one picture: give the folder that it is in."
    else:
        hint = ""
    return (
        f"{where}: must be one of {FILES},\n"
        f"a folder of pictures or of such files, or one of {', '.join(NAMES)}, but it is another file.{hint}"
    )
