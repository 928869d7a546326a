"""What a model's files say of it, in JSON; read and written without TensorFlow."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from vae_search.vae.networks import NetworkSpec

MODEL_FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDescription:
    """All that turns a model's weights into a model."""

    network: NetworkSpec
    likelihood: str
    clamp: tuple[float, float]
    """of the encoder's log-variance"""

    def to_json(self) -> bytes:
        """Canonical JSON."""
        fields = {
            "format": MODEL_FORMAT,
            "network": asdict(self.network),
            "likelihood": self.likelihood,
            "log_variance_clamp": list(self.clamp),
        }
        return (json.dumps(fields, sort_keys=True, indent=1) + "\n").encode()

    @classmethod
    def from_json(cls, content: bytes) -> "ModelDescription":
        """The description of `to_json`.

        Raises:
            ValueError: It is none, or one of another format.
        """
        fields = json.loads(content)
        if not isinstance(fields, Mapping) or fields.get("format") != MODEL_FORMAT:
            raise ValueError(f"`format` must be {MODEL_FORMAT}, but got {fields!r:.80}")
        try:
            shape = dict(fields["network"])
            shape["image_shape"] = tuple(shape["image_shape"])
            low, high = fields["log_variance_clamp"]
            return cls(network=NetworkSpec(**shape), likelihood=fields["likelihood"], clamp=(low, high))
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a model's description: {error}") from error
