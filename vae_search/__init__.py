"""Find the variational autoencoder that is really the best; `vae_search.api` has the functions."""

from vae_search.api import (
    SweepResult,
    approve,
    best,
    change,
    enqueue,
    fork,
    load_model,
    query,
    reject,
    report,
    resume,
    run,
    stop_trial,
)

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
