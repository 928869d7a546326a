"""Waiting for the nodes of a cluster: a driver may start before its workers, or where an autoscaler has none yet."""

from collections.abc import Callable, Sequence

from vae_search.errors import ClusterTrouble
from vae_search.search.capacity import AUTOSCALER_S, NodeCapacity, check_capacity, cluster_capacity, shown_needs
from vae_search.spec.sections import Resources

LOOK_EVERY_S = 1.0


def await_node(
    resources: Resources,
    *,
    wait_s: float | None,
    grows: bool,
    nodes: Callable[[], Sequence[NodeCapacity]],
    stop_requested: Callable[[], bool],
    on_phase: Callable[[str], None],
    monotonic: Callable[[], float],
    sleep: Callable[[float], object],
) -> bool:
    """Wait until a node holds a trial; False if the sweep shall stop before that.

    Args:
        wait_s: patience; None: that for an autoscaler, or none where there is none.
        grows: whether an autoscaler runs, and is asked for nodes meanwhile.
        on_phase: told what is waited for, again whenever the number of nodes has changed.

    Raises:
        ClusterTrouble: None came in time; says what a trial needs and what was there.
    """
    patience_s = wait_s if wait_s is not None else AUTOSCALER_S if grows else 0.0
    give_up_s = monotonic() + patience_s
    told = -1
    while not cluster_capacity(found := nodes(), resources):
        if stop_requested():
            return False
        if monotonic() >= give_up_s:
            raise _in_vain(found, resources, patience_s=patience_s, grows=grows)
        if told != (told := len(found)):
            asked = "; the autoscaler is asked for it" if grows else ""
            on_phase(
                f"waiting up to {patience_s:.0f} s for a node that holds a trial ({shown_needs(resources)}): none of "
                f"{len(found)} so far{asked}"
            )
        sleep(LOOK_EVERY_S)
    return True


def _in_vain(nodes: Sequence[NodeCapacity], resources: Resources, *, patience_s: float, grows: bool) -> ClusterTrouble:
    """The error of a wait in which no node came."""
    if grows:
        return ClusterTrouble(
            f"resources: a trial needs {shown_needs(resources)}, and no node that holds it came within "
            f"{patience_s:.0f} s, though the autoscaler was asked.\n`ray status` on the head says what it tried; its "
            "node types must hold a trial. Wait longer with --wait-for-nodes SECONDS."
        )
    try:
        check_capacity(nodes, resources)
    except ClusterTrouble as trouble:
        hint = f"None came within {patience_s:.0f} s." if patience_s else "To wait for it: --wait-for-nodes SECONDS."
        return ClusterTrouble(f"{trouble}\n{hint}")
    raise ValueError("a node holds a trial")
