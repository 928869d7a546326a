"""Code from elsewhere: where it is, which bytes, which version; found without importing it.

Where it is looked for, a person at the command line decides: what is installed, the folder of the spec, `--code PATH`.
Never what a store or a request over HTTP brings along.
"""

import ast
import hashlib
import sys
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path, PurePosixPath

from vae_search.core.text import did_you_mean, printable
from vae_search.errors import InvalidSpec

MOST_FILES, MOST_BYTES = 200, 4 * 2**20
"""of a package's source: it is small, and every worker gets a copy"""
_distributions: dict[str, str] = {}  # by package; to read them from all metadata takes a tenth of a second and more


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeIdentity:
    """Identity of the code that a family, a network or a metric comes from."""

    package: str
    """the module, or the package that holds it"""
    version: str | None
    """of the distribution that installed it; None if none did"""
    files: Mapping[str, str]
    """SHA-256 of each source file, by path from the folder that holds the package"""

    @property
    def sha256(self) -> str:
        """Digest of all files, with their names."""
        lines = "".join(f"{digest}  {path}\n" for path, digest in sorted(self.files.items()))
        return hashlib.sha256(lines.encode()).hexdigest()

    @property
    def shown_version(self) -> str:
        """Version and digest on one line, as rows and cards keep them beside the versions of libraries."""
        return f"{self.version or 'not installed'}, sha256 {self.sha256}"

    def to_json(self) -> dict[str, object]:
        """Plain values, as records keep them."""
        return {"package": self.package, "version": self.version, "sha256": self.sha256, "files": dict(self.files)}

    @classmethod
    def from_json(cls, fields: object) -> "CodeIdentity | None":
        """The identity of `to_json`; None for anything else."""
        match fields:
            case {"package": str(package), "version": version, "files": dict(files)}:
                return cls(package=package, version=None if version is None else str(version), files=files)
        return None

    def changes(self, now: "CodeIdentity") -> list[str]:
        """Differences to what is here now, in words; none if the files are the same."""
        if self.files == now.files:
            return []
        found = [] if self.version == now.version else [f"version {self.version or 'none'} → {now.version or 'none'}"]
        for path in sorted({*self.files, *now.files}):
            match self.files.get(path), now.files.get(path):
                case None, str(digest):
                    found.append(f"{path}: new, SHA-256 {digest[:12]}…")
                case str(digest), None:
                    found.append(f"{path}: gone, was SHA-256 {digest[:12]}…")
                case before, after if before != after:
                    found.append(f"{path}: SHA-256 {str(before)[:12]}… → {str(after)[:12]}…")
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnCode:
    """Source of one module, or of one package, in memory: what is hashed is what is run.

    Args:
        files: by path from the folder that holds the package, `/` between the parts.
    """

    package: str
    version: str | None
    is_installed: bool
    files: Mapping[str, bytes]

    @property
    def identity(self) -> CodeIdentity:
        """Package, version and digests."""
        digests = {path: hashlib.sha256(content).hexdigest() for path, content in self.files.items()}
        return CodeIdentity(package=self.package, version=self.version, files=digests)

    def file_of(self, module: str) -> str | None:
        """Path of a module's file among `files`; None if it is not there."""
        path = module.replace(".", "/")
        return next((name for name in (f"{path}.py", f"{path}/__init__.py") if name in self.files), None)


def find_code(module: str, places: Sequence[Path] = ()) -> OwnCode:
    """Find the source of a module: in `places` first, then among what is installed.

    Args:
        module: `my_nets` or `my_package.nets`.
        places: each a folder that holds modules, one module or package itself, or a wheel.

    Raises:
        InvalidSpec: It is nowhere, has no source, or is too large.
    """
    package = module.partition(".")[0]
    if package in sys.stdlib_module_names or package == "vae_search":
        raise InvalidSpec(f"{module}: is a module of Python's or ours. Give yours another name.")
    installed = PathFinder.find_spec(package, [each for each in sys.path if each])
    for place in places:
        if not place.exists():
            raise InvalidSpec(
                f"{printable(str(place), 200)}: there is no such file or folder, which should hold {module}."
            )
        files = _in_wheel(place, package) if place.suffix == ".whl" else _in_place(place, package)
        if files:
            if installed is not None and not _is_at(installed, place):
                raise InvalidSpec(
                    f"{printable(str(place), 200)}: an installed package is called {package} as well, so nobody can "
                    "tell which is meant.\nRename yours, or leave --code out to use what is installed."
                )
            return _checked(OwnCode(package=package, version=None, is_installed=False, files=files), module)
    if installed is None or installed.origin in (None, "built-in", "frozen"):
        for folder in (each / package for each in places):
            if folder.is_dir():
                raise InvalidSpec(
                    f"{module}: {printable(str(folder), 200)} is no package: a package has a file __init__.py, which "
                    "may be empty.\nAdd it, or give that folder itself, and name its modules without it."
                )
        where = ", ".join(printable(str(place), 200) for place in places) or "what is installed"
        raise InvalidSpec(
            f"{module}: no such module in {where}.\nInstall its package, or give file, folder or wheel: --code PATH."
        )
    found = _in_place(Path(str(installed.origin)), package)
    return _checked(OwnCode(package=package, version=_version(package), is_installed=True, files=found), module)


