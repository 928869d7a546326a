"""A data set of four times the memory that the process may have: it trains, to the same bits after a kill; how fast.

Two parts, on pictures that a seeded generator makes, an installed data set as anybody's may be:

- `limit`: a process may have so much memory of its own (RLIMIT_DATA: heap, stacks and every private map, among them
  all tensors; not the pages of mapped files, which the system takes back when it needs them, nor the address space
  that TensorFlow reserves without using it, which RLIMIT_AS would count). It decodes and trains on 4 × as many bytes.
  Another such process is killed in the middle of an epoch, and a third goes on from the state that it had saved: its
  weights must have the same bits. The peak is sampled from /proc/self/status: RssAnon is what the process itself holds.
- `speed`: a set that fits, by turns one epoch from memory, one from mapped files, and one from mapped files none of
  whose pages are in memory when it begins, as under pressure: the medians of the ratios.

    python benchmarks/large_data.py --folder /tmp/large-data
"""

import argparse
import ctypes
import gc
import hashlib
import json
import mmap
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from machine import describe_machine

from vae_search.core.measurements import EpochMeasurement
from vae_search.data.dataset import load_dataset
from vae_search.data.tasks import TrainingTask
from vae_search.spec.hyperparameters import Config
from vae_search.spec.sections import DataSpec

HERE = Path(__file__).parent
SIDE = 64
IMAGE_BYTES = SIDE * SIDE * 3
TIMES = 4.02  # the limit, in bytes of images
CONFIG = Config(latent_dim=8, depth=1, width=32, batch_size=128)
EPOCHS = 2
SPEED_IMAGES, SPEED_REPEATS = 20_000, 7
SOURCE = """
import os
import numpy as np

class Pictures:
    def __len__(self):
        return int(os.environ["LARGE_DATA_IMAGES"])

    def __getitem__(self, number):
        rng = np.random.default_rng(number)
        coarse = rng.integers(0, 224, (8, 8, 3), np.uint8).repeat(8, axis=0).repeat(8, axis=1)
        return coarse + rng.integers(0, 32, (64, 64, 1), np.uint8)
"""


def install(folder: Path) -> Path:
    """Make the data set one of an installed package; returns the folder to put on the search path."""
    site = folder / "site"
    facts = site / "large_data-1.0.dist-info"
    facts.mkdir(parents=True, exist_ok=True)
    (site / "large_data_pictures.py").write_text(SOURCE)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: large-data\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[vae_search.sources]\npictures = large_data_pictures:Pictures\n")
    return site


def memory() -> dict[str, int]:
    """Bytes of this process: own pages, pages of mapped files, and what RLIMIT_DATA counts."""
    lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
    wanted = ("RssAnon:", "RssFile:", "VmData:")
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines if words[0] in wanted}


class Peak:
    """The most of each kind of memory so far."""

    def __init__(self) -> None:
        self.bytes: dict[str, int] = {}
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            for name, size in memory().items():
                self.bytes[name] = max(size, self.bytes.get(name, 0))
            time.sleep(0.02)


def task_of(folder: Path, *, held_bytes: int | None) -> TrainingTask:
    """The pictures, of which a few are held out: scoring more would only take time."""
    spec = DataSpec.model_validate(
        {"source": "plugin:pictures", "binarize": "threshold", "validation": 2000, "test": 1000}
    )
    return TrainingTask.of(load_dataset(spec, cache=folder / "cache", held_bytes=held_bytes))


def trainer_of(task: TrainingTask):
    """A trainer of one thread, and the plan of a run."""
    from vae_search.vae.training.plan import TrainingPlan
    from vae_search.vae.training.trainer import Trainer

    plan = TrainingPlan(
        epochs=EPOCHS, lr_schedule="constant", ema_decay=0.999, log_variance_clamp=(-6.0, 2.0), likelihood="bernoulli"
    )
    return Trainer(task, threads=1), plan


