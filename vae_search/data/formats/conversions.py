"""Lines that convert what is not read into what is: for files whose readers run code, or that nobody here can read."""

from pathlib import Path

from vae_search.core.text import printable

# By ending, the longest first. {name} is the file's own name.
LINES: dict[str, str] = {
    ".pkl.gz": "a = pickle.load(gzip.open('{name}'), encoding='latin1'); numpy.save('x.npy', a[0][0])  # or where "
    "the images are in a",
    ".pkl": "a = pickle.load(open('{name}', 'rb'), encoding='latin1'); numpy.save('x.npy', a[0][0])  # or where "
    "the images are in a",
    ".pt": "a = torch.load('{name}', weights_only=True); numpy.save('x.npy', (a[0] if isinstance(a, tuple) else "
    "a).numpy())",
    ".zarr": "numpy.save('x.npy', zarr.open('{name}', mode='r')['{inside}'][:])",
    ".arrow": "datasets.Dataset.from_file('{name}').to_parquet('x.parquet')",
    ".nii": "numpy.save('x.npy', numpy.moveaxis(nibabel.load('{name}').get_fdata(), -1, 0))  # then into [0, 1]",
    ".mp4": "ffmpeg -i '{name}' frames/%06d.png  # and give the folder frames",
    ".rar": "unpack it, and give the folder",
}
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
    ".zst": ".rar",
}


def conversion(path: Path) -> str:
    """Advice on a file or folder that is not read, on a line of its own; empty if none is known."""
    name = path.name.lower()
    endings = sorted([*LINES, *SAME], key=len, reverse=True)
    ending = next((ending for ending in endings if name.endswith(ending)), None)
    if ending is None:
        return ""
    line = LINES[SAME.get(ending, ending)]
    inside = _zarr_array(path) if ending == ".zarr" else ""
    if ending == ".zarr" and not inside:
        line = line.replace("['{inside}']", "")
    return f"\n{line.format(name=printable(path.name, 100), inside=inside)}"


def is_zarr(folder: Path) -> bool:
    """True for a folder that zarr wrote."""
    return any((folder / name).is_file() for name in (".zarray", ".zgroup", "zarr.json")) or _zarr_array(folder) != ""


def _zarr_array(folder: Path) -> str:
    """Name of the largest array of a zarr group; empty for an array."""
    found = [file.parent for name in (".zarray", "zarr.json") for file in folder.glob(f"*/{name}")]
    largest = max(found, key=lambda array: sum(file.stat().st_size for file in array.rglob("*")), default=None)
    return "" if largest is None else printable(largest.name)
