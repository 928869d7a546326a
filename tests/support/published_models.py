"""A store with models: a champion and a refused challenger, as promotions leave them; nobody trained them."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from tests.support.candidates import NOW, FakeBackend, candidate, put_sweep
from vae_search.core.dataset_summary import DatasetSummary
from vae_search.registry.promotion.decision import PromotionPolicy
from vae_search.registry.promotion.evidence import Candidate
from vae_search.registry.promotion.pipeline import promote_best
from vae_search.store.backends.base import Store

# A PNG of one grey pixel.
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000000a49444154789c6368000000820081dd436af400"
    "00000049454e44ae426082"
)


class PublishingBackend(FakeBackend):
    """A backend whose versions hold the given files beside two pictures."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        super().__init__()
        self._files = files

    def export(self, candidate: Candidate, artifact: Mapping[str, bytes]) -> Mapping[str, bytes]:
        return {
            **super().export(candidate, artifact),
            "samples.png": PIXEL,
            "reconstructions.png": PIXEL,
            **self._files,
        }


def publish(
    store: Store,
    sweep: str,
    levels: Sequence[float] = (231.9, 232.0, 232.1),
    *,
    model: str = "digits",
    trial: int = 0,
    files: Mapping[str, bytes] | None = None,
    actor: str | None = None,
    now: datetime = NOW,
    needs_approval: bool = False,
    images: DatasetSummary | None = None,
    overrides: Sequence[str] = (),
    **changes: object,
) -> str:
    """Let a new sweep's finalist ask to become champion; the outcome.

    Args:
        levels: mean bound of each of its seeds; lower ones are better.
        files: of the version, in place of made-up ones.
        images: that the sweep has read.
        overrides: of its spec.
        changes: of every confirm run's row.
    """
    put_sweep(store, candidate(levels, trial=trial, **changes), sweep=sweep, images=images, overrides=overrides)
    backend = PublishingBackend(files or {})
    rules = PromotionPolicy(needs_approval=needs_approval)
    done = promote_best(store, sweep, model=model, rules=rules, backend=backend, now=lambda: now, actor=actor)
    return done.outcome.value
