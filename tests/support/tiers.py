"""The three tiers of the tests, what each leaves out, and the tests that share one worker."""

import ast
import hashlib
from collections.abc import Iterable, Iterator
from enum import StrEnum
from functools import cache
from pathlib import Path

import pytest

from tests.support.paths import ROOT

HEAVY = ("ray", "tensorflow")  # the packages that `make check` must not import
NEEDS = {"needs_ray", "needs_tensorflow"}
CLUSTER = "ray"
STRIDE = 3


class Tier(StrEnum):
    """How much is proved; each tier holds the one before it."""

    CHECK = "check"
    TEST = "test"
    ALL = "all"


LEFT_OUT = {
    Tier.CHECK: {CLUSTER, "slow", "exhaustive", *NEEDS},
    Tier.TEST: {"exhaustive"},
    Tier.ALL: set[str](),
}
"""Markers of tests that a tier does not run."""


def marks(nodes: ast.AST | list[ast.expr]) -> Iterator[str]:
    """Names after `pytest.mark.` in an expression."""
    for root in nodes if isinstance(nodes, list) else [nodes]:
        for node in ast.walk(root):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "pytest.mark":
                yield node.attr


@cache
def module_marks(path: Path) -> frozenset[str]:
    """Markers of all tests of a file, read without importing it: that alone may cost seconds of TensorFlow."""
    return frozenset(
        mark
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark"
        for mark in marks(node.value)
    )


def thinned(values: Iterable[object], *, every: int) -> list[object]:
    """Values of a parameter that prove alike: the quick tiers take each n-th of them, from the first on."""
    return [
        value if number % every == 0 else pytest.param(value, marks=pytest.mark.exhaustive)
        for number, value in enumerate(values)
    ]


def worker_group(path: Path, names: set[str]) -> str:
    """The name shared by tests that must run in one worker, one after the other.

    Ray's drivers take all cores, so no two run at once. Other files stay whole: their fixtures are made once.
    """
    return CLUSTER if CLUSTER in names else path.relative_to(ROOT).as_posix()


@cache
def stride_offset() -> int:
    """Which third of the file operations the quick tier kills: follows from the code, so a failure comes again."""
    content = hashlib.sha256()
    for path in sorted((ROOT / "vae_search").rglob("*.py")):
        content.update(path.read_bytes())
    return int.from_bytes(content.digest()[:8]) % STRIDE
