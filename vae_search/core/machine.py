"""Machine facts that the standard library tells in another way on each system."""

import os


def usable_cores() -> int:
    """Number of cores that this process may use; where the system does not tell, all of the machine's."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux has it, macOS has not
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1
