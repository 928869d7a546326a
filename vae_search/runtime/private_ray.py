"""Private Ray of a driver: its processes have sessions of their own, listen on the loopback only, and end with it.

`ray.init` starts Ray's processes in the driver's process group. There a signal to the group, as `timeout`, systemd, a
closed terminal or a batch system send it, ends them before the driver, which then cannot save anything.
"""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from ray._private import services
from ray.job_config import JobConfig

from vae_search.core.machine import PACKAGE_PARENT
from vae_search.runtime import orphan_watch


@contextmanager
def own_sessions(folder: Path) -> Iterator[None]:
    """Ray that is started inside the block is out of reach of the driver's signals, and goes with the driver.

    Args:
        folder: of this Ray; removed in the end.
    """
    command = [sys.executable, "-I", "-S", orphan_watch.__file__, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, text=True, start_new_session=True) as watch:
        if watch.stdin is None:
            raise RuntimeError("a pipe was asked for")
        with _ray_starts(_told_to(watch.stdin)):
            yield


def _told_to(groups: IO[str]) -> type[subprocess.Popen[bytes]]:
    """The class of Ray's processes: each leads a session, and `groups` is told of it."""

    class OwnSession(services.ConsolePopen):  # type: ignore[misc]  # Ray ships no types for it
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, start_new_session=True, **options)
            groups.write(f"{self.pid}\n")
            groups.flush()

    return OwnSession


@contextmanager
def _ray_starts(process: type[subprocess.Popen[bytes]]) -> Iterator[None]:
    """Inside the block Ray starts its processes so, and leaves 127.0.0.1 as it is given.

    Ray would put this machine's outer address in its place, and all its ports, those for metrics without a token among
    them, would be open to the network.
    """
    before = services.ConsolePopen, services.resolve_ip_for_localhost
    services.ConsolePopen, services.resolve_ip_for_localhost = process, lambda host: host
    try:
        yield
    finally:
        services.ConsolePopen, services.resolve_ip_for_localhost = before


class ImportsOfDriver(JobConfig):  # type: ignore[misc]  # Ray ships no types for it
    """Config of a driver whose workers import what it imports itself.

    Ray lets workers look into the driver's current folder first: another `vae_search` there, or a user's `random.py`,
    would be imported in the place of ours and of the libraries'.

    Args:
        private: the workers run on this machine alone, so that all of the driver's search path is good for them.
    """

    def __init__(self, *, private: bool) -> None:
        super().__init__()
        self._private = private

    def _serialize(self) -> Any:
        if not self._runtime_env_has_working_dir():  # a job carries its package itself
            self._py_driver_sys_path = (
                search_path(sys.path, PACKAGE_PARENT, Path.cwd()) if self._private else _uninstalled(PACKAGE_PARENT)
            )
        return super()._serialize()


def search_path(path: Sequence[str], package: Path, current: Path) -> list[str]:
    """The search path of a driver without its current folder, which is kept only where it holds this package.

    Args:
        path: `sys.path`.
        package: the folder that holds this package.
        current: the current folder.
    """
    kept = [entry for entry in path if entry and (Path(entry) != current or current == package)]
    return kept if str(package) in kept else [*kept, str(package)]


def _uninstalled(package: Path) -> list[str]:
    """The folder of this package, unless other machines find theirs where it is installed."""
    return [] if package.name in ("site-packages", "dist-packages") else [str(package)]
