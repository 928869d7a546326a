"""Every command of ours that stands in a text of the package is one that the command line takes."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import typer

from tests.support.paths import ROOT
from vae_search.cli.app import app

PACKAGE = ROOT / "vae_search"
COMMAND = re.compile(r"vae-search ((?:[a-z]+\b|--)[^`\n]*)")
END = re.compile(r"  +| # |(?<=[^.])[.,:)](?:\s|$)")


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Literal texts of a module; what is filled in is 1."""
    inner = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.JoinedStr):
            inner |= {id(part) for part in ast.walk(node)} - {id(node)}
            parts = [part.value if isinstance(part, ast.Constant) else "1" for part in node.values]
            yield node.lineno, "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner:
            yield node.lineno, node.value


def printed_commands() -> Iterator[tuple[str, str]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        for line, text in texts(path):
            for found in COMMAND.finditer(text):
                # In prose a command ends with the sentence, in backticks with them, in an example with the line.
                is_whole = text[: found.start()].endswith(("`", "Example: "))
                yield f"{path.relative_to(PACKAGE)}:{line}", found[1] if is_whole else END.split(found[1])[0]


@pytest.mark.parametrize(("place", "command"), sorted(printed_commands()))
def test_a_printed_command_is_one_that_the_program_takes(place: str, command: str) -> None:
    group = typer.main.get_command(app)
    name, *words = shlex.split(command)
    words = words[: words.index(">")] if ">" in words else words
    if name.startswith("--"):
        assert name in {option for parameter in group.params for option in parameter.opts}
        return

    found = group.get_command(click.Context(group), name)

    assert found is not None, f"{place}: there is no command {name}"
    if all(word.startswith("-") for word in words):  # only named, as in "`vae-search init` writes one"
        assert {*words} <= {option for parameter in found.params for option in parameter.opts}, place
    else:
        found.make_context(name, words)


def test_the_commands_of_the_package_are_found() -> None:
    found = {command for _, command in printed_commands()}

    assert len(found) > 40
    assert {"init", "verify --repair", "best 1 --all --json", "run 1 --dry-run", "stop 1"} <= found
