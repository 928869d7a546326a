"""Exit codes after rendering: damage and trouble in what was shown become the command's error."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vae_search.core.text import first_few
from vae_search.errors import ClusterTrouble, CorruptStore, StoreUnavailable

if TYPE_CHECKING:
    from vae_search.registry.model_integrity import ModelInspection
    from vae_search.runtime.cluster.preflight_checks import Check
    from vae_search.services.maintenance import Verification


def raise_if_damaged(paths: Sequence[str], *, troubles: Sequence[str] = ()) -> None:
    """Name the files that were left out of what has just been shown.

    Args:
        paths: of damaged files, in the store.
        troubles: what is wrong with sweeps that could not be shown at all.

    Raises:
        CorruptStore: There are some.
    """
    if troubles:
        raise CorruptStore("\n".join(troubles[:3]))
    if paths:
        raise CorruptStore(f"{first_few(paths)}: damaged, and left out above. Restore the files from a copy.")


def raise_if_still_damaged(verifications: "Sequence[Verification]", models: "Sequence[ModelInspection]") -> None:
    """Count the files that are damaged after `verify`, and after a repair.

    Raises:
        CorruptStore: There are some.
    """
    renamed = [each.after.sweep for each in verifications if each.after.renamed_from is not None]
    damaged = [each for verification in verifications for each in verification.after.damaged]
    damaged += [finding for model in models for finding in model.damaged]
    if renamed and len(renamed) == len(damaged):
        raise CorruptStore(
            f"{first_few(renamed)}: renamed or copied by hand; nothing was changed. See above what to do."
        )
    if damaged:
        files = "1 file is" if len(damaged) == 1 else f"{len(damaged)} files are"
        raise CorruptStore(
            f"{files} damaged. Restore from a copy. `vae-search verify --repair` sets rows, curves and weights aside."
        )


def raise_if_in_trouble(checks: "Sequence[Check]") -> None:
    """Name the checks of `doctor` that found trouble.

    Raises:
        ClusterTrouble: Something besides the store is in trouble.
        StoreUnavailable: Only the store is.
    """
    troubles = [check for check in checks if not check.ok]
    if troubles:
        names = ", ".join(check.name for check in troubles)
        kind = StoreUnavailable if all(check.area == "store" for check in troubles) else ClusterTrouble
        raise kind(f"{len(troubles)} of {len(checks)} checks found trouble: {names}.")
