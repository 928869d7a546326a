"""Every code block of the front page and the manual is run or parsed, and every link leads somewhere."""

import ast
import inspect
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
import typer

import vae_search
from tests.support.documented_code import lay_out
from tests.support.paths import ROOT
from tests.support.reported_sweeps import mixed, put_sweep
from vae_search.cli.app import app
from vae_search.spec.sweep_spec import parse_spec
from vae_search.store.backends.local import LocalStore
from vae_search.store.queries.sql import query

FRONT_PAGES = [ROOT / "README.md", ROOT / "ARCHITECTURE.md"]
PAGES = [*FRONT_PAGES, *sorted((ROOT / "docs").rglob("*.md"))]
GENERATED = {"spec", "commands", "python", "tables", "exit_codes", "http", "architecture"}


@dataclass(frozen=True, kw_only=True)
class Block:
    """One fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(*languages: str) -> Iterator[Block]:
    for page in PAGES:
        content = page.read_text(encoding="utf-8")
        for match in re.finditer(r"^```(\w*)\n(.*?)^```$", content, re.MULTILINE | re.DOTALL):
            line = content[: match.start()].count("\n") + 1
            if match[1] in languages:
                yield Block(page=page, line=line, language=match[1], text=match[2])


def commands() -> list[tuple[Block, list[str]]]:
    """Each command line of ours, without its comment and what follows a pipe or a redirection."""
    found = []
    for block in blocks("sh"):
        for line in block.text.splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ["vae-search"]:
                ends = [words.index(mark) for mark in ("|", ">", ">>", "&&") if mark in words]
                found.append((block, words[1 : min(ends, default=len(words))]))
    return found


@pytest.mark.parametrize(("block", "words"), commands(), ids=str)
def test_every_command_line_is_one_that_the_program_takes(block: Block, words: list[str]):
    group = typer.main.get_command(app)
    if words[0].startswith("--"):
        assert words[0] in {option for parameter in group.params for option in parameter.opts} | {"--help"}
        return

    command = group.get_command(click.Context(group), words[0])

    assert command is not None, f"{block}: no command {words[0]}"
    command.make_context(
        words[0], [word.replace("$PWD", "/x").replace("$VAE_SEARCH_ADDRESS", "http://h:1") for word in words[1:]]
    )


@pytest.mark.parametrize("block", list(blocks("python")), ids=str)
def test_every_python_block_calls_what_there_is(block: Block):
    """Each call of ours is one that the function's signature takes."""
    calls = [
        node
        for node in ast.walk(ast.parse(block.text))
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("vae_search.")
    ]

    for call in calls:
        name = ast.unparse(call.func).removeprefix("vae_search.").partition("(")[0].partition(".")[0]
        assert name in vae_search.__all__
        if ast.unparse(call.func) == f"vae_search.{name}":
            keywords = {keyword.arg: None for keyword in call.keywords if keyword.arg}
            inspect.signature(getattr(vae_search, name)).bind(*[None] * len(call.args), **keywords)


def test_the_results_of_the_guide_are_read_as_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    put_sweep(LocalStore(tmp_path / "vae-store"), mixed(), curve_epochs=4)
    monkeypatch.chdir(tmp_path)
    (block,) = [block for block in blocks("python") if "read_parquet" in block.text]
    *setup, last = ast.parse(block.text).body
    names: dict[str, object] = {}

    exec(compile(ast.Module(body=setup, type_ignores=[]), str(block), "exec"), names)  # noqa: S102 - our own page
    frame = eval(compile(ast.Expression(body=last.value), str(block), "eval"), names)  # noqa: S307

    assert len(frame) == 30


@pytest.mark.parametrize("block", list(blocks("yaml")), ids=str)
def test_every_spec_is_valid(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    lay_out(tmp_path, monkeypatch)  # the modules that one of the guides has
    spec = parse_spec(block.text, base=tmp_path)

    assert f"name: {spec.name}" in block.text


def statements() -> list[tuple[Block, str]]:
    plain = [(block, block.text.strip().rstrip(";")) for block in blocks("sql")]
    return plain + [(block, words[1]) for block, words in commands() if words[0] == "query"]


@pytest.mark.parametrize(("block", "sql"), statements(), ids=str)
def test_every_query_runs(block: Block, sql: str, tmp_path: Path):
    import duckdb

    store = LocalStore(tmp_path / "vae-store")
    put_sweep(store, mixed(), curve_epochs=4)
    if "'vae-store/" in sql:
        rows = duckdb.connect().execute(sql.replace("'vae-store/", f"'{tmp_path}/vae-store/")).fetchall()
        assert rows, "the example asks for what a sweep has"
    else:
        assert query(store, sql).damaged == ()


@pytest.mark.parametrize("page", FRONT_PAGES, ids=lambda page: page.name)
def test_every_link_of_a_front_page_leads_to_a_file(page: Path):
    content = page.read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", content) + re.findall(r'src="([^"]+)"', content)

    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_the_front_pages_stay_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150
    assert len((ROOT / "ARCHITECTURE.md").read_text().splitlines()) <= 110


@pytest.fixture(scope="module")
def manual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mkdocs")
    folder = tmp_path_factory.mktemp("manual")
    subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT, check=True,
    )  # fmt: skip
    return folder


def test_the_manual_is_built_without_a_warning_and_loads_nothing_from_elsewhere(manual: Path):
    pages = list(manual.rglob("*.html"))

    loaded = [
        found
        for page in pages
        for found in re.findall(r'<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)="(https?:[^"]+)"', page.read_text())
    ]
    assert len(pages) > 20
    assert loaded == []


def test_every_command_stands_in_the_reference(manual: Path):
    group = typer.main.get_command(app)
    names = group.list_commands(click.Context(group))
    (page,) = manual.rglob("commands.html")

    told = set(re.findall(r'<h2 id="([\w-]+)"', page.read_text(encoding="utf-8")))

    assert told == {name for name in names if not group.get_command(click.Context(group), name).hidden}


@pytest.mark.parametrize("page", sorted(GENERATED))
def test_a_generated_page_leaves_nothing_unexplained(manual: Path, page: str):
    (built,) = manual.rglob(f"{page}.html")

    content = built.read_text(encoding="utf-8")

    assert "<h2" in content
    assert not re.search(r"<td>\s*</td>\s*</tr>", content), "a row without a meaning"
    assert not re.search(r"<td>[^<]*(Annotated|Union\[| at 0x)", content), "a type in Python's words"


def test_each_decision_has_a_number_of_its_own_and_all_five_parts():
    records = [
        record
        for page in (ROOT / "docs/development/decisions").glob("*.md")
        for record in re.findall(r"^## D(\d+) .*?(?=^## |\Z)", page.read_text(), re.MULTILINE | re.DOTALL)
    ]
    texts = "\n".join(page.read_text() for page in (ROOT / "docs/development/decisions").glob("*.md"))

    assert sorted(map(int, records)) == list(range(1, len(records) + 1))
    for part in ("Status", "Context", "Decision", "Consequence", "Evidence"):
        assert texts.count(f"- **{part}**: ") == len(records)
