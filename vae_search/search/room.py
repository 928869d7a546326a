"""How many trials this machine holds at once."""

import os

from vae_search.errors import ClusterTrouble
from vae_search.spec_parts import Resources


def local_room(resources: Resources) -> int:
    """Trials at once on this machine's cores, or what the spec allows if that is less.

    Raises:
        ClusterTrouble: Not even one trial fits; it would wait for ever.
    """
    cores = len(os.sched_getaffinity(0))
    room = cores // resources.cpus_per_trial
    if room == 0:
        raise ClusterTrouble(
            f"resources.cpus_per_trial: a trial needs {resources.cpus_per_trial} cores, but this machine has {cores}. "
            "Lower it."
        )
    return min(room, resources.concurrency) if isinstance(resources.concurrency, int) else room
