"""The parts of a spec, each a frozen model that checks itself, and the relations between them.

`sweep_spec.py` puts them together.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from vae_search.core.references import NAME_PATTERN
from vae_search.core.text import shown
from vae_search.core.validation import Problems, raise_problems
from vae_search.spec.fields import (
    NAMES,
    AutoEpochs,
    Concurrency,
    Criterion,
    Gpus,
    Memory,
    PositiveAmount,
    ResourceName,
    Share,
)
from vae_search.spec.parts.gain_stop import GainStop
from vae_search.spec.parts.part import Part
from vae_search.spec.search_space import SearchSpace


class Resize(Part):
    """One size that all images are brought to, antialiased."""

    height: int = Field(ge=4, le=512, description="Pixels.")
    width: int = Field(ge=4, le=512, description="Pixels.")
    fit: Literal["crop", "pad", "stretch"] = Field(
        default="crop", description="crop: cut what is too long, evenly; pad: add black; stretch: change proportions."
    )


class DataSpec(Part):
    """Images of the sweep, and their split."""

    source: str = Field(
        min_length=1,
        description=f"{', '.join(NAMES)}, a path (relative ones start at the spec), the address of one file, "
        "or plugin:NAME of an installed package.",
    )
    binarize: Literal["dynamic", "threshold", "none"] = Field(
        default="dynamic", description="dynamic: each epoch draws 0/1 pixels anew; threshold: > 0.5; none: as they are."
    )
    validation: Share = Field(default=None, description="Count or fraction of images to choose models by.")
    test: Share = Field(
        default=None, description="Count or fraction for the final test, if the source has no test split."
    )
    array: str | None = Field(
        default=None, min_length=1, description="Array of a container (.npz, HDF5, .mat) that holds the images."
    )
    column: str | None = Field(default=None, min_length=1, description="Column of a table that holds the images.")
    resize: Resize | None = Field(default=None, description="Size that images are brought to; none = they have one.")
    background: Literal["white", "black"] | None = Field(
        default=None,
        description="Ground under transparent pictures; none = white if almost nothing would be seen on black.",
    )
    condition: Literal["label"] | None = Field(
        default=None, description="label = models see each image's class, and are scored by -log p(image | class)."
    )
    skip_damaged: bool = Field(default=False, description="Leave out pictures that cannot be decoded.")
    follow_links: bool = Field(default=False, description="Follow links that lead out of the folder of the images.")
    mirror: bool = Field(
        default=False, description="Train on each image as it is or, at every other visit by chance, left for right."
    )


class Budget(Part):
    """Limits after which a sweep is over."""

    trials: int = Field(ge=1, le=100_000, description="Configs to try; auto, or left out, with minutes.")
    epochs: int = Field(ge=1, le=100_000, description="Of an unpruned trial, the most with patience; or auto.")
    minutes: float | None = Field(
        default=None, gt=0, description="Time in which trials run, over all drivers; none = no limit."
    )
    patience: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        description="Epochs without a better held-out bound after which a trial, or confirm run, is complete.",
    )
    cpu_hours: float | None = Field(
        default=None, gt=0, description="CPU-hours of all trainings, by their rows; none = no limit."
    )
    gpu_hours: float | None = Field(
        default=None, gt=0, description="GPU-hours of all trainings, by their rows; none = no limit."
    )
    stop: GainStop | None = Field(
        default=None, description="Stop of the search when nothing is left to gain; none = it uses its budget."
    )


class Pruning(Part):
    """Rungs at min_epochs · reduction_factor^k: one trial in reduction_factor advances, the others wait or end."""

    min_epochs: int = Field(ge=1, le=100_000, description="The first rung.")
    reduction_factor: int = Field(
        default=3,
        ge=2,
        le=100,
        description="One in so many trials advances at each rung. A trial waits there until it is among them, or ends.",
    )


def read_pruning(value: object) -> object:
    """`off` as None; a mapping as it is."""
    if value is None or isinstance(value, Mapping | Pruning):
        return value
    if value != "off":
        raise ValueError(f"must be off or a mapping such as {{min_epochs: 3}}, but got {shown(value)}.")
    return None


EVALUATIONS_OF_INSTABILITY = 8  # after warm-up; of fewer the best three and the last three are nearly the same


def longest_warmup_epochs(space: SearchSpace) -> int:
    """Epochs of the longest KL warm-up that a config of this space may have."""
    return int(space.largest("kl_warmup_epochs", default=0))


def measures_instability(epochs: int, *, longest_warmup_epochs: int) -> bool:
    """True if trials of so many epochs have an instability: all of a sweep, or none of them.

    Decided by the longest warm-up of the search space, so that no config pays for what another is not asked for.
    """
    return epochs - longest_warmup_epochs >= EVALUATIONS_OF_INSTABILITY


def _as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


class Objective(Part):
    """Objective to minimise: bound + stability_weight · instability, in nats; or several criteria at once."""

    bound: Literal["elbo", "iwae"] | None = Field(
        default=None,
        description="Bound on -log p(x) that ranks trials: elbo, or iwae, which a promotion compares by as well; "
        "default: iwae if the sweep began with promote, else elbo. A Pareto sweep ranks by neg_elbo.",
    )
    stability_weight: float = Field(
        default=0.0,
        ge=0,
        description="Weight of the instability; 0 = the bound alone, since weighing chose no better configs.",
    )
    pareto: Annotated[tuple[Criterion, ...] | None, BeforeValidator(_as_tuple)] = Field(
        default=None, description="Criteria of which none is weighed against another; none = one objective."
    )
    prefer: Criterion = Field(default="neg_elbo", description="Orders the front of a Pareto sweep: who is confirmed.")

    @model_validator(mode="after")
    def _criteria_fit(self) -> "Objective":
        found: Problems = []
        if self.pareto is None:
            if self.prefer != "neg_elbo":
                found.append((("prefer",), f"orders the front of `pareto`, but got {self.prefer} without one."))
        elif len({*self.pareto}) != len(self.pareto) or not 2 <= len(self.pareto) <= 3 or "neg_elbo" not in self.pareto:
            law = "must be neg_elbo and one or two others of instability, train_flops or metrics, each once"
            found.append((("pareto",), f"{law}, but got {shown(list(self.pareto))}."))
        else:
            if self.prefer not in self.pareto:
                found.append((("prefer",), f"must be one of `pareto`, but got {self.prefer}."))
            if self.bound == "iwae":
                text = "ranks by one bound, but the criterion of a Pareto sweep is neg_elbo. Leave it out."
                found.append((("bound",), text))
            if self.stability_weight not in (0, 1):  # 1 stands in all records of versions whose default it was
                text = "weighs instability in a single objective. Leave it out of a Pareto sweep."
                found.append((("stability_weight",), text))
        raise_problems(found)
        return self


class Confirm(Part):
    """Confirm runs: the best configs of a sweep are trained again with fresh seeds."""

    finalists: int = Field(default=3, ge=0, le=100, description="Configs that are trained again; 0 = none.")
    seeds: int = Field(default=5, ge=1, le=100, description="Fresh seeds that testify for the best of them.")
    epochs: AutoEpochs = Field(
        default=None, description="Epochs of each; default: budget.epochs; auto: for the rest of budget.minutes."
    )
    continuation: Literal["auto", "off"] = Field(
        default="auto",
        description="auto: of auto epochs with lr_schedule wsd the seeds get a third, and the best goes on alone; off.",
    )

    @property
    def runs(self) -> int:
        """Confirm runs in all: one of each finalist to choose by, if there are several; then the seeds of the best."""
        choosing = self.finalists if self.finalists > 1 else 0
        return choosing + self.seeds if self.finalists else 0


class Promote(Part):
    """Promotion of a sweep's best model if it passes gates and champion test."""

    model: str = Field(pattern=NAME_PATTERN, description="The model that it may become champion of.")
    min_gain: float = Field(default=0.1, ge=0, description="Nats that it must be better by than the champion.")
    limits: dict[str, float] = Field(default={}, description="Limits of gates by name, and of metrics as metric_NAME.")
    approval: Literal["none", "required"] = Field(
        default="none",
        description="required = who passes waits for somebody's approval; the model then asks it of every sweep.",
    )
    fit_prior: int = Field(
        default=0,
        ge=0,
        le=500,
        description="Gaussians of a mixture fitted to codes of training images after training, which becomes the "
        "version's prior if the select images say so; 0 = the prior as trained.",
    )


class Resources(Part):
    """Resources of a trial, and the number of trials that run at once."""

    cpus_per_trial: int = Field(default=1, ge=1, le=1024, description="Cores, and threads, of one trial.")
    gpus_per_trial: Gpus = Field(default=0.0, description="GPUs of one trial: 0, a share below 1, or a whole number.")
    memory: Memory = Field(
        default=0, description="Memory to keep free for a trial, such as 4GiB; 0 = whatever there is."
    )
    custom: dict[ResourceName, PositiveAmount] = Field(default={}, description="Ray's custom resources of one trial.")
    labels: dict[str, str] = Field(default={}, description="Labels that a node must have, by Ray's names of them.")
    concurrency: Concurrency = Field(default="auto", description="Trials at once; auto = as many as there is room for.")


def default_pruning(epochs: int) -> Pruning:
    """The rungs of a sweep that names none: the first after a ninth of the epochs."""
    return Pruning(min_epochs=max(1, epochs // 9))
