"""Capacity of a machine or a cluster, in trials at once. Pure functions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vae_search.core.machine import Machine
from vae_search.errors import ClusterTrouble
from vae_search.spec.sections import Resources

CPU, GPU, MEMORY = "CPU", "GPU", "memory"  # Ray's names of them
WORKER_BYTES = 700 * 10**6  # TensorFlow and one compiled network
SLOW_STORE_BYTES = 10**10  # an object store up to this size may lie on a disk; Ray refuses larger ones
AUTOSCALER_S = 1200.0  # that an autoscaler has to bring the first node: images are pulled, packages installed
MOST_ASKED = 256  # slots at a time; more come in the next boot
ROUNDING = 1e-6  # Ray counts resources in ten-thousandths; 4 × 0.25 must be 1


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCapacity:
    """Resources and labels that one node of a cluster offers to trials."""

    node_id: str
    resources: Mapping[str, float]
    """in all, by Ray's names; bytes for `memory`"""
    labels: Mapping[str, str] = field(default_factory=dict)


def needs(resources: Resources) -> dict[str, float]:
    """Resources that one trial takes, by Ray's names."""
    wanted = {CPU: float(resources.cpus_per_trial), GPU: resources.gpus_per_trial, MEMORY: float(resources.memory)}
    return {name: amount for name, amount in (wanted | dict(resources.custom)).items() if amount > 0}


def trials_on(node: NodeCapacity, resources: Resources) -> int:
    """Number of trials that the node holds at once; 0 if it lacks a label."""
    if any(node.labels.get(label) != value for label, value in resources.labels.items()):
        return 0
    return min(int(node.resources.get(name, 0.0) / amount + ROUNDING) for name, amount in needs(resources).items())


def cluster_capacity(nodes: Sequence[NodeCapacity], resources: Resources) -> int:
    """Trials that the nodes hold at once."""
    return sum(trials_on(node, resources) for node in nodes)


