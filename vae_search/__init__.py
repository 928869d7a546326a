"""Find the variational autoencoder that is really the best; `vae_search.api` has the functions."""

from vae_search.api import SweepResult, best, fork, load_model, query, report, resume, run

__all__ = ["SweepResult", "best", "fork", "load_model", "query", "report", "resume", "run"]
