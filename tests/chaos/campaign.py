"""How often, and from which seed: a campaign prints both, so that a failure can be replayed."""

import os
import random

LARGE = os.environ.get("VAE_SEARCH_CHAOS") == "large"  # `make chaos`
SEED = int(os.environ.get("VAE_SEARCH_CHAOS_SEED", "20"))


def count(small: int, large: int) -> int:
    """How often a fault is tried: a few times in `make test`, often in `make chaos`."""
    return large if LARGE else small


def chance(campaign: str, number: int = 0) -> random.Random:
    """The campaign's source of chance; its printed seed brings the same schedule again."""
    seed = f"{campaign}/{SEED}/{number}"
    print(f"\nchaos {seed} (replay with VAE_SEARCH_CHAOS_SEED={SEED})")
    return random.Random(seed)
