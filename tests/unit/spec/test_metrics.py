"""Metrics of a spec: what they are short for, what is refused, and who may bring code."""

from pathlib import Path

import pytest

from vae_search.core.criteria import Criteria
from vae_search.errors import InvalidSpec
from vae_search.server.submissions import DataRoots, checked_spec
from vae_search.services.checks.sweep_checks import check_limits
from vae_search.spec.measures.metrics import Metric, metrics_code
from vae_search.spec.measures.pareto import pareto_criteria
from vae_search.spec.own_code import code_loading
from vae_search.spec.sweep_spec import SweepSpec, parse_spec

SPEC = """
name: measured
data: {source: digits}
search_space: {latent_dim: {type: int, low: 2, high: 8}, width: 32, depth: 1}
budget: {trials: 4, epochs: 27}
"""
SOURCE = "def mig(model, images, labels):\n    return 1.0\n"


def spec_with(metrics: str, *overrides: str) -> SweepSpec:
    return parse_spec(f"{SPEC}metrics: {metrics}\n", base=Path("/"), overrides=overrides)


def test_a_text_is_short_for_a_mapping():
    spec = spec_with("[ssim, 'my_measures:mig', {function: 'my_measures:mig', name: gap, better: higher}]")

    assert spec.metrics == (
        Metric(name="ssim", function="ssim", better="higher"),
        Metric(name="mig", function="my_measures:mig", better="lower"),
        Metric(name="gap", function="my_measures:mig", better="higher"),
    )
    assert SweepSpec.from_json(spec.to_json()) == spec


def test_a_spec_without_metrics_is_the_sweep_that_it_was_and_with_them_another():
    plain = parse_spec(SPEC, base=Path("/"))

    assert "metrics" not in plain.identity()
    assert spec_with("[]").sha256 == plain.sha256
    assert spec_with("[ssim]").sha256 != plain.sha256


@pytest.mark.parametrize(
    ("metrics", "overrides", "told"),
    [
        ("ssim", (), "must be a list"),
        ("[ssim, ssim]", (), "ssim stands twice"),
        ("['rm -rf /']", (), "must be module:function, in letters without accents"),
        ("['größe:f']", (), "must be module:function, in letters without accents"),
        ("[{name: Sharp, function: ssim}]", (), "must be 1 to 40 of a-z, 0-9 and _, and begin with a letter"),
        ("[ssim]", ("objective={pareto: [neg_elbo, metric_mig]}",), "metric_mig is no metric of this spec"),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_do(metrics, overrides, told):
    with pytest.raises(InvalidSpec, match=told):
        spec_with(metrics, *overrides)


def test_the_criteria_of_a_sweep_know_of_which_metrics_more_is_better():
    metrics = "[ssim, 'my_measures:mig', {function: 'my_measures:mig', name: gap, better: higher}]"
    spec = spec_with(metrics, "objective={pareto: [neg_elbo, metric_mig, metric_ssim], prefer: metric_ssim}")

    assert pareto_criteria(spec) == Criteria(
        names=("neg_elbo", "metric_mig", "metric_ssim"), prefer="metric_ssim", maximised=frozenset({"metric_ssim"})
    )
    assert pareto_criteria(spec_with(metrics)) is None


def test_a_limit_of_what_is_no_metric_is_refused():
    promote = "promote={model: digits, limits: {metric_mig: 1}}"

    check_limits(spec_with("['my_measures:mig']", promote))
    with pytest.raises(InvalidSpec, match="metric_mig is no metric of this spec"):
        check_limits(spec_with("[ssim]", promote))


def test_the_code_is_found_where_it_may_be_looked_for_and_read_only(tmp_path, monkeypatch):
    (tmp_path / "my_measures.py").write_text(f"raise RuntimeError('is not run to be checked')\n{SOURCE}")
    monkeypatch.setattr(code_loading, "_places", {tmp_path: True})
    monkeypatch.setattr(code_loading, "_provided", {})

    assert [*metrics_code(spec_with("[ssim, 'my_measures:mig']").metrics)] == ["metric_mig"]
    with pytest.raises(InvalidSpec, match=r"defines no function mgi\. Did you mean mig"):
        metrics_code(spec_with("['my_measures:mgi']").metrics)
    with pytest.raises(InvalidSpec, match="no such module"):
        metrics_code(spec_with("['nobodys_measures:mig']").metrics)
    with pytest.raises(InvalidSpec, match="sim is unknown"):
        metrics_code(spec_with("[sim]").metrics)


def test_over_http_only_what_is_ours_or_installed_may_be_named(tmp_path, monkeypatch):
    (tmp_path / "my_measures.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    content = f"{SPEC}metrics: [ssim, 'my_measures:mig']\n".encode()
    with pytest.raises(InvalidSpec, match=r"by an entry point of the group vae_search\.metrics"):
        checked_spec(content, DataRoots())

    metadata = tmp_path / "my_measures-0.1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: my-measures\nVersion: 0.1\n")
    (metadata / "entry_points.txt").write_text("[vae_search.metrics]\nmig = my_measures:mig\n")

    assert len(checked_spec(content, DataRoots())[0].metrics) == 2
    assert [*metrics_code(spec_with("[mig]").metrics)] == ["metric_mig"]
