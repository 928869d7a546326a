"""Use case of a first spec for given images: look at them, choose, write it down."""

from collections.abc import Sequence
from pathlib import Path

from vae_search.core.text import printable
from vae_search.errors import BadData, InvalidSpec
from vae_search.services.datasets import open_dataset
from vae_search.spec.fields import FAR, IN_STORE, NAMES, PLUGIN
from vae_search.spec.starting.choices import Choice, fitting_choices
from vae_search.spec.starting.commented_spec import commented_spec, quoted
from vae_search.spec.sweep_spec import parse_spec
from vae_search.store.backends.base import Store

_LEAST = "name: {name}\ndata: {{source: {source}}}\nsearch_space: {{latent_dim: 2}}\nbudget: {{trials: 1, epochs: 1}}\n"
_CHOSEN = ("data.source", "data.binarize")


def fitted_spec(path: Path, *, name: str, source: str, overrides: Sequence[str], store: Store, cache: Path) -> str:
    """The text of a spec that fits its images.

    Args:
        path: of the spec's file; a path of images below its folder is written relative to it.
        name: of the sweep.
        source: as `data.source`, but a relative path starts at the current folder.
        overrides: `data.key=value` each, where images leave open how they are read.
        store, cache: see `services.datasets.open_dataset`.

    Raises:
        InvalidSpec: The name or an override is wrong.
        BadData: The images cannot be found or used.
    """
    if wrong := [text for text in overrides if not text.startswith("data.") or text.partition("=")[0] in _CHOSEN]:
        raise InvalidSpec(
            f"--set: must be a key of `data` that says how the images are read, such as data.resize, but got "
            f"{printable(wrong[0])}.\nEverything else can be changed in the file that is written."
        )
    least = _LEAST.format(name=quoted(name), source=quoted(source))
    data = parse_spec(least, origin="init", base=Path.cwd(), overrides=overrides).data
    # Cut at one half: what is asked of them here is the same however they are binarised, and nothing is drawn.
    looked_at = data.model_copy(update={"binarize": "threshold"})
    try:
        dataset = open_dataset(store, looked_at, cache=cache)
    except BadData as error:
        here = ' Here: --set "data.KEY=VALUE".' if "data." in str(error) else ""
        raise BadData(f"{error}{here}") from error
    try:
        is_open = data.validation is None and dataset.validation_is_open
        choices = fitting_choices(dataset.summary, validation_is_open=is_open)
    except BadData as error:
        raise BadData(f"{printable(data.source, 400)}: {error}") from error
    folder = path.absolute().parent
    first = Choice(key="data.source", value=quoted(_written(data.source, folder)), why="")
    asked = [
        Choice(key=f"data.{text.removeprefix('data.').partition('=')[0]}", value=text.partition("=")[2], why="as asked")
        for text in overrides
    ]
    last = Choice(key="promote.model", value=name, why="what the best becomes if it passes every gate")
    said = {choice.key for choice in asked}
    open_ones = [choice for choice in choices if choice.key not in said]
    text = commented_spec(name, path.name, dataset.summary.sentences, (first, *asked, *open_ones, last))
    parse_spec(text, origin=str(path), base=folder)
    return text


def _written(source: str, folder: Path) -> str:
    """The source as a spec in `folder` names it."""
    if source in NAMES or source.startswith((*FAR, IN_STORE, PLUGIN)):
        return source
    place = Path(source)
    if not place.is_relative_to(folder):
        return source
    within = place.relative_to(folder).as_posix()
    return within if "/" in within else f"./{within}"  # so that no folder's name is taken for a data set's
