"""Words on pictures that cannot be decoded."""

from collections.abc import Sequence

from vae_search.core.text import first_few

MOST_NAMED = 8
OR_LEFT_OUT = "remove {it}, or set data.skip_damaged: true to leave {it} out."


def damage(names: Sequence[str], count: int, reason: str, where: str) -> str:
    """Refusal of damaged pictures, all of them at once.

    Args:
        names: of those pictures.
        count: of all pictures.
        reason: what is wrong with the first, its place before it.
        where: what the message begins with.
    """
    if len(names) == 1:
        return f"{reason}\nGet it again, {OR_LEFT_OUT.format(it='it')}"
    return (
        f"{where}: {len(names):,} of {count:,} pictures cannot be decoded: {first_few(names, MOST_NAMED)}.\n"
        f"Get them again, {OR_LEFT_OUT.format(it='them')}"
    )
