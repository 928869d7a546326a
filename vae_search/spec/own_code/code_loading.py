"""Code from elsewhere in this process: where a person has said that it may be looked for, and its import from memory.

A process runs code that it was handed (a worker, by its driver) or that it finds where its command line says. What is
run are the very bytes that were hashed.
"""

import importlib.abc
import importlib.util
import os
import sys
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from importlib.machinery import ModuleSpec
from operator import attrgetter
from pathlib import Path
from threading import RLock
from types import CodeType, ModuleType
from typing import Any

from vae_search.core.text import printable
from vae_search.errors import InvalidSpec, NodeTrouble
from vae_search.spec.own_code.own_code import OwnCode, find_code

VARIABLE = "VAE_SEARCH_CODE"
_places: dict[Path, bool] = {}  # and whether there was anything when it was named
_provided: dict[str, OwnCode] = {}
_found_here: set[str] = set()  # packages among them that this process has read itself
_importing = RLock()  # of the threads of a service; code may import other code while it is imported


def look_in(places: Iterable[Path]) -> None:
    """Let this process look for code in files, folders and wheels that its command line names."""
    _places.update((place.absolute(), place.exists()) for place in places)


def code_places() -> Sequence[Path]:
    """Places of `look_in`, without what an earlier call of this process named and is gone, then the environment's."""
    named = [Path(each).expanduser() for each in os.environ.get(VARIABLE, "").split(os.pathsep) if each]
    return [*(place for place, was_there in _places.items() if place.exists() or not was_there), *named]


def code_of(module: str) -> OwnCode:
    """The code that was provided to this process, or else is found where it may look.

    Raises:
        InvalidSpec: There is none.
    """
    provided = _provided.get(module.partition(".")[0])
    return find_code(module, code_places()) if provided is None else provided


def look_again() -> None:
    """Make this process read code anew that it has read itself: its files may have been edited since.

    Code that another process has handed over stays.
    """
    for package in _found_here:
        _provided.pop(package, None)
    _found_here.clear()


def provide(code: OwnCode, *, found_here: bool = False) -> None:
    """Make this process use this code, and no other of its name.

    Args:
        found_here: read by this process itself, so that it holds until `look_again`.

    Raises:
        NodeTrouble: It is installed, and this machine has another one.
    """
    if code.is_installed:
        here = find_code(code.package)
        if changes := code.identity.changes(here.identity):
            raise NodeTrouble(
                f"{code.package}: this machine has other code of it than the driver ({'; '.join(changes[:3])}).\n"
                "Install the same version on all machines."
            )
    if found_here and code.package not in _provided:
        _found_here.add(code.package)
    _provided[code.package] = code


def provided(packages: Container[str] | None = None) -> tuple[OwnCode, ...]:
    """Code that was provided to this process, of some packages or all, to hand it on."""
    return tuple(code for package, code in _provided.items() if packages is None or package in packages)


def function_in(module: str, function: str) -> Callable[..., Any]:
    """A function, or another object, of code from elsewhere, imported.

    Args:
        function: its name in the module, with dots if it lies in another object.

    Raises:
        InvalidSpec: There is no such code, or it cannot be imported.
    """
    where = f"{module}:{function}"
    try:
        found: Callable[..., Any] = attrgetter(function)(_imported(code_of(module), module))
    except InvalidSpec:
        raise
    except (Exception, SystemExit) as error:  # whatever a module of somebody else does when it is imported
        raise InvalidSpec(
            f"{where}: cannot be imported: {type(error).__name__}: {printable(str(error), 300)}.{_beside(error)}"
        ) from error
    return found


def _beside(error: BaseException) -> str:
    """Advice for code that imports a module which lies beside it, and was not taken along."""
    missing = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if not missing or not any((place / f"{missing}.py").is_file() or (place / missing).is_dir() for place in _around()):
        return ""
    return (
        f"\n{missing} lies beside it, but a single file is all that workers get. Put both into a folder with a file "
        "__init__.py, and import it by its whole name."
    )


def _around() -> Iterator[Path]:
    for place in code_places():
        yield place
        yield place.parent


def _imported(code: OwnCode, module: str) -> ModuleType:
    with _importing:
        known = sys.modules.get(code.package)
        loader = getattr(getattr(known, "__spec__", None), "loader", None)
        if known is not None and not (isinstance(loader, _MemoryLoader) and loader.code == code):
            # Of other bytes, from an earlier sweep of this process, or imported in another way before.
            for name in [name for name in sys.modules if name == code.package or name.startswith(f"{code.package}.")]:
                del sys.modules[name]
        finder = _MemoryFinder(code)
        sys.meta_path.insert(0, finder)
        try:
            return importlib.import_module(module)
        finally:
            sys.meta_path.remove(finder)


class _MemoryFinder(importlib.abc.MetaPathFinder):
    """Finds the modules of one package in memory."""

    def __init__(self, code: OwnCode) -> None:
        self._code = code

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        file = self._code.file_of(fullname) if fullname.partition(".")[0] == self._code.package else None
        if file is None:
            return None
        loader = _MemoryLoader(self._code, file)
        return importlib.util.spec_from_loader(fullname, loader, is_package=file.endswith("/__init__.py"))


class _MemoryLoader(importlib.abc.InspectLoader):
    """Loads a module from its source in memory."""

    def __init__(self, code: OwnCode, file: str) -> None:
        self.code = code
        self._file = file

    def get_source(self, fullname: str) -> str:
        return importlib.util.decode_source(self.code.files[self._file])

    def is_package(self, fullname: str) -> bool:
        return self._file.endswith("/__init__.py")

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.get_source(fullname), f"<{self._file}>", "exec", dont_inherit=True)
