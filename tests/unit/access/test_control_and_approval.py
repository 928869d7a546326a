"""What steers a sweep or waits for somebody's word is given and shown through a service as on the store itself."""

import json
from pathlib import Path

import pytest

from tests.support.candidates import NOW, FakeBackend, candidate, put_sweep
from tests.support.command_line import vae_search
from tests.support.stores import filled_store
from tests.support.web_service import app_of, serving, token_file
from tests.unit.services.test_forking import WIDER
from vae_search.core.machine import system_user
from vae_search.core.settings import TOKEN_VARIABLE
from vae_search.data.comparability import METRIC_VERSION
from vae_search.registry.promotion.decision import PromotionPolicy
from vae_search.registry.promotion.pipeline import promote_best
from vae_search.server.tokens import Role
from vae_search.services.control.commands import change_settings, enqueue_config
from vae_search.services.control.forking import fork
from vae_search.store.backends.json_records import to_json_bytes
from vae_search.store.backends.local import LocalStore
from vae_search.store.control.command_log import CommandLog
from vae_search.store.paths import SweepPaths
from vae_search.store.sweeps import sweep_record

PRINTED = ("sweep", "state", "trials", "finished", "complete", "pruned", "failed", "best_trial", "best_objective")
PRINTED += ("front", "confirm_runs", "cpu_s")


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    """A sweep with a setting that was changed and a command that waits, and a fork of it."""
    store = filled_store(tmp_path / "vae-store")
    path = SweepPaths("digits").resolved
    store.replace(path, json.dumps(json.loads(store.read(path)) | {"metric_version": METRIC_VERSION}).encode())
    fork(store, "digits", "wide", overrides=WIDER)
    change_settings(store, "digits", {"budget.trials": 40}, actor="ada", now=lambda: NOW)
    enqueue_config(store, "digits", {"latent_dim": 8}, actor="ada", now=lambda: NOW)
    return store


@pytest.fixture
def waits(tmp_path: Path) -> LocalStore:
    """Two sweeps of which one config each waits for approval."""
    store = LocalStore(tmp_path / "vae-store")
    for trial, level in ((3, 232.0), (4, 230.0)):
        sweep, promotes = f"sweep-{trial}", "promote: {model: m}"
        put_sweep(store, candidate((level - 0.1, level, level + 0.1), trial=trial), sweep=sweep, promote=promotes)
        policy, backend = PromotionPolicy(needs_approval=True), FakeBackend()
        promote_best(store, sweep, model="m", rules=policy, backend=backend, now=lambda: NOW)
    return store


@pytest.mark.parametrize("form", [[], ["--json"]])
@pytest.mark.parametrize("sweep", ["digits", "wide"])
def test_commands_settings_and_borrowed_trials_are_shown_alike(sweep, form, store, tmp_path):
    with serving(app_of(store)) as port:
        there = vae_search("--server", f"http://127.0.0.1:{port}", "status", sweep, *form, folder=tmp_path)
    here = vae_search("status", sweep, *form, folder=tmp_path)

    assert (there.returncode, there.stdout, there.stderr) == (here.returncode, here.stdout, here.stderr)
    told = here.stdout.decode()
    if form:
        (facts,) = json.loads(told)
        assert tuple(facts)[: len(PRINTED)] == PRINTED
        assert {*facts} - {*PRINTED} - {"bound", "images", "borrowed"} == {
            *("rows_bytes", "artifacts_bytes", "running_bytes", "total_bytes", "settings", "commands")
        }
    elif sweep == "wide":
        assert "borrowed 4 trials from digits" in told
    else:
        assert "settings: budget.trials=40" in told
        assert "command 2 by ada: try latent_dim=8: waits for the driver" in told


