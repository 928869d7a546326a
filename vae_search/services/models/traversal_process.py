"""Child process that decodes a traversal; started by `traversals.py`.

`python -m vae_search.services.models.traversal_process STORE MODEL VERSION FOLDER [--images]` writes the sheet and its
facts into the folder, or the error that it met.
"""

import json
import logging
import sys
from pathlib import Path

from vae_search.core.settings import cache_folder
from vae_search.errors import VaeSearchError
from vae_search.services.models import champions
from vae_search.services.models.champions import LoadedModel
from vae_search.services.models.galleries import TRAVERSED_IMAGES, HeldOut, Subject, held_out
from vae_search.services.models.traversals import FACTS, PROBLEM, SHEET
from vae_search.services.payloads import Facts
from vae_search.store.backends.base import Store
from vae_search.store.backends.uri import open_store

logger = logging.getLogger(__name__)


def main(location: str, model: str, number: int, folder: Path, *, with_images: bool) -> int:
    """Write the sheet and its facts into `folder`; the exit code."""
    try:
        store = open_store(location)
        version = champions.model_state(store, model).versions[number]
        loaded = champions.load_version(store, model, number, sha256=version.manifest_sha256)
        facts, sheet = _decoded(loaded, _images(store, loaded) if with_images else None)
    except VaeSearchError as error:
        problem = {"kind": type(error).__name__, "message": str(error)}
        (folder / PROBLEM).write_text(json.dumps(problem))
        return error.exit_code
    (folder / SHEET).write_bytes(sheet)
    (folder / FACTS).write_text(json.dumps(facts))
    return 0


def _images(store: Store, loaded: LoadedModel) -> HeldOut | None:
    """Held-out images that the model was made for; None if they cannot be had here: it is shown all the same."""
    try:
        held = held_out(store, Subject(model=loaded.model, data=loaded.data), cache_folder(), TRAVERSED_IMAGES)
    except VaeSearchError as error:
        logger.warning("the images cannot be read: %s", error)
        return None
    fit = held.images.shape[1:] == loaded.model.description.network.image_shape
    return held if fit else None  # else others lie there by now


def _decoded(loaded: LoadedModel, held: HeldOut | None) -> tuple[Facts, bytes]:
    from vae_search.vae.inference.image_grids import GAP_PIXELS, enlarged, sheet_png
    from vae_search.vae.inference.latent_units import moved_units

    moved = moved_units(loaded.model, *((None,) if held is None else (held.images, held.labels)))
    height, width = moved.images.shape[2:4]
    factor = enlarged(height, width)
    facts: Facts = {
        "model": loaded.name,
        "version": loaded.version,
        "latent_dim": loaded.model.latent_dim,
        "active_units": moved.active,
        "values": list(moved.values),
        "units": [
            {"unit": unit, "kl_nats": None if moved.kl_nats is None else moved.kl_nats[row], "change": change}
            for row, (unit, change) in enumerate(zip(moved.units, moved.change, strict=True))
        ],
        "tile_width": width * factor,
        "tile_height": height * factor,
        "gap": GAP_PIXELS,
    }
    return facts, sheet_png(moved.images)


if __name__ == "__main__":
    place, name, wanted, written, *options = sys.argv[1:]
    sys.exit(main(place, name, int(wanted), Path(written), with_images="--images" in options))
