"""Warm start: the part of a spec that says which earlier sweeps of the store a new one learns from."""

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema

from vae_search.core.references import NAME_PATTERN
from vae_search.core.text import shown
from vae_search.spec.parts.part import Part

MOST_SOURCES = 100


def read_sources(value: object) -> object:
    """`auto`, `off`, or names of sweeps as a tuple.

    Raises:
        ValueError: It is none of these.
    """
    if value in ("auto", "off"):
        return value
    if isinstance(value, list | tuple) and 1 <= len(value) <= MOST_SOURCES:
        names = [name for name in value if isinstance(name, str) and re.fullmatch(NAME_PATTERN, name)]
        if len({*names}) == len(value):
            return tuple(names)
    raise ValueError(
        f"must be auto, off, or a list of up to {MOST_SOURCES} names of sweeps, each once, but got {shown(value)}."
    )


class WarmStart(Part):
    """Earlier sweeps of the store that a new sweep learns from; what it takes from them is fixed when it begins."""

    model_config = ConfigDict(serialize_by_alias=True)

    sources: Annotated[
        Literal["auto", "off"] | tuple[str, ...],
        BeforeValidator(read_sources),
        WithJsonSchema(
            {
                "anyOf": [
                    {"enum": ["auto", "off"]},
                    {
                        "type": "array",
                        "items": {"type": "string", "pattern": NAME_PATTERN},
                        "minItems": 1,
                        "maxItems": MOST_SOURCES,
                        "uniqueItems": True,
                    },
                ]
            }
        ),
    ] = Field(
        default="auto",
        alias="from",
        description="auto = the similar sweeps of the store; off = none; or names of sweeps. Trials of the same task "
        "enter the sampler, and count for nothing else; from sweeps on other data only configs cross.",
    )
    configs: int = Field(
        default=5,
        ge=0,
        le=100,
        description="Most configs that cross from sweeps on other data, tried after those of `enqueue` as long as "
        "they prove good; never more than a tenth of budget.trials.",
    )

    @property
    def is_on(self) -> bool:
        """True if the sweep looks at others."""
        return self.sources != "off"
