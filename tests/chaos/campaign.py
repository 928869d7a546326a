"""How often, and from which seed: a campaign prints both, so that a failure can be replayed.

`VAE_SEARCH_CHAOS` is the share of the large counts of `make chaos` that is tried: nothing or 0 for the small counts of
`make test-all`, 1 for all of them, 0.2 for a fifth.
"""

import os
import random

SHARE = float(os.environ.get("VAE_SEARCH_CHAOS") or 0)
SEED = int(os.environ.get("VAE_SEARCH_CHAOS_SEED") or 20)


def count(small: int, large: int) -> int:
    """How often a fault is tried."""
    return max(small, round(SHARE * large))


def chance(campaign: str, number: int = 0) -> random.Random:
    """The campaign's source of chance; its printed seed brings the same schedule again."""
    seed = f"{campaign}/{SEED}/{number}"
    print(f"\nchaos {seed} (replay with VAE_SEARCH_CHAOS_SEED={SEED})")
    return random.Random(seed)
