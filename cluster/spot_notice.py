"""Tell Ray that this EC2 spot instance is about to be taken away: started on each worker after `ray start` (aws.yaml).

EC2 gives notice two minutes ahead, in the instance's metadata, where Ray does not look. Once Ray knows that a node
drains, its trials save every epoch, and what they lose with it costs them no retry.
"""

import json
import logging
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

logger = logging.getLogger("spot_notice")

METADATA = "http://169.254.169.254"
POLL_S = 5.0  # as AWS advises
ANSWER_S = 2.0
TOKEN_S = 21_600  # that a session of the metadata service lasts


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """The end of a spot instance, announced."""

    action: str
    """terminate, stop or hibernate"""
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """This machine as Ray knows it."""

    node_id: str
    gcs_address: str


class Metadata:
    """Instance metadata service, version 2."""

    def __init__(self, url: str = METADATA) -> None:
        self._url = url
        self._session: str | None = None
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def notice(self) -> Notice | None:
        """The notice, if there is one; a service that does not answer has none."""
        try:
            if self._session is None:
                header = {"X-aws-ec2-metadata-token-ttl-seconds": str(TOKEN_S)}
                self._session = self._ask("PUT", "/latest/api/token", header)
            header = {"X-aws-ec2-metadata-token": self._session}
            told = json.loads(self._ask("GET", "/latest/meta-data/spot/instance-action", header))
            return Notice(action=str(told["action"]), at=datetime.fromisoformat(told["time"]).astimezone(UTC))
        except urllib.error.HTTPError as error:
            if error.code == 401:  # the session is over
                self._session = None
            elif error.code != 404:  # which says that there is no notice
                logger.warning("the metadata service answers %d", error.code)
        except (OSError, ValueError, KeyError, TypeError) as error:
            logger.warning("the metadata service does not answer: %s", error)
        return None

    def _ask(self, method: str, path: str, headers: dict[str, str]) -> str:
        request = urllib.request.Request(f"{self._url}{path}", method=method, headers=headers)  # noqa: S310
        with self._opener.open(request, timeout=ANSWER_S) as answer:
            return answer.read().decode()


def watch(metadata: Metadata, drain: Callable[[Notice], bool], *, sleep: Callable[[float], None]) -> Notice:
    """Wait for a notice and hand it on, until it is taken."""
    while True:
        notice = metadata.notice()
        if notice is not None and drain(notice):
            return notice
        sleep(POLL_S)


def drain_command(node: Node, notice: Notice, *, now: datetime) -> list[str]:
    """The command by which Ray learns that a node goes; newer than this package's Ray it may not be."""
    left_s = max(0, int((notice.at - now).total_seconds()))
    return [
        str(Path(sys.executable).with_name("ray")),
        "drain-node",
        f"--address={node.gcs_address}",
        f"--node-id={node.node_id}",
        "--reason=DRAIN_NODE_REASON_PREEMPTION",
        f"--reason-message=EC2 spot: {notice.action} at {notice.at:%H:%M:%S} UTC",
        f"--deadline-remaining-seconds={left_s}",
    ]


def this_node() -> Node:
    """Ask the Ray that was started on this machine."""
    import ray

    ray.init(address="auto", log_to_driver=False, logging_level=logging.ERROR)
    context = ray.get_runtime_context()
    node = Node(node_id=context.get_node_id(), gcs_address=context.gcs_address)
    ray.shutdown()
    return node


def main() -> None:
    """Wait for the notice of this instance, and drain its node."""
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    node = this_node()
    logger.info("node %s waits for a notice", node.node_id)

    def drain(notice: Notice) -> bool:
        done = subprocess.run(drain_command(node, notice, now=datetime.now(UTC)), check=False)
        logger.info("%s at %s; Ray %s", notice.action, notice.at, "knows" if done.returncode == 0 else "refuses")
        return done.returncode == 0

    watch(Metadata(), drain, sleep=time.sleep)


if __name__ == "__main__":
    main()
