"""A folder of pictures, in class folders or not, with `train` and `test` folders or without."""

import os
from pathlib import Path

import numpy as np

from vae_search.data.formats.encoded_images import SUFFIXES, decode_pictures
from vae_search.data.formats.safe_reading import place, reading, refuse_irregular
from vae_search.errors import BadData


def read_image_folder(folder: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """All pictures below `folder` in the order of their paths; those of `train` and `test` apart if it has both names.

    Hidden files are left out. Shapes: (count, height, width, channels) uint8 each.

    Raises:
        BadData: There are none, one cannot be decoded, sizes differ, or some lie beside `train` and `test`.
    """
    files = _pictures_below(folder)
    if not files:
        raise BadData(
            f"{place(folder)}: must hold pictures ({', '.join(SUFFIXES[:3])} …) or train-images-idx3-ubyte[.gz], "
            "but it holds neither."
        )
    parts = {part: [file for file in files if file.relative_to(folder).parts[0] == part] for part in ("train", "test")}
    if not (folder / "train").is_dir() and not (folder / "test").is_dir():
        return _decode(files), None
    if not parts["train"]:
        raise BadData(f"{place(folder)}: test needs pictures in train beside it, but there are none.")
    left_out = [file for file in files if file not in {*parts["train"], *parts["test"]}]
    if left_out:
        raise BadData(
            f"{place(folder)}: there must be no pictures beside train and test, but {len(left_out):,} are "
            f"(first: {place(left_out[0].relative_to(folder))}).\nMove them into train or test, or remove them."
        )
    return _decode(parts["train"]), _decode(parts["test"]) if parts["test"] else None


def _pictures_below(folder: Path) -> list[Path]:
    found = []

    def stop(error: OSError) -> None:
        raise error  # an unreadable class folder must not go missing in silence

    with reading(place(folder)):
        for inside, folders, names in os.walk(folder, onerror=stop):
            folders[:] = [name for name in folders if not _is_hidden(name)]
            found += [Path(inside, name) for name in names if not _is_hidden(name) and name.lower().endswith(SUFFIXES)]
    for file in found:
        refuse_irregular(file)
    return sorted(found, key=lambda file: file.relative_to(folder).parts)


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _decode(files: list[Path]) -> np.ndarray:
    return decode_pictures(((place(file), file) for file in files), len(files))
