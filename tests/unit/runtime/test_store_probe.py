"""Whether a node writes where the driver reads. What Ray hands over is given; real nodes are asked elsewhere."""

import re
import secrets

import pytest
import ray
from ray.exceptions import GetTimeoutError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from vae_search.errors import NodeTrouble, StoreUnavailable
from vae_search.runtime import store_probe
from vae_search.runtime.store_probe import _trouble, _write, can_write, check_same_store, probe_store
from vae_search.search.capacity import NodeCapacity
from vae_search.store import paths as store_paths
from vae_search.store.backends.uri import open_store
from vae_search.store.leases.lease import acquire

pytestmark = pytest.mark.needs_ray

PATH, CONTENT = store_paths.probe("0" * 16), b'{"nonce":"x"}'
write = _write._function  # what runs on the node


@pytest.fixture
def answers(monkeypatch):
    def answer(what: object) -> None:
        def get(reference: object, *, timeout: float) -> object:
            if isinstance(what, Exception):
                raise what
            return what

        monkeypatch.setattr(ray, "get", get)

    return answer


NODE, OTHER = (NodeCapacity(node_id=letter * 56, resources={"CPU": 1.0}) for letter in "ab")


def trouble(store) -> str | None:
    return _trouble(store, None, PATH, CONTENT)


def test_a_node_that_writes_here_passes(store, answers):
    answers(write(store.location, PATH, CONTENT))

    assert trouble(store) is None


@pytest.mark.parametrize("other", [None, b'{"nonce":"of another"}'], ids=["nothing", "another file"])
def test_one_with_a_folder_of_its_own_is_in_trouble(store, tmp_path, answers, other):
    answers(write(str(tmp_path / "own disk"), PATH, CONTENT))
    if other is not None:
        store.create(PATH, other)

    assert "does not arrive here" in trouble(store)
    assert len(trouble(store).splitlines()) == 2


def test_one_that_cannot_write_says_why(store, tmp_path, answers):
    (tmp_path / "file").write_text("in the way")
    answers(write(str(tmp_path / "file"), PATH, CONTENT))

    assert re.search(r"cannot write to the store: .*the store must be a folder", trouble(store))


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (GetTimeoutError("late"), "does not answer within 60 s"),
        (RayError("a\nb\nit died"), "it died"),
        (RayError(), "Ray"),
    ],
)
def test_one_that_does_not_answer_or_dies_is_in_trouble(store, answers, error, says):
    answers(error)

    assert says in trouble(store)


class Node:
    """In the place of a task of Ray's on one node: writes, writes elsewhere, or never answers."""

    def __init__(self, silent: set[str]) -> None:
        self.silent = silent
        self.strategy: NodeAffinitySchedulingStrategy | None = None

    def options(self, *, num_cpus: int, scheduling_strategy: NodeAffinitySchedulingStrategy) -> "Node":
        self.strategy = scheduling_strategy
        return self

    def remote(self, *arguments: object) -> object:
        return GetTimeoutError("late") if self.strategy.node_id in self.silent else write(*arguments)


@pytest.fixture
def silent(monkeypatch) -> set[str]:
    """Ids of nodes that do not answer."""
    nodes: set[str] = set()

    def get(answer: object, *, timeout: float) -> object:
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(store_probe, "_write", Node(nodes))
    monkeypatch.setattr(ray, "wait", lambda references, **options: (references, []))
    monkeypatch.setattr(ray, "get", get)
    return nodes


def nonce() -> str:
    return secrets.token_hex(8)


def test_one_silent_node_is_told_of_and_refuses_no_sweep(store, silent):
    silent.add(OTHER.node_id)

    found = probe_store(store, [NODE, OTHER], nonce=nonce)

    assert found == {OTHER.node_id: "does not answer within 60 s. Look at `ray status`."}
    assert store.list("probes") == []


def test_where_every_node_is_in_trouble_the_first_is_named(store, silent):
    silent |= {NODE.node_id, OTHER.node_id}

    with pytest.raises(NodeTrouble, match=f"node {NODE.node_id[:12]}: does not answer within 60 s"):
        probe_store(store, [NODE, OTHER], nonce=nonce)


def test_a_cluster_that_has_no_node_yet_has_no_trouble(store, silent):
    assert probe_store(store, [], nonce=nonce) == {}


def test_a_worker_on_a_node_that_joined_later_sees_whether_its_store_is_the_drivers(store, tmp_path):
    lease = acquire(store, "small")
    elsewhere = open_store(str(tmp_path / "own disk"))
    elsewhere.create("store.txt", b"")

    check_same_store(store, "small", lease.number)
    with pytest.raises(NodeTrouble, match="is another one there"):
        check_same_store(elsewhere, "small", lease.number)
    lease.release()


def test_a_driver_knows_whether_it_can_write_itself(store, monkeypatch):
    assert can_write(store)

    def full(path: str, content: bytes) -> None:
        raise StoreUnavailable("no space left")

    monkeypatch.setattr(store, "create", full)

    assert not can_write(store)
