"""A current folder in which files have the names of libraries, and of this package."""

from pathlib import Path

NAMES = ("random", "numpy", "keras", "json", "tensorflow")


def put_hostile_modules(folder: Path, *, package: bool) -> None:
    """Let whoever imports from `folder` fail.

    Args:
        package: put a `vae_search` there, too.
    """
    for name in NAMES:
        (folder / f"{name}.py").write_text(f"raise ImportError('{name}.py of the current folder was imported')\n")
    if package:
        (folder / "vae_search").mkdir()
        (folder / "vae_search" / "__init__.py").write_text("raise ImportError('another vae_search was imported')\n")
