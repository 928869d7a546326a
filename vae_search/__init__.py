"""Find the variational autoencoder that is really the best; `vae_search.api` has the functions."""

from vae_search.api import SweepResult, approve, best, load_model, query, reject, report, resume, run

__all__ = ["SweepResult", "approve", "best", "load_model", "query", "reject", "report", "resume", "run"]
