"""Labels of new images as a conditional model numbers its classes."""

import numpy as np

from vae_search.core.dataset_summary import Classes
from vae_search.core.text import first_few
from vae_search.data.labelling.part_labels import WHERE_LABELS_ARE
from vae_search.errors import BadData

_MOST_SHOWN = 5


def labels_for_model(labels: np.ndarray | None, names: tuple[str, ...], *, known: Classes, where: str) -> np.ndarray:
    """Labels of new images in a model's own numbers: by name where both have names, else by number.

    Class folders are numbered by their names' order, and a folder that is missing among the new images moves all others
    behind it; so names decide. A model without names knows numbers alone: folders called by them are these classes.

    Args:
        labels: (count,) of the new images; None if they have none.
        names: of their classes, by number; empty if their source names none.
        known: the model's classes.

    Raises:
        BadData: They have no labels, or one is none of the model's classes.
    """
    if labels is None:
        raise BadData(f"{where}: the model sees the label of each image, but these have none.\n{WHERE_LABELS_ARE}")
    here = [int(number) for number in np.unique(labels)]
    words = {number: names[number] if names else str(number) for number in here}
    number_of = known.named if names and known.names else known.numbered
    numbers = {number: number_of(words[number]) for number in here}
    if unknown := [words[number] for number, found in numbers.items() if found is None]:
        raise BadData(
            f"{where}: labels must be classes that the model knows, but these are not: "
            f"{first_few(unknown, _MOST_SHOWN)}.\n{known.hint(unknown[0])}"
        )
    to_model = np.zeros(here[-1] + 1, np.int64)
    to_model[here] = [number for number in numbers.values() if number is not None]
    found: np.ndarray = to_model[labels]
    return found
