"""Specs: what the shipped ones mean, defaults, overrides, paths, JSON in and out, identity."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from tests.support.paths import ROOT
from vae_search.errors import InvalidSpec
from vae_search.spec.document import parse_yaml
from vae_search.spec.parameters import CategoricalParameter, FixedParameter, FloatParameter, IntParameter
from vae_search.spec.search_space import SearchSpace
from vae_search.spec.sections import (
    Budget,
    Confirm,
    DataSpec,
    Pruning,
    Resources,
    longest_warmup_epochs,
    measures_instability,
)
from vae_search.spec.sweep_spec import SweepSpec, identity_changes, json_schema, parse_spec, read_spec
from vae_search.spec.template import template

SHIPPED = sorted((ROOT / "search_spaces").glob("*.yaml"))
SMALL = """\
name: small
data: {source: digits}
search_space:
  latent_dim: {type: int, low: 2, high: 16}
budget: {trials: 4, epochs: 30}
"""


def small(extra: str = "", *overrides: str) -> SweepSpec:
    return parse_spec(SMALL + extra, base=Path("/sweeps"), overrides=overrides)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_spec_is_right_for_us_and_for_editors_and_survives_json(path: Path) -> None:
    spec = read_spec(path).spec

    written = json.dumps(spec.to_json(), sort_keys=True, allow_nan=False)

    assert SweepSpec.from_json(json.loads(written)) == spec
    assert SweepSpec.from_json(json.loads(written)).sha256 == spec.sha256
    schema = Draft202012Validator(json_schema())
    assert [error.message for error in schema.iter_errors(parse_yaml(path.read_text(), origin="spec").tree)] == []
    assert [error.message for error in schema.iter_errors(json.loads(written))] == []


def test_the_demo_is_small_enough_for_a_laptop() -> None:
    spec = read_spec(next(path for path in SHIPPED if path.stem == "digits")).spec

    assert spec.data.source == "digits"
    assert (spec.budget.trials, spec.budget.epochs, spec.pruning) == (24, 27, Pruning(min_epochs=3))
    assert {parameter.name for parameter in spec.search_space.searched} == {
        *("latent_dim", "beta", "learning_rate", "depth", "width", "batch_size", "activation")
    }


def test_the_template_runs_as_it_is_and_shows_every_key() -> None:
    text = template("my-sweep")

    spec = parse_spec(text, base=Path("/sweeps"))

    assert spec.name == "my-sweep"
    assert [key for key in SweepSpec.model_fields if f"{key}:" not in text] == []


def test_the_commented_values_of_the_template_are_the_defaults() -> None:
    text = template("my-sweep")
    for line in text.splitlines():
        key, colon, value = line.removeprefix("# ").partition(":")
        if line.startswith("# ") and colon and key in SweepSpec.model_fields and value.split("#")[0].strip():
            text = text.replace(line, line.removeprefix("# "))

    spec = parse_spec(text, base=Path("/sweeps"))

    assert "\nkeep: 5" in text
    assert spec == parse_spec(template("my-sweep"), base=Path("/sweeps"))


def test_every_resource_stands_in_the_template_with_its_default() -> None:
    text = template("my-sweep")
    start = text.index("# resources:")
    uncommented = text[:start] + re.sub(r"(?m)^# ", "", text[start:])

    spec = parse_spec(uncommented, base=Path("/sweeps"))

    assert spec == parse_spec(text, base=Path("/sweeps"))
    assert spec.resources.model_fields_set == set(Resources.model_fields)


@pytest.mark.parametrize(
    ("written", "size_bytes"),
    [("0", 0), ("1000", 1000), ("500MB", 500_000_000), ("4GiB", 4 * 2**30), ("1.5 kB", 1500), ("0.5TiB", 2**39)],
)
def test_memory_is_written_in_bytes_or_in_units(written: str, size_bytes: int) -> None:
    assert small("", f"resources.memory={written}").resources.memory == size_bytes


@pytest.mark.parametrize("gpus", [0, 0.0001, 0.25, 1, 8])
def test_gpus_are_shares_of_one_or_whole_ones(gpus: float) -> None:
    assert small("", f"resources.gpus_per_trial={gpus}").resources.gpus_per_trial == gpus


def test_resources_survive_json() -> None:
    text = "resources: {gpus_per_trial: 2, memory: 4GiB, custom: {tpu: 0.5}, labels: {zone: east}, concurrency: 3}\n"
    spec = small(text)

    written = json.loads(json.dumps(spec.to_json()))

    assert SweepSpec.from_json(written) == spec
    assert written["resources"]["custom"] == {"tpu": 0.5}
    assert [error.message for error in Draft202012Validator(json_schema()).iter_errors(written)] == []


def test_what_is_not_said_takes_its_default() -> None:
    spec = small()

    assert spec.seed == 0
    assert spec.data == DataSpec(source="digits", binarize="dynamic", validation=None, test=None)
    assert spec.search_space == SearchSpace((IntParameter(name="latent_dim", low=2, high=16),))
    assert spec.pruning == Pruning(min_epochs=3, reduction_factor=3)
    assert (spec.sampler, spec.lr_schedule, spec.likelihood) == ("tpe", "constant", "bernoulli")
    assert (spec.log_variance_clamp, spec.ema_decay, spec.enqueue) == ((-6.0, 2.0), 0.999, ())
    assert spec.confirm == Confirm(finalists=3, seeds=5, epochs=None)
    assert spec.promote is None
    assert (spec.resources.cpus_per_trial, spec.resources.concurrency) == (1, "auto")


@pytest.mark.parametrize(("epochs", "first_rung"), [(1, 1), (8, 1), (9, 1), (18, 2), (45, 5)])
def test_the_first_rung_is_a_ninth_of_the_epochs(epochs: int, first_rung: int) -> None:
    assert small("", f"budget.epochs={epochs}").pruning == Pruning(min_epochs=first_rung)


def test_pruning_can_be_switched_off_and_stays_off_in_json() -> None:
    spec = small("pruning: off\n")

    assert spec.pruning is None
    assert SweepSpec.from_json(spec.to_json()).pruning is None


def test_yaml_is_read_by_the_rules_of_version_1_2() -> None:
    text = (
        "a: 1e-3\nb: 010\nc: no\nd: 1:30\ne: 0x1F\nf: 0o17\ng: ~\nh: '7'\ni: .5\nj: +1\nk: 2026-01-01\nl: 1_0\nm: True"
    )

    tree = parse_yaml(text, origin="spec").tree

    assert tree == {
        **{"a": 0.001, "b": 10, "c": "no", "d": "1:30", "e": 31, "f": 15, "g": None, "h": "7", "i": 0.5, "j": 1},
        **{"k": "2026-01-01", "l": "1_0", "m": True},
    }


def test_every_kind_of_parameter_can_be_written() -> None:
    space = """\
  architecture: {type: categorical, choices: [mlp, conv]}
  depth:
    - {type: int, low: 1, high: 7, step: 3, when: {architecture: mlp}}
    - {type: fixed, value: 2, when: {architecture: [conv]}}
  beta: {type: categorical, choices: [1, 2]}
  free_bits: {type: float, low: 0, high: 1, step: 0.25, when: {depth: [4, 7], beta: 1}}
  weight_decay: 0
