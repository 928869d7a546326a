"""A store that waits: the same contract as the store below it, and trouble that passes is not noticed."""

import threading

import pytest

from tests.support.store_contract import StoreContract
from vae_search.errors import NotFound, StoreUnavailable
from vae_search.store.backends.base import AlreadyThere
from vae_search.store.backends.local import LocalStore
from vae_search.store.backends.retrying import DELAYS_S, RetryingStore


class Troubled(LocalStore):
    """Unavailable for the next `times` calls."""

    times = 0

    def _trouble(self) -> None:
        if self.times > 0:
            self.times -= 1
            raise StoreUnavailable(f"{self.location}: no space left")

    def create(self, path, content):
        self._trouble()
        super().create(path, content)

    def replace(self, path, content):
        self._trouble()
        super().replace(path, content)

    def read(self, path):
        self._trouble()
        return super().read(path)

    def list(self, prefix):
        self._trouble()
        return super().list(prefix)

    def folders(self, prefix):
        self._trouble()
        return super().folders(prefix)

    def sizes(self, prefix):
        self._trouble()
        return super().sizes(prefix)

    def remove(self, path):
        self._trouble()
        super().remove(path)

    def remove_tree(self, prefix):
        self._trouble()
        super().remove_tree(prefix)


@pytest.fixture
def below(tmp_path) -> Troubled:
    return Troubled(tmp_path / "store")


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def store(below, waits) -> RetryingStore:
    return RetryingStore(below, wait=lambda delay_s: bool(waits.append(delay_s)))


class TestPatientStore(StoreContract):
    @pytest.fixture
    def store(self, store):
        return store


CALLS = {
    "create": lambda store: store.create("new", b"1"),
    "replace": lambda store: store.replace("old", b"1"),
    "read": lambda store: store.read("old"),
    "list": lambda store: store.list(""),
    "sizes": lambda store: store.sizes(""),
    "remove": lambda store: store.remove("old"),
    "remove_tree": lambda store: store.remove_tree("folder"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_trouble_that_passes_is_waited_out_with_growing_delays(store, below, waits, call):
    below.create("old", b"0")
    below.times = 3

    call(store)

    assert waits == list(DELAYS_S[:3])
    assert below.times == 0


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_trouble_that_stays_is_told_in_the_end(store, below, waits, call):
    below.create("old", b"0")
    below.times = 100

    with pytest.raises(StoreUnavailable, match="no space left"):
        call(store)

    assert waits == list(DELAYS_S)


def test_nobody_waits_who_wants_to_leave(below):
    leaving = threading.Event()
    leaving.set()
    below.times = 1

    with pytest.raises(StoreUnavailable):
        RetryingStore(below, wait=leaving.wait).create("new", b"1")

    assert below.list("") == []


def test_what_is_no_trouble_is_not_waited_for(store, below, waits):
    store.create("file", b"1")

    with pytest.raises(AlreadyThere):
        store.create("file", b"2")
    with pytest.raises(NotFound):
        store.read("other")

    assert waits == []
