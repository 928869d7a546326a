"""`best`, `query` and `watch` on a store whose sweep has ended, as a user types them."""

import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas
import polars
import pytest

from tests.support.candidates import NOW
from tests.support.command_line import vae_search
from tests.support.paths import ROOT
from tests.support.stores import HOSTILE, filled_store
from vae_search.display.tables import cell, csv_text, json_text
from vae_search.registry import model_paths
from vae_search.registry.log import Action
from vae_search.registry.registry import Registry
from vae_search.spec.sweep_spec import read_spec
from vae_search.store.backends.local import LocalStore
from vae_search.store.paths import SweepPaths

CODE = re.compile(r"```(sql|python [a-z-]+)\n(.*?)```", re.DOTALL)


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return filled_store(tmp_path / "vae-store")


def ask(store: LocalStore, *arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return vae_search(*arguments, folder=Path(store.location).parent, **environment)


def trials(done: subprocess.CompletedProcess[bytes]) -> list[int]:
    assert done.returncode == 0, done.stderr
    return [row["trial"] for row in json.loads(done.stdout)]


def test_confirmed_configs_come_first_and_a_failed_seed_confirms_nothing(store: LocalStore) -> None:
    done = ask(store, "best", "digits", "--json")

    # Trial 0 has the best mean over the seeds that completed, but one has not: it keeps its place by objective.
    assert trials(done) == [2, 1, 0, 3, 4]
    facts = [row["confirmed"] for row in json.loads(done.stdout)]
    assert facts == [{"seeds": 3, "mean": 96.0, "sd": 1.0}, {"seeds": 1, "mean": 97.0, "sd": None}, None, None, None]
    table = ask(store, "best", "digits").stdout.decode()
    assert "96.00 ± 1.00 (3)" in table
    assert "no, 1 of 2 failed" in table


def test_other_orders_do_not_care_about_seeds(store: LocalStore) -> None:
    assert trials(ask(store, "best", "digits", "--by", "neg_elbo", "--json")) == [0, 1, 2, 3, 4]
    assert trials(ask(store, "best", "digits", "--by", "train_flops", "--json", "-n", "2")) == [4, 3]


def test_where_and_pareto(store: LocalStore) -> None:
    assert trials(ask(store, "best", "digits", "--where", "param_latent_dim > 8 -- wide", "--json")) == [2, 3, 4]
    assert trials(ask(store, "best", "digits", "--where", "instability > 0", "--all", "--json")) == [2, 1, 3, 4]
    assert trials(ask(store, "best", "digits", "--pareto", "--json")) == [0, 1, 2, 3, 4]
    assert trials(ask(store, "best", "digits", "--pareto", "--json", "-n", "1")) == [0]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--where", "true) FROM epochs --"],
        ["--where", "true) UNION SELECT 1, (true"],
        ["--where", "true]; SELECT [1"],
        ["--where", "trial"],
        ["--where", "max(trial) > 3"],
        ["--where", "trial IN (SELECT 1 FROM read_csv('/etc/passwd'))"],
        ["--where", ""],
        ["--json", "--csv"],
        ["--spec", "--csv"],
        ["--spec", "--all"],
        ["--spec", "-n", "2"],
        ["--pareto", "--by", "neg_elbo"],
        ["--pareto", "--spec"],
        ["--pareto", "--all"],
    ],
    ids=" ".join,
)
def test_what_makes_no_sense_is_refused_in_one_line(store: LocalStore, arguments: list[str]) -> None:
    done = ask(store, "best", "digits", *arguments)

    assert (done.returncode, done.stdout) == (2, b"")
    assert len(done.stderr.decode().splitlines()) == 1


def test_the_spec_of_the_best_is_a_spec_to_run(store: LocalStore, tmp_path: Path) -> None:
    path = tmp_path / "elsewhere" / "again.yaml"
    path.parent.mkdir()
    path.write_bytes(ask(store, "best", "digits", "--spec").stdout)

    spec = read_spec(path).spec

    assert spec.name == "digits-best"
    assert spec.data.source == str(tmp_path / "vae-store" / "images")
    assert {entry.name: entry.value for entry in spec.search_space.parameters} == {
        "architecture": "mlp",
        "latent_dim": 12,
        "beta": 0.1 + 0.2 * 3,
        "depth": 3,
    }
    assert not list(spec.search_space.searched)
    assert (spec.budget.trials, spec.confirm.finalists, spec.promote.model) == (1, 1, "digits")


def test_csv_reads_back_as_it_is_in_the_store(store: LocalStore) -> None:
    done = ask(store, "best", "digits", "--all", "--csv")

    assert done.stdout.count(b"\r\n") == 9
    rows = list(csv.DictReader(io.StringIO(done.stdout.decode(), newline="")))
    assert [row["trial"] for row in rows] == ["2", "1", "0", "3", "4", "5", "6", "7"]
    assert rows[-1]["error"] == HOSTILE[2]
    assert float(rows[0]["param_beta"]) == 0.1 + 0.2 * 3


