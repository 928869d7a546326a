"""Model configuration in JSON, read and written without TensorFlow."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from vae_search.core.dataset_summary import Classes
from vae_search.core.text import printable
from vae_search.data.image_checks import CHANNELS, LARGEST
from vae_search.data.labelling.source_labels import MOST_CLASSES
from vae_search.data.pixel_statistics import BINARY
from vae_search.data.tasks import ImageShape
from vae_search.spec.hyperparameters import Config, is_keras
from vae_search.spec.networks.family import BUILT_IN
from vae_search.vae.networks.layers import Layer, check_layers
from vae_search.vae.networks.network_spec import Layers, NetworkSpec

MODEL_FORMAT = 1
MAX_BYTES = 2**20  # of which names of a thousand classes may be the most
MOST_LEVELS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDescription:
    """Configuration that turns a model's weights into a model.

    Args:
        levels: its images' pixels are whole numbers 0 … levels - 1.
        clamp: of the encoder's log-variance.
        known_classes: of a conditional model, with their names; None in files from before they were kept.
    """

    network: NetworkSpec
    levels: int
    clamp: tuple[float, float]
    known_classes: Classes | None = None

    @property
    def likelihood(self) -> str:
        """Likelihood, found by the name that a spec gives."""
        return self.network.likelihood

    def to_json(self) -> bytes:
        """Canonical JSON."""
        network = _given(self.network)
        fields = {
            "format": MODEL_FORMAT,
            "likelihood": network.pop("likelihood"),
            "network": network,
            "log_variance_clamp": list(self.clamp),
        }
        if self.levels != BINARY:  # as it was before there were others
            fields["levels"] = self.levels
        if self.known_classes is not None:
            fields["classes"] = asdict(self.known_classes)
        return (json.dumps(fields, sort_keys=True, indent=1) + "\n").encode()

    @classmethod
    def from_json(cls, content: bytes) -> "ModelDescription":
        """The description of `to_json`; whoever wrote it is not trusted.

        Raises:
            ValueError: It is none, one of another format, or of a network that nobody can have searched for. One line.
        """
        if len(content) > MAX_BYTES:
            raise ValueError(f"a description must have at most {MAX_BYTES:,} bytes, but has {len(content):,}")
        try:
            fields = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"a description must be JSON, but: {printable(str(error))}") from error
        if not isinstance(fields, Mapping) or fields.get("format") != MODEL_FORMAT:
            raise ValueError(f"`format` must be {MODEL_FORMAT}, but got {printable(repr(fields))}")
        try:
            network = _network_of(likelihood=str(fields["likelihood"]), **fields["network"])
            low, high = (float(limit) for limit in fields["log_variance_clamp"])
            levels = fields.get("levels", BINARY) if network.likelihood == "bernoulli" else fields["levels"]
            known = _classes_of(fields.get("classes"), network)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"not a model's description: {printable(str(error), 200)}") from error
        if not -math.inf < low < high < math.inf:  # NaN fails, too
            raise ValueError(f"`log_variance_clamp` must be finite and rising, but got [{low}, {high}]")
        if type(levels) is not int or not BINARY <= levels <= MOST_LEVELS:
            law = f"`{BINARY} <= levels <= {MOST_LEVELS}` must hold for a whole number"
            raise ValueError(f"{law}, but got {levels!r:.80}")
        return cls(network=network, levels=levels, clamp=(low, high), known_classes=known)


def _classes_of(fields: object, network: NetworkSpec) -> Classes | None:
    """Classes that are those of the network.

    Raises:
        KeyError, TypeError, ValueError: They are none.
    """
    found = Classes.from_json(fields)
    if found is None:
        return None
    if len(found.counts) != network.classes or not any(found.counts):
        raise ValueError(f"`classes` must have {network.classes} counts, of which one is above 0")
    if any(type(count) is not int or count < 0 for count in found.counts):
        raise ValueError("counts of classes must be whole numbers from 0 on")
    if any(type(name) is not str for name in found.names):
        raise ValueError("names of classes must be text")
    return found


def _network_of(*, likelihood: str, image_shape: Sequence[int], **fields: Any) -> NetworkSpec:
    """A network within the limits of every search; without them a file could ask for 10^9 layers.

    Raises:
        TypeError: A field is missing, or one too many is there.
        ValueError: A field has the wrong type or lies outside its limits.
    """
    height, width, channels = image_shape
    for name, side in (("height", height), ("width", width), ("channels", channels)):
        most = LARGEST if name != "channels" else max(CHANNELS)
        if type(side) is not int or not 1 <= side <= most:
            raise ValueError(f"`1 <= {name} <= {most}` must hold for a whole number, but got {side!r}")
    arguments, code = fields.pop("arguments", None), fields.pop("code", None)
    if code is not None:
        return _keras_network_of(fields, (height, width, channels), likelihood, arguments, code)
    written, classes = fields.pop("layers", None), fields.pop("classes", 0)
    if type(classes) is not int or not 0 <= classes <= MOST_CLASSES:
        raise ValueError(f"`0 <= classes <= {MOST_CLASSES}` must hold for a whole number, but got {classes!r:.80}")
    prior = {"prior": fields.pop("prior", "standard")}
    if prior["prior"] != "standard":
        prior["prior_components"] = fields.pop("prior_components")
    Config.from_params(prior)
    special = {name: value for name, value in fields.items() if name not in NetworkSpec.__dataclass_fields__}
    Config.from_params(fields)
    network = NetworkSpec(
        image_shape=(height, width, channels),
        likelihood=likelihood,
        special=tuple(special.items()),
        layers=None if written is None else _layers_of(written),
        classes=classes,
        **prior,
        **{name: value for name, value in fields.items() if name not in special},
    )
    if (network.layers is None) != (network.architecture in BUILT_IN):
        raise ValueError(f"`layers` must stand beside a family that is not ours, but got {network.architecture}")
    if network.layers is not None:
        check_layers(
            *network.layers,
            image_shape=network.image_shape,
            latent_dim=network.latent_dim + network.classes,
            outputs_per_value=network.outputs_per_value,
        )
    return network


def _keras_network_of(
    fields: dict[str, Any], image_shape: ImageShape, likelihood: str, arguments: object, code: object
) -> NetworkSpec:
    architecture, latent_dim = fields.pop("architecture"), fields.pop("latent_dim")
    if fields or not isinstance(arguments, dict) or not isinstance(code, str) or not is_keras(str(architecture)):
        raise ValueError("a Keras network must have architecture, latent_dim, arguments and code, and nothing else")
    Config.from_params({"architecture": architecture, "latent_dim": latent_dim, **arguments})
    return NetworkSpec.of_keras(
        architecture,
        image_shape=image_shape,
        latent_dim=latent_dim,
        likelihood=likelihood,
        arguments=arguments.items(),
        code=code,
    )


def _layers_of(written: object) -> Layers:
    """The layers that `_written` has made plain values of.

    Raises:
        TypeError, ValueError: They are none.
    """
    encoder, decoder = (
        tuple(Layer(kind, size, tuple(detail)) for kind, size, detail in part)
        for part in written  # type: ignore[attr-defined]  # the error of another type says so
    )
    return encoder, decoder


def _written(layers: Layers) -> list[list[list[object]]]:
    return [[[layer.kind, layer.size, list(layer.detail)] for layer in part] for part in layers]


def _given(network: NetworkSpec) -> dict[str, Any]:
    """Fields in plain values; those of its family alone stand beside the others, as before there were families."""
    fields = {name: getattr(network, name) for name in NetworkSpec.__dataclass_fields__}
    del fields["special"], fields["layers"], fields["code"]
    if network.prior == "standard":  # as it was before there were others
        del fields["prior"], fields["prior_components"]
    if not network.classes:  # as it was before there were conditional models
        del fields["classes"]
    if network.code is not None:
        del fields["depth"], fields["width"], fields["activation"]
        return fields | {"arguments": dict(network.special), "code": network.code}
    fields |= dict(network.special)
    return fields if network.layers is None else fields | {"layers": _written(network.layers)}
