"""Machine facts that the standard library tells in another way on each system, and where this package lies on it."""

import os
from pathlib import Path

PACKAGE_PARENT = Path(__file__).parents[2]  # what a child must have on its search path to import this very package


def usable_cores() -> int:
    """Cores that this process may run on; all of the machine's where the system does not tell (macOS)."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1