def test_hostile_text_changes_nothing_but_its_own_cell(store: LocalStore) -> None:
    sql = "SELECT * FROM (VALUES " + ", ".join(f"('{text}', {n})" for n, text in enumerate(HOSTILE)) + ") AS t(text, n)"  # noqa: S608
    table, as_csv, as_json = (ask(store, "query", sql, *form).stdout.decode() for form in ([], ["--csv"], ["--json"]))

    assert [(row["text"], row["n"]) for row in json.loads(as_json)] == [(text, n) for n, text in enumerate(HOSTILE)]
    rows = list(csv.reader(io.StringIO(as_csv, newline="")))
    assert rows == [["text", "n"], *([text, str(n)] for n, text in enumerate(HOSTILE))]
    assert len(table.splitlines()) == 1 + len(HOSTILE) or "\n\n" in table
    for text in (table, as_json):
        assert not set(text) & {"\x1b", "\x9b", "\u202e"}
    assert "<script>alert(1)</script>" in table


def test_numbers_that_are_none_stay_in_their_cells() -> None:
    row = [float("nan"), float("inf"), None, -0.0, 0.1 + 0.2, True]

    assert json.loads(json_text([row])) == [[None, None, None, -0.0, 0.1 + 0.2, True]]
    assert csv_text(["a"] * 6, [row], for_terminal=False).split("\r\n")[1] == "nan,inf,,-0.0,0.30000000000000004,true"
    assert [cell(value) for value in row[:3]] == ["nan", "inf", "NULL"]
    assert "\x1b" not in csv_text(["a"], [["\x1b[2J"]], for_terminal=True)
    assert len(cell("x" * 10_000)) == 200


@pytest.mark.parametrize("command", [["best", "digits", "--all"], ["status"], ["query", "FROM trials"]], ids=str)
def test_on_a_narrow_screen_no_number_is_cut(store: LocalStore, command: list[str]) -> None:
    shown = ask(store, *command, COLUMNS="40").stdout.decode()

    assert "…" not in shown.replace("error", "")
    assert ("100.25" in shown) or command[0] == "query"
    assert max(map(len, shown.splitlines())) <= 260


@pytest.mark.parametrize("columns", ["30", "80"])
def test_on_a_narrow_screen_models_and_specs_lose_nothing(store: LocalStore, columns: str) -> None:
    registry = Registry(store, "digits", now=lambda: NOW)
    what = {"candidate": "digits/2", "candidate_sha256": "a" * 64}
    why = tuple(f"gate {number}: found {number}.25, allowed 0.{number}" for number in range(12))
    assert registry.add(Action.REJECT, seen=registry.state(), reasons=why, **what)

    listed, history = (
        ask(store, *command, COLUMNS=columns).stdout.decode() for command in (["models"], ["models", "digits"])
    )
    spec = ask(store, "validate", str(ROOT / "search_spaces" / "fashion_resnet.yaml"), COLUMNS=columns).stdout.decode()

    assert {"model", "champion", "versions", "digits", "none"} <= {*listed.split()}
    assert "; ".join(why) in history
    assert "digits/2" in history
    assert "architecture = resnet" in spec
    assert '"learning_rate": 0.001, "batch_size": 128' in spec
    assert "0.0001 … 0.003, log" in spec


def test_no_colour_when_none_is_wanted(store: LocalStore) -> None:
    done = ask(store, "best", "digits", NO_COLOR="1", FORCE_COLOR="1")

    assert not re.search(rb"\x1b\[[\d;]*3\dm", done.stdout)


def test_finalists_and_models_are_tables_and_damage_is_named(store: LocalStore) -> None:
    registry = Registry(store, "digits", now=lambda: NOW)
    what = {"candidate": "digits/2", "candidate_sha256": "a" * 64}
    assert registry.add(Action.REGISTER, seen=registry.state(), version=1, **what)
    assert registry.add(Action.PROMOTE, seen=registry.state(), version=1, **what)
    path = SweepPaths("digits").finalist(1, 1)
    store.replace(path, store.read(path)[:-9])

    runs = ask(store, "query", "SELECT trial, confirm_seed, iwae FROM finalists ORDER BY iwae DESC", "--json")
    models = ask(store, "query", "SELECT model, version, alias, state, sweep, trial FROM models", "--json")

    assert runs.returncode == 3
    assert path in runs.stderr.decode()
    assert [row["iwae"] for row in json.loads(runs.stdout)] == [-50.0, -95.0, -96.0, -97.0, None]
    assert models.returncode == 0
    assert json.loads(models.stdout) == [
        {"model": "digits", "version": 1, "alias": "champion", "state": "promoted", "sweep": "digits", "trial": 2}
    ]
    assert json.loads(ask(store, "query", "FROM models", "--sweep", "digits", "--json").stdout)[0]["trial"] == 2
    store.replace(model_paths.model_entry("digits", 1), b"{}")
    broken = ask(store, "query", "FROM models", "--json")
    assert (broken.returncode, broken.stdout) == (3, b"[]\n")


