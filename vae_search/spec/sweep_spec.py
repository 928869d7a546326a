"""Sweep spec: the user's settings, checked, with every default filled in.

The classes check themselves. `read_spec` and `parse_spec` report all mistakes of a spec at once, with their lines.
"""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    InstanceOf,
    PlainSerializer,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from vae_search.core.measurements import StoppingRule
from vae_search.core.references import NAME_PATTERN
from vae_search.core.text import printable, short_path
from vae_search.core.validation import KeyPath, changes_between, raise_problems
from vae_search.spec.document import SpecFile, override, parse_yaml, read_text
from vae_search.spec.error_messages import found_by_pydantic
from vae_search.spec.fields import Clamp, Precision, located
from vae_search.spec.hyperparameters import Config, ParamValue
from vae_search.spec.measures.metrics import Metric, read_metrics
from vae_search.spec.networks.space_schema import configs_schema, space_schema, with_installed_families
from vae_search.spec.parts.identity import identity_of
from vae_search.spec.parts.keys import KEYS_OF_PARTS
from vae_search.spec.parts.relations import new_sweep_problems, relation_problems
from vae_search.spec.parts.warm_start import WarmStart
from vae_search.spec.planning.auto_keys import schema_with_auto
from vae_search.spec.planning.auto_spec import AutoSpec
from vae_search.spec.search_space import SearchSpace
from vae_search.spec.search_space_yaml import read_configs, read_space, write_space
from vae_search.spec.sections import (
    EVALUATIONS_OF_INSTABILITY,
    Budget,
    Confirm,
    DataSpec,
    Objective,
    Promote,
    Pruning,
    Resources,
    default_pruning,
    read_pruning,
)


