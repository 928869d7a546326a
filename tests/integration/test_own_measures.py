"""Measures of somebody's own in a sweep: the guide's function from spec to ranking, and the identity of its code."""

import re
from pathlib import Path

import pytest

import vae_search
from tests.support.page_reading import read
from tests.support.paths import ROOT
from tests.support.web_service import app_of, client_of
from vae_search.errors import Conflict, InvalidSpec
from vae_search.spec.own_code import code_loading
from vae_search.store.backends.uri import open_store
from vae_search.store.ledger.confirm_runs import ConfirmRuns
from vae_search.store.ledger.rows import TrialRow
from vae_search.store.ledger.trials import Ledger

pytestmark = [pytest.mark.needs_tensorflow, pytest.mark.slow, pytest.mark.timeout(300)]

PAGE = ROOT / "docs" / "guides" / "own_measures.md"


def block(language: str) -> str:
    """The page's first block of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the guide's sweep has run."""
    found = tmp_path_factory.mktemp("measures")
    (found / "my_measures.py").write_text(block("python"))
    (found / "sweep.yaml").write_text(block("yaml"))
    vae_search.run(found / "sweep.yaml", store=found / "store", inline=True, overrides=["pruning=off"])
    return found


def rows_of(folder: Path) -> list[TrialRow]:
    return Ledger(open_store(str(folder / "store")), "own-measure").trials()


def test_the_guides_function_has_five_lines_at_most():
    lines = [line for line in block("python").splitlines() if line and not line.startswith("#")]

    assert len(lines) <= 5


def test_every_trial_and_confirm_run_has_its_metrics_and_their_code(folder):
    runs = ConfirmRuns(open_store(str(folder / "store")), "own-measure").rows()

    for row in [*rows_of(folder), *runs]:
        assert 0 < row.metrics["metric_ssim"] < 1
        assert row.metrics["metric_sameness"] < 0
        assert row.error is None
        assert "my_measures" in row.versions_json
        assert "sha256" in row.versions_json
    assert runs


def test_best_puts_the_highest_first_where_more_is_better(folder):
    by_ssim = vae_search.best("own-measure", by="metric_ssim", store=folder / "store")
    by_sameness = vae_search.best("own-measure", by="metric_sameness", store=folder / "store")

    assert by_ssim["metric_ssim"].is_monotonic_decreasing
    assert by_sameness["metric_sameness"].is_monotonic_increasing
    assert len(by_ssim) == 4


def test_the_front_is_that_of_bound_and_metric(folder):
    rows = {row.trial: (row.neg_elbo, row.value("metric_sameness")) for row in rows_of(folder)}
    expected = {
        trial
        for trial, point in rows.items()
        if not any(other != point and other[0] <= point[0] and other[1] <= point[1] for other in rows.values())
    }

    found = vae_search.best("own-measure", store=folder / "store")

    assert {*found["trial"]} == expected


def test_sql_and_the_command_line_know_the_columns(folder):
    found = vae_search.query("SELECT trial FROM trials WHERE metric_ssim IS NOT NULL", store=folder / "store")

    assert len(found) == 4


def test_the_report_draws_the_front_of_bound_and_metric(folder):
    written = vae_search.report("own-measure", folder / "report.html", store=folder / "store").read_text()

    assert "in all of neg_elbo, metric_sameness" in written
    assert "metric_sameness -" in written


def test_pages_and_http_show_metrics(folder):
    with client_of(app_of(open_store(str(folder / "store")))) as client:
        page = read(client, "/sweeps/own-measure/trials/0").text
        ranked = client.get("/api/v1/sweeps/own-measure/best", params={"by": "metric_ssim"}).json()["items"]
        refused = client.get("/api/v1/sweeps/own-measure/best", params={"by": "metric_mig"})

    assert "metric_ssim" in page
    assert [each["metric_ssim"] for each in ranked] == sorted((each["metric_ssim"] for each in ranked), reverse=True)
    assert refused.status_code in (400, 422)


def test_the_trials_of_pages_and_http_are_ordered_by_a_metric(folder):
    best = sorted(rows_of(folder), key=lambda row: -(row.value("metric_ssim") or 0.0))
    with client_of(app_of(open_store(str(folder / "store")))) as client:
        trials = "/api/v1/sweeps/own-measure/trials"
        listed = client.get(trials, params={"order": "metric_ssim", "descending": "true"}).json()["items"]
        page = client.get("/sweeps/own-measure?order=metric_ssim&descending=true").text
        refused = client.get(trials, params={"order": "metric_mig"})

    assert [each["trial"] for each in listed] == [row.trial for row in best]
    assert re.findall(r'id="trial-(\d+)"', page) == [str(row.trial) for row in best]
    assert "order=metric_sameness" in page
    assert refused.status_code == 422
    assert "cpu_s, metric_sameness, metric_ssim" in refused.text


def test_the_report_has_a_column_for_each_metric(folder):
    written = vae_search.report("own-measure", folder / "table.html", store=folder / "store").read_text()

    assert "<th>metric_ssim</th><th>metric_sameness</th>" in written
    first = vae_search.best("own-measure", store=folder / "store").iloc[0]
    assert f"<td>{first['metric_ssim']:.4g}</td><td>{first['metric_sameness']:.4g}</td>" in written


def test_what_is_no_metric_of_the_sweep_is_refused_with_those_that_are(folder):
    with pytest.raises(InvalidSpec, match="metric_ssim, metric_sameness"):
        vae_search.best("own-measure", by="metric_mig", store=folder / "store")


def test_a_sweep_goes_on_with_no_other_code_of_its_metric(folder):
    source = folder / "my_measures.py"
    before = source.read_text()
    source.write_text(before.replace("200", "100"))
    code_loading.look_in([folder])
    try:
        with pytest.raises(Conflict, match=r"metric_sameness has changed .*my_measures\.py: SHA-256"):
            vae_search.resume("own-measure", store=folder / "store", inline=True, overrides=["budget.trials=5"])
    finally:
        source.write_text(before)
