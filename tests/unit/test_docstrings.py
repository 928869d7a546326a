"""The first word of a docstring: a noun phrase or an imperative, never a question."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT

PACKAGE = ROOT / "vae_search"
INTERROGATIVES = {"Who", "What", "Whose", "Which", "Whether", "Where", "When", "How", "Is", "As"}
MODULES = {path.relative_to(PACKAGE).as_posix(): path for path in sorted(PACKAGE.rglob("*.py"))}


def questions(path: Path) -> Iterator[str]:
    """`line: first line` of each docstring of the file, of a module, class or function, that begins with a question."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node) or ""
            first_word = docstring.split(maxsplit=1)[0].strip(",.:;?") if docstring else ""
            if first_word in INTERROGATIVES:
                yield f"{node.body[0].lineno}: {docstring.splitlines()[0]}"


@pytest.mark.parametrize("module", MODULES)
def test_no_docstring_begins_with_a_question(module: str):
    assert not list(questions(MODULES[module]))


@pytest.mark.parametrize(
    "source",
    [
        '"""What a spec says."""',
        'class A:\n    """Whose it is."""',
        'def f():\n    """Is it so?"""',
        'async def f():\n    """When, and why."""',
        'def f():\n    def _g():\n        """How\n        deep."""',
    ],
)
def test_the_rule_notices_a_question(source: str, tmp_path: Path):
    module = tmp_path / "module.py"
    module.write_text(source + "\n")

    assert len(list(questions(module))) == 1


def test_the_rule_lets_nouns_and_imperatives_pass(tmp_path: Path):
    module = tmp_path / "module.py"
    module.write_text('"""Whatever: a noun."""\n\n\ndef f():\n    """Retry what failed."""\n    what = "What it is"\n')

    assert not list(questions(module))
