"""Use cases of a sweep: what is refused before anything slow, estimates of far images, and the promotion at the end."""

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import vae_search
from tests.support.file_server import file_server
from tests.support.paths import ROOT
from tests.support.s3_server import BUCKET, seen_by_others
from tests.support.web_server import serving
from vae_search.errors import BadData, InvalidSpec, SweepFailed
from vae_search.search.progress import Observer
from vae_search.services import cluster_jobs, sweeps
from vae_search.services.images.sent_images import put, source_of
from vae_search.spec.sweep_spec import SweepSpec, parse_spec
from vae_search.store.backends.local import LocalStore
from vae_search.store.backends.uri import open_store
from vae_search.store.paths import SweepPaths

FIXTURE = ROOT / "tests/fixtures/store_f001553/store"
SPEC = """name: far
data: {source: SOURCE, validation: 64, test: 40}
search_space: {architecture: mlp, latent_dim: 2, width: 8, depth: 1, batch_size: 4, kl_warmup_epochs: 0}
budget: {trials: 2, epochs: 4}
"""


def spec_of(source: str, *overrides: str) -> SweepSpec:
    return parse_spec(SPEC.replace("SOURCE", json.dumps(source)), base=Path("/"), overrides=overrides)


@pytest.fixture
def images() -> bytes:
    """An .npz with 200 small grey images."""
    stream = io.BytesIO()
    np.savez(stream, x_train=np.random.default_rng(0).integers(0, 256, (200, 8, 8), dtype=np.uint8))
    return stream.getvalue()


@pytest.fixture
def old(tmp_path: Path) -> LocalStore:
    """Sweep `before` is finished, and its config 0 is champion of model `before`, version 1."""
    return LocalStore(Path(shutil.copytree(FIXTURE, tmp_path / "store")))


def test_a_dry_run_reads_images_from_a_web_server(images, tmp_path, monkeypatch, capsys):
    from vae_search.cli.app import main

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with serving(images) as (address, asked):
        (tmp_path / "far.yaml").write_text(SPEC.replace("SOURCE", f"{address}/x.npz"))
        command = ["vae-search", "run", str(tmp_path / "far.yaml"), "--dry-run", "--json"]
        monkeypatch.setattr("sys.argv", [*command, "--store", str(tmp_path / "store")])
        with pytest.raises(SystemExit) as end:
            main()

    assert end.value.code == 0
    assert json.loads(capsys.readouterr().out)["trials"] == 2
    assert asked == ["/x.npz"]
    assert not (tmp_path / "store").exists()


def test_a_refresh_fetches_images_anew_that_the_server_calls_the_same(images, tmp_path, monkeypatch, capsys):
    from vae_search.cli.app import main

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    codes = []
    with file_server(images) as server:
        (tmp_path / "far.yaml").write_text(SPEC.replace("SOURCE", f"{server.address}/x.npz"))
        for options in ([], [], ["--refresh"]):
            command = ["vae-search", "run", str(tmp_path / "far.yaml"), "--dry-run", "--json", *options]
            monkeypatch.setattr("sys.argv", command)
            with pytest.raises(SystemExit) as end:
                main()
            codes.append(end.value.code)
            server.content = images.replace(b"x_train", b"y_train")  # nobody can train on labels alone

    assert codes == [0, 0, BadData.exit_code]
    assert "the same command fetches it anew" in capsys.readouterr().err


def test_images_in_the_store_are_estimated_with(images, tmp_path):
    store = LocalStore(tmp_path / "store")
    (tmp_path / "x.npz").write_bytes(images)
    source = source_of(tmp_path / "x.npz")
    put(store, source, tmp_path / "x.npz")

    estimate = sweeps.estimate(spec_of(source), store=store, cache=tmp_path / "cache")

    assert estimate.slots >= 1


def test_images_in_a_bucket_are_estimated_with(images, s3_location, s3_endpoint, tmp_path):
    prefix = s3_location.removeprefix(f"s3://{BUCKET}/")
    seen_by_others(s3_endpoint).put_object(Bucket=BUCKET, Key=f"{prefix}/x.npz", Body=images)

    estimate = sweeps.estimate(spec_of(f"{s3_location}/x.npz"), store=open_store(s3_location), cache=tmp_path / "cache")

    assert estimate.slots >= 1


WRONG = ("promote={model: m, limits: {no_such_gate: 1}}", "confirm.seeds=3")


