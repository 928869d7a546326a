"""How often, and from which seed: a campaign prints both, so that a failure can be replayed.

`VAE_SEARCH_CHAOS` is the share of the large counts of `make chaos` that is tried: nothing or 0 for the small counts of
`make test-all`, 1 for all of them, 0.2 for a fifth. `make test` takes a third of the points of a small count, from an
offset that follows from the commit, so that successive commits try other ones.
"""

import os
import random
import subprocess

from tests.support.paths import ROOT

SHARE = float(os.environ.get("VAE_SEARCH_CHAOS") or 0)
SEED = int(os.environ.get("VAE_SEARCH_CHAOS_SEED") or 20)


QUICK = os.environ.get("VAE_SEARCH_TEST_TIER") == "quick"


def count(small: int, large: int, *, quick: int | None = None) -> int:
    """How often a fault is tried; `quick` times in `make test`."""
    if QUICK and quick is not None:
        return quick
    return max(small, round(SHARE * large))


def offset(stride: int) -> int:
    """A number below `stride` that follows from the commit; 0 where there is none."""
    git = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, text=True, capture_output=True, check=False)
    return int(git.stdout.strip() or "0", 16) % stride


def strided(number: int, *, stride: int = 1) -> range:
    """The points 1 … `number` that are tried: every one, or every `stride`th; in `make test` a third of them."""
    if QUICK:
        stride *= 3
    first = 1 + offset(stride) if QUICK else 1
    print(f"points {first}, {first + stride} … of {number}")
    return range(first, number + 1, stride)


def chance(campaign: str, number: int = 0) -> random.Random:
    """The campaign's source of chance; its printed seed brings the same schedule again."""
    seed = f"{campaign}/{SEED}/{number}"
    print(f"\nchaos {seed} (replay with VAE_SEARCH_CHAOS_SEED={SEED})")
    return random.Random(seed)
