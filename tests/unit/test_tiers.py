"""The promises of the tiers: what is heavy carries a marker, and no proof has fallen out of all of them."""

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.tiers import CLUSTER, LEFT_OUT, NEEDS, STRIDE, Tier, marks, module_marks, stride_offset, worker_group

# Who imports one of these starts a driver or a cluster.
STARTERS = {"tests.support.local_cluster", "tests.chaos.sweeps", "vae_search.runtime.sweep_runner"}
LIBRARIES = {"ray": {CLUSTER, "needs_ray"}, "tensorflow": {CLUSTER, "needs_tensorflow"}, "keras": {"needs_tensorflow"}}
FILES = sorted((ROOT / "tests").rglob("test_*.py"))


def imported(path: Path) -> set[str]:
    """Modules that a file imports at its top."""
    names = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@cache
def reached(module: str) -> frozenset[str]:
    """Libraries that are loaded when a module of ours is imported, through others of ours as well."""
    path = next((place for place in places_of(module) if place.is_file()), None)
    if path is None:
        return frozenset({module.split(".")[0]})
    return frozenset[str]().union(*(reached(name) for name in imported(path) if is_module(name)))


def places_of(module: str) -> list[Path]:
    base = ROOT / module.replace(".", "/")
    return [base.with_suffix(".py"), base / "__init__.py"]


def is_module(name: str) -> bool:
    """False for the name of a class or function in a module of ours."""
    return name.split(".")[0] not in ("tests", "vae_search") or any(place.is_file() for place in places_of(name))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT / "tests").as_posix())
def test_a_file_that_starts_ray_or_imports_what_is_heavy_is_marked(path: Path) -> None:
    found = imported(path)

    if found & STARTERS:
        assert CLUSTER in set(marks(ast.parse(path.read_text())))
    for library, names in LIBRARIES.items():
        if library in reached(".".join(path.relative_to(ROOT).with_suffix("").parts)):
            assert module_marks(path) & names, f"imports {library}"


def test_each_tier_holds_the_one_before_and_the_last_leaves_nothing_out() -> None:
    assert LEFT_OUT[Tier.CHECK] > LEFT_OUT[Tier.TEST] > LEFT_OUT[Tier.ALL] == set()
    assert NEEDS | {CLUSTER} <= LEFT_OUT[Tier.CHECK]


def test_tests_on_ray_share_one_worker_and_other_files_stay_whole() -> None:
    one, other = ROOT / "tests/unit/test_a.py", ROOT / "tests/unit/test_b.py"

    assert worker_group(one, {CLUSTER}) == worker_group(other, {CLUSTER, "exhaustive"})
    assert worker_group(one, set()) != worker_group(other, set())


def test_three_offsets_cover_every_file_operation() -> None:
    assert stride_offset() in range(STRIDE)
    assert {point for offset in range(STRIDE) for point in range(1 + offset, 302, STRIDE)} == set(range(1, 302))
