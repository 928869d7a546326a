"""Scores of a version on images that it was not chosen by."""

from dataclasses import dataclass
from pathlib import Path

from vae_search.errors import BadData, InvalidSpec
from vae_search.services.models import champions
from vae_search.spec.fields import located
from vae_search.store.backends.base import Store

MOVED_DRAW = (
    "The test images are not binarised as in the literature, since data.validation is not the data set's usual number; "
    "published scores do not compare."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """A version on images that it was not chosen by; nats per image."""

    model: str
    version: int
    source: str
    images: int
    neg_elbo: float
    distortion: float
    rate: float
    neg_iwae: float
    iwae_k: int
    standard_error: float
    """of `neg_iwae`"""
    conditional: bool = False
    """scores are of -log p(x given its label)"""
    remark: str | None = None
    """on what the scores may be compared with"""


def evaluate(store: Store, address: str, *, source: str | None, cache: Path) -> Evaluation:
    """Score a version on the test images that it was made for, or on other images.

    Args:
        source: of other images: all of them are scored, or its test images if it says which those are; default: the
            model's own data.

    Raises:
        BadData: The images cannot be used, have another shape or other levels than the model's, or no labels that a
            conditional one knows.
        InvalidSpec, NotFound, CorruptStore: As for `champions.load`.
    """
    from vae_search.data.labelling.model_labels import labels_for_model
    from vae_search.data.tasks import JudgeTask
    from vae_search.services.datasets import open_dataset, open_new_images

    loaded = champions.load(store, address)
    try:
        name = loaded.data.source if source is None else located(source, Path.cwd())
    except ValueError as error:
        raise InvalidSpec(f"--data: {error}") from error
    if name == loaded.data.source:  # split as the model's own: the images that it was trained on stay out
        dataset = open_dataset(store, loaded.data, cache=cache)
        task, remark = JudgeTask.of_test(dataset), MOVED_DRAW if dataset.moved_draw else None
    else:
        scaling = None if loaded.images is None else loaded.images.scaling
        found = open_new_images(store, name, like=loaded.data, scaling=scaling, cache=cache)
        known = loaded.model.known_classes
        labels = labels_for_model(found.labels, found.class_names, known=known, where=name) if known.counts else None
        task, remark = JudgeTask(images=found.pixels, pixels=found.statistics, labels=labels), None
    from vae_search.vae.inference.scoring import judge

    description, shape = loaded.model.description, task.images.shape[1:]
    if description.network.image_shape != shape:
        wanted = description.network.image_shape
        raise BadData(f"{name}: images must have the model's shape {wanted}, but have {shape}.")
    if description.levels != task.pixels.levels:
        levels = task.pixels.levels
        raise BadData(f"{name}: pixels must have the model's {description.levels} levels, but have {levels}.")
    judged = judge(loaded.model.trained, description, task)
    return Evaluation(
        model=loaded.name,
        version=loaded.version,
        source=name,
        images=len(judged.iwae),
        neg_elbo=float(judged.neg_elbo.mean()),
        distortion=float(judged.distortion.mean()),
        rate=float(judged.rate.mean()),
        neg_iwae=-float(judged.iwae.mean()),
        iwae_k=judged.iwae_k,
        standard_error=judged.standard_error,
        conditional=bool(loaded.model.classes),
        remark=remark,
    )
