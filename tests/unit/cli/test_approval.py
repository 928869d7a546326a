"""Approval from the command line and from Python: what waits is shown with what to do; exit codes say how it stands."""

import json

import pytest

import vae_search
from tests.support.candidates import NOW, FakeBackend, candidate, put_sweep
from vae_search.cli.app import main
from vae_search.core.machine import system_user
from vae_search.errors import Conflict, NotFound
from vae_search.registry.promotion.decision import PromotionPolicy
from vae_search.registry.promotion.pipeline import promote_best
from vae_search.registry.registry import Registry
from vae_search.services.checks.promotion_rules import policy_of
from vae_search.spec.sweep_spec import parse_spec
from vae_search.store.backends.local import LocalStore

SPEC = "name: a\ndata: {source: digits}\nsearch_space: {latent_dim: 4}\nbudget: {trials: 1, epochs: 3}\n"


@pytest.fixture
def waits(store: LocalStore) -> LocalStore:
    """Two sweeps of which one config each waits for approval."""
    for trial, level in enumerate((232.0, 231.0), start=1):
        sweep = f"sweep-{trial}"
        finalist, promotes = candidate((level - 0.1, level, level + 0.1), trial=trial), "promote: {model: m}"
        put_sweep(store, finalist, sweep=sweep, promote=promotes)
        policy = PromotionPolicy(needs_approval=True)
        promote_best(store, sweep, model="m", rules=policy, backend=FakeBackend(), now=lambda: NOW)
    return store


@pytest.fixture
def told(waits, capsys, monkeypatch):
    """Run a command; its exit code, standard output and standard error."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["vae-search", *arguments, "--store", waits.location])
        monkeypatch.setenv("COLUMNS", "200")
        with pytest.raises(SystemExit) as end:
            main()
        out = capsys.readouterr()
        return end.value.code or 0, out.out, out.err

    return run


def test_what_waits_is_shown_with_what_to_do(told):
    code, out, err = told("promote", "sweep-1", "--model", "m")

    assert code == 8  # there is no new champion
    assert "sweep-1/1 has passed, and waits for approval as m:1; there is no champion yet." in err
    assert 'vae-search approve m 1 --why "…"' in out
    for command in (("models",), ("models", "m")):
        code, out, _ = told(*command)
        assert code == 0
        assert "m:1, sweep-1/1, waits for approval." in out
        assert 'vae-search reject m 2 --why "…"' in out
    code, out, _ = told("status", "sweep-2")
    assert code == 0
    assert "m:2, sweep-2/2, waits for approval." in out
    assert "m:1" not in out  # it is of another sweep


def test_approve_and_reject_say_what_became_of_it(told):
    code, out, _ = told("reject", "m", "1", "--why", "it blurs sevens")
    assert (code, out) == (0, "m:1, sweep-1/1, is refused; there is no champion yet.\n")

    code, out, _ = told("approve", "m", "--why", "sevens are sharp", "--json")  # the only one that waits

    facts = json.loads(out)
    assert (code, facts["version"], facts["champion"], facts["approved"]) == (0, 2, 2, True)
    assert facts["test"]["neg_iwae"] == 233.0  # shown only now
    code, out, err = told("promote", "sweep-1", "--model", "m")
    assert code == 8
    assert "was not promoted; m:2 stays champion" in err
    assert f"{system_user()} rejected it: it blurs sevens" in out
    history = json.loads(told("models", "m", "--json")[1])
    assert [(entry["action"], entry["actor"]) for entry in history[-2:]] == [
        ("reject", system_user()),
        ("approve", system_user()),
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("approve", "m", "--why", "x"), 2, "versions 1, 2 wait for approval"),
        (("approve", "m", "7", "--why", "x"), 2, "version 7 does not exist"),
        (("approve", "nosuch", "--why", "x"), 2, "no model 'nosuch'"),
        (("approve", "m", "1"), 2, "--why"),
        (("reject", "m", "1", "--why", " "), 2, "Say why"),
    ],
)
def test_a_mistake_is_explained(told, arguments, code, words):
    found, _, err = told(*arguments)

    assert (found, words in err) == (code, True), err


def test_a_refusal_is_told_with_its_level_and_power(told, waits):
    told("approve", "m", "1", "--why", "fine")
    put_sweep(waits, candidate((231.85, 231.95, 232.05), trial=5), sweep="close")
    promote_best(waits, "close", model="m", rules=PromotionPolicy(), backend=FakeBackend(), now=lambda: NOW)

    code, out, err = told("promote", "close", "--model", "m")

    assert code == 8
    assert "close/5 was not promoted; m:1 stays champion." in err
    assert "the gain is 0.050 nats, which must be at least 0.1" in out
    assert "contest 1 of this champion, at level 2.50%; probability of a promotion" in out


def test_the_python_api_gives_the_same_word(waits):
    assert vae_search.approve("m", 1, why="fine", store=waits.location) == 1
    with pytest.raises(Conflict, match="met no champion in its contest"):
        vae_search.approve("m", 2, why="fine", store=waits.location)
    assert vae_search.reject("m", 2, why="no", store=waits.location) == 2
    with pytest.raises(NotFound, match="no version waits"):
        vae_search.reject("m", why="no", store=waits.location)
    assert Registry(waits, "m", now=lambda: NOW).state().entries[-1].actor == system_user()


@pytest.mark.parametrize(("word", "needed"), [("", False), (", approval: none", False), (", approval: required", True)])
def test_a_spec_says_whether_who_passes_waits(tmp_path, word, needed):
    spec = parse_spec(SPEC + f"promote: {{model: m{word}}}", base=tmp_path)

    assert policy_of(spec).needs_approval == needed
    assert policy_of(spec).sha256 == PromotionPolicy().sha256  # it changes no verdict
    assert spec.identity() == parse_spec(SPEC + "promote: {model: m}", base=tmp_path).identity()
