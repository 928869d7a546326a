"""One definition of the best config, wherever it is asked for: a ranking, the end of a run, a report, a picture."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.candidates import failed_row, finalist_row
from tests.support.paths import ROOT
from tests.support.reported_sweeps import complete, put_sweep
from vae_search.errors import NotFound
from vae_search.reports.facts import confirmed
from vae_search.reports.narrative import summary
from vae_search.services import queries, reporting
from vae_search.services.models import galleries
from vae_search.services.sweep_status import status
from vae_search.store import paths as store_paths
from vae_search.store.backends.local import LocalStore
from vae_search.store.ledger import artifacts
from vae_search.store.ledger.confirm_runs import ConfirmRow, ConfirmRuns
from vae_search.store.ledger.rows import TrialRow, trial_to_parquet
from vae_search.store.ledger.trials import Ledger
from vae_search.store.paths import SweepPaths
from vae_search.store.queries.confirmed_configs import confirmed_first, verdicts

LUCKY, PROVEN, BROKEN = 2, 1, 0  # one seed and the least mean; five seeds; the least mean of all, and a failed seed


def runs_of(trial: int, seeds: int, value: float, **changes: object) -> list[ConfirmRow]:
    fields = {"iwae_k": 500, **changes}
    return [finalist_row(trial, seed, iwae=-value - seed / 100, **fields) for seed in range(1, seeds + 1)]


def confirm_rows(**changes: object) -> list[ConfirmRow]:
    lucky, proven = runs_of(LUCKY, 1, 90.0, **changes), runs_of(PROVEN, 5, 95.0, **changes)
    return [*lucky, *proven, *runs_of(BROKEN, 2, 80.0, **changes), failed_row(BROKEN, 9, **changes)]


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    """Three finalists; by the objective the broken one is first, then the proven one."""
    store = LocalStore(tmp_path / "store")
    rows = [complete(trial) for trial in range(3)]
    put_sweep(store, rows)
    for row in confirm_rows(comparability_key=rows[0].comparability_key):
        ConfirmRuns(store, "digits").commit(row)
    return store


def test_a_finalist_with_one_seed_never_stands_above_one_that_five_have_confirmed():
    assert confirmed_first(verdicts(confirm_rows())) == [PROVEN, LUCKY]


def test_of_equally_many_seeds_the_least_mean_is_first_and_then_the_lowest_number():
    rows = [*runs_of(3, 2, 96.0), *runs_of(5, 2, 95.0), *runs_of(4, 2, 95.0)]

    assert confirmed_first(verdicts(rows)) == [4, 5, 3]


def test_the_run_that_chose_a_finalist_does_not_testify_for_it():
    chosen = [finalist_row(1, seed, iwae=-value, iwae_k=500) for seed, value in enumerate([80.0, 95.0, 97.0])]
    passed_over = finalist_row(2, 0, iwae=-81.0, iwae_k=500)

    found = verdicts([*chosen, passed_over])

    assert found[1].bounds == (95.0, 97.0)
    assert (found[2].bounds, found[2].seeds) == ((81.0,), 0)
    assert confirmed_first(found) == [1, 2]
    assert confirmed_first(verdicts([*chosen[:2], passed_over])) == [1, 2]  # one that testifies before one that chose


@pytest.mark.parametrize(
    ("seeds", "of_the_chosen"),
    [(3, (96.0, 96.01, 96.02)), (4, (96.01, 96.02, 96.03)), (5, (96.01, 96.02, 96.03, 96.04))],
)
def test_of_an_older_sweep_the_first_run_chose_and_is_left_out_where_three_remain(seeds, of_the_chosen):
    chosen = runs_of(1, seeds, 96.0 - 0.01)

    several = verdicts([*chosen, *runs_of(2, 1, 97.0)])
    alone = verdicts(chosen)

    assert several[1].bounds == pytest.approx(of_the_chosen)
    assert several[2].seeds == 1
    assert alone[1].seeds == seeds


def test_a_ranking_and_the_end_of_a_run_and_the_report_name_the_same_best(store):
    asked = queries.best(store, "digits", count=None)
    at_the_end = queries.best_of_status(status(store, "digits"), count=3)
    findings = reporting.findings(store, "digits", now=datetime(2026, 3, 2, tzinfo=UTC))
    told = " ".join(summary(findings))

    assert [row.trial for row in asked.rows] == [PROVEN, LUCKY, BROKEN]
    assert (at_the_end.rows, at_the_end.bound) == (asked.rows, asked.bound)
    assert [finalist.trial for finalist in confirmed(findings.confirm_rows)] == [PROVEN, LUCKY, BROKEN]
    assert f"trial {PROVEN} is the best finalist" in told
    assert f"The next finalist, trial {LUCKY}, has" in told


def test_a_report_calls_no_config_the_best_finalist_that_failed_with_a_seed(tmp_path):
    store = LocalStore(tmp_path / "store")
    row = complete(0)
    put_sweep(store, [row])
    (completed,) = runs_of(0, 1, 80.0, comparability_key=row.comparability_key)
    for run in (completed, failed_row(0, 2, comparability_key=row.comparability_key)):
        ConfirmRuns(store, "digits").commit(run)

    told = " ".join(summary(reporting.findings(store, "digits", now=datetime(2026, 3, 2, tzinfo=UTC))))

    assert "best finalist" not in told
    assert "every config that was trained again failed with a fresh seed" in told


@pytest.fixture
def trained(tmp_path: Path) -> LocalStore:
    """Sweep `before` with a kept model; trial 0 is the best of its search and has three confirmed seeds."""
    folder = ROOT / "tests/fixtures/store_f001553/store"
    store = LocalStore(Path(shutil.copytree(folder, tmp_path / "store")))
    store.remove_tree("models")  # the name of a model would go before the sweep's
    return store


def rewritten(row: TrialRow, trial: int, **changes: object) -> dict[str, object]:
    return {name: getattr(row, name) for name in row.__dataclass_fields__} | {"trial": trial, **changes}


@pytest.mark.needs_tensorflow
def test_a_picture_of_a_sweep_is_of_the_trial_that_best_names_first(trained, tmp_path):
    """Of a trial that leads by its objective alone no weights are kept: whoever draws it fails."""
    trained.remove_tree(SweepPaths("before").compact)  # rows are read from their own files then, and one is changed
    ledger = Ledger(trained, "before")
    first = ledger.trial(0)
    files = artifacts.load(trained, "before", store_paths.trial_key(0), sha256=first.artifact_sha256)
    artifacts.drop(trained, "before", store_paths.trial_key(0))
    ours = queries.best(trained, "before", count=1).rows[0].trial
    run = ConfirmRuns(trained, "before").row(0, 1)
    for seed in range(1, 6):  # five seeds of another trial, with a worse mean than the three of trial 0
        again = rewritten(run, 1, confirm_seed=seed, iwae=(run.iwae or 0.0) - 5.0)
        ConfirmRuns(trained, "before").commit(ConfirmRow(**again))
    trial_1 = ledger.trial(1)
    sha256 = artifacts.keep(trained, "before", store_paths.trial_key(1), files)
    path = SweepPaths("before").trial(1)
    trained.replace(path, trial_to_parquet(TrialRow(**rewritten(trial_1, 1, artifact_sha256=sha256)), path=path))

    written = galleries.sample(trained, "before", count=4, seed=0, output=tmp_path / "a.png").path
    by_number = galleries.sample(trained, "before/1", count=4, seed=0, output=tmp_path / "b.png").path

    assert ours == 0
    assert queries.best(trained, "before", count=1).rows[0].trial == 1
    assert written.read_bytes() == by_number.read_bytes()
    with pytest.raises(NotFound, match="before/0: its weights were not kept"):
        galleries.sample(trained, "before/0", count=4, seed=0, output=tmp_path / "c.png")


@pytest.mark.needs_tensorflow
def test_a_confirmed_config_whose_first_weights_are_gone_is_drawn_by_its_confirm_run(trained, tmp_path):
    artifacts.drop(trained, "before", store_paths.trial_key(0))

    written = galleries.sample(trained, "before", count=4, seed=0, output=tmp_path / "a.png").path

    assert written.read_bytes().startswith(b"\x89PNG")
