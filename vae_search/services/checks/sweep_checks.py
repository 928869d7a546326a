"""Checks of a sweep before it trains: what can never run is refused before anything slow.

Heavy libraries are imported inside the functions that need them.
"""

from typing import TYPE_CHECKING

from vae_search.core.text import printable
from vae_search.errors import InvalidSpec
from vae_search.spec.hyperparameters import Config
from vae_search.spec.measures.metrics import metrics_code
from vae_search.spec.networks.submitted import check_own, code_in_use
from vae_search.spec.own_code.code_loading import look_again, provide
from vae_search.spec.own_code.own_code import CodeIdentity
from vae_search.store.sweeps import beginning
from vae_search.store.sweeps.sweep_record import SweepRecord

if TYPE_CHECKING:
    from vae_search.data.dataset import Dataset
    from vae_search.spec.sweep_spec import SweepSpec


def check_machines(*, address: str | None, inline: bool, wait_s: float | None) -> None:
    """Refuse options that contradict each other.

    Raises:
        InvalidSpec: `inline` with an address, or `wait_s` without one.
    """
    if inline and address is not None:
        raise InvalidSpec("--inline: trains in this process, so it cannot go with --address. Leave one of them out.")
    if wait_s is not None and address is None:
        raise InvalidSpec("--wait-for-nodes: goes with --address; this machine alone has no other nodes. Leave it out.")


def check_limits(spec: "SweepSpec") -> None:
    """Refuse gate limits of the spec that cannot be used, before hours of search.

    Raises:
        InvalidSpec: `promote.limits` names a gate that does not exist.
    """
    if spec.promote is not None and spec.promote.limits:
        from vae_search.services.checks.promotion_rules import policy_of

        policy_of(spec)


def checked_code(spec: "SweepSpec", existing: SweepRecord | None) -> dict[str, CodeIdentity]:
    """Identities of code that is not ours, of networks by architecture, of metrics by column; workers get the code.

    Raises:
        InvalidSpec: The code is not here, or has other parameters than the search space.
        Conflict: It has changed since the sweep began.
    """
    look_again()
    check_own(spec.search_space)
    code = code_in_use(spec.search_space) | metrics_code(spec.metrics)
    identities = {name: each.identity for name, each in code.items()}
    if existing is not None:
        beginning.check_code(existing, identities)
    for each in code.values():
        provide(each, found_here=True)
    return identities


def check_capacity(spec: "SweepSpec", *, address: str | None, wait_s: float | None) -> None:
    """Refuse trials that find no room on this machine, or on the cluster.

    Raises:
        InvalidSpec, ClusterTrouble: They never will.
    """
    if address is None:
        from vae_search.core.machine import NO_BFLOAT16, multiplies_bfloat16, this_machine
        from vae_search.search.capacity import local_capacity

        if spec.precision == "bfloat16" and not spec.resources.gpus_per_trial and multiplies_bfloat16() is False:
            raise InvalidSpec(f"precision: {NO_BFLOAT16}, where bfloat16 takes longer than float32. Leave it out.")
        local_capacity(spec.resources, this_machine())
    else:
        from vae_search.runtime.cluster.gcs import check_cluster

        check_cluster(address, spec.resources, wait_s=wait_s)


def check_images(spec: "SweepSpec", dataset: "Dataset", *, is_new: bool) -> None:
    """Refuse images that a sweep cannot be trained on; before Ray starts.

    Args:
        is_new: whether the sweep begins; an older one goes on as it began.

    Raises:
        BadData: They do not go with `data.binarize`.
        InvalidSpec: They do not fill a batch.
    """
    from vae_search.data.binarization import check_binarisation

    if is_new:
        check_binarisation(dataset.summary, binarize=spec.data.binarize, where=printable(spec.data.source, 400))
    largest, train_images = spec.search_space.largest("batch_size", default=Config().batch_size), len(dataset.train)
    if largest > train_images:
        raise InvalidSpec(
            f"search_space.batch_size: must be at most the number of training images, {train_images:,}, but may become "
            f"{largest:,}. Lower it."
        )
