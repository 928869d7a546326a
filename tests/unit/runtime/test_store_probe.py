"""Whether a node writes where the driver reads. What Ray hands over is given; real nodes are asked elsewhere."""

import pytest
import ray
from ray.exceptions import GetTimeoutError, RayError

from vae_search.errors import ClusterTrouble
from vae_search.runtime.store_probe import _check, _write
from vae_search.store import paths as store_paths

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


def test_a_node_that_writes_here_passes(store, answers):
    answers(write(store.location, PATH, CONTENT))

    _check(store, "ab" * 14, None, PATH, CONTENT)


@pytest.mark.parametrize("other", [None, b'{"nonce":"of another"}'], ids=["nothing", "another file"])
def test_one_with_a_folder_of_its_own_is_named(store, tmp_path, answers, other):
    answers(write(str(tmp_path / "own disk"), PATH, CONTENT))
    if other is not None:
        store.create(PATH, other)

    with pytest.raises(ClusterTrouble, match=r"node abababababab: .*does not arrive here") as refused:
        _check(store, "ab" * 14, None, PATH, CONTENT)

    assert len(str(refused.value).splitlines()) == 2


def test_one_that_cannot_write_says_why(store, tmp_path, answers):
    (tmp_path / "file").write_text("in the way")
    answers(write(str(tmp_path / "file"), PATH, CONTENT))

    with pytest.raises(ClusterTrouble, match=r"cannot write to the store: .*the store must be a folder"):
        _check(store, "ab" * 14, None, PATH, CONTENT)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (GetTimeoutError("late"), "does not answer within 60 s"),
        (RayError("a\nb\nit died"), "it died"),
        (RayError(), "Ray"),
    ],
)
def test_one_that_does_not_answer_or_dies_is_named(store, answers, error, says):
    answers(error)

    with pytest.raises(ClusterTrouble, match=f"node abababababab: .*{says}"):
        _check(store, "ab" * 14, None, PATH, CONTENT)
