"""Base of the sections of a spec."""

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """Base of the sections: strict about types, closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, validate_default=True)
