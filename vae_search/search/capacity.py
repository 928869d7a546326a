"""Capacity of a machine or a cluster, in trials at once. Pure functions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vae_search.core.machine import usable_cores
from vae_search.errors import ClusterTrouble
from vae_search.spec.sections import Resources

CPU, GPU, MEMORY = "CPU", "GPU", "memory"  # Ray's names of them
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


def in_flight_limit(running: int, resources: Resources) -> int:
    """Limit of trials in flight: those that run, and some ahead.

    One ahead keeps a worker from waiting for the sampler. A quarter more on large clusters is what an autoscaler sees
    as demand; it is no larger, because what is asked ahead is asked without the results of what runs.
    """
    return capped(running + max(1, running // 4), resources)


def capped(trials: int, resources: Resources) -> int:
    """The number of trials, or what the spec allows at once if that is less."""
    return min(trials, resources.concurrency) if isinstance(resources.concurrency, int) else trials


def check_capacity(nodes: Sequence[NodeCapacity], growing: Sequence[NodeCapacity], resources: Resources) -> None:
    """Refuse a trial that would wait for ever.

    Args:
        growing: one node of each kind that an autoscaler may add.

    Raises:
        ClusterTrouble: No node holds it, and none that may come; naming the largest and what the trial needs.
    """
    every = [*nodes, *growing]
    if any(trials_on(node, resources) for node in every):
        return
    for name, amount in needs(resources).items():
        largest = max((node.resources.get(name, 0.0) for node in every), default=0.0)
        if largest + ROUNDING < amount:
            raise ClusterTrouble(
                f"resources.{_key(name)}: the largest node has {_amount(name, largest)}, a trial needs "
                f"{_amount(name, amount)}. Lower it, or add a larger node."
            )
    labels = ", ".join(f"{label}={value}" for label, value in resources.labels.items())
    what = f"all of it at once{f' and the labels {labels}' if labels else ''}"
    raise ClusterTrouble(f"resources: a trial needs {_shown(resources)}, but no node has {what}. Lower it.")


def local_capacity(resources: Resources) -> int:
    """Trials at once on this machine's cores, or what the spec allows if that is less.

    Raises:
        ClusterTrouble: Not even one trial fits; it would wait for ever.
    """
    cores = usable_cores()
    trials = cores // resources.cpus_per_trial
    if trials == 0:
        raise ClusterTrouble(
            f"resources.cpus_per_trial: a trial needs {resources.cpus_per_trial} cores, but this machine has {cores}. "
            "Lower it."
        )
    return capped(trials, resources)


def _key(name: str) -> str:
    return {CPU: "cpus_per_trial", GPU: "gpus_per_trial", MEMORY: "memory"}.get(name, f"custom.{name}")


def _amount(name: str, amount: float) -> str:
    if name == MEMORY:
        return f"{amount / 2**30:,.2f} GiB of memory"
    return f"{amount:g} {name if name not in (CPU, GPU) or amount == 1 else name + 's'}"


def _shown(resources: Resources) -> str:
    return ", ".join(_amount(name, amount) for name, amount in needs(resources).items())
