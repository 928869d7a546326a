"""The package that a job takes along: the spec as written and as resolved, and the images if they are sent."""

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from vae_search.errors import BadData, CorruptStore
from vae_search.spec.sweep_spec import SweepSpec

TEXT, RESOLVED, IMAGES = "spec.yaml", "resolved.json", "images"
MOST_BYTES = 500 * 2**20  # Ray takes packages of up to 512 MiB


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPackage:
    """One sweep, ready to be sent."""

    spec: SweepSpec
    text: str
    """the spec as the user wrote it"""
    store: str
    """where the cluster keeps the sweep"""
    images: Path | None
    """the file or folder to send along; the spec names them as `images.source_of` does"""
    refresh: bool = False
    """the driver shall fetch far images anew"""

    @property
    def sweep(self) -> str:
        return self.spec.name

    @property
    def sha256(self) -> str:
        """Of the whole spec, its free keys included."""
        return hashlib.sha256(json.dumps(self.spec.to_json(), sort_keys=True).encode()).hexdigest()

    def write(self, folder: Path) -> None:
        """Lay everything out in a folder.

        Raises:
            BadData: The images cannot be read, or are more than Ray takes.
        """
        (folder / TEXT).write_text(self.text, encoding="utf-8")
        (folder / RESOLVED).write_text(json.dumps(self.spec.to_json()), encoding="utf-8")
        if self.images is None:
            return
        try:
            size = sum(file.stat().st_size for file in files_of(self.images))
            if size > MOST_BYTES:
                raise BadData(
                    f"{self.images}: --upload-data takes at most {MOST_BYTES // 2**20} MiB, but this has "
                    f"{size // 2**20}. Put the images where every node finds them."
                )
            for file in files_of(self.images):  # nothing hidden: Ray would obey a .gitignore
                target = folder / IMAGES / file.relative_to(self.images.parent)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)
        except OSError as error:
            raise BadData(f"{self.images}: cannot be read: {error.strerror or error}.") from error

    @classmethod
    def read(cls, folder: Path, *, store: str) -> Self:
        """Read what `write` laid out; `images` is then the copy.

        Raises:
            CorruptStore: It is not all there.
        """
        try:
            text = (folder / TEXT).read_text(encoding="utf-8")
            tree = json.loads((folder / RESOLVED).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CorruptStore(f"{folder}: holds no job of a sweep. It is made by `vae-search submit`.") from error
        sent = next((folder / IMAGES).iterdir(), None) if (folder / IMAGES).is_dir() else None
        return cls(spec=SweepSpec.from_json(tree), text=text, store=store, images=sent)


def files_of(place: Path) -> list[Path]:
    """The file, or all files of the folder that are not hidden, sorted."""
    if not place.is_dir():
        return [place]
    return sorted(path for path in place.rglob("*") if path.is_file() and not _is_hidden(path.relative_to(place)))


def _is_hidden(inside: Path) -> bool:
    return any(part.startswith(".") for part in inside.parts)
