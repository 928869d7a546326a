"""Lifecycle of models: promote from a sweep, list, roll back, load, evaluate."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vae_search.core.dataset_summary import DatasetSummary
from vae_search.errors import BadData, Conflict, CorruptStore, InvalidSpec, NotFound
from vae_search.registry import model_paths
from vae_search.registry.log import model_names
from vae_search.registry.promotion.model_backend import ModelBackend
from vae_search.registry.promotion.pipeline import Decision, promote_best
from vae_search.registry.registry import ModelAddress, Registry
from vae_search.registry.state import ModelState
from vae_search.registry.version_files import CARD_FILE, read_version
from vae_search.services.checks.promotion_rules import policy_of
from vae_search.services.models.local_backend import LocalBackend
from vae_search.services.models.remote_backend import RemoteBackend
from vae_search.spec.fields import located
from vae_search.spec.sections import DataSpec
from vae_search.spec.sweep_spec import SweepSpec
from vae_search.store.backends.base import Store
from vae_search.store.backends.json_records import from_json_bytes
from vae_search.store.sweeps import beginning, sweep_record
from vae_search.vae.quiet_import import native_remarks_hidden

if TYPE_CHECKING:
    from vae_search.data.dataset import Dataset
    from vae_search.vae.inference.model import VaeModel


MOVED_DRAW = (
    "The test images are not binarised as in the literature, since data.validation is not the data set's usual number; "
    "published scores do not compare."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """A version, ready for use, and the data that it was made for.

    Args:
        images: summary of that data; None for versions from before there was any.
    """

    name: str
    version: int
    model: "VaeModel"
    data: DataSpec
    images: DatasetSummary | None


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


def promote(
    store: Store,
    sweep: str,
    *,
    model: str | None = None,
    spec: SweepSpec | None = None,
    cache: Path,
    address: str | None = None,
    actor: str | None = None,
) -> Decision:
    """Let a sweep's finalists ask to become champion. Asking again changes nothing.

    Args:
        model: default: what the spec names.
        spec: with the rules; default: what the sweep was last run with.
        cache: folder for downloaded data sets.
        address: of a cluster on a node of which models are measured; None: in this process.
        actor: who asks; None if the sweep's driver does.

    Raises:
        NotFound: There is no such sweep, or none of its confirm runs has completed.
        InvalidSpec: Neither the spec nor the caller names a model.
        Conflict: The images have changed, the champion was judged on others, or a candidate would have to be measured
            and the sweep's own scores are of another version of the metric.
    """
    record, spec = sweep_record.read(store, sweep), spec or sweep_record.latest_spec(store, sweep)
    name = model or (spec.promote.model if spec.promote else None)
    if name is None:
        raise InvalidSpec(
            f"sweep {sweep}: its spec has no promote.model. Name the model: `vae-search promote {sweep} --model NAME`."
        )
    rules = policy_of(spec)

    def load() -> "Dataset":
        from vae_search.data.comparability import METRIC_VERSION, comparability_key
        from vae_search.services.datasets import open_dataset

        beginning.check_metric(record, METRIC_VERSION)
        dataset = open_dataset(store, spec.data, cache=cache)
        if comparability_key(dataset, likelihood=spec.likelihood) != record.comparability_key:
            raise Conflict(
                f"sweep {sweep}: the images at {spec.data.source} have changed since it began. Restore them."
            )
        return dataset

    def on_node(dataset: "Dataset") -> "Callable[[], Dataset] | None":
        from vae_search.services.models.node_images import NodeImages

        images = NodeImages.of(dataset, spec.data, store, cache=cache)
        return None if images is None else images.dataset

    with ExitStack() as stack:
        backend: ModelBackend
        if address is None:
            backend = LocalBackend(load, fit_prior=rules.fit_prior)
        else:
            backend = RemoteBackend(
                load, on_node=on_node, address=address, resources=spec.resources, stack=stack, fit_prior=rules.fit_prior
            )
        return promote_best(
            store, sweep, model=name, rules=rules, backend=backend, now=lambda: datetime.now(UTC), actor=actor
        )


def model_states(store: Store) -> tuple[list[ModelState], list[str]]:
    """All models of the store, by name, and the problems of those whose log is damaged."""
    states, troubles = [], []
    for name in model_names(store):
        try:
            states.append(_registry(store, name).state())
        except CorruptStore as error:
            troubles.append(str(error))
    return [state for state in states if state.entries], troubles


def model_state(store: Store, model: str) -> ModelState:
    """A model with its history.

    Raises:
        NotFound: There is no such model.
        CorruptStore: Its log is damaged.
    """
    state = _registry(store, model).state()
    if not state.entries:
        raise NotFound(f"no model {model!r} in {store.location}. `vae-search models` lists the models.")
    return state


def roll_back(store: Store, model: str, *, to: int | None, why: str, actor: str | None = None) -> int:
    """Make an older version champion again; the version that is champion now.

    Args:
        actor: who wants it.

    Raises:
        NotFound: There is no such model or version.
        CorruptStore: The log or the version is damaged.
    """
    model_state(store, model)
    return _registry(store, model, actor=actor).roll_back(to, why=why)


def is_model(store: Store, address: str) -> bool:
    """True if `address` means a model and not a sweep or trial.

    A model's name goes first, unless it has no champion yet: then the name may mean a sweep, whose candidates were
    refused.
    """
    if "/" in address:
        return False
    if ":" in address or "@" in address:
        return True
    if not store.list(model_paths.model_log(address)):
        return False
    return _registry(store, address).state().champion is not None or not _is_sweep(store, address)


def load(store: Store, address: str) -> LoadedModel:
    """A version's model, every byte checked against the log. No code is loaded.

    Args:
        address: `fashion`, `fashion@champion` or `fashion:3`.

    Raises:
        InvalidSpec: It is no such address.
        NotFound: There is no such model or version.
        CorruptStore: Its files are damaged, or not what this program can build.
    """
    wanted = ModelAddress.parse(address)
    state = model_state(store, wanted.model)
    number = wanted.resolve(state)
    return load_version(store, wanted.model, number, sha256=state.versions[number].manifest_sha256)


def load_version(store: Store, model: str, number: int, *, sha256: str | None) -> LoadedModel:
    """The model of one version; see `load`.

    Args:
        sha256: of its manifest, from the log; None for a version that has not been promoted yet.
    """
    files = read_version(store, model, number, sha256=sha256)
    with native_remarks_hidden():
        from vae_search.vae.inference.model import VaeModel
        from vae_search.vae.inference.saved_model import CONFIG_FILE, WEIGHTS_FILE
    where = model_paths.version(model, number)
    try:
        found = VaeModel.from_version(files[CONFIG_FILE], files[WEIGHTS_FILE], saved_model=files)
        card = from_json_bytes(files[CARD_FILE], where=where)
        data, images = _data_of(card), DatasetSummary.from_json(card.get("images"))
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptStore(f"{where}: cannot be loaded: {error}.") from error
    return LoadedModel(name=model, version=number, model=found, data=data, images=images)


def evaluate(store: Store, address: str, *, source: str | None, cache: Path) -> Evaluation:
    """Score a version on the test images that it was made for, or on other images.

    Args:
        source: of other images: all of them are scored, or its test images if it says which those are; default: the
            model's own data.

    Raises:
        BadData: The images cannot be used, have another shape or other levels than the model's, or no labels that a
            conditional one knows.
        InvalidSpec, NotFound, CorruptStore: As for `load`.
    """
    from vae_search.data.labelling.model_labels import labels_for_model
    from vae_search.data.tasks import JudgeTask
    from vae_search.services.datasets import open_dataset, open_new_images

    loaded = load(store, address)
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


def _data_of(card: Any) -> DataSpec:
    """The data that a version's card names."""
    fields = card["data"]
    return DataSpec(**{name: fields[name] for name in DataSpec.model_fields if name in fields})


def _is_sweep(store: Store, name: str) -> bool:
    try:
        sweep_record.read_stored(store, name)
    except NotFound:
        return False
    return True


def _registry(store: Store, model: str, *, actor: str | None = None) -> Registry:
    return Registry(store, model, now=lambda: datetime.now(UTC), actor=actor)
