"""Machine facts that the standard library tells in another way on each system."""

import os
import resource
from collections.abc import Iterator
from pathlib import Path


def usable_cores() -> int:
    """Cores that this process may run on; all of the machine's where the system does not tell (macOS)."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def usable_memory_bytes(root: Path = Path("/")) -> int:
    """Memory that this process may use: the machine's, its container's or batch job's limit, whichever is least.

    Args:
        root: of the file system that has `proc` and `sys`.
    """
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [limit for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA) for limit in resource.getrlimit(kind)]
    set_limits = [limit for limit in limits if limit != resource.RLIM_INFINITY]
    return min([machine, *set_limits, *_control_group_limits(root)])


def _control_group_limits(root: Path) -> Iterator[int]:
    """Limits of this process's control groups and of those that they are in; none outside of Linux."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":  # version 2
            top, name = root / "sys/fs/cgroup", "memory.max"
        elif "memory" in controllers.split(","):
            top, name = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
        else:
            continue
        # In a container the path may be the host's, which is not there; the container's own limit is at the top then.
        folder = top / path.lstrip("/")
        for place in (folder, *folder.parents):
            if not place.is_relative_to(top):
                break
            value = _text(place / name).strip()
            if value.isdecimal():  # else `max`, or not there
                yield int(value)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
