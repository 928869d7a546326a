"""Confirmed finalists to test with: images like Fashion-MNIST's in spread, seeds as far apart as published ones."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from tests.support.rows import trial_row
from vae_search.core.dataset_summary import DatasetSummary
from vae_search.core.image_bounds import ImageBounds, LadderStep
from vae_search.core.trial_state import Reason, State
from vae_search.registry.promotion.evidence import Candidate
from vae_search.registry.promotion.gate_results import GateInputs, SampleQuality
from vae_search.registry.promotion.model_backend import TestScore
from vae_search.spec.sweep_spec import parse_spec
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import Store
from vae_search.store.leases.lease import acquire
from vae_search.store.ledger import artifacts
from vae_search.store.ledger.confirm_runs import ConfirmRow, ConfirmRuns
from vae_search.store.ledger.image_bounds_file import bounds_to_parquet
from vae_search.store.sweeps import beginning, sweep_record

IMAGES = 300
FLOOR, BASELINE = 190.0, 385.0
KEY = "c" * 64
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
_DIFFICULTY = np.random.default_rng(1).normal(0.0, 23.0, IMAGES)  # of the images, whoever looks at them


def bounds(level: float = 232.0, *, seed: int = 0, rate: float = 15.0, iwae_k: int = 500) -> ImageBounds:
    """A model whose mean bound on -log p(x) is exactly `level`."""
    own = np.random.default_rng(1000 + seed).normal(0.0, 1.0, IMAGES)
    neg_iwae = level + _DIFFICULTY - _DIFFICULTY.mean() + own - own.mean()
    return ImageBounds(
        distortion=neg_iwae + 3.0 - rate,
        rate=np.full(IMAGES, rate),
        iwae=-neg_iwae,
        baseline=BASELINE + _DIFFICULTY - _DIFFICULTY.mean(),
        iwae_k=iwae_k,
    )


def finalist_row(trial: int = 0, confirm_seed: int = 1, sweep: str = "digits", **changes: object) -> ConfirmRow:
    values = {
        "epochs": 27,
        "neg_elbo": 235.0 + confirm_seed / 100,
        "floor_excess": 45.0 + confirm_seed / 100,
        "bits_per_dim": (235.0 + confirm_seed / 100) / 500,
        "active_units": 12,
        "shuffle_gap": 60.0,
        "generalisation_gap": 1.5,
        "instability": 0.2,
        "instability_regression": 0.1,
        "instability_roughness": 0.1,
        "instability_spikes": 0.0,
        "skipped_steps": 0,
        "cpu_s": 30.0,
        "wall_s": 31.0,
        "seed": 100 * trial + confirm_seed,
        "params": {"architecture": "mlp", "latent_dim": 16, "kl_warmup_epochs": 2},
    }
    return ConfirmRow.of(trial_row(trial, sweep, **(values | changes)), confirm_seed=confirm_seed)


def failed_row(trial: int = 0, confirm_seed: int = 9, **changes: object) -> ConfirmRow:
    nothing = {"neg_elbo": None, "objective": None, "floor_excess": None}
    failed = {"state": State.FAIL, "reason": Reason.DIVERGED, **nothing}
    return finalist_row(trial, confirm_seed, **(failed | changes))


def candidate(
    levels: Sequence[float] = (231.9, 232.0, 232.1), trial: int = 0, *, rate: float = 15.0, **changes: object
) -> Candidate:
    """A healthy finalist, one seed for each mean bound of `levels`; `changes` go into every row."""
    return Candidate(
        rows=tuple(finalist_row(trial, seed, **changes) for seed, _ in enumerate(levels, start=1)),
        bounds={seed: bounds(level, seed=100 * trial + seed, rate=rate) for seed, level in enumerate(levels, start=1)},
    )


FACTS = GateInputs(
    reload_difference=1e-5,
    sample_quality=SampleQuality(metric="frechet_a", value=10.0, standard_error=0.1),
    champion_sample_quality=SampleQuality(metric="frechet_a", value=10.0, standard_error=0.1),
    held_out_share_in_train=0.0,
)


class FakeBackend:
    """Stands for TensorFlow; counts how often the test images are looked at."""

    def __init__(self, share_in_train: float = 0.0) -> None:
        self.tests = 0
        self.share_in_train = share_in_train

    def export(self, candidate: Candidate, artifact: Mapping[str, bytes]) -> Mapping[str, bytes]:
        weights = artifact[artifacts.WEIGHTS_FILE]
        return {"config.json": b"{}", "saved_model.pb": weights, "variables/variables.index": weights[::-1]}

    def reload_difference(self, files: Mapping[str, bytes], recorded: ImageBounds) -> float:
        return 1e-6

    def sample_quality(self, files: Mapping[str, bytes]) -> SampleQuality:
        return SampleQuality(metric="frechet_a", value=10.0, standard_error=0.1)

    def held_out_share_in_train(self) -> float:
        return self.share_in_train

    def importance_ladder(self, files: Mapping[str, bytes]) -> Sequence[LadderStep]:
        steps = ((50, 233.3, 0.0, 9.0, 1.5), (500, 233.0, 0.3, 40.0, 2.5), (5000, 232.9, 0.1, 200.0, 4.0))
        return [
            LadderStep(
                k=k,
                images=300,
                neg_iwae=value,
                gain=gain,
                gain_standard_error=0.01,
                effective_size=mean,
                low_effective_size=low,
            )
            for k, value, gain, mean, low in steps
        ]

    def test_score(self, files: Mapping[str, bytes]) -> TestScore:
        self.tests += 1
        return TestScore(neg_elbo=236.0, neg_iwae=233.0, iwae_k=5000, standard_error=0.3, images=100)


def put_sweep(
    store: Store,
    *candidates: Candidate,
    sweep: str = "digits",
    key: str = KEY,
    images: DatasetSummary | None = None,
    promote: str = "",
    overrides: Sequence[str] = (),
) -> None:
    """A sweep whose finalists have been confirmed, as the confirm runs leave it."""
    space = "search_space: {architecture: mlp, latent_dim: 16, kl_warmup_epochs: 2}"
    text = f"name: {sweep}\ndata: {{source: digits}}\n{space}\nbudget: {{trials: 4, epochs: 27}}\n{promote}"
    spec = parse_spec(text, base=Path(), overrides=overrides)
    record = sweep_record.SweepRecord(
        spec=spec, fingerprint="f" * 64, comparability_key=key, versions={"tensorflow": "2"}, images=images
    )
    beginning.create_or_check(store, record, text=text)
    acquire(store, sweep).release()  # rows name the lease that they were written under
    for each in candidates:
        put_finalist(store, each, sweep=sweep)


def put_finalist(store: Store, candidate: Candidate, *, sweep: str = "digits") -> None:
    """The rows, weights and bounds of one finalist."""
    went_on = candidate.continued
    all_bounds = dict(candidate.bounds) | ({went_on.row.confirm_seed: went_on.bounds} if went_on else {})
    for row in candidate.all_rows:
        sha256, judged = None, {}
        if (of_run := all_bounds.get(row.confirm_seed)) is not None:
            judged = {"iwae": float(of_run.iwae.mean()), "iwae_k": of_run.iwae_k}
            files = {
                artifacts.WEIGHTS_FILE: f"weights of {row.key}".encode(),
                artifacts.MODEL_FILE: b"{}",
                artifacts.PER_IMAGE_FILE: bounds_to_parquet(of_run),
            }
            sha256 = artifacts.keep(store, sweep, store_paths.confirm_key(row.trial, row.confirm_seed), files)
        fields = {name: getattr(row, name) for name in row.__dataclass_fields__ if name != "confirm_seed"}
        again = (
            fields
            | judged
            | {
                "sweep": sweep,
                "artifact_sha256": sha256,
                "spec_sha256": sweep_record.read(store, sweep).spec.sha256,
                "incarnation": sweep_record.read_stored(store, sweep).incarnation,
            }
        )
        ConfirmRuns(store, sweep).commit(ConfirmRow(**again, confirm_seed=row.confirm_seed))
