"""Commands that convert what is not read: files whose readers run code, or need more than is installed here."""

import re
from pathlib import Path

# By ending: Python, run in the folder of the file; {name} is the file's own name.
PYTHON: dict[str, str] = {
    ".pkl.gz": "import gzip, pickle, numpy; a = pickle.load(gzip.open('{name}'), encoding='latin1'); "
    "numpy.save('x.npy', a[0][0])",
    ".pkl": "import pickle, numpy; a = pickle.load(open('{name}', 'rb'), encoding='latin1'); "
    "numpy.save('x.npy', a[0][0])",
    ".pt": "import torch, numpy; a = torch.load('{name}', weights_only=True); "
    "numpy.save('x.npy', (a[0] if isinstance(a, tuple) else a).numpy())",
    ".zarr": "import zarr, numpy; numpy.save('x.npy', zarr.open('{name}', mode='r'){inside}[:])",
    ".arrow": "import datasets; datasets.Dataset.from_file('{name}').to_parquet('x.parquet')",
    ".feather": "import pandas; pandas.read_feather('{name}').to_parquet('x.parquet')",
    ".nii": "import nibabel, numpy; a = nibabel.load('{name}').get_fdata(); "
    "numpy.save('x.npy', numpy.moveaxis(a, -1, 0) / a.max())",
    ".dcm": "import pydicom, numpy; a = pydicom.dcmread('{name}').pixel_array; numpy.save('x.npy', a)",
}
HARMLESS = re.compile(r"[\w .,()+=@-]+")
SHELL: dict[str, str] = {
    ".mp4": "mkdir frames && ffmpeg -i '{name}' frames/%06d.png",
    ".rar": "mkdir images && 7z x -oimages '{name}'",
    ".zst": "mkdir images && tar --zstd -xf '{name}' -C images",
    ".gz": "gunzip -k '{name}'",
    ".heic": "magick mogrify -format png *.heic",
    ".jp2": "magick mogrify -format png *.jp2",
    ".avif": "magick mogrify -format png *.avif",
    ".svg": "magick mogrify -format png *.svg",
}
UNSURE = {".pkl": "  # a[0][0] if the images are there", ".pkl.gz": "  # a[0][0] if the images are there"}
SAME = {
    ".pickle": ".pkl",
    ".pickle.gz": ".pkl.gz",
    ".pth": ".pt",
    ".nii.gz": ".nii",
    ".avi": ".mp4",
    ".mov": ".mp4",
    ".mkv": ".mp4",
    ".webm": ".mp4",
    ".7z": ".rar",
}


def conversion(path: Path) -> str:
    """Command that converts a file or folder that is not read, on a line of its own; empty if none is known."""
    lower = path.name.lower()
    endings = sorted([*PYTHON, *SHELL, *SAME], key=len, reverse=True)
    ending = next((ending for ending in endings if lower.endswith(ending)), None)
    if ending is None:
        return ""
    kind, name = SAME.get(ending, ending), in_command(path.name)
    if kind in SHELL:
        return "\n" + SHELL[kind].format(name=name)
    array = _zarr_array(path) if kind == ".zarr" else ""
    inside = f"['{in_command(array, 'ARRAY')}']" if array else ""
    return f'\npython -c "{PYTHON[kind].format(name=name, inside=inside)}"{UNSURE.get(kind, "")}'


def in_command(name: str, otherwise: str = "FILE") -> str:
    """A name as it may stand in a command that people copy; another word for one that a shell would read otherwise."""
    return name if HARMLESS.fullmatch(name) else otherwise


def is_zarr(folder: Path) -> bool:
    """True for a folder that zarr wrote."""
    return any((folder / name).is_file() for name in (".zarray", ".zgroup", "zarr.json")) or _zarr_array(folder) != ""


def _zarr_array(folder: Path) -> str:
    """Name of the largest array of a zarr group; empty for an array."""
    found = [file.parent for name in (".zarray", "zarr.json") for file in folder.glob(f"*/{name}")]
    largest = max(found, key=lambda array: sum(file.stat().st_size for file in array.rglob("*")), default=None)
    return "" if largest is None else largest.name