def test_watch_says_how_a_sweep_ended(store: LocalStore) -> None:
    done = ask(store, "watch", "digits")

    assert done.returncode == 0, done.stderr
    assert "interrupted, 8 of 8" in done.stdout.decode()
    assert "vae-search resume digits" in done.stdout.decode()


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("best di", {"digits"}),
        ("best --store nowhere di", set()),
        ("sample d", {"digits"}),
        ("sample digits/", {"digits/3"}),
        ("best --store s3://bucket/x d", set()),
        ("query --sweep di", {"digits"}),
    ],
)
def test_the_shell_completes_names(store: LocalStore, line: str, names: set[str]) -> None:
    (Path(store.location) / "sweeps" / "d$(reboot)").mkdir()
    (Path(store.location) / "sweeps" / "digits" / "artifacts" / "000003").mkdir(parents=True)
    asked = {"_VAE_SEARCH_COMPLETE": "complete_fish", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    done = subprocess.run(
        [sys.executable, "-c", "from vae_search.cli.app import app; app(prog_name='vae-search')"],
        cwd=Path(store.location).parent,
        env={**os.environ, **asked, "_TYPER_COMPLETE_ARGS": f"vae-search {line}"},
        text=True,
        capture_output=True,
    )

    assert done.stderr == ""
    assert set(done.stdout.split()) == names


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["best", "di"], ["digits"]),
        (["best", "--store", "nowhere", "di"], []),
        (["sample", "digits/"], ["digits/3"]),
        (["query", "--sweep", ""], ["digits"]),
        (["validat"], ["validate"]),
    ],
    ids=" ".join,
)
def test_a_real_bash_completes_names(store: LocalStore, words: list[str], names: list[str]) -> None:
    folder = Path(store.location).parent
    (Path(store.location) / "sweeps" / "d$(reboot)").mkdir()
    (Path(store.location) / "sweeps" / "digits" / "artifacts" / "000003").mkdir(parents=True)
    program = folder / "vae-search"
    code = "from vae_search.cli.app import app; app(prog_name='vae-search')"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{code}" "$@"\n')
    program.chmod(0o755)
    # What bash does at a Tab: it fills in COMP_WORDS and COMP_CWORD, and calls the function that the script registered.
    tab = (
        'eval "$(_VAE_SEARCH_COMPLETE=source_bash vae-search)"\n'
        "registered=$(complete -p vae-search)\n"
        "function=${registered##*-F }\n"
        'COMP_WORDS=(vae-search "$@"); COMP_CWORD=$#\n'
        '"${function%% *}" vae-search\n'
        "printf '%s\\n' \"${COMPREPLY[@]}\"\n"
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", tab, "bash", *words],
        cwd=folder,
        env={**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"},
        text=True,
        capture_output=True,
    )

    assert done.stderr == ""
    assert done.stdout.split() == names


def _questions() -> list[tuple[str, str, str]]:
    snippets = CODE.findall((ROOT / "examples" / "questions.md").read_text())[2:]
    kinds = [kind for kind, _ in snippets]
    assert kinds == ["sql", "python pandas", "python polars"] * 10
    codes = [code for _, code in snippets]
    return list(zip(codes[::3], codes[1::3], codes[2::3], strict=True))


@pytest.mark.parametrize(("sql", "with_pandas", "with_polars"), _questions())
def test_a_question_has_one_answer(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch, sql: str, with_pandas: str, with_polars: str
) -> None:
    from vae_search.services.queries import query as ask_sql

    monkeypatch.chdir(Path(store.location).parent)
    begins = dict(CODE.findall((ROOT / "examples" / "questions.md").read_text())[:2])
    answers = []
    for begin, code in (("pandas", with_pandas), ("polars", with_polars)):
        names: dict[str, object] = {}
        exec(begins[f"python {begin}-begin"] + code, names)  # noqa: S102 - our own examples
        answer = names["answer"]
        assert isinstance(answer, pandas.DataFrame | polars.DataFrame)
        answers.append(
            list(answer.itertuples(index=False, name=None) if isinstance(answer, pandas.DataFrame) else answer.rows())
        )

    expected = ask_sql(store, sql, sweep="digits").rows

    assert expected
    for answer in answers:
        assert len(answer) == len(expected)
        for row, wanted in zip(answer, expected, strict=True):
            assert list(row) == pytest.approx(list(wanted))