def in_flight_limit(reachable: int, resources: Resources) -> int:
    """Limit of trials in flight: those that the sweep has, or could have, a slot for, and a few ahead.

    One ahead, or an eighth, keeps a worker from waiting for the sampler. It is no larger, because what is asked ahead
    is asked without the results of what runs.

    Args:
        reachable: slots of the sweep's own running trials, and free ones; other sweeps' slots do not count.
    """
    return capped(reachable + max(1, reachable // 8), resources)


def slots_to_ask_for(*, left: int, in_flight: int, free: int, resources: Resources) -> int:
    """Slots to ask an autoscaler for, beside those that trials in flight wait for themselves.

    All that the sweep could use at once, so that a cluster grows in one boot instead of by a share at a time; nothing
    while a slot is free, because trials come first.

    Args:
        left: trials and confirm runs that are still to end, those in flight among them.
        free: slots that nobody uses.
    """
    if free > 0:
        return 0
    return min(max(0, capped(left, resources) - in_flight), MOST_ASKED)


def capped(trials: int, resources: Resources) -> int:
    """The number of trials, or what the spec allows at once if that is less."""
    return min(trials, resources.concurrency) if isinstance(resources.concurrency, int) else trials


def check_capacity(nodes: Sequence[NodeCapacity], resources: Resources) -> None:
    """Refuse a trial that no node holds: it would wait for one that may never come.

    Raises:
        ClusterTrouble: Naming the largest node and what the trial needs.
    """
    if any(trials_on(node, resources) for node in nodes):
        return
    for name, amount in needs(resources).items():
        largest = max((node.resources.get(name, 0.0) for node in nodes), default=0.0)
        if largest + ROUNDING < amount:
            raise ClusterTrouble(
                f"resources.{_key(name)}: the largest node has {_amount(name, largest)}, a trial needs "
                f"{_amount(name, amount)}. Lower it, or add a larger node."
            )
    labels = ", ".join(f"{label}={value}" for label, value in resources.labels.items())
    what = f"all of it at once{f' and the labels {labels}' if labels else ''}"
    raise ClusterTrouble(f"resources: a trial needs {_shown(resources)}, but no node has {what}. Lower it.")


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalCapacity:
    """Trials at once on one machine, with the sum that leads there."""

    trials: int
    room: int
    """trials at once without the spec's own limit, which may be raised while the sweep runs"""
    sum: str
    """in words, for people"""
    lowered: bool
    """by the container's quota or the memory, below what the machine's cores would hold"""


def local_capacity(resources: Resources, machine: Machine, *, data_bytes: int = 0) -> LocalCapacity:
    """Trials at once that the cores and the memory of a machine hold, or what the spec allows if that is less.

    At least one, however little memory there is: whether it is enough is seen when it runs.

    Args:
        data_bytes: size of the images; they lie in shared memory once, and in each worker once more.

    Raises:
        ClusterTrouble: A trial needs more cores than there are; it would wait for ever.
    """
    by_cores = machine.cores // resources.cpus_per_trial
    if by_cores == 0:
        raise ClusterTrouble(
            f"resources.cpus_per_trial: a trial needs {resources.cpus_per_trial} cores, but this machine has "
            f"{machine.cores}. Lower it."
        )
    per_trial = f" / {resources.cpus_per_trial} a trial" if resources.cpus_per_trial > 1 else ""
    sums = [f"{_counted(machine.cores, 'core')}{per_trial}"]
    if machine.quota_cores is not None:
        sums[0] += f" (the container's quota: {machine.quota_cores:g})"
    by_memory = by_cores
    if machine.memory_bytes is not None:
        worker_bytes = resources.memory or WORKER_BYTES + data_bytes
        by_memory = max(1, (machine.memory_bytes - data_bytes) // worker_bytes)
        images = f" - {_gb(data_bytes)} of images" if data_bytes else ""
        sums.append(f"({_gb(machine.memory_bytes)} of free memory{images}) / {_gb(worker_bytes)} a worker")
    trials = capped(min(by_cores, by_memory), resources)
    if isinstance(resources.concurrency, int):
        sums.append(f"concurrency {resources.concurrency}")
    return LocalCapacity(
        trials=trials,
        room=min(by_cores, by_memory),
        sum=f"{_counted(trials, 'trial')} at once: the least of {', '.join(sums)}",
        lowered=trials < capped(by_cores, resources) or machine.quota_cores is not None,
    )


def check_shared_memory(machine: Machine, store_bytes: int) -> str | None:
    """Compare Ray's object store with /dev/shm; returns in words what makes it slow, None if nothing does.

    Raises:
        ClusterTrouble: Ray would refuse to start.
    """
    free_bytes = machine.shared_memory_bytes
    if free_bytes is None or free_bytes >= store_bytes:
        return None
    shared = "/dev/shm"  # noqa: S108 - a name in a sentence
    found = f"{shared} has {_gb(free_bytes)} free, Ray's object store needs {_gb(store_bytes)} for the images"
    if store_bytes > SLOW_STORE_BYTES:
        raise ClusterTrouble(f"{found}. Enlarge it (docker run --shm-size), or train with --inline.")
    return f"{found}; it lies on the disk instead, which is slower"


def shown_needs(resources: Resources) -> str:
    """Resources and labels of a trial in words: `2 CPUs, 1 GPU, zone=east`."""
    labels = [f"{label}={value}" for label, value in resources.labels.items()]
    return ", ".join([_shown(resources), *labels])


def _key(name: str) -> str:
    return {CPU: "cpus_per_trial", GPU: "gpus_per_trial", MEMORY: "memory"}.get(name, f"custom.{name}")


def _amount(name: str, amount: float) -> str:
    if name == MEMORY:
        return f"{amount / 2**30:,.2f} GiB of memory"
    return f"{amount:g} {name if name not in (CPU, GPU) or amount == 1 else name + 's'}"


def _shown(resources: Resources) -> str:
    return ", ".join(_amount(name, amount) for name, amount in needs(resources).items())


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number != 1 else ''}"


def _gb(amount: float) -> str:
    return f"{amount / 1e9:.1f} GB"
