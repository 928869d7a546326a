"""Families that other packages bring by entry point: found, checked, and in nobody's way who does not name them."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from tests.support.plugins import RINGS, install, write
from vae_search.errors import InvalidSpec
from vae_search.services.preflight import examine
from vae_search.spec.hyperparameters import Config
from vae_search.spec.sections import Resources
from vae_search.spec.sweep_spec import SweepSpec, json_schema, parse_spec

SPEC = """
name: own
data: {{source: digits}}
search_space: {{{}}}
budget: {{trials: 4, epochs: 9}}
"""
OURS = SPEC.format("architecture: mlp, depth: 1")
WHEN = "when: {architecture: rings}"


@pytest.fixture(autouse=True)
def modules() -> Iterator[None]:
    """What a test imports is forgotten after it."""
    before = {*sys.modules}
    yield
    for name in {*sys.modules} - before:
        if name.startswith("ring_"):
            del sys.modules[name]


@pytest.fixture
def rings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch)


def read(space: str) -> SweepSpec:
    return parse_spec(SPEC.format(space), base=Path("/"))


def problem(space: str) -> str:
    with pytest.raises(InvalidSpec) as caught:
        read(space)
    return str(caught.value)


def test_an_installed_family_is_named_and_its_parameter_searched(rings):
    spec = read("architecture: rings, squeeze: {type: int, low: 1, high: 4}")

    assert [parameter.name for parameter in spec.search_space.parameters] == ["architecture", "squeeze"]
    assert SweepSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
    assert Config.from_params({"architecture": "rings", "squeeze": 3, "beta": 2}).own == (("squeeze", 3),)


def test_its_declaration_is_imported_without_its_layers_and_without_tensorflow(rings, monkeypatch):
    monkeypatch.delitem(sys.modules, "ring_layers", raising=False)  # of an earlier test that has built networks

    read("architecture: rings")

    assert "ring_family" in sys.modules
    assert "ring_layers" not in sys.modules


def test_an_edited_declaration_counts_at_once_in_a_process_that_has_imported_the_old_one(rings, tmp_path):
    read("architecture: rings, squeeze: 8")

    (tmp_path / "ring_family.py").write_text(RINGS.replace("high=8", "high=4"))

    assert "must be >= 1 and <= 4, but got 8." in problem("architecture: rings, squeeze: 8")


def test_a_declaration_may_lie_in_another_object_of_its_module(tmp_path, monkeypatch):
    files = {"ring_family.py": f"{RINGS}\nclass Shapes:\n    RINGS = RINGS\n"}
    install(tmp_path, monkeypatch, points={"rings": "ring_family:Shapes.RINGS"}, files=files)

    assert read("architecture: rings, squeeze: 3")


def test_beside_other_families_its_parameter_must_have_a_condition(rings):
    choices = "architecture: {type: categorical, choices: [mlp, rings]}"

    told = problem(f"{choices}, squeeze: 2")

    assert "mlp has no squeeze. Let it apply only `when: {architecture: rings}`." in told
    assert read(f"{choices}, squeeze: {{type: fixed, value: 2, {WHEN}}}")
    assert read(f"{choices}, depth: {{type: fixed, value: 2, when: {{architecture: mlp}}}}")


@pytest.mark.parametrize(
    ("space", "fragment"),
    [
        ("architecture: rings, squeeze: 9", "search_space.squeeze: must be >= 1 and <= 8, but got 9."),
        ("architecture: rings, squeeze: {type: int, low: 0, high: 4}", "must be >= 1 and <= 8, but got 0."),
        ("architecture: rings, squeeze: {type: float, low: 1, high: 4}", "squeeze is a whole number, so it needs"),
        ("architecture: rings, squeeze: {type: categorical, choices: [a, b]}", "must be a whole number, but got 'a'."),
        ("architecture: rings, squeze: 2", "rings has no squeze. Did you mean squeeze?"),
        ("architecture: rings, depth: 2", "rings has no depth."),
        ("architecture: rings, blocks: 2", "rings has no blocks."),
        ("architecture: ring", "'ring' is unknown. Did you mean rings?"),
        ("architecture: mlp, squeeze: 2", "no parameter is called 'squeeze'."),
    ],
)
def test_what_a_family_does_not_have_is_refused_by_name(rings, space: str, fragment: str):
    assert fragment in problem(space)


@pytest.mark.parametrize(
    ("files", "fragment"),
    [
        ({"ring_family.py": "import nowhere_to_be_found\n"}, "cannot be imported: ModuleNotFoundError"),
        ({"ring_family.py": "RINGS = 3\n"}, "ring_family:RINGS must be a vae_search Family, but is a int."),
        ({"ring_family.py": "1/0\n"}, "cannot be imported: ZeroDivisionError: division by zero"),
        ({"ring_family.py": RINGS.replace("default=2", "default=9")}, "the default of parameter squeeze must be >= 1"),
        ({"ring_family.py": RINGS.replace('{"squeeze"', '{"beta"')}, "its parameter beta must have another name"),
        ({"ring_family.py": RINGS.replace("ring_layers:rings", "rings")}, "`layers` must be module:function"),
    ],
)
def test_a_broken_package_is_named_and_in_the_way_of_nobody_else(tmp_path, monkeypatch, files, fragment):
    install(tmp_path, monkeypatch, files=files)

    told = problem("architecture: rings")

    assert "family rings of my-rings 0.1" in told
    assert fragment in told
    assert parse_spec(OURS, base=Path("/")).search_space.parameters[0].name == "architecture"


def test_a_family_that_two_packages_bring_is_refused_naming_both(tmp_path, monkeypatch, rings):
    install(tmp_path / "other", monkeypatch, name="their-rings")

    assert "is brought by their-rings 0.1 and by my-rings 0.1" in problem("architecture: rings")
    assert parse_spec(OURS, base=Path("/"))


def test_a_stored_spec_is_read_where_the_package_is_not_installed(tmp_path):
    write(tmp_path)
    tree = SweepSpec.from_json(parse_spec(OURS, base=Path("/")).to_json()).to_json()
    tree["search_space"] = {"architecture": "rings", "squeeze": {"type": "int", "low": 1, "high": 4}}

    spec = SweepSpec.from_json(tree)

    assert spec.to_json()["search_space"]["squeeze"] == {"type": "int", "low": 1, "high": 4, "log": False, "step": 1}


def test_the_schema_and_the_doctor_know_what_is_installed(rings, tmp_path):
    schema = Draft202012Validator(json_schema())

    space = {"architecture": "rings", "squeeze": {"type": "int", "low": 1, "high": 4}}
    tree = {"name": "own", "data": {"source": "digits"}, "search_space": space, "budget": {"trials": 1, "epochs": 1}}
    assert [error.message for error in schema.iter_errors(tree)] == []
    assert [*schema.iter_errors(tree | {"search_space": space | {"squeeze": 9}})]
    checks = examine(None, None, Resources(), wait_s=None, on_wait=lambda _: None)
    assert [check.found for check in checks if check.name == "family rings"] == ["a narrow middle (my-rings 0.1)"]


def test_the_doctor_tells_of_a_broken_package(tmp_path, monkeypatch):
    install(tmp_path, monkeypatch, files={"ring_family.py": "1/0\n"})

    checks = examine(None, None, Resources(), wait_s=None, on_wait=lambda _: None)

    (told,) = [check for check in checks if check.name == "family rings"]
    assert not told.ok
    assert "my-rings 0.1" in told.found
    assert "Mend or update the package" in told.remedy
