"""Fixtures of all tests. What is heavy is imported by the fixture that needs it."""

import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.paths import ROOT
from tests.support.s3_server import BUCKET, S3_SECRET, s3_server
from tests.support.tiers import CLUSTER, HEAVY, LEFT_OUT, Tier, module_marks, worker_group
from vae_search.store.backends.local import LocalStore

if TYPE_CHECKING:
    from tests.chaos.storyteller import Storyteller
    from tests.support.candidates import FakeBackend
    from tests.support.sweeps import Session
    from vae_search.data.tasks import JudgeTask, TrainingTask
    from vae_search.vae.training.plan import TrainingPlan
    from vae_search.vae.training.trainer import Trainer

MEMORY = Path("/dev/shm")  # noqa: S108 - a file system, in which pytest makes a folder of its own
ROOM_BYTES = 2 * 1024**3
STORE_FOLDER = "it's a störe, 100%"
BROUGHT_IN = pytest.StashKey[set[str]]()
FASHION_FILES = ("train-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte.gz")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--tier", choices=list(Tier), default=Tier.ALL, help="how much to prove: see tests/README.md")


def pytest_configure() -> None:
    """Temporary folders in memory, where there is room: a store waits for the disk several times for each file."""
    if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= ROOM_BYTES:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even import a file that the tier leaves out."""
    if collection_path.suffix == ".py" and module_marks(collection_path) & LEFT_OUT[config.getoption("tier")]:
        return True
    return None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what the tier does, and group the rest: tests on Ray first, because theirs is the longest queue."""
    left_out, chosen, dropped = LEFT_OUT[config.getoption("tier")], [], []
    for item in items:
        names = {mark.name for mark in item.iter_markers()}
        (dropped if names & left_out else chosen).append(item)
        item.add_marker(pytest.mark.xdist_group(worker_group(item.path, names)))
    config.hook.pytest_deselected(items=dropped)
    items[:] = sorted(chosen, key=lambda item: item.get_closest_marker(CLUSTER) is None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """Hold `make check` to its promise: fail the test that brings Ray or TensorFlow in."""
    done = yield
    known = item.config.stash.setdefault(BROUGHT_IN, set())
    brought = set(HEAVY) & set(sys.modules) - known
    known |= brought
    if brought and item.config.getoption("tier") == Tier.CHECK:
        loaded = ", ".join(sorted(brought))
        pytest.fail(f"{loaded} is loaded: by {item.nodeid}, or by a file without a marker of it", pytrace=False)
    return done


def pytest_collection_finish() -> None:
    """One core for TensorFlow, set before any test makes it run: its number of threads cannot change afterwards."""
    if "tensorflow" in sys.modules:  # imported by a collected test; the others shall not wait for it
        from vae_search.vae.training.device import limit_threads

        limit_threads(1)


@pytest.fixture(scope="session")
def fashion_mnist_path() -> Path:
    """The folder of the full Fashion-MNIST."""
    folder = Path(os.environ.get("VAE_SEARCH_FASHION_MNIST") or ROOT.parent / "shared" / "data" / "fashion-mnist")
    if not all((folder / name).is_file() for name in FASHION_FILES):
        pytest.skip(f"needs Fashion-MNIST in {folder}; set VAE_SEARCH_FASHION_MNIST to the folder that has it")
    return folder


@pytest.fixture(scope="session")
def cifar10_path() -> Path:
    """The full CIFAR-10: the folder of its binary version, or the archive."""
    place = os.environ.get("VAE_SEARCH_CIFAR10")
    if not place:
        pytest.skip("needs CIFAR-10; set VAE_SEARCH_CIFAR10 to cifar-10-binary.tar.gz or to the folder from it")
    return Path(place)


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """An S3 of this test run."""
    pytest.importorskip("moto")
    with s3_server() as endpoint:
        yield endpoint


@pytest.fixture
def s3_location(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A fresh place on it, for this process and its children."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test-key-id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", S3_SECRET)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return f"s3://{BUCKET}/{uuid.uuid4().hex}"


@pytest.fixture(scope="session")
def quick(pytestconfig: pytest.Config) -> bool:
    """Whether a long proof may take its quick form, as in `make check` and `make test`."""
    return pytestconfig.getoption("tier") != Tier.ALL


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    """A store in a folder whose name would break careless quoting."""
    return LocalStore(tmp_path / STORE_FOLDER)


@pytest.fixture(autouse=True)
def no_code_of_others() -> Iterator[None]:
    """Own networks and measures that a test was told of are none of the next one's: they are kept by the process."""
    yield
    loaded = sys.modules.get("vae_search.spec.own_code.code_loading")
    if loaded is not None:
        loaded._places.clear()
        loaded._provided.clear()
        loaded._found_here.clear()


@pytest.fixture
def without_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never wait for the disk: for tests of hundreds of writes that are not about it."""
    monkeypatch.setattr("os.fsync", lambda _: None)


@pytest.fixture
def backend() -> "FakeBackend":
    """A promotion's TensorFlow side that trains nothing."""
    from tests.support.candidates import FakeBackend

    return FakeBackend()


@pytest.fixture
def swept(tmp_path: Path) -> LocalStore:
    """Holds sweep `digits`, thirty trials of all kinds that have ended; for tests that change it."""
    from tests.support.reported_sweeps import mixed, put_sweep

    store = LocalStore(tmp_path / STORE_FOLDER)
    put_sweep(store, mixed(), curve_epochs=4)
    return store


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with such a store, and what was exported of it: `study.db`, `runs/` and `tables/`; to read only."""
    from tests.support.reported_sweeps import mixed, put_sweep
    from vae_search.services import exporting

    folder = tmp_path_factory.mktemp("exported")
    store = LocalStore(folder / STORE_FOLDER)
    put_sweep(store, mixed(), curve_epochs=4)
    targets = exporting.Targets(
        tensorboard=folder / "runs", optuna=f"sqlite:///{folder}/study.db", csv=folder / "tables"
    )
    done = exporting.export(store, "digits", targets)
    assert (done.trials, done.damaged) == (30, ())
    return folder


@pytest.fixture
def source(exported: Path) -> LocalStore:
    """The store that `exported` was made of."""
    return LocalStore(exported / STORE_FOLDER)


@pytest.fixture(scope="session")
def small_task() -> "TrainingTask":
    """640 handwritten digits to train on."""
    from tests.support.sweeps import digits_task

    return digits_task()


@pytest.fixture(scope="session")
def judge_task(small_task: "TrainingTask") -> "JudgeTask":
    from tests.support.sweeps import digits_judge_task

    return digits_judge_task(small_task)


@pytest.fixture
def open_session(
    store: LocalStore, small_task: "TrainingTask", judge_task: "JudgeTask"
) -> Iterator[Callable[..., "Session"]]:
    """Open a driver on the store, as a new process would; the one before it is over."""
    from tests.support.sweeps import Sessions

    sessions = Sessions(store, small_task, judge_task)
    yield sessions.open
    sessions.close()


@pytest.fixture(scope="session")
def task() -> "TrainingTask":
    """1,280 handwritten digits to train on."""
    from tests.support.networks import digits_task

    return digits_task()


@pytest.fixture(scope="session")
def trainer(task: "TrainingTask") -> "Trainer":
    from vae_search.vae.training.trainer import Trainer

    return Trainer(task, threads=1)


@pytest.fixture(scope="session")
def plan() -> "TrainingPlan":
    from vae_search.vae.training.plan import TrainingPlan

    return TrainingPlan(
        epochs=4, lr_schedule="constant", ema_decay=0.999, log_variance_clamp=(-6.0, 2.0), likelihood="bernoulli"
    )


@pytest.fixture(scope="module")
def storyteller() -> "Iterator[Storyteller]":
    """A process that tells what happened to a sweep, operation by operation."""
    from tests.chaos.storyteller import Storyteller

    command = [sys.executable, "-m", "tests.chaos.story"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Storyteller(process.stdin, process.stdout)
        process.stdin.close()
