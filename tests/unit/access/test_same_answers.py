"""Every command that can ask a service says the same, byte for byte, as it does on the store itself."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.candidates import NOW, FakeBackend, candidate, put_sweep
from tests.support.command_line import in_this_process, vae_search
from tests.support.reported_sweeps import mixed, put_confirmed, put_pareto_sweep, spoil
from tests.support.stores import filled_store
from tests.support.web_service import app_of, serving, token_file
from vae_search.core.settings import TOKEN_VARIABLE
from vae_search.registry.log import Action
from vae_search.registry.promotion.decision import PromotionPolicy
from vae_search.registry.promotion.pipeline import promote_best
from vae_search.registry.registry import Registry
from vae_search.server.tokens import Role
from vae_search.store.backends.local import LocalStore
from vae_search.store.leases.lease import acquire
from vae_search.store.leases.records import Purpose
from vae_search.store.paths import SweepPaths

COMMANDS = [
    ["status"],
    ["status", "--json"],
    ["status", "digits"],
    ["status", "digits", "--json"],
    ["status", "none"],
    ["best", "digits"],
    ["best", "digits", "--json"],
    ["best", "digits", "--csv", "--all"],
    ["best", "digits", "--all", "-n", "7"],
    ["best", "digits", "--by", "train_flops", "-n", "2"],
    ["best", "digits", "--pareto"],
    ["best", "digits", "--pareto", "--json"],
    ["best", "digits", "--spec"],
    ["best", "digits", "--spec", "--where", "trial > 100"],
    ["best", "digits", "--where", "param_latent_dim > 8 AND neg_elbo IS NOT NULL"],
    ["best", "digits", "--where", "nonsense >"],
    ["best", "none"],
    ["query", "SELECT * FROM trials ORDER BY trial"],
    ["query", "SELECT * FROM trials ORDER BY trial", "--csv"],
    ["query", "SELECT * FROM finalists ORDER BY trial, confirm_seed", "--json"],
    ["query", "SELECT 1 AS a, 2 AS a, sum(trial), 1.50::DECIMAL(9,2), DATE '2026-01-02', [1, NULL], 'NaN'::DOUBLE,"
     " {'x': 1}, INTERVAL 3 DAY, '\x1b[31m' FROM trials"],
    ["query", "SELECT trial FROM trials WHERE false"],
    ["query", "SELECT nonsense"],
    ["query", "SELECT 1; SELECT 2"],
    ["query", "SELECT 1", "--sweep", "none"],
    ["models"],
    ["models", "--json"],
    ["models", "fashion"],
    ["models", "fashion", "--json"],
    ["models", "none"],
    ["logs", "digits"],
    ["logs", "digits", "--trial", "7"],
    ["logs", "digits", "--trial", "8"],
    ["logs", "none"],
    ["stop", "none"],
    ["stop", "digits"],
    ["rollback", "none"],
    ["rollback", "fashion", "--to", "9"],
]  # fmt: skip
LOG = "2026-01-02 03:04:05 INFO run 000007 began\n  more \x1b[31mof it\n2026-01-02 03:04:06 INFO other\u2028line\n"


def put_everything(folder: Path) -> LocalStore:
    """A sweep with confirm runs and logs, a folder that is no sweep, a model with a history."""
    store = filled_store(folder)
    store.create(f"{SweepPaths('digits').logs}/driver.log", LOG.encode())
    store.create("sweeps/Not A Sweep/note.txt", b"hello")
    registry = Registry(store, "fashion", now=lambda: NOW)
    why = ("gate \x1b seeds: 1 of 3",)
    what = {"candidate": "digits/2", "candidate_sha256": "a" * 64, "reasons": why}
    assert registry.add(Action.REJECT, seen=registry.state(), **what)
    return store


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("same")
    put_everything(folder / "vae-store")
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[str]:
    with serving(app_of(LocalStore(folder / "vae-store"))) as port:
        yield f"http://127.0.0.1:{port}"


def said(done: "subprocess.CompletedProcess[bytes]") -> tuple[bytes, bytes, int]:
    return done.stdout, done.stderr, done.returncode


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_command_says_the_same_through_a_service(command: list[str], folder: Path, server: str) -> None:
    here = vae_search(*command, folder=folder, VAE_SEARCH_STORE=str(folder / "vae-store"))
    there = vae_search("--server", server, *command, folder=folder)

    assert said(there) == said(here)
    assert here.stdout or here.stderr


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_sweep_that_nobody_runs_is_watched_alike(form: list[str], folder: Path, server: str) -> None:
    here = in_this_process("watch", "digits", *form, folder=folder)
    there = in_this_process("watch", "digits", *form, folder=folder, VAE_SEARCH_SERVER=server)

    # On a store it goes on with `resume`, on a service from the queue.
    same = here.stdout.replace(b"vae-search resume digits", b"vae-search submit SPEC")
    assert said(there) == (same, here.stderr, here.returncode)


def test_a_pareto_sweep_and_confirmed_configs_are_shown_alike(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "vae-store")
    put_pareto_sweep(store, mixed(), "neg_elbo, train_flops")
    put_confirmed(store)

    with serving(app_of(store)) as port:
        for command in (["status"], ["best", "digits"], ["best", "digits", "--csv"], ["status", "digits", "--json"]):
            there = vae_search("--server", f"http://127.0.0.1:{port}", *command, folder=tmp_path)
            assert said(there) == said(vae_search(*command, folder=tmp_path))


def test_damaged_files_are_named_with_the_same_exit_code(tmp_path: Path) -> None:
    store = put_everything(tmp_path / "vae-store")
    spoil(tmp_path / "vae-store" / SweepPaths("digits").trial(1))
    store.create(SweepPaths("spoilt").resolved, b"{}")

    with serving(app_of(store)) as port:
        for command in (
            ["status"],
            ["status", "digits"],
            ["status", "spoilt"],
            ["best", "digits"],
            ["query", "SELECT count(*) FROM trials"],
        ):
            there = vae_search("--server", f"http://127.0.0.1:{port}", *command, folder=tmp_path)
            assert said(there) == said(vae_search(*command, folder=tmp_path))
            assert there.returncode == 3


def test_a_sweep_that_runs_is_asked_to_stop_and_shown_as_running(tmp_path: Path) -> None:
    store = put_everything(tmp_path / "vae-store")
    lease = acquire(store, "digits", purpose=Purpose.TRAIN)
    try:
        with serving(app_of(store)) as port:
            server = f"http://127.0.0.1:{port}"
            stood = [vae_search("--server", server, "status", folder=tmp_path), vae_search("status", folder=tmp_path)]
            there = vae_search("--server", server, "stop", "digits", folder=tmp_path)
            asked = lease.stop_requested()
            here = vae_search("stop", "digits", folder=tmp_path)
    finally:
        lease.release()

    assert said(stood[0]) == said(stood[1])
    assert b"running" in stood[0].stdout
    assert asked
    assert said(there) == said(here)
    assert there.returncode == 0


def test_a_token_from_a_file_is_shown_and_a_wrong_one_is_refused(tmp_path: Path) -> None:
    store = put_everything(tmp_path / "vae-store")
    tokens, known = token_file(tmp_path)
    own = tmp_path / "own-token"
    own.touch(mode=0o600)
    own.write_text(known[Role.VIEWER] + "\n")

    with serving(app_of(store, tokens=tokens)) as port:
        server = f"http://127.0.0.1:{port}"
        none = vae_search("--server", server, "status", folder=tmp_path)
        wrong = vae_search("--server", server, "status", folder=tmp_path, **{TOKEN_VARIABLE: "vaes_wrong"})
        right = vae_search("--server", server, "--token-file", own, "status", folder=tmp_path)
        of_variable = vae_search("status", folder=tmp_path, VAE_SEARCH_SERVER=server, VAE_SEARCH_TOKEN_FILE=str(own))
        too_low = vae_search("--server", server, "--token-file", own, "rollback", "fashion", folder=tmp_path)

    assert none.returncode == wrong.returncode == 1
    assert b"A token is needed" in none.stderr
    assert b"VAE_SEARCH_TOKEN" in none.stderr
    assert b"not known, or was revoked" in wrong.stderr
    assert b"vaes_wrong" not in wrong.stderr
    assert said(right) == said(of_variable) == said(vae_search("status", folder=tmp_path))
    assert (too_low.returncode, too_low.stdout) == (1, b"")
    assert b"needs the role approver, but viewer is viewer" in too_low.stderr


def test_an_approver_rolls_a_model_back_under_his_own_name(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "vae-store")
    for trial, level in ((3, 232.0), (4, 230.0)):
        sweep = f"sweep-{trial}"
        put_sweep(store, candidate((level - 0.1, level, level + 0.1), trial=trial), sweep=sweep)
        policy, backend = PromotionPolicy(), FakeBackend()
        promote_best(store, sweep, model="m", rules=policy, backend=backend, now=lambda: NOW)
    tokens, known = token_file(tmp_path)
    environment = {TOKEN_VARIABLE: known[Role.APPROVER]}

    with serving(app_of(store, tokens=tokens)) as port:
        server = f"http://127.0.0.1:{port}"
        before = vae_search("--server", server, "models", "m", "--json", folder=tmp_path, **environment)
        done = vae_search("--server", server, "rollback", "m", folder=tmp_path, **environment)

    assert b'"promote"' in before.stdout
    assert (done.stdout, done.returncode) == (b"m: version 1 is champion.\n", 0)
    assert b'"actor": "approver"' in vae_search("models", "m", "--json", folder=tmp_path).stdout
