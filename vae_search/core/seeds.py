"""Seeds that follow from the spec's: a resumed sweep draws what an uninterrupted one would have drawn."""

import hashlib


def derived_seed(spec_seed: int, trial: int, purpose: str) -> int:
    """A seed in [0, 2^31 - 1) that is a pure function of its arguments; other purposes draw other streams."""
    digest = hashlib.sha256(f"{spec_seed}/{trial}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:8]) % (2**31 - 1)
