"""Spec in a record of the store, as plain values; its classes are imported where one is read."""

from typing import TYPE_CHECKING

from vae_search.errors import CorruptStore, InvalidSpec

if TYPE_CHECKING:
    from vae_search.spec.sweep_spec import SweepSpec


def spec_in(tree: dict[str, object], path: str) -> "SweepSpec":
    """The spec in a record of the store, as plain values.

    Raises:
        CorruptStore: It is none.
    """
    from vae_search.spec.sweep_spec import SweepSpec

    try:
        return SweepSpec.from_json(tree)
    except InvalidSpec as error:
        raise CorruptStore(
            f"holds no valid spec: {error.problems[0]}.", path=path, advice="Restore it from a copy."
        ) from error
