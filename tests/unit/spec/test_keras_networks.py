"""Own Keras networks in a spec: found and read without being run, and known by their bytes."""

import json
import sys
import zipfile
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from vae_search.errors import CorruptStore, InvalidSpec, NodeTrouble
from vae_search.runtime.cluster.job_package import JobPackage
from vae_search.server.submissions import DataRoots, checked_spec
from vae_search.spec.hyperparameters import Config
from vae_search.spec.networks.keras_network import KerasReference, build_function
from vae_search.spec.networks.submitted import code_in_use
from vae_search.spec.own_code import code_loading
from vae_search.spec.own_code.code_loading import code_of, look_again, look_in, provide
from vae_search.spec.own_code.own_code import CodeIdentity, OwnCode, find_code
from vae_search.spec.sweep_spec import SweepSpec, json_schema, parse_spec

SOURCE = """
raise RuntimeError("a spec is checked without running this")

def build(image_shape, latent_dim, outputs_per_value, heads=2, depth=1):
    pass
"""
ARCHITECTURE = '{keras: "my_nets:build"}'


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was told of no code."""
    monkeypatch.setattr(code_loading, "_places", {})
    monkeypatch.setattr(code_loading, "_provided", {})
    monkeypatch.delenv(code_loading.VARIABLE, raising=False)
    for name in [name for name in sys.modules if name.startswith(("my_nets", "my_pack"))]:
        monkeypatch.delitem(sys.modules, name)


@pytest.fixture
def nets(tmp_path: Path) -> Path:
    (tmp_path / "my_nets.py").write_text(SOURCE)
    look_in([tmp_path])
    return tmp_path


def spec_text(space: str = f"architecture: {ARCHITECTURE}") -> str:
    return f"name: own\ndata: {{source: digits}}\nsearch_space: {{{space}}}\nbudget: {{trials: 4, epochs: 9}}\n"


def read(space: str = f"architecture: {ARCHITECTURE}") -> SweepSpec:
    return parse_spec(spec_text(space), base=Path("/"))


def problem(space: str) -> str:
    with pytest.raises(InvalidSpec) as caught:
        read(space)
    return str(caught.value)


def test_arguments_of_the_function_are_searched_and_nothing_is_run(nets):
    spec = read(f"architecture: {ARCHITECTURE}, heads: {{type: int, low: 1, high: 4}}, depth: 3")

    assert spec.to_json()["search_space"]["architecture"] == "keras:my_nets:build"
    assert SweepSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
    params = {"architecture": "keras:my_nets:build", "heads": 4, "depth": 3, "beta": 2}
    assert Config.from_params(params).own == (("depth", 3), ("heads", 4))
    assert "my_nets" not in sys.modules


def test_a_precision_of_ours_is_not_for_keras_networks(nets):
    with pytest.raises(InvalidSpec, match=r"precision: bfloat16 is for described networks; .* Leave it out\."):
        parse_spec(spec_text() + "precision: bfloat16\n", base=Path("/"))


def test_it_may_stand_beside_families_of_ours(nets):
    choices = f"architecture: {{type: categorical, choices: [mlp, {ARCHITECTURE}]}}"

    assert read(f"{choices}, heads: {{type: fixed, value: 1, when: {{architecture: {ARCHITECTURE}}}}}")
    assert "mlp has no heads. Let it apply only `when: {architecture: keras:my_nets:build}`." in problem(
        f"{choices}, heads: 1"
    )


@pytest.mark.parametrize(
    ("space", "fragment"),
    [
        ("heeds: 2", "my_nets:build has no argument heeds. Did you mean heads?"),
        ("width: 2", "my_nets:build has no argument width."),
        ("blocks: 2", "my_nets:build has no argument blocks."),
        ("heads: {type: categorical, choices: [1, two]}", "must all be names, or all numbers"),
        ("depth: 9", "must be >= 1 and <= 8, but got 9."),
    ],
)
def test_an_argument_that_it_does_not_take_is_refused_by_name(nets, space, fragment):
    assert fragment in problem(f"architecture: {ARCHITECTURE}, {space}")


@pytest.mark.parametrize(
    ("source", "fragment"),
    [
        (
            "def built(image_shape, latent_dim, outputs_per_value): pass",
            "defines no function build. Did you mean built?",
        ),
        ("def build(image_shape, latent_dim): pass", "must take image_shape, latent_dim, outputs_per_value by name"),
        ("def build(image_shape, latent_dim, outputs_per_value, /): pass", "by name"),
        (SOURCE.replace("heads=2", "beta=2"), "its argument beta must have another name"),
        (SOURCE.replace("heads=2", "heads").replace("depth=1", ""), "needs heads, which has no default"),
        ("def build(:", "my_nets.py:1: is no Python that can be read"),
    ],
)
def test_a_function_that_is_no_network_is_told_from_its_source(nets, source, fragment):
    (nets / "my_nets.py").write_text(source)

    assert fragment in problem(f"architecture: {ARCHITECTURE}")


def test_a_function_that_takes_any_name_is_given_any(nets):
    (nets / "my_nets.py").write_text("def build(image_shape, latent_dim, outputs_per_value, **more): pass")

    assert read(f"architecture: {ARCHITECTURE}, heads: 3, width: 64")


def test_a_module_that_is_nowhere_is_told_with_what_to_do(tmp_path):
    look_in([tmp_path])

    told = problem(f"architecture: {ARCHITECTURE}")

    assert f"my_nets: no such module in {tmp_path}" in told
    assert "--code PATH" in told


def test_a_folder_without_its_init_file_is_told_with_what_to_do(tmp_path):
    (tmp_path / "my_nets").mkdir()
    (tmp_path / "my_nets" / "inner.py").write_text(SOURCE)
    look_in([tmp_path])

    assert "my_nets is no package: a package has a file __init__.py" in problem(f"architecture: {ARCHITECTURE}")


def test_a_file_of_a_package_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "my_nets").mkdir()
    (tmp_path / "my_nets" / "__init__.py").write_text(SOURCE)
    (tmp_path / "my_nets" / "gone.py").symlink_to("/nowhere/gone.py")
    look_in([tmp_path])

    assert "gone.py: cannot be read: No such file or directory" in problem(f"architecture: {ARCHITECTURE}")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("import lies_beside", "No module named 'lies_beside'.\nlies_beside lies beside it, but a single file is all"),
        ("import lies_nowhere", "ModuleNotFoundError: No module named 'lies_nowhere'."),
        ("raise SystemExit(3)", "cannot be imported: SystemExit: 3."),
    ],
)
def test_a_module_that_cannot_be_imported_is_an_error_with_its_reason(nets, line, told):
    (nets / "my_nets.py").write_text(f"{line}\n{SOURCE}")
    (nets / "lies_beside.py").write_text("")

    with pytest.raises(InvalidSpec) as refused:
        build_function(KerasReference(module="my_nets", function="build"))

    assert told in str(refused.value)
    assert len(str(refused.value).splitlines()) <= 3


def test_a_stored_spec_is_read_where_the_code_is_not(nets, monkeypatch):
    tree = read(f"architecture: {ARCHITECTURE}, heads: {{type: int, low: 1, high: 4}}").to_json()
    monkeypatch.setattr(code_loading, "_places", {})

    assert SweepSpec.from_json(tree).to_json() == tree


def _package(folder: Path) -> Path:
    (folder / "my_pack").mkdir()
    (folder / "my_pack" / "__init__.py").write_text("")
    (folder / "my_pack" / "inner.py").write_text("WIDE = 3\n")
    (folder / "my_pack" / "nets.py").write_text(
        "from my_pack.inner import WIDE\ndef build(image_shape, latent_dim, outputs_per_value):\n    return WIDE\n"
    )
    return folder / "my_pack"


def _wheel(folder: Path) -> Path:
    package, wheel = _package(folder), folder / "my_pack-0.1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path in package.iterdir():
            archive.write(path, f"my_pack/{path.name}")
            path.unlink()
    package.rmdir()
    return wheel


@pytest.mark.parametrize("made", [_package, _wheel, lambda folder: _package(folder).parent])
def test_a_package_comes_from_its_folder_a_wheel_or_the_folder_around_it(tmp_path, made):
    look_in([made(tmp_path)])
    reference = KerasReference(module="my_pack.nets", function="build")

    code = code_of("my_pack.nets")

    assert [*code.files] == ["my_pack/__init__.py", "my_pack/inner.py", "my_pack/nets.py"]
    assert build_function(reference)((8, 8, 1), 2, 1) == 3


def test_what_runs_are_the_bytes_that_were_hashed(tmp_path):
    reference = KerasReference(module="my_nets", function="build")
    answers = []
    for answer in (1, 2):
        (tmp_path / "my_nets.py").write_text(f"def build(image_shape, latent_dim, outputs_per_value): return {answer}")
        provide(find_code("my_nets", [tmp_path]))
        (tmp_path / "my_nets.py").write_text("1/0")
        answers.append(build_function(reference)(None, None, None))

    assert answers == [1, 2]


def test_code_that_this_process_has_read_is_read_anew_and_code_that_it_was_handed_is_not(tmp_path):
    source = tmp_path / "my_nets.py"
    look_in([tmp_path])
    source.write_text("A = 1")
    provide(find_code("my_nets", [tmp_path]), found_here=True)
    source.write_text("A = 2")
    look_again()
    read_anew = code_of("my_nets")
    provide(read_anew)
    source.write_text("A = 3")
    look_again()

    assert read_anew.files == {"my_nets.py": b"A = 2"}
    assert code_of("my_nets") == read_anew


def test_a_change_is_told_by_version_and_file():
    before = CodeIdentity(package="a", version="1", files={"a/x.py": "1" * 64, "a/y.py": "2" * 64})
    after = CodeIdentity(package="a", version="2", files={"a/x.py": "3" * 64, "a/z.py": "2" * 64})

    assert before.changes(before) == []
    assert before.changes(after) == [
        "version 1 → 2",
        "a/x.py: SHA-256 111111111111… → 333333333333…",
        "a/y.py: gone, was SHA-256 222222222222…",
        "a/z.py: new, SHA-256 222222222222…",
    ]
    assert CodeIdentity.from_json(json.loads(json.dumps(before.to_json()))) == before


def test_a_machine_with_other_code_than_the_driver_is_refused(tmp_path, monkeypatch):
    (tmp_path / "my_nets.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    drivers = find_code("my_nets")
    assert drivers.is_installed
    (tmp_path / "my_nets.py").write_text(SOURCE + "\n")

    with pytest.raises(NodeTrouble, match=r"my_nets: this machine has other code .*my_nets\.py: SHA-256"):
        provide(drivers)


@pytest.mark.parametrize("name", ["numpy", "json", "vae_search"])
def test_a_file_that_is_called_like_another_package_is_refused(tmp_path, name):
    (tmp_path / f"{name}.py").write_text(SOURCE)
    look_in([tmp_path])

    assert "name" in problem(f'architecture: {{keras: "{name}:build"}}') or "Rename" in problem(
        f'architecture: {{keras: "{name}:build"}}'
    )


def test_code_travels_with_a_job_and_arrives_as_it_was_sent(nets, tmp_path):
    spec = read()
    code = tuple(code_in_use(spec.search_space).values())
    folder = tmp_path / "job"
    folder.mkdir()
    sent = JobPackage(spec=spec, text=spec_text(), store="/store", images=None, code=code)

    sent.write(folder)

    assert JobPackage.read(folder, store="/store").code == code
    assert JobPackage.read(folder, store="/store").sha256 == sent.sha256
    (folder / "code" / "my_nets.py").write_text("import os\n")
    with pytest.raises(CorruptStore, match="my_nets has another digest than was sent"):
        JobPackage.read(folder, store="/store")


def test_other_code_is_another_job():
    spec, text = parse_spec(spec_text("architecture: mlp"), base=Path("/")), spec_text("architecture: mlp")
    codes = [
        (),
        *(
            (OwnCode(package="a", version=None, is_installed=False, files={"a.py": content}),)
            for content in (b"1", b"2")
        ),
    ]

    digests = {JobPackage(spec=spec, text=text, store="/s", images=None, code=code).sha256 for code in codes}

    assert len(digests) == 3


def test_over_http_only_networks_that_an_installed_package_offers_may_be_named(tmp_path, monkeypatch):
    (tmp_path / "my_nets.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    content = spec_text().encode()
    with pytest.raises(InvalidSpec, match="may name only networks that an installed package offers"):
        checked_spec(content, DataRoots())

    metadata = tmp_path / "my_nets-0.1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: my-nets\nVersion: 0.1\n")
    (metadata / "entry_points.txt").write_text("[vae_search.networks]\nmine = my_nets:build\n")

    spec, _ = checked_spec(content, DataRoots())
    assert spec.search_space.parameters[0].name == "architecture"
    assert "my_nets" not in sys.modules


@pytest.mark.parametrize(
    ("space", "is_right"),
    [
        ({"architecture": {"keras": "my_nets:build"}, "heads": {"type": "int", "low": 1, "high": 4}}, True),
        ({"architecture": {"type": "categorical", "choices": ["mlp", {"keras": "my_nets:build"}]}, "heads": 2}, True),
        ({"architecture": "keras:my_nets:build", "mode": "wide"}, True),
        ({"architecture": {"keras": "my_nets"}}, False),
        ({"architecture": "mlp", "heads": 2}, False),
        ({"heads": 2}, False),
    ],
)
def test_editors_take_other_names_beside_such_a_network_only(space, is_right):
    tree = {"name": "own", "data": {"source": "digits"}, "search_space": space, "budget": {"trials": 1, "epochs": 1}}

    assert Draft202012Validator(json_schema()).is_valid(tree) == is_right


def test_a_folder_that_an_earlier_call_named_and_that_is_gone_hinders_no_later_one(nets: Path) -> None:
    gone = nets / "earlier"
    gone.mkdir()
    look_in([gone])
    gone.rmdir()

    assert read().search_space

    look_in([nets / "misspelt"])
    assert "misspelt: there is no such file or folder" in problem('architecture: {keras: "others:build"}')
