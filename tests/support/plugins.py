"""Packages of other people's, as an installer leaves them: a module, and the metadata that names its entry points."""

from pathlib import Path

import pytest

RINGS = """
from vae_search.spec.networks.family import Family
from vae_search.spec.networks.rule import Rule

SQUEEZE = Rule(kind=int, low=1, high=8, default=2, meaning="how much narrower the middle is")
RINGS = Family(
    layers="ring_layers:rings", meaning="a narrow middle", parameters={"squeeze": SQUEEZE}, ignores=("depth",)
)
"""
LAYERS = """
from math import prod

from vae_search.vae.networks.layers import Layer, activated

def rings(spec):
    height, width, _ = spec.image_shape
    sizes = [spec.width, spec.width // spec["squeeze"]]
    encoder = [Layer("flatten"), *activated("dense", sizes, spec.activation)]
    last = Layer("dense", spec.outputs_per_value * prod(spec.image_shape))
    return encoder, [*activated("dense", sizes[::-1], spec.activation), last, Layer("reshape", detail=(height, width))]
"""
POINTS = {"rings": "ring_family:RINGS"}


def install(
    folder: Path,
    patch: pytest.MonkeyPatch,
    *,
    name: str = "my-rings",
    points: dict[str, str] = POINTS,
    files: dict[str, str] | None = None,
) -> None:
    """Make a package findable, as if it were installed; the patch takes it away again."""
    write(folder, name=name, points=points, files=files)
    patch.syspath_prepend(str(folder))


def write(
    folder: Path, *, name: str = "my-rings", points: dict[str, str] = POINTS, files: dict[str, str] | None = None
) -> None:
    """Write a package's modules and metadata into a folder."""
    modules = {"ring_family.py": RINGS, "ring_layers.py": LAYERS} if files is None else files
    metadata = folder / f"{name.replace('-', '_')}-0.1.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1\n")
    lines = [f"{point} = {value}" for point, value in points.items()]
    (metadata / "entry_points.txt").write_text("\n".join(["[vae_search.families]", *lines]) + "\n")
    (metadata / "top_level.txt").write_text("".join(f"{Path(path).stem}\n" for path in modules))
    for path, text in modules.items():
        (folder / path).write_text(text)
