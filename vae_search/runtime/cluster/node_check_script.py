"""Script that finds out what each node of a cluster has and can do; a job of `vae-search doctor` runs it there.

Prints one line of JSON after MARK: what `node_check.NodeReport` holds, of every node. A node may lack this package, so
the function that runs there is sent whole and imports only what it finds.
"""

import json
import sys
import time
from typing import Any

MARK = "vae-search-nodes:"
ANSWER_S = 40.0  # that all nodes have together


def look_around(store: str | None, note: str | None, gpus: float) -> dict[str, Any]:
    """Versions, GPUs and the clock of this node, and what is wrong with the store as seen from here.

    Args:
        store: its location, None if none is to be looked at.
        note: a file of the store that whoever asks has written.
        gpus: as Ray counts them; TensorFlow is asked what it sees of them.
    """
    import os
    import platform
    import subprocess
    import sys
    from importlib import metadata

    found: dict[str, Any] = {"python": platform.python_version(), "versions": {}, "store_trouble": None}
    found["gpus"], found["gpus_seen"] = gpus, None
    if gpus:
        ask = (
            "import json, tensorflow as tf; gpus = tf.config.list_physical_devices('GPU'); "
            "names = [tf.config.experimental.get_device_details(gpu).get('device_name', 'GPU') for gpu in gpus]; "
            "print(); print(json.dumps(names))"
        )
        # Ray hides the GPUs from a task that was given none, by this variable.
        shown = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
        try:
            asked = subprocess.run(
                [sys.executable, "-c", ask], env=shown, capture_output=True, text=True, timeout=30, check=True
            )
            found["gpus_seen"] = json.loads(asked.stdout.splitlines()[-1])
        except (OSError, subprocess.SubprocessError, ValueError, IndexError):
            found["gpus_seen"] = []
    for name in ("vae-search", "ray", "tensorflow"):
        try:
            found["versions"][name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found["versions"][name] = None
    if store is not None and note is not None:
        try:
            from vae_search.errors import NotFound, VaeSearchError
            from vae_search.store.backends.base import prove_exclusive
            from vae_search.store.backends.uri import open_store
        except ImportError as error:
            found["store_trouble"] = f"cannot be looked at: {error}"
        else:
            try:
                place = open_store(store)
                place.read(note)
                prove_exclusive(place)
            except NotFound:
                found["store_trouble"] = "is another one here: a file that was just written into it is not there"
            except VaeSearchError as error:
                found["store_trouble"] = str(error)
    found["clock_s"] = time.time()
    return found


def main(
    *, store: str | None, note: str | None, bundle: dict[str, float], labels: dict[str, str], wait_s: float
) -> None:
    """Ask every node that is alive, and print what came back.

    Args:
        bundle: resources of a trial, by Ray's names.
        labels: that a trial's node must have.
        wait_s: for a node that holds a trial; an autoscaler is asked for it.
    """
    import ray
    from ray.util.placement_group import placement_group, remove_placement_group
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ray.init(address="auto", log_to_driver=False, logging_level="ERROR")
    if wait_s > 0:
        asked_for = placement_group([bundle], bundle_label_selector=[labels] if labels else None)
        asked_for.wait(wait_s)
        remove_placement_group(asked_for)
    # Ports, files and processes of a node are no secrets, but nothing of its environment is asked for.
    task = ray.remote(num_cpus=0, max_retries=0)(look_around)
    begun_s = time.time()
    asked = {}
    for node in ray.nodes():
        if node["Alive"]:
            gpus = node["Resources"].get("GPU", 0.0)
            here_only = NodeAffinitySchedulingStrategy(node_id=node["NodeID"], soft=False)
            asked[task.options(scheduling_strategy=here_only).remote(store, note, gpus)] = node["NodeID"]
    done, _ = ray.wait(list(asked), num_returns=len(asked), timeout=ANSWER_S)
    ended_s = time.time()
    reports = []
    for answer, node_id in asked.items():
        report: dict[str, Any] = {"node_id": node_id, "trouble": None}
        if answer not in done:
            report["trouble"] = f"no answer for {ANSWER_S:.0f} s"
        else:
            try:
                found = ray.get(answer)
                clock_s = found.pop("clock_s")
                # It was read between the two; all that is known is by how much it lies outside.
                report |= found | {"clock_off_s": max(begun_s - clock_s, clock_s - ended_s, 0.0)}
            except ray.exceptions.RayError as error:
                report["trouble"] = str(error).splitlines()[-1]
        reports.append(report)
    print(MARK, json.dumps(reports), flush=True)  # noqa: T201 - its only answer


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
