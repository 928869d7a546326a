"""The notice that EC2 takes a spot instance away, from a stand-in of its metadata service to the command for Ray."""

import importlib.util
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import ModuleType

import pytest

from tests.support.paths import ROOT

AT = datetime(2026, 3, 2, 9, 2, tzinfo=UTC)
NOTICE = {"action": "terminate", "time": "2026-03-02T09:02:00Z"}


@pytest.fixture(scope="module")
def spot() -> ModuleType:
    spec = importlib.util.spec_from_file_location("spot_notice", ROOT / "cluster" / "spot_notice.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["spot_notice"] = module  # its dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@contextmanager
def metadata_service(answers: list[tuple[int, str]], *, sessions: list[str]) -> Iterator[str]:
    """The second version of the service: no answer without a session. Each question takes the next answer."""

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            assert self.path == "/latest/api/token"
            assert 0 < int(self.headers["X-aws-ec2-metadata-token-ttl-seconds"]) <= 21_600
            sessions.append(f"session-{len(sessions)}")
            self.answer(200, sessions[-1])

        def do_GET(self) -> None:
            assert self.path == "/latest/meta-data/spot/instance-action"
            if self.headers["X-aws-ec2-metadata-token"] != sessions[-1]:
                self.answer(401, "")
            else:
                self.answer(*answers.pop(0))

        def answer(self, status: int, text: str) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_a_notice_is_handed_on_until_it_is_taken(spot: ModuleType):
    answers = [(404, ""), (500, "busy"), (200, "no JSON"), (200, json.dumps(NOTICE)), (200, json.dumps(NOTICE))]
    sessions, slept, drained = list[str](), list[float](), list[object]()

    def drain(notice: object) -> bool:
        drained.append(notice)
        return len(drained) == 2

    with metadata_service(answers, sessions=sessions) as url:
        found = spot.watch(spot.Metadata(url), drain, sleep=slept.append)

    assert found == spot.Notice(action="terminate", at=AT)
    assert drained == [found, found]
    assert slept == [spot.POLL_S] * 4
    assert len(sessions) == 1


def test_a_session_that_is_over_is_begun_anew(spot: ModuleType):
    sessions = list[str]()
    with metadata_service([(404, ""), (404, ""), (200, json.dumps(NOTICE))], sessions=sessions) as url:
        metadata = spot.Metadata(url)
        before = metadata.notice()
        sessions.append("another")
        refused, after = metadata.notice(), metadata.notice()
        told = metadata.notice()

    assert (before, refused, after) == (None, None, None)
    assert told.at == AT


def test_a_machine_without_the_service_has_no_notice(spot: ModuleType):
    assert spot.Metadata("http://127.0.0.1:1").notice() is None


def test_the_command_names_node_reason_and_the_time_that_is_left(spot: ModuleType):
    node = spot.Node(node_id="ab" * 28, gcs_address="10.0.0.1:6379")
    notice = spot.Notice(action="terminate", at=AT)

    command = spot.drain_command(node, notice, now=datetime(2026, 3, 2, 9, 0, 10, tzinfo=UTC))
    late = spot.drain_command(node, notice, now=datetime(2026, 3, 2, 9, 5, tzinfo=UTC))

    assert Path(command[0]).name == "ray"
    assert command[1:] == [
        "drain-node",
        "--address=10.0.0.1:6379",
        f"--node-id={'ab' * 28}",
        "--reason=DRAIN_NODE_REASON_PREEMPTION",
        "--reason-message=EC2 spot: terminate at 09:02:00 UTC",
        "--deadline-remaining-seconds=110",
    ]
    assert late[-1] == "--deadline-remaining-seconds=0"
