"""Measures of a sweep's models beside the bounds: ours, and functions `my_measures:mig` of somebody's own.

A function takes `(model, images, labels)` and gives a number; see `vae/measuring/`. Its code has an identity, as own
networks have, so that values of one sweep come from one code.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from vae_search.core.criteria import METRIC
from vae_search.core.text import did_you_mean, shown
from vae_search.errors import InvalidSpec
from vae_search.spec.own_code.code_loading import code_of
from vae_search.spec.own_code.own_code import OwnCode, functions_of, missing_function

GROUP = "vae_search.metrics"
"""entry points: functions that installed packages offer by a name; all that a spec over HTTP may name besides ours"""
MOST_METRICS = 20
_NAME = r"^[a-z][a-z0-9_]{0,39}$"
_FUNCTION = r"^[A-Za-z_][A-Za-z0-9_.]*(:[A-Za-z_][A-Za-z0-9_]*)?$"
LAWS: Mapping[str, str] = {
    _NAME: "must be 1 to 40 of a-z, 0-9 and _, and begin with a letter",
    _FUNCTION: "must be module:function, in letters without accents, digits and _, such as my_measures:mig",
}
"""of names and functions, by their patterns"""

BUILT_IN: Mapping[str, tuple[str, Literal["lower", "higher"]]] = {
    "frechet": ("vae_search.vae.measuring.frechet:frechet", "lower"),
    "ssim": ("vae_search.vae.measuring.ssim:reconstruction_ssim", "higher"),
}
"""function, and which end is better"""


class Metric(BaseModel):
    """One measure of a spec."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str = Field(pattern=_NAME, description="Its column is metric_NAME.")
    function: str = Field(
        pattern=_FUNCTION, description="module:function, or the name of one of ours or of an installed package's."
    )
    better: Literal["lower", "higher"] = Field(
        default="lower", description="Which values are better, in rankings, fronts and gates."
    )

    @property
    def column(self) -> str:
        """Name of its column in rows."""
        return METRIC + self.name


def read_metrics(value: object) -> object:
    """Metrics as a spec writes them, each a text such as `my_measures:mig` or a mapping, as mappings.

    Raises:
        ValueError: It is no list, has too many, or two of one name.
    """
    if not isinstance(value, list | tuple):
        raise ValueError(f"must be a list such as [ssim, 'my_measures:mig'], but got {shown(value)}.")
    if len(value) > MOST_METRICS:
        raise ValueError(f"must be at most {MOST_METRICS}, but got {len(value)}.")
    found = tuple(_written_out(each) for each in value)
    names = [str(each.get("name")) for each in found if isinstance(each, dict)]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"must have a name each, but {twice[0]} stands twice. Write {{name: …, function: …}}.")
    return found


def _written_out(each: object) -> object:
    if isinstance(each, str):
        each = {"function": each}
    if isinstance(each, dict) and isinstance(function := each.get("function"), str):
        name = function.rpartition(":")[2].rpartition(".")[2].lower()
        return {"name": name, "better": BUILT_IN.get(function, ("", "lower"))[1]} | each
    return each


def criteria_problems(metrics: Sequence[Metric], criteria: Sequence[str]) -> Iterator[str]:
    """Reasons why metrics among the criteria of a Pareto sweep cannot be."""
    columns = {metric.column for metric in metrics}
    for name in (name for name in criteria if name.startswith(METRIC) and name not in columns):
        yield f"{name} is no metric of this spec. Add {name.removeprefix(METRIC)} to metrics."


def function_of(metric: Metric) -> str:
    """Function of a metric as `module:function`.

    Raises:
        InvalidSpec: It is a name that nobody offers, or that several packages do.
    """
    if ":" in metric.function:
        return metric.function
    if metric.function in BUILT_IN:
        return BUILT_IN[metric.function][0]
    offered = offered_functions()
    values = offered.get(metric.function, ())
    if len(values) == 1:
        return values[0]
    if values:
        raise InvalidSpec(f"metrics: {metric.function}: several packages offer it: {', '.join(values)}. Name one so.")
    hint = did_you_mean(metric.function, [*BUILT_IN, *offered])
    raise InvalidSpec(f"metrics: {metric.function} is unknown. {hint} A function of yours is module:function.")


def offered_functions() -> dict[str, tuple[str, ...]]:
    """Functions that installed packages offer, by name, from their metadata: nothing is imported."""
    from importlib import metadata  # the heaviest of the standard library in here

    found: dict[str, tuple[str, ...]] = {}
    for point in metadata.entry_points(group=GROUP):
        found[point.name] = tuple(dict.fromkeys([*found.get(point.name, ()), point.value]))
    return found


def metrics_code(metrics: Sequence[Metric]) -> dict[str, OwnCode]:
    """Code of the metrics that are not ours, by column.

    Raises:
        InvalidSpec: It is not here, or has no such function.
    """
    found = {}
    for metric in metrics:
        module, _, name = function_of(metric).partition(":")
        if metric.function not in BUILT_IN:
            code = code_of(module)
            functions = functions_of(code, module, where="metrics")
            if name not in functions:
                raise InvalidSpec(f"metrics: {module}:{name}: {missing_function(code, module, name, functions)}")
            found[metric.column] = code
    return found


def refuse_unoffered(metrics: Sequence[Metric]) -> None:
    """Refuse functions that no installed package offers by an entry point: for specs that come over HTTP.

    Raises:
        InvalidSpec: It is one.
    """
    named = [metric.function for metric in metrics if ":" in metric.function]
    offered = {function for each in offered_functions().values() for function in each} if named else set()
    for function in named:
        if function not in offered:
            raise InvalidSpec(
                f"metrics: {function}: a spec that comes over HTTP may name only {', '.join(BUILT_IN)}, and "
                f"functions that an installed package offers by an entry point of the group {GROUP}."
            )
