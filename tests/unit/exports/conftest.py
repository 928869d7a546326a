"""A sweep with all kinds of trials, and what has been exported of it."""

from pathlib import Path

import pytest

from tests.support.reported_sweeps import mixed, put_sweep
from vae_search.services import exporting
from vae_search.store.backends.local import LocalStore

STORE = "it's a störe, 100%"


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    """Holds sweep `digits`, thirty trials that have ended; for tests that change it."""
    store = LocalStore(tmp_path / STORE)
    put_sweep(store, mixed(), curve_epochs=4)
    return store


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with such a store, and what was exported of it: `study.db`, `runs/` and `tables/`."""
    folder = tmp_path_factory.mktemp("exported")
    store = LocalStore(folder / STORE)
    put_sweep(store, mixed(), curve_epochs=4)
    targets = exporting.Targets(
        tensorboard=folder / "runs", optuna=f"sqlite:///{folder}/study.db", csv=folder / "tables"
    )
    done = exporting.export(store, "digits", targets)
    assert (done.trials, done.damaged) == (30, ())
    return folder


@pytest.fixture
def source(exported: Path) -> LocalStore:
    """The store that `exported` was made of."""
    return LocalStore(exported / STORE)
