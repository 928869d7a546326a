"""The package that a job takes along: the spec as written and as resolved, names of sent images, code of one's own.

Images are no part of it: every node unpacks a job's package, and only the driver reads images. They go to the head in
parts, under names of their own, and the driver takes them from there.
"""

import hashlib
import json
import secrets
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from vae_search.core.text import printable
from vae_search.errors import BadData, ClusterTrouble, CorruptStore
from vae_search.runtime.cluster.http_client import Address, NoAnswer, NotHttp, ask
from vae_search.spec.own_code.own_code import CodeIdentity, OwnCode
from vae_search.spec.sweep_spec import SweepSpec

TEXT, RESOLVED, IMAGES = "spec.yaml", "resolved.json", "images.json"
CODE, CODE_LIST = "code", "code.json"
MOST_BYTES = 500 * 2**20  # the head holds them in memory until the driver has them
PACKAGE_S = 600.0  # to bring one part of the images to the head, over a slow line
PART_BYTES = 64 * 2**20  # Ray's dashboard takes bodies of up to 100 MiB

DIGEST_DIGITS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPackage:
    """One sweep, ready to be sent."""

    spec: SweepSpec
    text: str
    """the spec as the user wrote it"""
    store: str
    """where the cluster keeps the sweep"""
    images: Path | None
    """the file or folder to send to the head; the spec names them as `sent_images.source_of` does"""
    refresh: bool = False
    """the driver shall fetch far images anew"""
    parts: tuple[str, ...] = ()
    """names of the sent images' parts at the head, in their order"""
    code: tuple[OwnCode, ...] = ()
    """of families, networks and metrics that is not installed"""

    @property
    def sweep(self) -> str:
        return self.spec.name

    @property
    def sha256(self) -> str:
        """Of the whole spec, its free keys included, and of the code that goes along."""
        content = json.dumps(self.spec.to_json(), sort_keys=True) + "".join(each.identity.sha256 for each in self.code)
        return hashlib.sha256(content.encode()).hexdigest()

    def write(self, folder: Path) -> None:
        """Lay everything but images out in a folder."""
        (folder / TEXT).write_text(self.text, encoding="utf-8")
        (folder / RESOLVED).write_text(json.dumps(self.spec.to_json()), encoding="utf-8")
        if self.parts:
            (folder / IMAGES).write_text(json.dumps(self.parts), encoding="utf-8")
        for each in self.code:
            for path, content in each.files.items():
                target = folder / CODE / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
        if self.code:
            identities = [each.identity.to_json() for each in self.code]
            (folder / CODE_LIST).write_text(json.dumps(identities), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path, *, store: str) -> Self:
        """Read what `write` laid out.

        Raises:
            CorruptStore: It is not all there.
        """
        try:
            text = (folder / TEXT).read_text(encoding="utf-8")
            tree = json.loads((folder / RESOLVED).read_text(encoding="utf-8"))
            names = (folder / IMAGES).read_text(encoding="utf-8") if (folder / IMAGES).exists() else "[]"
            parts = tuple(str(name) for name in json.loads(names))
        except (OSError, ValueError, TypeError) as error:
            raise CorruptStore(f"{folder}: holds no job of a sweep. It is made by `vae-search submit`.") from error
        code = _read_code(folder)
        return cls(spec=SweepSpec.from_json(tree), text=text, store=store, images=None, parts=parts, code=code)


def _read_code(folder: Path) -> tuple[OwnCode, ...]:
    """Code that came along, if it is what was sent.

    Raises:
        CorruptStore: It is not.
    """
    if not (folder / CODE_LIST).exists():
        return ()
    found = []
    try:
        for fields in json.loads((folder / CODE_LIST).read_text(encoding="utf-8")):
            sent = CodeIdentity.from_json(fields)
            if sent is None or any(".." in path.split("/") or path.startswith("/") for path in sent.files):
                raise ValueError("the list of files is damaged")
            files = {path: (folder / CODE / path).read_bytes() for path in sent.files}
            code = OwnCode(package=sent.package, version=sent.version, is_installed=False, files=files)
            if code.identity.files != sent.files:
                raise ValueError(f"{sent.package} has another digest than was sent")
            found.append(code)
    except (OSError, ValueError, TypeError) as error:
        raise CorruptStore(f"{folder}: the code that was sent has not arrived whole: {error}. Submit again.") from error
    return tuple(found)


