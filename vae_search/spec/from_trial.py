"""Specs as files to run: whole ones, those that mean the same in any folder, and that of one config of a sweep."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from vae_search.errors import VaeSearchError
from vae_search.spec.hyperparameters import ParamValue
from vae_search.spec.sweep_spec import SpecDocument, SweepSpec, parse_spec

_SUFFIX = "-best"
_LONGEST_NAME = 63
_NOWHERE = Path("/nowhere")  # where no relative path can be meant


def spec_of_config(spec: SweepSpec, params: Mapping[str, ParamValue]) -> SweepSpec:
    """`spec` with every parameter fixed to `params`, under another name, for one trial and its confirm runs."""
    tree = spec.to_json()
    return SweepSpec.from_json(
        tree
        | {
            "name": spec.name[: _LONGEST_NAME - len(_SUFFIX)] + _SUFFIX,
            "search_space": dict(params),
            "enqueue": [],
            "warm_start": None,
            "budget": tree["budget"] | {"trials": 1},
            "confirm": tree["confirm"] | {"finalists": min(spec.confirm.finalists, 1)},
        }
    )


def portable_text(document: SpecDocument) -> str:
    """The text of a spec as written, if it means the same in any folder; else the whole spec, its overrides in it."""
    try:
        if parse_spec(document.text, base=_NOWHERE) == document.spec:
            return document.text
    except VaeSearchError:  # only with the overrides is it a valid one
        pass
    return to_yaml(document.spec)


def to_yaml(spec: SweepSpec) -> str:
    """The whole spec as a file that `read_spec` reads back as an equal one."""
    yaml: Any = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.allow_unicode = False  # what a terminal would act on is written as an escape
    yaml.width = 10**6  # a long path stays on one line
    yaml.sort_base_mapping_type_on_output = False
    text = io.StringIO()
    yaml.dump(spec.to_json(), text)
    return text.getvalue()
