"""Figures for pages: the report's plots as plotly.js draws them, and the script that draws."""

from importlib.util import find_spec
from pathlib import Path


def plotly_script() -> bytes:
    """The text of plotly.js, as the installed plotly package ships it; the package itself is not loaded."""
    found = find_spec("plotly")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("plotly is not installed")
    return (Path(found.origin).parent / "package_data" / "plotly.min.js").read_bytes()
