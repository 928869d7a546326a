"""Lifecycle of models: promote from a sweep, list, roll back, load."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vae_search.core.dataset_summary import DatasetSummary
from vae_search.errors import Conflict, CorruptStore, InvalidSpec, NotFound
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
from vae_search.spec.sections import DataSpec
from vae_search.spec.sweep_spec import SweepSpec
from vae_search.store.backends.base import Store
from vae_search.store.backends.json_records import from_json_bytes
from vae_search.store.sweeps import beginning, sweep_record
from vae_search.vae.quiet_import import native_remarks_hidden

if TYPE_CHECKING:
    from vae_search.data.dataset import Dataset
    from vae_search.vae.inference.model import VaeModel


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
