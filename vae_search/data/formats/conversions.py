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
    "numpy.save('x.npy', (numpy.moveaxis(a, -1, 0) - a.min()) / numpy.ptp(a))",
    # All slices of a folder, each in a file of its own, on one scale.
    ".dcm": "import glob, pydicom, numpy; "
    "a = [pydicom.dcmread(n).pixel_array for n in sorted(glob.glob('*{ending}'))]; "
    "a = numpy.concatenate([p if p.ndim > 2 else p[None] for p in a]).astype('f4'); "
    "numpy.save('x.npy', (a - a.min()) / numpy.ptp(a))",
}
PAGES = (
    "import glob, os; from PIL import Image, ImageSequence; os.mkdir('pages'); "
    "[p.save(f'pages/{n}-{k:04}.tif') for n in glob.glob('*ENDING') "
    "for k, p in enumerate(ImageSequence.Iterator(Image.open(n)))]"
)
CIFAR100_BYTES = 2 + 3 * 32 * 32  # a record: the coarse label, the fine one, and the planes of a picture
_CIFAR100 = (
    "numpy.savez('x.npz', **{'x_' + n: PIXELS.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1) for n, r in a.items()}, "
    "**{'y_' + n: LABELS for n, r in a.items()})"
)
_RECORDS = f"numpy.fromfile(n + '.bin', 'u1').reshape(-1, {CIFAR100_BYTES})"
CIFAR100_BINARY = f"import numpy; a = {{n: {_RECORDS} for n in ('train', 'test')}}; " + _CIFAR100.replace(
    "PIXELS", "r[:, 2:]"
).replace("LABELS", "r[:, 1]")
CIFAR100_PICKLED = (
    "import numpy, pickle; a = {n: pickle.load(open(n, 'rb'), encoding='latin1') for n in ('train', 'test')}; "
    + _CIFAR100.replace("PIXELS", "r['data']").replace("LABELS", "r['fine_labels']")
)
HARMLESS = re.compile(r"[\w .,()+=@-]+")
SHELL: dict[str, str] = {
    ".mp4": "mkdir frames && ffmpeg -i '{name}' frames/%06d.png",
    ".rar": "mkdir images && 7z x -oimages '{name}'",
    ".zst": "mkdir images && tar --zstd -xf '{name}' -C images",
    ".gz": "gunzip -k '{name}'",
    ".heic": "magick mogrify -format png *{ending}",
    ".jp2": "magick mogrify -format png *{ending}",
    ".avif": "magick mogrify -format png *{ending}",
    ".svg": "magick mogrify -format png *{ending}",
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
    ".m4v": ".mp4",
    ".mpg": ".mp4",
    ".mpeg": ".mp4",
    ".wmv": ".mp4",
    ".7z": ".rar",
    ".heif": ".heic",
    ".jxl": ".avif",
    ".dicom": ".dcm",
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
        return "\n" + SHELL[kind].format(name=name, ending=ending)
    array = _zarr_array(path) if kind == ".zarr" else ""
    inside = f"['{in_command(array, 'ARRAY')}']" if array else ""
    return f'\npython -c "{PYTHON[kind].format(name=name, inside=inside, ending=ending)}"{UNSURE.get(kind, "")}'


def pages_conversion(name: str) -> str:
    """Command that makes a folder `pages` of all pictures with several pages or frames that end as this one does."""
    return f'python -c "{PAGES.replace("ENDING", in_command(Path(name).suffix, ".tif"))}"'


def cifar100_conversion(path: Path) -> str:
    """Command that makes `x.npz` of CIFAR-100, for its folder or a file of it; empty for anything else."""
    folder = path if path.is_dir() else path.parent
    binary = [folder / name for name in ("train.bin", "test.bin")]
    if all(file.is_file() and file.stat().st_size % CIFAR100_BYTES == 0 for file in binary):
        return f'python -c "{CIFAR100_BINARY}"' if path in (folder, *binary) else ""
    pickled = [folder / name for name in ("train", "test", "meta")]
    if all(file.is_file() for file in pickled) and path in (folder, *pickled):
        return f'python -c "{CIFAR100_PICKLED}"'
    return ""


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
