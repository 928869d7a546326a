"""Settings that a training's bits may hang on: families crossed with priors, bounds and precisions, others by lot."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import combinations, product
from pathlib import Path

from vae_search.search.messages import TrialAssignment
from vae_search.spec.sweep_spec import SweepSpec, parse_spec

EPOCHS = 4
WARMUP_EPOCHS = 3
"""longer than the first of a run that is halted after one epoch or two"""
SWITCH_EPOCH = 2
"""after which the bound of several draws is trained, and the learning rate of `wsd` falls"""
FAMILIES = ("mlp", "pyramid", "conv", "resnet", "hvae", "hvae_conv", "rings", "keras")
PRIORS = ("standard", "mixture", "vamp")
DRAWS = (1, 3)
PRECISIONS = ("float32", "bfloat16")
LIKELIHOODS = ("bernoulli", "gaussian", "discretized_logistic")
SCHEDULES = ("constant", "cosine", "wsd")
SWEEP = "bits"
SPEC = f"""
name: {SWEEP}
data: {{source: digits}}
search_space: {{latent_dim: 4}}
budget: {{trials: 1, epochs: {EPOCHS}}}
pruning: off
ema_decay: 0.9
checkpoint_s: 0.000001
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Settings of one trial."""

    family: str
    prior: str
    draws: int
    """of the bound that the epochs after `SWITCH_EPOCH` train"""
    precision: str
    likelihood: str
    schedule: str
    labels: bool
    mirrors: bool
    free_bits: bool
    clips: bool
    decays: bool

    @property
    def is_possible(self) -> bool:
        """False of settings that a spec is refused for."""
        own = self.family == "keras" and (self.prior != "standard" or self.precision == "bfloat16" or self.labels)
        levels = self.family in ("hvae", "hvae_conv") and (self.prior == "vamp" or self.draws > 1)
        return not (own or levels or (self.prior == "vamp" and self.labels))

    @property
    def name(self) -> str:
        """All settings, for the test's name."""
        said = [str(getattr(self, field.name)) for field in fields(self)[:6]]
        return "-".join(said + [name for name in SWITCHES if getattr(self, name)])

    @property
    def params(self) -> dict[str, object]:
        """Parameters of the trial."""
        convolves, own = self.family in ("conv", "resnet", "hvae_conv"), self.family == "keras"
        found: dict[str, object] = {
            "architecture": "keras:resumed_nets:build" if own else self.family,
            "latent_dim": 4,
            "width": 4 if convolves else 12,
            "batch_size": 32,
            "learning_rate": 3e-3,
            "kl_warmup_epochs": WARMUP_EPOCHS,
            "bound_samples": self.draws,
            "iwae_from": SWITCH_EPOCH / EPOCHS,
            "free_bits": 0.1 if self.free_bits else 0.0,
            "grad_clip": 0.7 if self.clips else 0.0,
            "weight_decay": 0.01 if self.decays else 0.0,
        }
        if not own:
            found |= {"prior": self.prior, "prior_components": 3, "depth": 1, "activation": "gated"}
        return found

    @property
    def spec(self) -> SweepSpec:
        """The sweep of the trial; what its parameters are the worker is told beside it."""
        binarize = "dynamic" if self.likelihood == "bernoulli" else "none"
        settings = {
            "data.binarize": binarize,
            "data.mirror": str(self.mirrors).lower(),
            "likelihood": self.likelihood,
            "lr_schedule": self.schedule,
            "precision": self.precision,
            "objective.bound": "iwae" if self.draws > 1 else "elbo",
        }
        return parse_spec(SPEC, base=Path(), overrides=[f"{key}={value}" for key, value in settings.items()])

    @property
    def assignment(self) -> TrialAssignment:
        """The trial; of `wsd`, which decays in confirm runs alone, such a run, and some of those with shards."""
        confirms = self.schedule == "wsd"
        return TrialAssignment(
            trial=0,
            params=self.params,  # type: ignore[arg-type]
            seed=7,
            confirm_seed=1 if confirms else None,
            epochs=EPOCHS if confirms else None,
            decay_epochs=EPOCHS - SWITCH_EPOCH if confirms else None,
            shards=2 if confirms and self.draws == 1 and not self.clips else None,
        )


SWITCHES = ("labels", "mirrors", "free_bits", "clips", "decays")
SETTINGS: Mapping[str, Sequence[object]] = {
    "family": FAMILIES,
    "prior": PRIORS,
    "draws": DRAWS,
    "precision": PRECISIONS,
    "likelihood": LIKELIHOODS,
    "schedule": SCHEDULES,
    **dict.fromkeys(SWITCHES, (False, True)),
}
TOGETHER = ("prior", "draws", "precision")
MANY = 2000


def crossed() -> list[Case]:
    """Each family with each prior, bound and precision that it may have; other settings by lot.

    Then further ones, until every two settings meet that may.
    """
    lot, found = random.Random(20), list[Case]()
    for family, prior, draws, precision in product(FAMILIES, PRIORS, DRAWS, PRECISIONS):
        drawn = _drawn(lot, family=family, prior=prior, draws=draws, precision=precision)
        found += [case for case in (drawn, replace(drawn, labels=False)) if case.is_possible][:1]
    others = [case for case in (_drawn(lot) for _ in range(MANY)) if case.is_possible]
    missing = set[object]().union(*map(pairs, others)) - set[object]().union(*map(pairs, found))
    while missing:
        found.append(max(others, key=lambda case: len(pairs(case) & missing)))
        missing -= pairs(found[-1])
    return found


def _drawn(lot: random.Random, **given: object) -> Case:
    by_lot = {name: lot.choice(values) for name, values in SETTINGS.items()}
    return Case(**(by_lot | given))  # type: ignore[arg-type]


def pairs(case: Case, names: Sequence[str] | None = None) -> set[tuple[tuple[str, object], tuple[str, object]]]:
    """Every two settings of a case."""
    chosen = names or [field.name for field in fields(case)]
    return {*combinations([(name, getattr(case, name)) for name in chosen], 2)}


def few(cases: Sequence[Case]) -> list[Case]:
    """Cases in which each setting occurs, and every two of prior, bound and precision: the most telling one first."""

    def told(case: Case) -> set[object]:
        return {*pairs(case, TOGETHER), *((field.name, getattr(case, field.name)) for field in fields(case))}

    missing, chosen = set[object]().union(*map(told, cases)), list[Case]()
    while missing:
        chosen.append(max(cases, key=lambda case: len(told(case) & missing)))
        missing -= told(chosen[-1])
    return chosen