def test_commands_are_given_alike_under_ones_own_name(store, tmp_path):
    store.create(SweepPaths("digits").suggestion("000012"), to_json_bytes({"trial": 12}))
    commands = (
        ["enqueue", "digits", "latent_dim=8"],
        ["change", "digits", "--set", "budget.trials=41"],
        ["stop", "digits/12"],
        ["enqueue", "digits", "latent_dim=800"],
        ["change", "digits", "--set", "budget.epochs=3"],
        ["stop", "digits/1"],
        ["enqueue", "none"],
    )
    tokens, known = token_file(tmp_path)

    with serving(app_of(store, tokens=tokens)) as port:
        server = ("--server", f"http://127.0.0.1:{port}")
        there = [
            vae_search(*server, *command, folder=tmp_path, **{TOKEN_VARIABLE: known[Role.APPROVER]})
            for command in commands
        ]
    here = [vae_search(*command, folder=tmp_path, VAE_SEARCH_STORE=store.location) for command in commands]

    for one, other in zip(there, here, strict=True):
        assert (one.returncode, one.stderr) == (other.returncode, other.stderr)
    assert [done.returncode for done in here] == [0, 0, 0, 2, 2, 5, 2]
    assert there[0].stdout == (
        b"Sweep digits: the config is tried next (command 3). Nobody runs it now; its next driver carries that out.\n"
    )
    assert here[0].stdout.endswith(b"its next driver carries that out: `vae-search resume digits`.\n")
    incarnation = sweep_record.read_stored(store, "digits").incarnation
    given = CommandLog(store, "digits", incarnation=incarnation).commands()
    assert [each.actor for each in given[2:]] == ["approver"] * 3 + [system_user()] * 3
    assert [each.params for each in given[2:]] == [{"latent_dim": 8}, None, None] * 2


def test_what_waits_for_approval_is_shown_and_judged_alike(waits, tmp_path):
    tokens, known = token_file(tmp_path)
    environment = {TOKEN_VARIABLE: known[Role.APPROVER]}

    with serving(app_of(waits, tokens=tokens)) as port:
        server = ("--server", f"http://127.0.0.1:{port}")
        for command in (["status", "sweep-3"], ["models"], ["models", "m"], ["approve", "m", "--why", "which?"]):
            there = vae_search(*server, *command, folder=tmp_path, **environment)
            here = vae_search(*command, folder=tmp_path)
            assert (there.returncode, there.stdout, there.stderr) == (here.returncode, here.stdout, here.stderr)
            assert b"wait" in there.stdout + there.stderr
        no = vae_search(*server, "reject", "m", "3", "--why", "no", folder=tmp_path, **environment)
        yes = vae_search(*server, "approve", "m", "1", "--why", "sharp", folder=tmp_path, **environment)

    assert no.returncode == 2
    assert b"version 3 does not exist" in no.stderr
    assert yes.stdout.startswith(b"m:1, sweep-3/3, is champion of m.\n  test images, looked at once")
    assert b'"actor": "approver"' in vae_search("models", "m", "--json", folder=tmp_path).stdout


@pytest.mark.slow
def test_a_sweep_asks_for_promotion_over_http_as_on_the_store(waits, tmp_path):
    with serving(app_of(waits)) as port:
        there = vae_search(
            *("--server", f"http://127.0.0.1:{port}", "promote", "sweep-3", "--model", "m"), folder=tmp_path
        )
    here = vae_search("promote", "sweep-3", "--model", "m", folder=tmp_path)

    assert (there.returncode, there.stdout, there.stderr) == (here.returncode, here.stdout, here.stderr)
    assert b"waits for approval as m:1" in here.stderr


@pytest.mark.parametrize(
    "command", [["fork", "digits", "wide"], ["queue", "list"], ["webhook", "list"], ["compare", "a", "b"]]
)
def test_commands_that_work_on_the_store_itself_refuse_a_service(command, tmp_path):
    done = vae_search("--server", "http://127.0.0.1:1", *command, folder=tmp_path)

    assert done.returncode == 2
    assert b"works on the store itself, not through a service. Leave --server out." in done.stderr
