"""Reload check: score a written model in a fresh process. The calling process needs no TensorFlow.

The process ends well, with scores or with the reason why the files cannot be scored. If it does not end well, nothing
is known about the files: it may have been killed, or have had no memory, no time or no TensorFlow.
"""

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from vae_search.core.machine import PACKAGE_PARENT
from vae_search.core.scratch import scratch_folder
from vae_search.core.text import printable
from vae_search.data.image_checks import blocks
from vae_search.data.random_access.mapped_images import PixelArray
from vae_search.errors import ProcessLost

TIMEOUT_S = 600.0
PROBLEM = "problem"  # key of the reason why files cannot be scored, in the process's last line


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadedScore:
    """Mean negative ELBO of the same images by both ways into a version's files, nats per image.

    Raises:
        ValueError: A score is not finite.
    """

    neg_elbo: float
    """of the network that was rebuilt from `config.json` and `model.weights.h5`"""
    saved_model_difference: float
    """between the SavedModel's `elbo` signature, which draws once, and that network with the same draw"""

    def __post_init__(self) -> None:
        if not all(math.isfinite(score) for score in asdict(self).values()):
            raise ValueError(f"scores must be finite, but are {asdict(self)}")


def score_in_fresh_process(
    files: Mapping[str, bytes],
    images: PixelArray,
    labels: np.ndarray | None = None,
    *,
    timeout_s: float = TIMEOUT_S,
    python: Sequence[str] = (sys.executable,),
) -> ReloadedScore:
    """Write a version's files to a temporary folder and score them in a process of their own.

    Args:
        files: of `model_files`, by path within the version's folder. Their hashes have been checked: a SavedModel is
            a program, if a restricted one.
        images: (n, height, width, channels) uint8 in 0 … levels - 1, as the model's likelihood explains them.
        labels: (n,) int64, of a conditional model.
        python: the command of the interpreter.

    Raises:
        ValueError: They cannot be loaded and scored; one line says why.
        ProcessLost: The process did not come to an answer.
    """
    with scratch_folder() as scratch:
        folder, images_path = scratch / "version", scratch / "images.npy"
        for name, content in files.items():
            target = folder / name
            if not target.resolve().is_relative_to(folder.resolve()):
                raise ValueError(f"{printable(name)}: a version's files must lie within its folder")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        with images_path.open("wb") as file:
            np.lib.format.write_array_header_1_0(
                file, {"descr": images.dtype.str, "fortran_order": False, "shape": images.shape}
            )
            for block in blocks(images):
                file.write(np.ascontiguousarray(block).data)
        command = [*python, "-P", "-m", "vae_search.vae.inference.reload_process", str(folder), str(images_path)]
        if labels is not None:
            np.save(scratch / "labels.npy", labels, allow_pickle=False)
            command.append(str(scratch / "labels.npy"))
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=timeout_s, check=False, env=_environment()
            )
        except subprocess.TimeoutExpired as error:
            raise _lost(f"it did not end within {timeout_s:g} s") from error
    if done.returncode < 0:
        raise _lost(f"it was ended by {signal.Signals(-done.returncode).name}")
    if done.returncode > 0:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise _lost(printable(last, 300))
    answer = json.loads(done.stdout.splitlines()[-1])
    if PROBLEM in answer:
        raise ValueError(f"the model must reload and score, but: {printable(answer[PROBLEM], 300)}")
    return ReloadedScore(**answer)


def _lost(why: str) -> ProcessLost:
    return ProcessLost(
        f"The process that loads a model anew was lost: {why}.\n"
        "So nothing is known about the model, and nothing was recorded. The same command tries again."
    )


def _environment() -> dict[str, str]:
    """Environment in which the child finds this very package first; -P keeps the current folder from its path."""
    inherited = os.environ.get("PYTHONPATH")
    package = str(PACKAGE_PARENT)
    return os.environ | {"PYTHONPATH": os.pathsep.join([package, inherited] if inherited else [package])}
