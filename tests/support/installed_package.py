"""Packages that are as good as installed: modules and metadata in a folder on the search path."""

import importlib
import sys
from pathlib import Path

import pytest


def install(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, name: str, code: str, entry_points: str, version: str = "1.0"
) -> Path:
    """Install a package of one module in `folder`, for this process and those that it starts; returns the module.

    Args:
        name: of the package; its module has underscores for hyphens.
        entry_points: contents of `entry_points.txt`.
    """
    module = folder / f"{name.replace('-', '_')}.py"
    module.parent.mkdir(parents=True, exist_ok=True)
    module.write_text(code)
    facts = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    facts.mkdir(exist_ok=True)
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (facts / "entry_points.txt").write_text(entry_points)
    (facts / "RECORD").write_text(f"{module.name},,\n")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, module.stem, raising=False)
    importlib.invalidate_caches()
    return module
