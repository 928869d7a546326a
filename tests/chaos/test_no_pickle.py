"""No pickle is written to the store, and none is read from it: whoever can write there must not run code here."""

import ast
import io
import pickletools
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.support.paths import ROOT

pytestmark = pytest.mark.needs_tensorflow

PACKAGE = ROOT / "vae_search"
PICKLERS = {"pickle", "cloudpickle", "joblib", "dill", "shelve", "marshal", "_pickle"}
SPEC = """
name: plain
data: {source: digits}
search_space: {latent_dim: {type: int, low: 2, high: 6}, depth: 1, width: 16, batch_size: 64}
budget: {trials: 3, epochs: 4}
confirm: {finalists: 0}
pruning: {min_epochs: 2, reduction_factor: 2}
checkpoint_s: 0.001
keep: 2
"""
# Notes every unpickling of a class or function that happens with one of our own calls on the stack.
TRACED = """
import runpy, sys
folder = sys.argv.pop(1)

def hook(event, arguments):
    if event == "pickle.find_class":
        frame, ours = sys._getframe(), []
        while frame is not None:
            if frame.f_code.co_filename.startswith(folder):
                ours.append(f"{frame.f_code.co_filename}:{frame.f_lineno}")
            frame = frame.f_back
        print("unpickled", arguments, *ours, flush=True)

import pickle
sys.addaudithook(hook)
pickle.loads(pickle.dumps(print))  # shows that the hook works
runpy.run_module("tests.chaos.one_worker", run_name="__main__", alter_sys=True)
"""


def picklers_in(source: str) -> list[str]:
    """Every way in `source` to pickle or to unpickle."""
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                found += [name.name for name in names if name.name.split(".")[0] in PICKLERS]
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] in PICKLERS:
                found.append(module)
            case ast.Call(
                func=ast.Attribute(
                    value=ast.Name(id="np" | "numpy"), attr="load" | "save" | "savez" | "savez_compressed" as name
                )
            ):
                keywords = {word.arg: word.value for word in node.keywords}
                allowed = keywords.get("allow_pickle")
                if not (isinstance(allowed, ast.Constant) and allowed.value is False):
                    found.append(f"np.{name}")
            case ast.Attribute(attr="to_pickle" | "read_pickle" as name):
                found.append(name)
    return found


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_file_of_the_package_pickles(path: Path) -> None:
    assert picklers_in(path.read_text()) == []


@pytest.mark.parametrize(
    "offence",
    ["import pickle", "from cloudpickle import loads", "import joblib.numpy_pickle", "np.load(f)", "np.savez(f, a=a)",
     "np.load(f, allow_pickle=True)", "frame.to_pickle(f)"],
)  # fmt: skip
def test_the_rule_notices_an_offence(offence: str) -> None:
    assert picklers_in(offence)


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The store of a small sweep that was run twice (the second run reads all of it), and what the trace said."""
    folder = tmp_path_factory.mktemp("plain")
    (folder / "spec.yaml").write_text(SPEC)
    traced: list[str] = []
    for trials in (2, 3):
        (folder / "spec.yaml").write_text(SPEC.replace("trials: 3", f"trials: {trials}"))
        done = subprocess.run(
            [sys.executable, "-c", TRACED, str(PACKAGE), str(folder / "store"), str(folder / "spec.yaml")],
            cwd=ROOT, text=True, capture_output=True, check=True,
        )  # fmt: skip
        assert "unpickled ('builtins', 'print')" in done.stdout
        traced += [line for line in done.stdout.splitlines() if line.startswith("unpickled")][1:]
    return folder / "store", traced


def test_a_sweep_unpickles_nothing(swept: tuple[Path, list[str]]) -> None:
    _, traced = swept

    assert [line for line in traced if str(PACKAGE) in line] == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of bytes that happen to look like a bad escape
def test_no_file_of_the_store_is_a_pickle(swept: tuple[Path, list[str]]) -> None:
    store, _ = swept
    kinds = {".json": b"{", ".parquet": b"PAR1", ".npz": b"PK", ".yaml": b"\n"}
    files = [path for path in store.rglob("*") if path.is_file()]

    assert {path.suffix for path in files} == set(kinds)
    for path in files:
        content = path.read_bytes()
        assert content.startswith(kinds[path.suffix]), path
        with pytest.raises(ValueError):
            pickletools.dis(content, out=io.StringIO())
        if path.suffix == ".npz":
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    array = np.lib.format.read_array(archive.open(name), allow_pickle=False)
                    assert array.dtype != object
