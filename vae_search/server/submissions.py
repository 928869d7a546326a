"""Specs that come over HTTP: no code, no path and no address that the service was not told to allow.

A driver reads what `data.source` names, with the rights of the service's user and from its place in the network. So a
spec may name a built-in data set, images in the store, and what lies below a data root: a folder, or the beginning of
an address. Of networks that are not ours it may name what an installed package offers by an entry point.
"""

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from vae_search.core.text import shown
from vae_search.errors import InvalidSpec
from vae_search.services.checks.sweep_checks import check_limits
from vae_search.spec.document import parse_yaml
from vae_search.spec.fields import FAR, IN_STORE, NAMES, PLUGIN, installed_sources
from vae_search.spec.measures.metrics import refuse_unoffered
from vae_search.spec.networks.submitted import refuse_unpublished
from vae_search.spec.sections import DataSpec
from vae_search.spec.sweep_spec import SweepSpec, parse_spec

ORIGIN = "spec"
_SOURCE = ("data", "source")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataRoots:
    """Places below which the data of a spec may lie.

    Args:
        folders: resolved, without symbolic links.
        addresses: beginnings of https://, http://, s3:// or gs:// addresses, each with "/" at its end.
    """

    folders: tuple[Path, ...] = ()
    addresses: tuple[str, ...] = ()

    @classmethod
    def parse(cls, roots: Sequence[str]) -> "DataRoots":
        """Sort what a user gave with `--data-root`.

        Raises:
            InvalidSpec: One is no folder and no address.
        """
        addresses = tuple(root.rstrip("/") + "/" for root in roots if root.startswith(FAR))
        folders = []
        for root in roots:
            if root.startswith(FAR):
                continue
            folder = Path(root).expanduser()
            if "://" in root or not folder.is_dir():
                raise InvalidSpec(f"--data-root {root}: must be a folder, or begin with {', '.join(FAR)}.")
            folders.append(folder.resolve())
        return cls(folders=tuple(folders), addresses=addresses)

    def refusal(self, source: str, *, written: object, follow_links: bool = False) -> str | None:
        """Reason why a spec over HTTP may not name a source; None if it may.

        Args:
            source: as the spec has it, with an absolute path.
            written: as it stands in the text.
            follow_links: links out of the source would be followed.
        """
        if source in NAMES or source.startswith(IN_STORE):
            return None
        if source.startswith(PLUGIN):
            return self._plugin_refusal(source)
        if source.startswith(FAR):
            return None if self._is_below_address(source) else self._law("an address below a data root")
        if not (isinstance(written, str) and posixpath.isabs(written)):
            return "must be an absolute path, since a spec that comes over HTTP lies in no folder."
        if follow_links:
            return "must be read without data.follow_links, since what is read over HTTP stays in its data root."
        return None if self._is_below_folder(source) else self._law("a path below a data root")

    def refusal_of(self, data: DataSpec) -> str | None:
        """Reason why the images of a stored spec may not be read for somebody over HTTP; None if they may."""
        return self.refusal(data.source, written=data.source, follow_links=data.follow_links)

    def _plugin_refusal(self, source: str) -> str | None:
        installed = installed_sources()
        there = f"Installed are {', '.join(installed[:5])}." if installed else "None is installed."
        return None if source in installed else f"must be a data set of a package that is installed here. {there}"

    def _is_below_address(self, source: str) -> bool:
        plain = unquote(unquote(source))
        parts = plain.partition("://")[2].split("/")
        return not {".", ".."} & {*parts} and "\\" not in plain and source.startswith(self.addresses)

    def _is_below_folder(self, source: str) -> bool:
        try:
            real = Path(source).resolve()
        except (OSError, RuntimeError, ValueError):
            return False
        return any(real.is_relative_to(folder) for folder in self.folders)

    def _law(self, what: str) -> str:
        roots = [*map(str, self.folders), *self.addresses]
        given = f"The data roots are {', '.join(roots[:5])}." if roots else "This service has no data roots."
        return f"must be one of {', '.join(NAMES)}, images in the store, or {what}. {given}"


def checked_spec(content: bytes, roots: DataRoots) -> tuple[SweepSpec, str]:
    """A spec that may be queued, and its text: YAML, or JSON, which is YAML.

    Raises:
        InvalidSpec: It is wrong, or names what it may not; one line for each mistake.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InvalidSpec(
            f"{ORIGIN}:{line}: a spec is UTF-8 text, but here is byte {content[error.start]:#04x}."
        ) from error
    spec = parse_spec(text, origin=ORIGIN, base=Path("/"), over_http=True)
    if spec.data.source not in NAMES:
        document = parse_yaml(text, origin=ORIGIN)
        data = document.tree.get("data")
        written = data.get("source") if isinstance(data, dict) else None
        if (
            reason := roots.refusal(spec.data.source, written=written, follow_links=spec.data.follow_links)
        ) is not None:
            raise document.refusal([(_SOURCE, f"{reason} Got {shown(written)}.")])
    refuse_own_code(spec)
    check_limits(spec)
    return spec, text


def refuse_own_code(spec: SweepSpec) -> None:
    """Refuse networks and metrics that no installed package offers to specs over HTTP.

    Raises:
        InvalidSpec: There is one.
    """
    refuse_unpublished(spec.search_space)
    refuse_unoffered(spec.metrics)