def say(**facts: object) -> None:
    """One line of JSON for the parent."""
    print(json.dumps(facts), flush=True)


def train_within(folder: Path, limit_bytes: int, *, resumes: bool) -> None:
    """Child: limit the process, train, keep the state of every epoch, and tell what the weights are."""
    resource.setrlimit(resource.RLIMIT_DATA, (limit_bytes, limit_bytes))
    peak, began = Peak(), time.monotonic()
    task = task_of(folder, held_bytes=None)
    say(
        phase="opened",
        seconds=time.monotonic() - began,
        mapped=task.memory_bytes == 0,
        bytes=task.train.nbytes,
        peak=peak.bytes,
    )
    trainer, plan = trainer_of(task)
    run = trainer.start(CONFIG, plan, seed=3)
    kept = folder / "state.npz"
    if resumes:
        with np.load(kept) as arrays:
            state = dict(arrays)
        told = json.loads((folder / "measurements.json").read_text())
        run.restore(state, [EpochMeasurement(**fields) for fields in told])
    while run.epoch < EPOCHS:
        measured = run.train_epoch()
        if run.epoch == 1 and not resumes:
            np.savez(kept, **run.state())
            fields = {name: getattr(measured, name) for name in measured.__dataclass_fields__}
            (folder / "measurements.json").write_text(json.dumps([fields]))
        say(phase="epoch", epoch=run.epoch, seconds=measured.wall_s, cpu_s=measured.cpu_s)
    run.scores()
    state = run.state()
    digest = hashlib.sha256(b"".join(state[name].tobytes() for name in sorted(state))).hexdigest()
    say(phase="done", digest=digest, peak=peak.bytes)