@pytest.mark.parametrize("use_case", ["run", "estimate", "submit"])
def test_a_gate_that_does_not_exist_is_refused_before_anything_is_read(use_case, tmp_path):
    spec, store = spec_of("/no/such/images", *WRONG), LocalStore(tmp_path / "store")

    def use() -> object:
        if use_case == "run":
            return sweeps.run(spec, text="", store=store, cache=tmp_path, observer=Observer())
        if use_case == "estimate":
            return sweeps.estimate(spec, store=store, cache=tmp_path)
        return cluster_jobs.submit(None, spec, text="", store="s3://bucket/x", upload=False)  # type: ignore[arg-type]

    with pytest.raises(InvalidSpec, match="no_such_gate"):
        use()


def test_a_resumed_sweep_is_refused_a_gate_that_does_not_exist(old, tmp_path):
    with pytest.raises(InvalidSpec, match="no_such_gate"):
        sweeps.resume(
            old,
            "before",
            overrides=["promote.limits={no_such_gate: 1}"],
            cache=tmp_path,
            observer=lambda spec: Observer(),
        )


@pytest.mark.needs_tensorflow
def test_the_use_case_promotes_and_says_so(old, tmp_path):
    phases: list[str] = []

    outcome = sweeps.resume(
        old, "before", overrides=(), cache=tmp_path, observer=lambda spec: Observer(on_phase=phases.append)
    )

    assert (outcome.status.state, outcome.status.leaderboard.finished) == ("finished", 6)
    assert outcome.promotion is not None
    assert (outcome.promotion.outcome, outcome.promotion.candidate, outcome.promotion.version) == (
        "kept",
        "before/0",
        1,
    )
    assert phases == ["judging the finalists of before"]


def test_a_sweep_whose_time_is_used_says_so_and_how_to_go_on(old, tmp_path):
    warnings: list[str] = []

    outcome = sweeps.resume(
        old,
        "before",
        overrides=["promote=null", "budget.trials=50", "budget.minutes=1e-3"],
        cache=tmp_path,
        observer=lambda spec: Observer(on_warning=warnings.append),
    )

    (warning,) = warnings
    assert "Its budget of 0.001 minutes is used, with 6 of 50 trials ended." in warning
    assert "`vae-search resume before --set budget.minutes=1`" in warning
    assert outcome.status.leaderboard.finished == 6


def test_one_whose_time_was_used_before_a_trial_ended_says_that(old, tmp_path):
    old.remove_tree(SweepPaths("before").trials)
    old.remove_tree(SweepPaths("before").compact)

    with pytest.raises(SweepFailed, match=r"no trial completed\. Its budget of 0\.001 minutes is used") as failed:
        sweeps.resume(
            old,
            "before",
            overrides=["budget.trials=50", "budget.minutes=1e-3"],
            cache=tmp_path,
            observer=lambda spec: Observer(),
        )

    assert len(str(failed.value).splitlines()) == 2


def test_a_sweep_that_names_no_model_promotes_nothing(old, tmp_path):
    outcome = sweeps.resume(old, "before", overrides=["promote=null"], cache=tmp_path, observer=lambda spec: Observer())

    assert outcome.promotion is None


@pytest.mark.needs_tensorflow
def test_program_and_command_come_to_the_same_promotion(old, monkeypatch, capsys):
    from vae_search.cli.app import main

    monkeypatch.setattr("sys.argv", ["vae-search", "resume", "before", "--json", "--store", old.location])
    with pytest.raises(SystemExit):
        main()
    told = json.loads(capsys.readouterr().out)

    found = vae_search.resume("before", store=old.location)

    assert found.champion == f"{told['promotion']['model']}:{told['promotion']['version']}" == "before:1"
    assert [int(trial) for trial in found.best["trial"]][: len(told["best"])] == [row["trial"] for row in told["best"]]


def test_a_silent_program_promotes_without_the_display(old):
    code = (
        "import sys, vae_search\n"
        f"print(vae_search.resume('before', store={old.location!r}).champion)\n"
        "print('shown by:', *sorted(name for name in sys.modules if name.split('.')[:2] == ['vae_search', 'display']))"
    )

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, check=True)

    assert done.stdout.splitlines() == ["before:1", "shown by:"]


def test_payloads_need_no_display():
    code = (
        "import sys, vae_search.services.payloads\n"
        "print({'rich', 'ray', 'tensorflow', 'optuna', 'typer'} & {name.split('.')[0] for name in sys.modules})"
    )

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, check=True)

    assert done.stdout == "set()\n"
