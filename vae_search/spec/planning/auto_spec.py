"""Base of the spec: how it reads, keeps, writes and settles its auto keys."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import (
    ModelWrapValidatorHandler,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from vae_search.spec.parts.part import Part
from vae_search.spec.planning.auto_keys import split_auto, values_at, with_auto, with_values


class AutoSpec(Part):
    """A spec whose auto keys have provisional values until the sweep begins."""

    _auto: frozenset[str] = PrivateAttr(default=frozenset())

    @model_validator(mode="wrap")
    @classmethod
    def _read_auto(cls, tree: object, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(tree, Mapping):
            return handler(tree)
        written, auto = split_auto(tree)
        spec = handler(written)
        spec._auto = auto
        return spec

    @model_serializer(mode="wrap")
    def _write_auto(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return with_auto(handler(self), self._auto)

    @property
    def auto(self) -> frozenset[str]:
        """Keys that `run` decides when the sweep begins."""
        return self._auto

    def settled(self, values: Mapping[str, object]) -> Self:
        """The spec with a value for each of its auto keys.

        Raises:
            InvalidSpec: They do not go with the rest.
        """
        return self.from_json(with_values(self.to_json(), {key: values[key] for key in self._auto}))

    def settled_as(self, began: Self) -> Self:
        """The spec with its auto keys as they were decided when the sweep began."""
        return self.settled(values_at(began.to_json(), self._auto)) if self._auto else self

    def to_json(self) -> dict[str, Any]:
        """The whole spec in plain values; itself a valid spec, which `from_json` turns into an equal one."""
        return self.model_dump(mode="json")

    @classmethod
    def from_json(cls, tree: Mapping[str, object]) -> Self:
        """The spec of `to_json`.

        Raises:
            InvalidSpec: `tree` is not a spec.
        """
        raise NotImplementedError
