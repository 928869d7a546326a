"""Code of the guide to networks of one's own, laid out as its page says: modules, and a package's metadata."""

import re
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from vae_search.spec.own_code import code_loading

PAGE = ROOT / "docs" / "guides" / "own_networks.md"


def lay_out(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Write the page's modules and entry points into a folder that this process finds them in, until the patch ends."""
    content = PAGE.read_text(encoding="utf-8")
    for name, text in re.findall(r"^```python\n# (\w+\.py)(.*?)^```$", content, re.MULTILINE | re.DOTALL):
        (folder / name).write_text(f"#{text}")
    metadata = folder / "my_rings-0.1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: my-rings\nVersion: 0.1\n")
    (group, points), *_ = re.findall(r'^```toml\n\[project\.entry-points\."(.*?)"\]\n(.*?)^```$', content, re.M | re.S)
    (metadata / "entry_points.txt").write_text(f"[{group}]\n{points.replace(chr(34), '')}")
    patch.syspath_prepend(str(folder))
    patch.setattr(code_loading, "_places", {})
    patch.setattr(code_loading, "_provided", {})
