"""Prior of a model's latents and the bound that trained it, in words."""

from collections.abc import Mapping

from vae_search.registry.fitted_prior import FittedPriorRecord
from vae_search.spec.hyperparameters import Config, ParamValue


def prior_in_words(params: Mapping[str, ParamValue], fitted: FittedPriorRecord | None) -> str:
    """The prior of a version's latents: standard, `mixture of 50`, `vamp of 50`, `fitted mixture of 50`."""
    if fitted is not None and fitted.kept:
        return f"fitted mixture of {fitted.components}"
    config = Config.from_params(params)
    return config.prior if config.prior == "standard" else f"{config.prior} of {config.prior_components}"


def bound_in_words(params: Mapping[str, ParamValue], epochs: int) -> str:
    """The bound that a training of so many epochs maximised: the ELBO, or another one from an epoch on."""
    config = Config.from_params(params)
    elbo = config.elbo_epochs(epochs)
    return "ELBO" if elbo == epochs else f"ELBO, from epoch {elbo + 1} on IWAE-{config.bound_samples}"
