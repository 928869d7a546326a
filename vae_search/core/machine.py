"""Machine facts: cores, memory and shared memory that this process may use; those of its container where it has one;
and where this package lies.
"""

import getpass
import os
import resource
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/")
_BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}  # as Linux calls them, of x86 and of ARM
PACKAGE_PARENT = Path(__file__).parents[2]  # what a child must have on its search path to import this very package
NO_BFLOAT16 = "this machine's processor has no products of bfloat16 (avx512_bf16, amx_bf16 or bf16 in /proc/cpuinfo)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Cores and bytes of a machine, or of the container that this process is in."""

    cores: int
    """at least 1: half a core is a slow one"""
    quota_cores: float | None = None
    """of the container, where it allows less than the machine has"""
    memory_bytes: int | None = None
    """that can be taken without swapping; None where the system does not tell"""
    shared_memory_bytes: int | None = None
    """free in /dev/shm, where Ray keeps the images; None where there is none"""


def this_machine(root: Path = ROOT) -> Machine:
    """Facts of the machine, or container, that this process runs in.

    Args:
        root: folder that holds `proc`, `sys` and `dev`.
    """
    offered = _offered_cores()
    quota = min(_quotas(root), default=None)
    lowered = quota is not None and quota < offered
    return Machine(
        cores=max(1, int(quota)) if lowered and quota is not None else offered,
        quota_cores=quota if lowered else None,
        memory_bytes=min(_memories(root), default=None),
        shared_memory_bytes=_free_bytes(root / "dev/shm"),
    )


def multiplies_bfloat16(root: Path = ROOT) -> bool | None:
    """True if this machine's processor has products of bfloat16; None where the system does not tell (macOS).

    Elsewhere they are emulated, and take longer than products of float32.

    Args:
        root: folder that holds `proc`.
    """
    lines = [line.partition(":") for line in _text(root / "proc/cpuinfo").splitlines()]
    flags = next((text.split() for name, _, text in lines if name.strip() in ("flags", "Features")), None)
    return None if flags is None else not _BFLOAT16_FLAGS.isdisjoint(flags)


def system_user() -> str:
    """Name of the user that this process runs as; in a container that knows no names, its number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid-{os.getuid()}"


def usable_cores() -> int:
    """Cores that this process may use: its affinity, or the container's quota where that is less; at least 1."""
    return this_machine().cores


def _offered_cores() -> int:
    """Cores that this process may run on; all of the machine's where the system does not tell (macOS)."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def usable_memory_bytes(root: Path = ROOT) -> int:
    """Memory that this process may use: the machine's, its container's or batch job's limit, whichever is least.

    Args:
        root: of the file system that has `proc` and `sys`.
    """
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [limit for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA) for limit in resource.getrlimit(kind)]
    set_limits = [limit for limit in limits if limit != resource.RLIM_INFINITY]
    return min([machine, *set_limits, *_limits(root)])


def _limits(root: Path) -> Iterator[int]:
    """Memory limits of every control group that this process is in."""
    for controller, name in (("", "memory.max"), ("memory", "memory.limit_in_bytes")):
        for group in _groups(root, controller):
            if (limit := _text(group / name)).isdecimal():  # else `max`, or not there
                yield int(limit)


def _quotas(root: Path) -> Iterator[float]:
    """CPU quotas in cores, of every control group that this process is in."""
    for group in _groups(root, ""):
        quota, _, period = _text(group / "cpu.max").partition(" ")
        yield from _quota(quota, period)
    for group in _groups(root, "cpu"):
        yield from _quota(_text(group / "cpu.cfs_quota_us"), _text(group / "cpu.cfs_period_us"))


def _quota(quota: str, period: str) -> Iterator[float]:
    if quota.isdecimal() and period.isdecimal() and int(quota) > 0 and int(period) > 0:  # not "max", not "-1"
        yield int(quota) / int(period)


def _memories(root: Path) -> Iterator[int]:
    """Bytes that can still be taken: of the machine, and of every control group with a limit."""
    available = _numbers(root / "proc/meminfo").get("MemAvailable:")
    if available is not None:
        yield available * 1024
    for controller, limit, usage, inactive in (
        ("", "memory.max", "memory.current", "inactive_file"),
        ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        for group in _groups(root, controller):
            most, used = _text(group / limit), _text(group / usage)
            if most.isdecimal() and used.isdecimal():
                # Pages of files count as used, but are given back when somebody wants them.
                kept = int(used) - _numbers(group / "memory.stat").get(inactive, 0)
                yield max(0, int(most) - max(0, kept))


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Folders of the control groups of this process, from its own up to the top.

    Args:
        controller: of version 1, `cpu` or `memory`; empty for version 2, which has one tree for all.
    """
    for line in _text(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controller == "" and (number, controllers) == ("0", ""):
            tops = [root / "sys/fs/cgroup", root / "sys/fs/cgroup/unified"]
        elif controller != "" and controller in controllers.split(","):
            tops = [root / "sys/fs/cgroup" / name for name in {controllers, controller}]
        else:
            continue
        # In a container the path may be the host's, while the folder shows the container's group at its top.
        steps = [part for part in path.split("/") if part not in ("", "..")]
        for top in tops:
            for depth in range(len(steps), -1, -1):
                yield top.joinpath(*steps[:depth])


def _numbers(file: Path) -> dict[str, int]:
    """The lines `name number …` of a file."""
    words = (line.split() for line in _text(file).splitlines())
    return {line[0]: int(line[1]) for line in words if len(line) > 1 and line[1].isdecimal()}


def _text(file: Path) -> str:
    """Contents without white space at the ends; empty where the file is missing or may not be read."""
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _free_bytes(folder: Path) -> int | None:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None