def image_parts(place: Path) -> Iterator[bytes]:
    """An archive of the images at `place`, in parts.

    Raises:
        BadData: They cannot be read, lead out of the folder, or are more than the head takes.
    """
    try:
        found = files_of(place)
        size = sum(file.stat().st_size for file in found)
        if size > MOST_BYTES:
            raise BadData(
                f"{place}: --upload-data takes at most {MOST_BYTES // 2**20} MiB through the cluster's head, but this "
                f"has {size // 2**20}.\nPut the images where the head finds them, or use a store in a bucket that can "
                "be written from here."
            )
        with tempfile.TemporaryFile() as file:
            with tarfile.open(fileobj=file, mode="w", dereference=True) as archive:
                for path in found:
                    archive.add(path, path.relative_to(place.parent).as_posix(), filter=_without_owner)
            file.seek(0)
            while part := file.read(PART_BYTES):
                yield part
    except OSError as error:
        raise BadData(f"{place}: cannot be read: {error.strerror or error}.") from error


def leave_packages(address: str, parts: Iterable[bytes], *, token: str | None) -> tuple[str, ...]:
    """Leave packages at the head for a job's driver; returns their names, in order.

    The head forgets what nobody has asked for in ten minutes: a client that dies here leaves nothing for long.

    Args:
        address: of the dashboard.

    Raises:
        ClusterTrouble: The head does not take them.
    """
    nonce = secrets.token_hex(8)
    names: list[str] = []
    for number, part in enumerate(parts):
        names.append(f"gcs://vae_search_images_{nonce}_{number:04d}.zip")
        _package(address, names[-1], "PUT", part, token=token)
        _package(address, names[-1], "GET", token=token)
    for name in names[:-1]:
        _package(address, name, "GET", token=token)  # their ten minutes begin again
    return tuple(names)


def _package(address: str, name: str, method: str, content: bytes | None = None, *, token: str | None) -> None:
    path = f"/api/packages/{name.replace('://', '/')}"
    try:
        answer = ask(Address.parse(address), path, token=token, timeout_s=PACKAGE_S, method=method, body=content)
    except (NoAnswer, NotHttp) as error:
        raise ClusterTrouble(f"{address}: does not take the images: {error}.") from error
    if answer.status != 200:
        reason = answer.body.decode(errors="replace").strip().rpartition("\n")[2]
        raise ClusterTrouble(
            f"{address}: does not take the images: it answers {answer.status} {printable(reason, 200)}"
        )


def unpack_images(parts: Iterable[bytes], folder: Path) -> Path:
    """Unpack what `image_parts` gave into an empty folder; returns the file or folder that it holds.

    Raises:
        BadData: It is something else.
    """
    with tempfile.TemporaryFile() as file:
        for part in parts:
            file.write(part)
        file.seek(0)
        try:
            with tarfile.open(fileobj=file, mode="r:") as archive:
                for member in archive:
                    content = archive.extractfile(member) if member.isreg() else None
                    names = member.name.split("/")
                    if content is None or any(name in ("", ".", "..") for name in names):
                        raise BadData(f"{printable(member.name)}: is no file of images that were sent. Submit again.")
                    target = folder.joinpath(*names)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with target.open("xb") as copy:
                        while block := content.read(2**20):
                            copy.write(block)
        except (tarfile.TarError, EOFError) as error:
            raise BadData("the images that were sent have not arrived whole. Submit the sweep again.") from error
    found = [*folder.iterdir()]
    if len(found) != 1:
        raise BadData("the images that were sent have not arrived whole. Submit the sweep again.")
    return found[0]


def files_of(place: Path) -> list[Path]:
    """The file, or all files of the folder that are not hidden, sorted.

    Raises:
        BadData: A symbolic link leads out of the folder, to a folder or nowhere; it is named.
        OSError: The folder cannot be read.
    """
    if not place.is_dir():
        return [place]
    inside = [path for path in place.rglob("*") if not _is_hidden(path.relative_to(place))]
    root = place.resolve()
    for path in sorted(inside):
        if path.is_symlink() and not (path.resolve().is_relative_to(root) and path.is_file()):
            raise BadData(
                f"{printable(str(path), 400)}: is a symbolic link that leads out of {printable(str(place), 400)}, to a "
                "folder or nowhere.\nOnly the files of the folder are sent: put a copy there, or remove the link."
            )
    return sorted(path for path in inside if path.is_file())


def _is_hidden(inside: Path) -> bool:
    return any(part.startswith(".") for part in inside.parts)


def _without_owner(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    return member


def same_store(one: str, other: str) -> bool:
    """True if two locations mean one store, whichever way they are written."""
    return _plain(one) == _plain(other)


def store_digest(store: str) -> str:
    """Stands for a store's location in the name of a job, so that sweeps of one name in two stores do not collide."""
    return hashlib.sha256(_plain(store).encode()).hexdigest()[:DIGEST_DIGITS]


def _plain(store: str) -> str:
    return store.removeprefix("file://").rstrip("/")