def functions_of(code: OwnCode, module: str, *, where: str) -> dict[str, ast.FunctionDef]:
    """Functions that a module of the code defines, by name, from its source: nothing is run.

    Args:
        where: what a message begins with.

    Raises:
        InvalidSpec: The source is no Python.
    """
    path = code.file_of(module) or ""
    try:
        tree = ast.parse(code.files[path])
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 1
        raise InvalidSpec(f"{where}: {path}:{line}: is no Python that can be read: {printable(str(error))}.") from error
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}


def missing_function(code: OwnCode, module: str, name: str, functions: Collection[str]) -> str:
    """Sentences on a function that a module does not define.

    Args:
        functions: those that it does.
    """
    hint = did_you_mean(name, functions) if functions else "It defines none."
    return f"{code.file_of(module) or ''} defines no function {name}. {hint}"


def _in_place(place: Path, package: str) -> dict[str, bytes]:
    """Source files of `package` at a place: its file, its folder, or the folder that holds either."""
    if place.name == "__init__.py":
        place = place.parent
    single = next((each for each in (place, place / f"{package}.py") if each.name == f"{package}.py"), place)
    folder = place if place.name == package else place / package
    try:
        if (folder / "__init__.py").is_file():
            paths = sorted(each for each in folder.rglob("*.py") if not _is_hidden(each.relative_to(folder)))
            return {path.relative_to(folder.parent).as_posix(): _read(path) for path in paths[: MOST_FILES + 1]}
        return {single.name: _read(single)} if single.is_file() and single.name == f"{package}.py" else {}
    except OSError as error:
        where = place if error.filename is None else error.filename
        raise InvalidSpec(f"{printable(str(where), 200)}: cannot be read: {error.strerror or error}.") from error


def _in_wheel(place: Path, package: str) -> dict[str, bytes]:
    import zipfile  # with all its compressions, which a spec without code from elsewhere does not need

    try:
        with zipfile.ZipFile(place) as archive:
            inside = [
                each
                for each in archive.infolist()
                if each.filename == f"{package}.py"
                or (PurePosixPath(each.filename).parts[:1] == (package,) and each.filename.endswith(".py"))
            ]
            if sum(each.file_size for each in inside) > MOST_BYTES:
                raise InvalidSpec(_too_large(package))
            return {each.filename: archive.read(each) for each in sorted(inside, key=lambda each: each.filename)}
    except (OSError, zipfile.BadZipFile, RuntimeError) as error:
        raise InvalidSpec(f"{printable(str(place), 200)}: is no wheel that can be read: {error}.") from error


def _checked(code: OwnCode, module: str) -> OwnCode:
    if len(code.files) > MOST_FILES or sum(map(len, code.files.values())) > MOST_BYTES:
        raise InvalidSpec(_too_large(code.package))
    if code.file_of(module) is None:
        raise InvalidSpec(f"{module}: {code.package} is here, but has no source file of that module.")
    return code


def _too_large(package: str) -> str:
    return (
        f"{package}: code that goes to workers may have at most {MOST_FILES} files and {MOST_BYTES // 2**20} MiB.\n"
        "Put what the spec names into a package of its own."
    )


def _is_at(spec: ModuleSpec, place: Path) -> bool:
    """True if what is installed is the very file or folder that was given, as an editable installation is."""
    origin = Path(spec.origin or "/nowhere").resolve()
    return origin == place.resolve() or origin.is_relative_to(place.resolve())


def _version(package: str) -> str | None:
    from importlib import metadata

    with suppress(KeyError, metadata.PackageNotFoundError):  # another one may have been installed since
        return metadata.version(_distributions[package])
    _distributions.update((each, names[0]) for each, names in metadata.packages_distributions().items())
    with suppress(KeyError, metadata.PackageNotFoundError):
        return metadata.version(_distributions[package])
    return None


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MOST_BYTES + 1)


def _is_hidden(inside: Path) -> bool:
    return any(part.startswith(".") or part == "__pycache__" for part in inside.parts)
