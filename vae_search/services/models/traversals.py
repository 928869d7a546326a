"""Latent traversals for readers in a browser, decoded in a child process, so that a service loads no TensorFlow."""

import hashlib
import json
import sys
from dataclasses import dataclass
from typing import Any

from vae_search import errors
from vae_search.core.scratch import scratch_folder
from vae_search.core.text import printable
from vae_search.errors import CorruptStore, NotFound, ProcessLost, VaeSearchError
from vae_search.registry import model_paths
from vae_search.registry.version_files import CARD_FILE
from vae_search.services.children.programs import ended
from vae_search.services.models.champions import model_state
from vae_search.services.payloads import Facts
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import Store
from vae_search.store.backends.json_records import from_json_bytes

TIMEOUT_S = 180.0  # TensorFlow starts in 5 s, and a far data set may have to be fetched first
SHEET, FACTS, PROBLEM = "sheet.png", "facts.json", "problem.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionKey:
    """A version's content: what was decoded of it holds as long as this does.

    Args:
        sha256: of its manifest, which stands for all files.
        source: of the images that it was made for.
        follow_links: whether links were followed out of their folder.
    """

    model: str
    number: int
    sha256: str
    source: str
    follow_links: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Traversal:
    """The decoded units of a version.

    Args:
        facts: the units with their KL, the values, and where their tiles lie on the sheet, in pixels.
        sheet: PNG with a unit in each row and a value in each column.
    """

    facts: Facts
    sheet: bytes


def version_key(store: Store, model: str, number: int) -> VersionKey:
    """The content of a version, from its manifest and card.

    Raises:
        NotFound: There is no such model, or no whole version of this number.
        CorruptStore: Its card is damaged.
    """
    version = model_state(store, model).versions.get(number)
    folder = model_paths.version(model, number)
    if version is None:
        raise NotFound(f"model {model}: there is no version {number}.")
    try:
        manifest, card = store.read(store_paths.manifest(folder)), store.read(f"{folder}/{CARD_FILE}")
    except NotFound:
        raise NotFound(f"model {model}: version {number} has no files.") from None
    fields: Any = from_json_bytes(card, where=f"{folder}/{CARD_FILE}")
    try:
        source, follow_links = str(fields["data"]["source"]), bool(fields["data"].get("follow_links", False))
    except (KeyError, TypeError) as error:
        raise CorruptStore("names no data.", path=f"{folder}/{CARD_FILE}") from error
    sha256 = hashlib.sha256(manifest).hexdigest()
    return VersionKey(model=model, number=number, sha256=sha256, source=source, follow_links=follow_links)


def decoded(location: str, model: str, number: int, *, with_images: bool, timeout_s: float = TIMEOUT_S) -> Traversal:
    """Decode the latent units of a version in a child process.

    Args:
        location: of the store.
        with_images: whether the images that it was made for may be read: they tell the KL of each unit.

    Raises:
        VaeSearchError: What the child met.
        ProcessLost: It took too long, or ended without a word.
    """
    with scratch_folder("traversal-") as folder:
        output = folder / "out"
        output.mkdir()
        command = [sys.executable, "-P", "-m", "vae_search.services.models.traversal_process"]
        command += [location, model, str(number), str(output), *(["--images"] if with_images else [])]
        done = ended(command, folder=folder, timeout_s=timeout_s, what="the decoding of the traversal")
        if done.returncode == 0:
            return Traversal(facts=json.loads((output / FACTS).read_bytes()), sheet=(output / SHEET).read_bytes())
        if (output / PROBLEM).is_file():
            problem = json.loads((output / PROBLEM).read_bytes())
            kind: type[VaeSearchError] = getattr(errors, problem["kind"])
            raise kind(problem["message"])
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    raise ProcessLost(f"the process that decodes the traversal was lost: {printable(last, 300)}")