def child(folder: Path, site: Path, images: int, *arguments: str) -> subprocess.Popen[str]:
    """Start this script as a child that sees so many pictures."""
    path = os.pathsep.join([str(HERE.parent), str(site)])
    environment = os.environ | {"PYTHONPATH": path, "LARGE_DATA_IMAGES": str(images)}
    command = [sys.executable, __file__, "--folder", str(folder), *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def lines_of(process: subprocess.Popen[str]) -> list[dict[str, object]]:
    """All that a child says; it must end well."""
    told = []
    for line in process.stdout or []:
        told.append(json.loads(line))
        print("  ", line.rstrip()[:200], flush=True)
    if process.wait() != 0:
        raise SystemExit(f"a child ended with {process.returncode}")
    return told


def limit(folder: Path, site: Path, limit_bytes: int) -> dict[str, object]:
    """Train, kill, go on; the bits, and the peak."""
    images = int(TIMES * limit_bytes / IMAGE_BYTES)
    arguments = ("--child", "whole", "--limit-bytes", str(limit_bytes))
    print(f"{images:,} images, {images * IMAGE_BYTES / 2**30:.2f} GiB; limit {limit_bytes / 2**30:.2f} GiB", flush=True)
    whole = lines_of(child(folder, site, images, *arguments))
    (folder / "state.npz").unlink()
    print("one that is killed", flush=True)
    killed = child(folder, site, images, *arguments)
    for line in killed.stdout or []:
        told = json.loads(line)
        if told["phase"] == "epoch":
            time.sleep(told["seconds"] / 3)  # somewhere in the epoch after it
            break
    killed.kill()
    killed.wait()
    print("one that goes on", flush=True)
    resumed = lines_of(child(folder, site, images, "--child", "resumes", "--limit-bytes", str(limit_bytes)))
    return {
        "limit_bytes": limit_bytes,
        "images": images,
        "image_bytes": images * IMAGE_BYTES,
        "times_the_limit": images * IMAGE_BYTES / limit_bytes,
        "decoding_s": whole[0]["seconds"],
        "opening_s": resumed[0]["seconds"],
        "epoch_s": [line["seconds"] for line in whole if line["phase"] == "epoch"],
        "same_bits_after_a_kill": whole[-1]["digest"] == resumed[-1]["digest"],
        "peak_bytes": whole[-1]["peak"],
    }


def speed(folder: Path) -> None:
    """Child: one epoch from memory, one from files, one from files that must be read from the disk, and so on."""
    tasks = {"memory": task_of(folder, held_bytes=2**40), "files": task_of(folder, held_bytes=0)}
    tasks["cold files"] = task_of(folder, held_bytes=0)
    runs = {}
    for name, task in tasks.items():
        trainer, plan = trainer_of(task)
        runs[name] = trainer.start(CONFIG, plan, seed=3)
        runs[name].train_epoch()  # compiles
    measured: dict[str, list[EpochMeasurement]] = {name: [] for name in runs}
    resident = {}
    for repeat in range(SPEED_REPEATS):
        for name in [*runs][repeat % 3 :] + [*runs][: repeat % 3]:
            if name == "cold files":
                resident["after"] = drop_pages(folder)
            measured[name].append(runs[name].train_epoch())
    report: dict[str, object] = {"pages_left_when_dropped": resident}
    for kind in ("wall_s", "cpu_s"):
        taken = {name: [getattr(epoch, kind) for epoch in epochs] for name, epochs in measured.items()}
        report[kind] = taken
        for name in ("files", "cold files"):
            ratios = [one / other for one, other in zip(taken[name], taken["memory"], strict=True)]
            report[f"{kind} of {name} / memory"] = {"ratios": ratios, "median": statistics.median(ratios)}
    say(**report)


def drop_pages(folder: Path) -> float:
    """Take the images out of the page cache; returns the share that stays there all the same."""
    from vae_search.data.random_access import mapped_images

    (path,) = folder.glob("cache/images/*/train.pixels")
    for pages in [each for each in gc.get_objects() if isinstance(each, mapped_images.MappedImages)]:
        pages._pages.madvise(mmap.MADV_DONTNEED)  # else they count as in use
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return resident_share(path)


def resident_share(path: Path) -> float:
    """Share of a file that is in the page cache, by mincore(2)."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as pages:
        flags = np.zeros(-(-len(pages) // mmap.PAGESIZE), np.uint8)
        view = np.frombuffer(pages, np.uint8)
        ctypes.CDLL(None).mincore(
            ctypes.c_void_p(view.ctypes.data), ctypes.c_size_t(len(pages)), ctypes.c_void_p(flags.ctypes.data)
        )
        share = float((flags & 1).mean())
        del view
    return share


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="with room for five times the limit; default: a temporary one")
    parser.add_argument("--limit-gib", type=float, default=1.1, help="TensorFlow alone takes half of it")
    parser.add_argument("--part", choices=("limit", "speed"), help="default: both")
    parser.add_argument("-o", "--output", type=Path, default=HERE / "results" / "large_data.json")
    parser.add_argument("--child", choices=("whole", "resumes", "speed"), help=argparse.SUPPRESS)
    parser.add_argument("--limit-bytes", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child == "speed":
        speed(arguments.folder)
        return
    if arguments.child is not None:
        train_within(arguments.folder, arguments.limit_bytes, resumes=arguments.child == "resumes")
        return
    report = json.loads(arguments.output.read_text()) if arguments.output.exists() else {}
    for part in ("limit", "speed") if arguments.part is None else (arguments.part,):
        folder = Path(tempfile.mkdtemp(prefix="large-data-", dir=arguments.folder))
        try:
            site = install(folder)
            if part == "limit":
                report["limit"] = limit(folder, site, int(arguments.limit_gib * 2**30))
                print(json.dumps(report["limit"], indent=1))
            else:
                (told,) = lines_of(child(folder, site, SPEED_IMAGES, "--child", "speed"))
                report["speed"] = {"images": SPEED_IMAGES, "image_bytes": SPEED_IMAGES * IMAGE_BYTES, **told}
        finally:
            shutil.rmtree(folder)
    report["machine"] = describe_machine()
    arguments.output.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
