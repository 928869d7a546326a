"""Whatever is written in a spec, it is accepted or refused in words; nothing else ever happens."""

import json
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from vae_search.errors import InvalidSpec
from vae_search.spec.sweep_spec import SweepSpec, parse_spec

VALID = """\
name: demo
data: {source: digits}
search_space:
  latent_dim: {type: int, low: 2, high: 16, log: true}
  beta: {type: float, low: 0.25, high: 4.0}
  architecture: {type: categorical, choices: [mlp, conv]}
  depth: [{type: fixed, value: 2, when: {architecture: mlp}}, {type: int, low: 1, high: 3, when: {architecture: conv}}]
enqueue: [{latent_dim: 4}]
budget: {trials: 4, epochs: 9}
pruning: {min_epochs: 3}
"""


def is_refused_or_right(text: str, overrides: tuple[str, ...] = ()) -> None:
    """Any exception but InvalidSpec is a bug; so is a message of two lines, and a spec that does not survive JSON."""
    problems = []
    try:
        spec = parse_spec(text, base=Path("/sweeps"), overrides=overrides)
    except InvalidSpec as error:
        problems = [*error.problems]

    assert problems or SweepSpec.from_json(json.loads(json.dumps(spec.to_json(), sort_keys=True))) == spec
    assert all(problem.isprintable() for problem in problems)


FUZZ = settings(max_examples=150, deadline=None)


@FUZZ
@given(st.text(max_size=200))
def test_no_text_breaks_the_reader(text: str) -> None:
    is_refused_or_right(text)


@FUZZ
@given(st.text(alphabet=" \n:-?[]{},&*!|>'\"%@`#~0.e+<=\\abtrue\t", max_size=60))
def test_no_punctuation_breaks_the_reader(text: str) -> None:
    is_refused_or_right(VALID + text)


MARKS = """- : , # [ ] { } & * ! | > ' " ~ .nan .inf -1 0 1e999 1e-3 yes true null when"""
SNIPPETS = sorted({*VALID.split(), *MARKS.split()})


@FUZZ
@given(
    st.lists(
        st.tuples(st.integers(0, len(VALID)), st.integers(0, 12), st.sampled_from(SNIPPETS) | st.text(max_size=3)),
        min_size=1,
        max_size=4,
    )
)
def test_no_edit_of_a_valid_spec_breaks_the_reader(edits: list[tuple[int, int, str]]) -> None:
    text = VALID
    for start, length, replacement in edits:
        text = text[:start] + replacement + text[start + length :]

    is_refused_or_right(text)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(SNIPPETS)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(SNIPPETS), inner, max_size=3),
    max_leaves=6,
)
PATHS = [
    "name", "data", "data.source", "data.validation", "search_space", "search_space.depth", "search_space.beta.low",
    "search_space.latent_dim.step", "search_space.depth.when", "search_space.architecture.choices", "enqueue", "budget",
    "budget.epochs", "pruning", "pruning.min_epochs", "objective", "log_variance_clamp", "resources.concurrency",
]  # fmt: skip


@FUZZ
@given(st.lists(st.tuples(st.sampled_from(PATHS), VALUES), min_size=1, max_size=3))
def test_no_override_breaks_the_reader(changes: list[tuple[str, object]]) -> None:
    is_refused_or_right(VALID, tuple(f"{path}={json.dumps(value)}" for path, value in changes))
