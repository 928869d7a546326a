"""A real head that asks for no token, met by a user who has one for another cluster."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from vae_search.errors import ClusterTrouble
from vae_search.runtime.cluster import gcs
from vae_search.runtime.process_state import AUTH_MODE, ray_environment

pytestmark = [pytest.mark.ray, pytest.mark.timeout(200)]

HOST = "127.0.0.2"  # the loopback as well; Ray puts the machine's outer address in the place of 127.0.0.1


@pytest.fixture(scope="module")
def open_head() -> Iterator[str]:
    """Address of the head, which goes with the tests."""
    with socket.create_server(("", 0)) as held:
        port = held.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="voc-") as folder:
        words = ["start", "--head", "--block", "--node-ip-address", HOST, "--port", str(port), "--num-cpus", "0"]
        words += ["--include-dashboard", "false", "--temp-dir", folder, "--disable-usage-stats"]
        clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        head = subprocess.Popen(
            [sys.executable, "-m", "ray.scripts.scripts", *words],
            env=clean | {AUTH_MODE: "disabled"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            while not answers(port):
                assert head.poll() is None, "the head has ended"
                time.sleep(0.05)
            yield f"{HOST}:{port}"
        finally:
            os.killpg(head.pid, signal.SIGTERM)
            try:
                head.wait(timeout=30)
            except subprocess.TimeoutExpired:
                os.killpg(head.pid, signal.SIGKILL)
                head.wait()


def answers(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex((HOST, port)) == 0


@pytest.fixture
def token_at_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", AUTH_MODE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("f" * 64)
    with ray_environment():
        yield


def test_one_on_this_machine_is_joined_without_the_token(open_head, token_at_home):
    client = gcs.connect_head(open_head)

    assert os.environ[AUTH_MODE] == "disabled"  # its workers could not answer a driver that wants a token
    assert client.internal_kv_get(b"nothing", b"", timeout=10) is None  # it answers


def test_one_that_others_reach_is_refused_with_the_reason(open_head, token_at_home, monkeypatch):
    monkeypatch.setattr(gcs, "is_loopback", lambda host: False)

    with pytest.raises(ClusterTrouble, match="lets anybody in who reaches it"):
        gcs.connect_head(open_head)
