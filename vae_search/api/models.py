"""Models in Python: load, approve, reject."""

from pathlib import Path
from typing import TYPE_CHECKING

from vae_search.api.stores import opened

if TYPE_CHECKING:
    from vae_search.vae.inference.model import VaeModel


def load_model(address: str, *, store: str | Path | None = None) -> "VaeModel":
    """A promoted model, every byte checked; no code is loaded.

    Args:
        address: `fashion` or `fashion@champion` for the champion, `fashion:3` for a version.

    Raises:
        InvalidSpec: `address` is none.
        NotFound: There is no such model or version.
        CorruptStore: Its files are damaged.
    """
    from vae_search.services.models.champions import load

    return load(opened(store), address).model


def approve(model: str, version: int | None = None, *, why: str, store: str | Path | None = None) -> int:
    """Make a version that waits for approval the champion, in the name of the system's user.

    Args:
        version: None means the only one that waits.
        why: for the log.

    Returns:
        The champion.

    Raises:
        InvalidSpec: Several wait, and none was named; or no reason is given.
        NotFound: There is no such model or version, or none waits.
        Conflict: It does not wait, or has met another champion than the present one.
        CorruptStore: The log or the version's files are damaged.
    """
    from vae_search.core.machine import system_user
    from vae_search.services.models import approval

    return approval.approve(opened(store), model, version, why=why, actor=system_user()).version


def reject(model: str, version: int | None = None, *, why: str, store: str | Path | None = None) -> int:
    """Refuse a version that waits for approval; the champion stays. Arguments and errors as for `approve`.

    Returns:
        The version that is refused.
    """
    from vae_search.core.machine import system_user
    from vae_search.services.models import approval

    return approval.reject(opened(store), model, version, why=why, actor=system_user()).version
