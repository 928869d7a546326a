"""Page of a fork: prefilled, every mistake at its line, and it says how many trials fit before anything is made."""

import json

import pytest
from starlette.testclient import TestClient

from tests.support.page_reading import read, send
from tests.support.stores import SPEC, filled_store
from tests.support.web_service import NOW, app_of, client_of, token_file
from vae_search.data.comparability import METRIC_VERSION
from vae_search.errors import NotFound
from vae_search.queue.sweep_queue import SweepQueue
from vae_search.server.submissions import DataRoots
from vae_search.server.tokens import Role
from vae_search.services.control.forking import fork_outlook
from vae_search.store.control.present_spec import read_present_spec
from vae_search.store.paths import SweepPaths
from vae_search.store.sweeps import sweep_record

FORK = "/sweeps/digits/fork"


@pytest.fixture
def store(tmp_path):
    store = filled_store(tmp_path / "store")
    put_record(store, metric_version=METRIC_VERSION)
    return store


def put_record(store, **changes: object) -> None:
    path = SweepPaths("digits").resolved
    store.replace(path, json.dumps(json.loads(store.read(path)) | changes).encode())


@pytest.fixture
def clients(store, tmp_path):
    """Sweep `digits` has five completed trials, with 4, 8, 12, 16 and 20 latents."""
    file, tokens = token_file(tmp_path)
    app = app_of(store, tokens=file, roots=DataRoots.parse([str(tmp_path / "store")]))
    return {role: client_of(app, token) for role, token in tokens.items()}


@pytest.fixture
def submitter(clients) -> TestClient:
    return clients[Role.SUBMITTER]


def test_the_form_holds_the_present_spec_under_a_free_name_and_says_what_fits(submitter, store):
    first = read(submitter, FORK)
    SweepQueue(store, now=lambda: NOW).submit(SPEC, sweep="digits-fork", actor="ada")
    with submitter.app.state.service.queue():  # what was read of it is read anew
        pass
    second = read(submitter, FORK)

    assert first.fields["spec"].startswith("name: digits-fork\n")
    assert "high: 32" in first.fields["spec"]
    assert "enqueue: []" in first.fields["spec"]
    assert "5 of 5 completed trials of digits fit this spec" in first.text
    assert second.fields["spec"].startswith("name: digits-fork-2\n")


def test_a_narrower_space_is_told_with_what_is_left_out_and_queued_with_what_it_borrows(submitter, store):
    page = read(submitter, FORK)
    narrow = page.fields["spec"].replace("high: 32", "high: 16").replace("trials: 8", "trials: 4")

    told = send(submitter, FORK, page.fields | {"spec": narrow, "do": "check"}, status=200)
    nothing_made = sweep_record.find(store, "digits-fork")
    address = send(submitter, FORK, told.fields | {"do": "submit", "priority": "7"})

    assert "4 of 5 completed trials of digits fit" in told.text
    assert "latent_dim: 1" in told.text
    assert nothing_made is None
    assert address == "/queue/1?done=fork"
    item = submitter.get("/api/v1/queue/1").json()
    assert (item["sweep"], item["owner"], item["priority"]) == ("digits-fork", "submitter", 7)
    assert submitter.get("/api/v1/sweeps/digits-fork").json()["borrowed"] == {"sweep": "digits", "trials": 4}
    assert read_present_spec(store, "digits-fork").budget.trials == 4


def test_mistakes_are_told_at_their_lines_also_those_that_only_a_fork_can_make(submitter, store):
    page = read(submitter, FORK)
    spec = page.fields["spec"]
    line = 1 + spec.splitlines().index("  epochs: 27")

    wrong = send(submitter, FORK, {"spec": spec.replace("beta:", "betta:"), "do": "submit"}, status=422)
    longer = send(submitter, FORK, {"spec": spec.replace("epochs: 27", "epochs: 81"), "do": "check"}, status=200)
    same = send(submitter, FORK, {"spec": spec.replace("digits-fork", "digits", 1), "do": "check"}, status=200)

    assert "search_space.betta" in wrong.text
    assert f"line {line}: budget.epochs: 27 → 81: makes trials that are not comparable" in longer.text
    assert "line 1: name: A fork needs a name of its own." in same.text
    assert sweep_record.find(store, "digits-fork") is None


def test_what_is_wrong_when_the_button_is_pressed_is_told_and_makes_nothing(submitter, store):
    page = read(submitter, FORK)
    spec = page.fields["spec"]

    for fields, status in (
        ({"spec": spec.replace("epochs: 27", "epochs: 81")}, 409),
        ({"spec": spec, "priority": "1000"}, 422),
        ({"spec": ""}, 422),
        ({"spec": spec.replace("latent_dim", "latent", 1)}, 422),
    ):
        send(submitter, FORK, page.fields | fields | {"do": "submit"}, status=status)

    assert sweep_record.find(store, "digits-fork") is None


def test_a_space_in_which_nothing_fits_is_no_fork(submitter):
    spec = read(submitter, FORK).fields["spec"].replace("low: 2\n", "low: 30\n")

    page = send(submitter, FORK, {"spec": spec, "do": "submit"}, status=409)

    assert "none of its 5 completed trials fits (latent_dim: 5)" in page.text
    assert "submit it as one" in page.text


def test_the_check_as_one_types_gives_mistakes_and_what_fits(submitter):
    spec = read(submitter, FORK).fields["spec"]

    good = submitter.post(f"{FORK}/check", content=spec).json()
    bad = submitter.post(f"{FORK}/check", content=spec.replace("trials: 8", "trials: 0")).json()

    assert good["errors"] == []
    assert good["words"].startswith("5 of 5 completed trials")
    assert bad["errors"][0]["key"] == "budget.trials"
    assert bad["words"] is None


def test_the_same_button_twice_is_one_fork(submitter, store):
    page = read(submitter, FORK)

    first, again = (send(submitter, FORK, page.fields | {"do": "submit"}) for _ in range(2))

    assert first == again
    assert len(SweepQueue(store, now=lambda: NOW).state().items) == 1


def test_only_who_may_submit_forks_and_a_sweep_that_is_not_there_has_no_form(clients):
    read(clients[Role.VIEWER], FORK, status=403)
    read(clients[Role.SUBMITTER], "/sweeps/none/fork", status=404)
    assert FORK not in read(clients[Role.VIEWER], "/sweeps/digits").links
    assert FORK in read(clients[Role.SUBMITTER], "/sweeps/digits").links
    assert FORK in read(clients[Role.APPROVER], "/sweeps/digits").links


def test_a_sweep_of_another_version_of_the_metric_has_no_fork_and_it_is_said_at_once(submitter, store):
    put_record(store, metric_version=METRIC_VERSION - 1)

    page = read(submitter, FORK)

    assert "would not be comparable" in page.text
    assert "completed trials of digits fit" not in page.text


def test_an_outlook_of_no_sweep_is_refused(store):
    with pytest.raises(NotFound):
        fork_outlook(store, "none", read_present_spec(store, "digits"))
