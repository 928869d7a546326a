"""The parts of a spec, each a frozen model that checks itself, and the relations between them.

`sweep_spec.py` puts them together.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

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
from vae_search.spec.hyperparameters import is_keras
from vae_search.spec.measures.metrics import criteria_problems
from vae_search.spec.networks.submitted import own_problems
from vae_search.spec.parts.gain_stop import GainStop
from vae_search.spec.parts.limits import limit_problems
from vae_search.spec.parts.part import Part
from vae_search.spec.search_space import SearchSpace, families_in, point_problems


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


def new_sweep_problems(parts: Mapping[str, Any], *, over_http: bool = False) -> Problems:
    """Problems of a spec that a person submits; one that a sweep goes on with may have a smaller budget by now.

    Args:
        over_http: see `own_problems`.
    """
    found: Problems = []
    match parts:
        case {"enqueue": tuple(configs), "budget": Budget(trials=trials)} if len(configs) > trials:
            values = f"({len(configs)} configs, budget.trials={trials})"
            text = f"must have no more configs than trials, but got {values}. Raise budget.trials, or leave some out."
            found.append((("enqueue",), text))
    match parts:
        case {"search_space": SearchSpace() as space, "budget": Budget(epochs=epochs), "objective": Objective() as aim}:
            # Records of versions whose default was 1 hold it in sweeps of any length; a person means it.
            if aim.pareto is None and aim.stability_weight > 0 and (lack := _too_short(space, epochs)):
                found.append((("objective", "stability_weight"), f"{lack} Raise it, or leave the weight out."))
    match parts:
        case {"search_space": SearchSpace() as space}:
            found += own_problems(space, over_http=over_http)
    return found


def _too_short(space: SearchSpace, epochs: int) -> str | None:
    """Reason why a sweep of so many epochs has no instability; None if it has."""
    longest = longest_warmup_epochs(space)
    if measures_instability(epochs, longest_warmup_epochs=longest):
        return None
    needed, after = longest + EVALUATIONS_OF_INSTABILITY, EVALUATIONS_OF_INSTABILITY
    return f"instability needs {needed} epochs here, {after} of them after warm-up, but budget.epochs is {epochs}."


def relation_problems(parts: Mapping[str, Any]) -> Problems:
    """Problems between parts of a spec that are valid in themselves; a missing part is not judged."""
    found: Problems = []
    match parts:
        case {"data": DataSpec(binarize="none"), "likelihood": "bernoulli"}:
            law = "a Bernoulli likelihood has no density for grey pixels"
            advice = "Use dynamic or threshold, or another likelihood."
            found.append((("data", "binarize"), f"{law}, but got none. {advice}"))
        case {"data": DataSpec(binarize=binarize), "likelihood": "gaussian" | "discretized_logistic" as name} if (
            binarize != "none"
        ):
            law = f"{name} explains grey and coloured pixels as they are"
            found.append((("data", "binarize"), f"must be none, since {law}, but got {binarize}. Write none."))
    match parts:
        case {"budget": Budget() as budget, "resources": Resources() as resources, "objective": Objective() as aim}:
            stops, gpu_hours, gpus = budget.stop is not None, budget.gpu_hours, resources.gpus_per_trial
            found += limit_problems(stops=stops, pareto=aim.pareto is not None, gpu_hours=gpu_hours, gpus=gpus)
    match parts:
        case {"data": DataSpec(validation=float(validation), test=float(test))} if validation + test >= 1:
            text = f"validation + test must leave images to train on, but got {validation:g} + {test:g}. Lower one."
            found.append((("data", "validation"), text))
    match parts:
        case {"promote": Promote(), "confirm": Confirm(finalists=finalists, seeds=seeds)} if not finalists or seeds < 3:
            values = f"(finalists={finalists}, seeds={seeds})"
            text = f"to be promoted, a config needs 3 fresh seeds, but got {values}. Raise them, or leave promote out."
            found.append((("confirm",), text))
    match parts:
        case {"search_space": SearchSpace() as space, "enqueue": tuple(configs)}:
            for position, config in enumerate(configs):
                problems = point_problems(space, config, partial=True)
                found += [(("enqueue", position, name), sentence) for name, sentence in problems]
    match parts:
        case {"budget": Budget(patience=int()), "lr_schedule": "cosine" | "wsd"}:
            text = "needs lr_schedule: constant, since a decay brings its gain in the last epochs, after a plateau. "
            found.append((("budget", "patience"), text + "Leave one of them out."))
    match parts:
        case {"budget": Budget(epochs=epochs), "pruning": Pruning(min_epochs=first)} if first > epochs:
            values = f"(min_epochs={first}, budget.epochs={epochs})"
            found.append((("pruning", "min_epochs"), f"`min_epochs <= budget.epochs` must hold, but got {values}."))
    match parts:
        case {"search_space": SearchSpace() as space, "budget": Budget(epochs=epochs), "pruning": pruning}:
            end = epochs if pruning is None else pruning.min_epochs
            what = f"the last epoch, {end}" if pruning is None else f"the first rung, epoch {end}"
            if (longest := longest_warmup_epochs(space)) >= end:
                text = f"the warm-up must end before {what}, but may last {longest} epochs. Shorten it"
                text += "." if pruning is None else ", or raise pruning.min_epochs."
                found.append((("search_space", "kl_warmup_epochs"), text))
    match parts:
        case {"search_space": SearchSpace() as space, "budget": Budget(epochs=epochs), "objective": Objective() as aim}:
            if aim.pareto and "instability" in aim.pareto and (lack := _too_short(space, epochs)):
                found.append((("objective", "pareto"), f"{lack} Raise it."))
    match parts:
        case {"data": DataSpec(condition="label"), "search_space": SearchSpace() as space} if any(
            map(is_keras, families_in(space.parameters))
        ):
            text = "is for families of layers; a Keras network of one's own sees no labels. Leave one of them out."
            found.append((("data", "condition"), text))
    match parts:
        case {"precision": "bfloat16", "search_space": SearchSpace() as space} if any(
            map(is_keras, families_in(space.parameters))
        ):
            text = "bfloat16 is for described networks; a Keras network sets its own (keras.DTypePolicy). Leave it out."
            found.append((("precision",), text))
    match parts:
        case {"metrics": tuple(metrics), "objective": Objective(pareto=tuple(criteria))}:
            found += [(("objective", "pareto"), text) for text in criteria_problems(metrics, criteria)]
    return found
