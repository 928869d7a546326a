"""Record of a prior that was fitted after training: what it gained, and whether the version has it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from vae_search.errors import CorruptStore
from vae_search.store.backends.json_records import from_json_bytes, to_json_bytes

PRIOR_FILE = "prior.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedPriorRecord:
    """A mixture fitted to codes of training images, compared with the prior that the model was trained with.

    Args:
        components: of the mixture.
        kept: whether it is the version's prior; the select images have decided.
        gain: of the IWAE-`iwae_k` bound on the select images, nats per image.
        standard_error: of `gain`, over the `images`.
        judge_neg_elbo, judge_neg_iwae, judge_iwae_k: of the version with it on the judge images, nats per image; None
            if it was not kept.
    """

    components: int
    kept: bool
    gain: float
    standard_error: float
    iwae_k: int
    images: int
    judge_neg_elbo: float | None = None
    judge_neg_iwae: float | None = None
    judge_iwae_k: int | None = None

    def to_bytes(self) -> bytes:
        """Content of `PRIOR_FILE`."""
        return to_json_bytes(asdict(self))

    @classmethod
    def of(cls, files: Mapping[str, bytes]) -> "FittedPriorRecord | None":
        """The record among a version's files; None if no prior was fitted.

        Raises:
            CorruptStore: The file is no record.
        """
        if PRIOR_FILE not in files:
            return None
        fields: dict[str, Any] = from_json_bytes(files[PRIOR_FILE], where=PRIOR_FILE)
        try:
            return cls(**fields)
        except TypeError as error:
            raise CorruptStore(
                "must hold what a fitted prior gained.", path=PRIOR_FILE, advice="Restore it from a copy."
            ) from error

    @property
    def sentence(self) -> str:
        """Outcome in words."""
        found = f"{self.gain:+.3f} ± {self.standard_error:.3f} nats (standard error) by IWAE-{self.iwae_k} on "
        found += f"{self.images:,} select images"
        if not self.kept:
            return f"A mixture of {self.components} was fitted to codes of training images and not kept: {found}."
        return (
            f"A mixture of {self.components} was fitted to codes of training images after training and is this "
            f"version's prior: {found}, which decided. With it -log p(x) is {self.judge_neg_iwae:.3f} by "
            f"IWAE-{self.judge_iwae_k} on the judge images. Seeds and contests are of the prior as trained, on both "
            "sides, so that trainings are compared alike; test images, samples and the SavedModel have this one."
        )


def fitted_lines(record: Mapping[str, Any] | None) -> list[str]:
    """Lines of a card on a prior that was fitted; nothing if none was, as in cards from before there was any."""
    return [] if record is None else [FittedPriorRecord(**record).sentence, ""]
