"""A first sweep of a folder of pictures, by the commands that a person types: what is promoted, and what it looks like.

`init --data`, `run`, `sample` and `reconstruct`, with nothing set by hand. The folder is yours, or one that is made
here: 500 square crops of the two photographs that come with scikit-learn, of 64 to 256 pixels a side, brought to 64×64.
Those crops overlap, also from training to held-out ones, so their scores say nothing of other photographs; they show
whether the defaults lead to a model at all. The picture that is kept has samples above, and below them held-out images
with their reconstructions.

    python benchmarks/first_sweep.py
    python benchmarks/first_sweep.py --pictures FOLDER --work /tmp/first-sweep    # goes on if it is called again
"""

import argparse
import io
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from machine import describe_machine
from PIL import Image

RESULTS = Path(__file__).parent / "results"
COUNT, SIDE = 500, 64
LEAST, MOST = 64, 256  # pixels a side of a crop
SAMPLES, PAIRS = 64, 16  # that are shown


def make_crops(folder: Path) -> None:
    """Write the crops as PNG files, the same ones every time."""
    from sklearn.datasets import load_sample_images

    folder.mkdir(parents=True, exist_ok=True)
    photographs = [Image.fromarray(pixels) for pixels in load_sample_images().images]
    rng = np.random.default_rng(0)
    for number in range(COUNT):
        photograph, side = photographs[number % 2], int(rng.integers(LEAST, MOST + 1))
        left, top = (int(rng.integers(0, length - side + 1)) for length in photograph.size)
        crop = photograph.crop((left, top, left + side, top + side))
        crop.resize((SIDE, SIDE), Image.Resampling.LANCZOS).save(folder / f"{number:03d}.png")


def command(*words: str, folder: Path, may_end_with: tuple[int, ...] = (0,)) -> str:
    """What one `vae-search` command prints."""
    done = subprocess.run(
        [sys.executable, "-m", "vae_search", *words], cwd=folder, text=True, capture_output=True, check=False
    )
    if done.returncode not in may_end_with:
        raise SystemExit(f"vae-search {' '.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def first_sweep(pictures: Path, name: str, work: Path) -> dict[str, Any]:
    """Run the commands in `work`, whatever of them is still to be done; the figures of the finalist that was judged."""
    store = ("--store", "store")
    if not (work / f"{name}.yaml").exists():
        command("init", f"{name}.yaml", "--data", str(pictures), folder=work)
    goes_on, begin = (work / "store").exists(), time.monotonic()
    refused = 8  # no candidate passed
    command("run", f"{name}.yaml", *store, folder=work, may_end_with=(0, refused))
    seconds = time.monotonic() - begin
    log = json.loads(command("models", name, *store, "--json", folder=work))
    command("sample", name, "-n", str(SAMPLES), "-o", "samples.png", *store, folder=work)
    command("reconstruct", name, "-n", str(PAIRS), "-o", "pairs.png", *store, folder=work)
    query = "SELECT trial, state, epochs, neg_elbo, iwae, param_beta, param_latent_dim FROM trials ORDER BY trial"
    trials = json.loads(command("query", query, *store, "--json", folder=work))
    (RESULTS / f"first_sweep_{name}.png").write_bytes(
        stacked((work / "samples.png").read_bytes(), (work / "pairs.png").read_bytes())
    )
    entry: Mapping[str, Any] = log[-1]
    return {
        "promoted": entry["action"] == "promote",
        "reasons": entry["reasons"],
        "verdicts": entry["verdicts"],
        "seconds_of_run": None if goes_on else round(seconds),
        "spec": (work / f"{name}.yaml").read_text().splitlines(),
        "trials": trials,
    }


def stacked(*sheets: bytes) -> bytes:
    """The pictures one below the other, on white, as PNG."""
    images = [Image.open(io.BytesIO(sheet)).convert("RGB") for sheet in sheets]
    whole = Image.new("RGB", (max(of.width for of in images), sum(of.height for of in images)), "white")
    top = 0
    for image in images:
        whole.paste(image, (0, top))
        top += image.height
    buffer = io.BytesIO()
    whole.save(buffer, format="PNG")
    return buffer.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, help="a folder of pictures; default: crops that are made here")
    parser.add_argument("--name", help="of the sweep and in the results; default: the folder's, or crops")
    parser.add_argument("--work", type=Path, help="folder for spec and store, which is kept; default: a temporary one")
    options = parser.parse_args()
    name = options.name or (options.pictures.name if options.pictures else "crops")
    with tempfile.TemporaryDirectory() as temporary:
        work = (options.work or Path(temporary)).absolute()
        work.mkdir(parents=True, exist_ok=True)
        pictures = options.pictures.absolute() if options.pictures else work / "crops"
        if not options.pictures and not pictures.exists():
            make_crops(pictures)
        figures = first_sweep(pictures, name, work)
    path = RESULTS / "first_sweep.json"
    found = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(found | {name: figures, "machine": describe_machine()}, indent=1) + "\n")
    print(f"{name}: {'promoted' if figures['promoted'] else 'refused'}")
    for line in figures["reasons"]:
        print(f"    {line}")


if __name__ == "__main__":
    main()