class SweepSpec(AutoSpec):
    """One sweep, fully resolved."""

    name: str = Field(pattern=NAME_PATTERN, description="What the sweep is called, also in the store.")
    seed: int = Field(
        default=0,
        ge=0,
        lt=2**31,
        description="Everything random in the sweep follows from it: under another name the same spec repeats the same "
        "trials and confirm runs, which is no replication unless this differs.",
    )
    data: DataSpec
    likelihood: Literal["bernoulli", "gaussian", "discretized_logistic"] = Field(
        default="bernoulli",
        description="How the decoder's output explains a pixel: bernoulli black or white, the others grey and colour.",
    )
    search_space: Annotated[
        InstanceOf[SearchSpace],
        BeforeValidator(read_space),
        PlainSerializer(write_space),
        WithJsonSchema(space_schema()),
    ] = Field(description="Parameters by name: a value, a range, choices, or alternatives with `when`.")
    enqueue: Annotated[
        tuple[dict[str, ParamValue], ...], BeforeValidator(read_configs), WithJsonSchema(configs_schema())
    ] = Field(default=(), description="Configs that are tried first; no more than budget.trials.")
    warm_start: WarmStart | None = Field(default=None, description="Earlier sweeps of the store to learn from.")
    budget: Budget
    sampler: Literal["tpe", "random"] = Field(default="tpe", description="Who suggests the next config.")
    pruning: Annotated[
        Pruning | None,
        BeforeValidator(read_pruning),
        PlainSerializer(lambda pruning: "off" if pruning is None else pruning.model_dump()),
        WithJsonSchema({"anyOf": [{"const": "off"}, Pruning.model_json_schema()]}),
    ] = Field(
        default_factory=lambda parts: default_pruning(parts["budget"].epochs),
        description="Rungs, or off; default: the first rung after a ninth of the epochs, one in three advances.",
    )
    metrics: Annotated[tuple[Metric, ...], BeforeValidator(read_metrics)] = Field(
        default=(), description="Measures of every trial that completes: ssim, frechet, or functions of your own."
    )
    objective: Objective = Objective()
    confirm: Confirm = Confirm()
    promote: Promote | None = Field(default=None, description="Where the best model goes; none = nowhere.")
    ema_decay: float = Field(
        default=0.999, ge=0, lt=1, description="Of the averaged weights that are evaluated; 0 = off."
    )
    lr_schedule: Literal["constant", "cosine", "wsd"] = Field(
        default="constant", description="Learning rate; wsd: constant in trials, confirm runs decay at their end."
    )
    precision: Precision = Field(
        default="float32",
        description="Of the products in training: bfloat16 is faster where the hardware has it; scores stay float32.",
    )
    log_variance_clamp: Clamp = Field(default=(-6.0, 2.0), description="Bounds of the encoder's log variance.")
    checkpoint_s: float = Field(default=30, gt=0, description="Least seconds between two checkpoints of a trial.")
    trial_timeout_s: float | None = Field(
        default=None,
        gt=0,
        description="Seconds of an attempt, anew after a pause at a rung; a second one that takes longer fails.",
    )
    max_retries: int = Field(
        default=3, ge=0, le=1000, description="How often a trial may lose its worker before it gets further."
    )
    keep: int = Field(default=5, ge=1, le=100_000, description="How many of the best trials keep their weights.")
    resources: Resources = Resources()

    @field_validator("*")
    @classmethod
    def _note_valid(cls, value: object, info: ValidationInfo) -> object:
        """Leave each valid part in the context, so that relations among them are checked although others are wrong."""
        if info.context is not None and info.field_name:
            info.context[info.field_name] = value
        return value

    @model_validator(mode="after")
    def _relations_hold(self) -> "SweepSpec":
        raise_problems(relation_problems(dict(self)))
        return self

    @classmethod
    def from_json(cls, tree: Mapping[str, object]) -> "SweepSpec":
        """The spec of `to_json`; errors as there."""
        return _validated(SpecFile(origin="resolved spec", tree=dict(tree), places={}))

    def identity(self) -> dict[str, object]:
        """Settings that may not change when a sweep is resumed, in plain values."""
        return identity_of(self.to_json(), epochs=self.budget.epochs)

    @property
    def bound(self) -> Literal["elbo", "iwae"]:
        """Bound that trials are ranked by. A spec that does not say is one from before there was a choice."""
        return self.objective.bound or "elbo"

    def with_bound(self, began: "SweepSpec | None") -> "SweepSpec":
        """The same with auto keys, and what `objective` leaves open, as the sweep began, whatever defaults are now.

        Args:
            began: the stored spec of this sweep; None for a new sweep.
        """
        promotes = self.promote is not None and self.objective.pareto is None
        settled: dict[str, object] = {"bound": began.bound if began else "iwae" if promotes else "elbo"}
        if began is not None:
            settled["stability_weight"] = began.objective.stability_weight
        said = {name for name in self.objective.model_fields_set if getattr(self.objective, name) is not None}
        update = {name: value for name, value in settled.items() if name not in said}
        spec = self.settled_as(began) if began else self
        return spec.model_copy(update={"objective": self.objective.model_copy(update=update)})

    @property
    def confirm_epochs(self) -> int:
        """Epochs of a confirm run, the most with patience; of an auto one those that it has at least."""
        return self.confirm.epochs if isinstance(self.confirm.epochs, int) else self.budget.epochs

    def stopping_rule(
        self, params: Mapping[str, ParamValue], *, confirms: bool, epochs: int | None = None
    ) -> StoppingRule:
        """The rule that ends a trial, or a confirm run, with these parameters.

        Args:
            epochs: of this run; None: as the spec says.
        """
        config = Config.from_params(params)
        limit = epochs or (self.confirm_epochs if confirms else self.budget.epochs)
        return StoppingRule(
            epochs=limit,
            warmup_epochs=config.kl_warmup_epochs,
            patience=self.budget.patience,
            evaluations=EVALUATIONS_OF_INSTABILITY,
            elbo_epochs=config.elbo_epochs(limit),
        )

    @property
    def sha256(self) -> str:
        """Hash of the canonical JSON of `identity()`."""
        canonical = json.dumps(self.identity(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(canonical.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecDocument:
    """A checked spec, and the text that it was read from."""

    spec: SweepSpec
    text: str
    """as written, without overrides"""


def read_spec(path: Path, overrides: Sequence[str] = ()) -> SpecDocument:
    """The spec in a YAML file, with `key.key=value` overrides laid over it; the file is read once.

    Raises:
        InvalidSpec: The file cannot be read, or the spec is wrong; one line for each mistake.
    """
    origin = short_path(path)
    text = read_text(path, origin=origin)
    spec = parse_spec(text, origin=origin, base=path.absolute().parent, overrides=overrides)
    return SpecDocument(spec=spec, text=text)


def parse_spec(
    text: str, *, origin: str = "spec", base: Path, overrides: Sequence[str] = (), over_http: bool = False
) -> SweepSpec:
    """The spec in a YAML text; relative paths in it start at `base`, those of overrides at the current folder.

    Args:
        over_http: whether it came so; then it may name no network but those that a package offers.

    Raises:
        InvalidSpec: The spec is wrong; one line for each mistake, in the order of the file.
    """
    written = override(parse_yaml(text, origin=printable(origin, 200)), overrides)
    if written.tree.get("pruning", "off") is None:
        written.found.append((("pruning",), "has no value. Write off, or a mapping such as {min_epochs: 3}."))
    data = written.tree.get("data")
    if isinstance(data, dict) and isinstance(data.get("source"), str):
        folder = Path.cwd() if written.is_override(("data", "source")) else base
        try:
            data["source"] = located(data["source"], folder)
        except ValueError as error:
            written.found.append((("data", "source"), str(error)))
    return _validated(written, is_submitted=True, over_http=over_http)


def overridden(spec: SweepSpec, overrides: Sequence[str]) -> SweepSpec:
    """`spec` with `key.key=value` overrides laid over it.

    Raises:
        InvalidSpec: An override cannot be read, or the result is wrong; one line for each mistake.
    """
    return _validated(override(SpecFile(origin="spec", tree=spec.to_json(), places={}), overrides))


def json_schema() -> dict[str, object]:
    """The JSON Schema of a spec, for editors that check and complete while one types; with the families installed."""
    schema = schema_with_auto(with_installed_families(SweepSpec.model_json_schema()))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def identity_changes(old: SweepSpec, new: SweepSpec, *, besides: Collection[str] = ()) -> list[str]:
    """Differences between the identities of two specs, one `budget.epochs: 9 → 12` each; none `besides` some keys."""
    trees = ({key: part for key, part in spec.identity().items() if key not in besides} for spec in (old, new))
    return changes_between(*trees)


_KEYS: Mapping[KeyPath, Sequence[str]] = {(): tuple(SweepSpec.model_fields), **KEYS_OF_PARTS}


def _validated(written: SpecFile, *, is_submitted: bool = False, over_http: bool = False) -> SweepSpec:
    """Check the values of a spec; `is_submitted`: by a person, who is told of what would be passed over."""
    parts: dict[str, Any] = {}
    found = list(written.found)
    try:
        spec = SweepSpec.model_validate(written.tree, context=parts)
    except ValidationError as error:
        if "pruning" not in written.tree and "budget" in parts:
            parts["pruning"] = default_pruning(parts["budget"].epochs)
        found += found_by_pydantic(error, _KEYS) + relation_problems(parts)
        found += new_sweep_problems(parts, over_http=over_http) if is_submitted else []
        raise written.refusal(found) from error
    found += new_sweep_problems(parts, over_http=over_http) if is_submitted else []
    if found:
        raise written.refusal(found)
    return spec
