"""Python API: the use cases of the command line, for notebooks and programs.

    found = vae_search.run("search_spaces/digits.yaml", overrides=["budget.trials=12"])
    found.best                                          # a pandas frame, the best config first
    vae_search.query("SELECT trial, neg_elbo FROM trials WHERE param_depth = 2")
    vae_search.report("digits", "digits.html")
    vae_search.load_model("digits@champion").sample(64, seed=0)
    vae_search.approve("digits", 2, why="sevens are sharp")   # of a model that asks for approval

Every `store` is a folder or s3://bucket/prefix; the default is `$VAE_SEARCH_STORE`, else `./vae-store`. What goes wrong
is a `vae_search.errors.VaeSearchError`. Damaged files are left out with a `UserWarning` that names them.
"""

# Pandas, Ray, Optuna and TensorFlow take seconds to load: whoever imports this package may need none of them, so each
# function imports what it needs itself.
from vae_search.api.answers import best, query, report
from vae_search.api.control import change, enqueue, stop_trial
from vae_search.api.models import approve, load_model, reject
from vae_search.api.sweeps import SweepResult, fork, resume, run

__all__ = [
    "SweepResult",
    "approve",
    "best",
    "change",
    "enqueue",
    "fork",
    "load_model",
    "query",
    "reject",
    "report",
    "resume",
    "run",
    "stop_trial",
]