budget:"""

    spec = parse_spec(SMALL.replace("budget:", space), base=Path("/sweeps"))

    mlp, conv = (("architecture", ("mlp",)),), (("architecture", ("conv",)),)
    assert spec.search_space.parameters == (
        CategoricalParameter(name="architecture", choices=("mlp", "conv")),
        IntParameter(name="latent_dim", low=2, high=16),
        CategoricalParameter(name="beta", choices=(1.0, 2.0)),
        IntParameter(name="depth", low=1, high=7, step=3, when=mlp),
        FixedParameter(name="depth", value=2, when=conv),
        FloatParameter(name="free_bits", low=0.0, high=1.0, step=0.25, when=(("beta", (1.0,)), ("depth", (4, 7)))),
        FixedParameter(name="weight_decay", value=0.0),
    )
    assert SweepSpec.from_json(json.loads(json.dumps(spec.to_json(), sort_keys=True))) == spec


def test_enqueued_configs_may_leave_parameters_to_the_sampler() -> None:
    spec = small("enqueue: [{latent_dim: 3}, {}]\n")

    assert spec.enqueue == ({"latent_dim": 3}, {})


def test_overrides_are_laid_over_the_file_in_their_order() -> None:
    spec = small(
        "pruning: {min_epochs: 2}\n",
        "budget.trials=7",
        "budget.trials=8",
        "search_space.depth={type: int, low: 1, high: 3}",
        "pruning.reduction_factor=4",
        "objective.stability_weight=0.5",
        "budget.minutes=",
    )

    assert spec.budget == Budget(trials=8, epochs=30, minutes=None)
    assert [parameter.key for parameter in spec.search_space.searched] == ["latent_dim", "depth"]
    assert spec.pruning == Pruning(min_epochs=2, reduction_factor=4)
    assert spec.objective.stability_weight == 0.5


def test_an_override_mends_the_mistake_that_it_replaces() -> None:
    text = SMALL + "seed: 1\nseed: 2\n"

    spec = parse_spec(text, base=Path("/sweeps"), overrides=["seed=3"])

    assert spec.seed == 3


def test_a_relative_path_starts_at_the_spec_and_one_on_the_command_line_at_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "small.yaml").write_text(SMALL.replace("digits", "../images/cats.npz"))
    monkeypatch.chdir(tmp_path)

    in_file = read_spec(Path("specs/small.yaml")).spec
    overridden = read_spec(Path("specs/small.yaml"), ["data.source=dogs"]).spec
    as_part = read_spec(Path("specs/small.yaml"), ["data={source: dogs}"]).spec

    assert in_file.data.source == str(tmp_path / "images" / "cats.npz")
    assert overridden.data.source == as_part.data.source == str(tmp_path / "dogs")


@pytest.mark.parametrize(
    "source",
    [
        *("digits", "mnist", "fashion_mnist", "/data/cats.npz"),
        *("s3://bucket/a/cats.npz", "https://host/cats.parquet", f"store:{'0a' * 16}/my cats"),
    ],
)
def test_names_and_absolute_paths_stay_as_they_are(source: str) -> None:
    assert small("", f"data.source={source}").data.source == source


def test_a_path_in_the_home_folder_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")

    assert small("", "data.source=~/cats.npz").data.source == "/home/ada/cats.npz"


def test_windows_line_ends_and_a_byte_order_mark_are_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "windows.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + SMALL.replace("\n", "\r\n").encode())

    assert read_spec(path).spec == small()


@pytest.mark.parametrize(
    "override",
    [
        *("name=other", "budget.trials=99", "budget.minutes=1", "checkpoint_s=1", "max_retries=0", "keep=1"),
        *("resources.concurrency=2", "resources.gpus_per_trial=0.5", "resources.memory=4GiB"),
        *("resources.custom={tpu: 1}", "resources.labels={zone: east}"),
    ],
)
def test_what_may_change_on_resume_is_not_part_of_the_identity(override: str) -> None:
    assert small("", override).sha256 == small().sha256
    assert small("", override) != small()


@pytest.mark.parametrize(
    ("override", "change"),
    [
        ("budget.epochs=36", "budget.epochs: 30 → 36"),
        ("budget.patience=5", "budget.patience: nothing → 5"),
        ("data.source=mnist", "data.source: 'digits' → 'mnist'"),
        ("data.binarize=threshold", "data.binarize: 'dynamic' → 'threshold'"),
        ("search_space.latent_dim.high=17", "search_space.latent_dim.high: 16 → 17"),
        (
            "search_space.latent_dim=4",
            "search_space.latent_dim: {type: 'int', low: 2, high: 16, log: false, step: 1} → 4",
        ),
        ("search_space.depth=3", "search_space.depth: nothing → 3"),
        ("enqueue=[{latent_dim: 4}]", "enqueue: [] → [{latent_dim: 4}]"),
        ("pruning.min_epochs=4", "pruning.min_epochs: 3 → 4"),
        ("pruning=off", "pruning: {min_epochs: 3, reduction_factor: 3} → 'off'"),
        ("objective.stability_weight=0.5", "objective.stability_weight: 0.0 → 0.5"),
        ("sampler=random", "sampler: 'tpe' → 'random'"),
        ("seed=1", "seed: 0 → 1"),
        ("ema_decay=0.9", "ema_decay: 0.999 → 0.9"),
        ("lr_schedule=cosine", "lr_schedule: 'constant' → 'cosine'"),
        ("precision=bfloat16", "precision: nothing → 'bfloat16'"),
        ("log_variance_clamp=[-5, 2]", "log_variance_clamp: [-6.0, 2.0] → [-5.0, 2.0]"),
        ("resources.cpus_per_trial=2", "resources.cpus_per_trial: 1 → 2"),
    ],
)
def test_a_change_of_the_identity_is_named(override: str, change: str) -> None:
    old, new = small("pruning: {min_epochs: 3}\n"), small("pruning: {min_epochs: 3}\n", override)

    assert identity_changes(old, new) == [change]
    assert old.sha256 != new.sha256
    assert identity_changes(old, old) == []


PROMOTES = "promote: {model: m}\n"


@pytest.mark.parametrize(
    ("written", "bound"),
    [
        ("", "elbo"),
        (PROMOTES, "iwae"),
        (PROMOTES + "objective: {bound: elbo}\n", "elbo"),
        ("objective: {bound: iwae}\n", "iwae"),
        (PROMOTES + "objective: {pareto: [neg_elbo, train_flops]}\n", "elbo"),
    ],
)
def test_a_new_sweep_that_promotes_is_ranked_by_what_promotions_compare(written: str, bound: str) -> None:
    assert small(written).with_bound(None).objective.bound == bound


def test_the_bound_of_a_running_sweep_stays_when_promote_comes_or_goes() -> None:
    plain, promoting = small().with_bound(None), small(PROMOTES).with_bound(None)

    assert small(PROMOTES).with_bound(plain).bound == "elbo"
    assert small().with_bound(promoting).bound == "iwae"
    assert identity_changes(promoting, small("objective: {bound: elbo}\n")) == ["objective.bound: 'iwae' → nothing"]
    assert plain.sha256 == small().sha256  # as before there was a choice
    assert promoting.sha256 != plain.sha256


def test_a_stored_spec_from_before_the_choice_is_of_the_elbo() -> None:
    tree = small(PROMOTES).to_json()
    del tree["objective"]["bound"]

    assert SweepSpec.from_json(tree).bound == "elbo"


def test_a_pareto_sweep_has_no_other_bound_than_its_criterion() -> None:
    with pytest.raises(InvalidSpec, match="criterion of a Pareto sweep is neg_elbo"):
        small("objective: {pareto: [neg_elbo, train_flops], bound: iwae}\n")


def test_the_order_of_keys_does_not_change_the_identity() -> None:
    lines = SMALL.replace("  latent_dim", "  width: 64\n  latent_dim").splitlines()
    other = [lines[5], lines[2], lines[4], lines[3], lines[1], lines[0]]

    spec, reordered = (parse_spec("\n".join(text), base=Path("/sweeps")) for text in (lines, other))

    assert spec == reordered


def test_mirroring_is_part_of_what_a_sweep_is_and_a_spec_without_it_is_what_it_was() -> None:
    plain, said, turned = (small("", *override) for override in ((), ["data.mirror=false"], ["data.mirror=true"]))

    assert "mirror" not in plain.identity()["data"]  # type: ignore[operator]
    assert plain.sha256 == said.sha256 != turned.sha256


def test_a_spec_can_be_built_in_python_and_checks_itself_there() -> None:
    space = SearchSpace((FixedParameter(name="kl_warmup_epochs", value=1),))

    spec = SweepSpec(name="x", data=DataSpec(source="digits"), search_space=space, budget=Budget(trials=1, epochs=20))

    assert spec.pruning == Pruning(min_epochs=2)
    with pytest.raises(ValidationError, match="the warm-up must end before the first rung"):
        SweepSpec(name="x", data=DataSpec(source="digits"), search_space=space, budget=Budget(trials=1, epochs=9))
    with pytest.raises(ValidationError, match="frozen"):
        spec.seed = 3


def test_a_damaged_resolved_spec_is_refused_in_words() -> None:
    tree = small().to_json() | {"seed": "one", "budget": None}

    with pytest.raises(InvalidSpec) as caught:
        SweepSpec.from_json(tree)

    assert caught.value.problems == (
        "resolved spec: seed: must be a whole number, but got 'one'.",
        f"resolved spec: budget: must be a mapping with the keys {', '.join(Budget.model_fields)}, but got nothing.",
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"budget": {"trials": 0, "epochs": 1}},
        {"budget": {"trials": 1, "epochs": 1, "epoch": 1}},
        {"name": "Not a name"},
        {"search_space": {"depht": 1}},
        {"search_space": {"depth": 9}},
        {"search_space": {"depth": {"type": "float", "low": 1, "high": 2}}},
        {"search_space": {"depth": {"type": "int", "low": 1}}},
        {"search_space": {"activation": {"type": "categorical", "choices": ["rely"]}}},
        {"enqueue": [{"beta": "x"}]},
        {"pruning": "on"},
        {"log_variance_clamp": [1]},
        {"resources": {"concurrency": "some"}},
        {"resources": {"gpus_per_trial": -1}},
        {"resources": {"memory": "4 gigs"}},
        {"resources": {"custom": {"tpu": 0}}},
        {"resources": {"labels": {"zone": 1}}},
        {"data": {"source": "digits", "validation": 1.5}},
    ],
)
def test_the_schema_finds_what_an_editor_can_find(wrong: dict[str, object]) -> None:
    schema = Draft202012Validator(json_schema())

    assert list(schema.iter_errors(small().to_json())) == []
    assert list(schema.iter_errors(small().to_json() | wrong)) != []


def test_the_schema_is_itself_right() -> None:
    Draft202012Validator.check_schema(json_schema())


def test_reading_a_spec_loads_no_heavy_library() -> None:
    heavy = "{'numpy', 'tensorflow', 'ray', 'duckdb', 'optuna'}"
    code = f"import sys, vae_search.spec.sweep_spec; print(*{heavy} & set(sys.modules))"

    loaded = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, env=os.environ, check=True)

    assert loaded.stdout.strip() == ""


@pytest.mark.parametrize(
    ("overrides", "is_measured"),
    [
        (["budget.epochs=8", "pruning=off"], True),
        (["budget.epochs=7", "pruning=off"], False),
        (["budget.epochs=12", "search_space.kl_warmup_epochs={type: int, low: 0, high: 4}", "pruning=off"], True),
        (["budget.epochs=11", "search_space.kl_warmup_epochs={type: int, low: 0, high: 4}", "pruning=off"], False),
        (["budget.epochs=11", "search_space.kl_warmup_epochs={type: categorical, choices: [0, 4]}"], False),
        (["budget.epochs=11", "search_space.kl_warmup_epochs=3", "pruning=off"], True),
    ],
)
def test_one_rule_says_whether_a_sweep_has_instability_and_may_weigh_it_or_have_it_as_a_criterion(
    overrides: list[str], is_measured: bool
) -> None:
    spec = small("pruning: {min_epochs: 5}\n", *overrides)

    epochs, longest = spec.budget.epochs, longest_warmup_epochs(spec.search_space)
    assert measures_instability(epochs, longest_warmup_epochs=longest) is is_measured
    for objective in ("{stability_weight: 0.3}", "{pareto: [neg_elbo, instability]}"):
        if is_measured:
            small("pruning: {min_epochs: 5}\n", *overrides, f"objective={objective}")
        else:
            with pytest.raises(InvalidSpec, match=f"instability needs {longest + 8} epochs here, 8 of them after"):
                small("pruning: {min_epochs: 5}\n", *overrides, f"objective={objective}")


def test_instability_weighs_nothing_unless_a_person_says_so() -> None:
    assert small().objective.stability_weight == 0.0


@pytest.mark.parametrize("others", [{}, {"pareto": ["neg_elbo", "train_flops"], "prefer": "neg_elbo"}])
def test_a_record_from_when_the_weight_was_one_stays_what_it_was(others: dict[str, object]) -> None:
    objective = {"stability_weight": 1.0, "pareto": None} | others
    record = small("", "budget.epochs=6").to_json() | {"objective": objective}

    spec = SweepSpec.from_json(record)

    assert spec.objective.stability_weight == 1.0
    assert spec.identity()["objective"]["stability_weight"] == 1.0  # type: ignore[index]
