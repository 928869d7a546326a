"""Warm start as it was made: the part of a sweep's record that says what it took from earlier sweeps.

Copies of borrowed trials lie in the sweep's own folder, and configs stand in the record itself. So a resume repeats
the search bit for bit, whatever has become of the other sweeps.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from vae_search.spec.hyperparameters import ParamValue
from vae_search.store.sweeps.borrowing import Borrowing


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenConfig:
    """Config of a sweep on other data, as a point of this sweep's space, or part of one that a sampler completes."""

    sweep: str
    """that it is the best confirmed config of"""
    incarnation: str | None
    """that sweep's, which may have been removed since"""
    trial: int
    """number of the config's trial there"""
    spec_sha256: str
    """identity of that sweep's spec"""
    params: Mapping[str, ParamValue]
    changed: tuple[str, ...]
    """parameters that were clipped into the space, or left out since they have no place there"""


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmStarted:
    """All that a sweep took from earlier ones when it began, in order."""

    borrowed: tuple[Borrowing, ...] = ()
    configs: tuple[TakenConfig, ...] = ()

    def to_json(self) -> dict[str, object]:
        """Plain values, for the record."""
        return {
            "borrowed": [each.to_json() for each in self.borrowed],
            "configs": [asdict(each) | {"changed": [*each.changed]} for each in self.configs],
        }

    @classmethod
    def from_json(cls, fields: object) -> "WarmStarted | None":
        """The warm start of `to_json`; None if the record has none."""
        if not isinstance(fields, Mapping):
            return None
        borrowed, configs = fields.get("borrowed"), fields.get("configs")
        if not (isinstance(borrowed, list) and isinstance(configs, list)):
            return None
        lent = [Borrowing.from_json(each) for each in borrowed]
        taken = [_config(each) for each in configs]
        return cls(
            borrowed=tuple(each for each in lent if each is not None),
            configs=tuple(each for each in taken if each is not None),
        )


def _config(fields: object) -> TakenConfig | None:
    if not isinstance(fields, Mapping):
        return None
    sweep, trial, params = fields.get("sweep"), fields.get("trial"), fields.get("params")
    if not (isinstance(sweep, str) and isinstance(trial, int) and isinstance(params, Mapping)):
        return None
    incarnation, changed = fields.get("incarnation"), fields.get("changed")
    return TakenConfig(
        sweep=sweep,
        incarnation=incarnation if isinstance(incarnation, str) else None,
        trial=trial,
        spec_sha256=str(fields.get("spec_sha256")),
        params=dict(params),
        changed=tuple(map(str, changed)) if isinstance(changed, list) else (),
    )
