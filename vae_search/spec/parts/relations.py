"""Relations between the parts of a spec: what is wrong although each part is valid in itself."""

from collections.abc import Mapping
from typing import Any

from vae_search.core.validation import Problems
from vae_search.spec.hyperparameters import LEARNED_PRIORS, is_keras
from vae_search.spec.measures.metrics import criteria_problems
from vae_search.spec.networks.family import HIERARCHICAL
from vae_search.spec.networks.submitted import own_problems
from vae_search.spec.parts.bound_relations import bound_problems
from vae_search.spec.parts.hierarchy import hierarchy_problems
from vae_search.spec.parts.limits import limit_problems
from vae_search.spec.search_space import SearchSpace, can_be, families_in, point_problems, reached_families
from vae_search.spec.sections import (
    EVALUATIONS_OF_INSTABILITY,
    Budget,
    Confirm,
    DataSpec,
    Objective,
    Promote,
    Pruning,
    Resources,
    longest_warmup_epochs,
    measures_instability,
)


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
            confirm = parts.get("confirm")
            found += limit_problems(
                stops=budget.stop is not None,
                pareto=aim.pareto is not None,
                cpu_hours=budget.cpu_hours,
                gpu_hours=budget.gpu_hours,
                gpus=resources.gpus_per_trial,
                is_planned=isinstance(confirm, Confirm) and confirm.epochs == "auto" and confirm.finalists > 0,
            )
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
        case {"search_space": SearchSpace() as space}:
            labelled = isinstance(data := parts.get("data"), DataSpec) and data.condition is not None
            found += _prior_problems(space, labelled=labelled) + hierarchy_problems(space)
    found += bound_problems(parts)
    match parts:
        case {"promote": Promote(fit_prior=int(count)), "search_space": SearchSpace() as space} if count:
            if any(map(is_keras, families_in(space.parameters))):
                text = "is for families of layers; a Keras network of one's own has the standard prior. Leave it out."
                found.append((("promote", "fit_prior"), text))
            if levels := HIERARCHICAL & {*families_in(space.parameters)}:
                text = (
                    f"is for one level of latents, and {min(levels)} has two. Leave it out, or search `prior: mixture`."
                )
                found.append((("promote", "fit_prior"), text))
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


def _prior_problems(space: SearchSpace, *, labelled: bool) -> Problems:
    """Problems of learned priors with networks that cannot have them."""
    found: Problems = []
    for entry in space.parameters:
        learned = [name for name in LEARNED_PRIORS if entry.name == "prior" and can_be(entry, name)]
        if learned and any(is_keras(str(family)) for family in reached_families(entry, space.parameters)):
            text = f"{learned[0]} is for families of layers; a Keras network of one's own has the standard prior."
            found.append((("search_space", "prior"), text + " Leave one of them out."))
        if labelled and "vamp" in learned:
            text = "vamp encodes pseudo-inputs, which have no label, so it needs data without `condition`. Use mixture."
            found.append((("search_space", "prior"), text))
    return found
