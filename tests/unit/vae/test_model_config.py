import json

import pytest

from tests.support.networks import FAMILIES, description
from vae_search.vae.networks.model_config import ModelDescription

pytestmark = pytest.mark.needs_tensorflow

GOOD = json.loads(description().to_json())


@pytest.mark.parametrize("architecture", FAMILIES)
def test_a_description_comes_back_from_json(architecture):
    described = description(architecture=architecture)

    assert ModelDescription.from_json(described.to_json()) == described
    assert "levels" not in json.loads(described.to_json())  # older programs would not know it


@pytest.mark.parametrize("likelihood", ["gaussian", "discretized_logistic"])
def test_a_description_says_how_many_levels_grey_pixels_have(likelihood):
    described = description(likelihood=likelihood)

    again = ModelDescription.from_json(described.to_json())

    assert again == described
    assert (again.likelihood, again.levels) == (likelihood, 17)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[" * 50_000,
        b"[1]",
        b'{"format": 1}',
        b" " * 100_000,
        json.dumps(GOOD | {"format": 2}).encode(),
        json.dumps(GOOD | {"log_variance_clamp": [2.0, -6.0]}).encode(),
        json.dumps(GOOD | {"log_variance_clamp": [-6.0, float("nan")]}).encode(),
        json.dumps(GOOD | {"log_variance_clamp": [-6.0]}).encode(),
        json.dumps(GOOD | {"network": "mlp"}).encode(),
        *(json.dumps(GOOD | {"levels": levels}).encode() for levels in (1, 257, 2.0, True, "256", None)),
        *(
            json.dumps(GOOD | {"network": GOOD["network"] | change}).encode()
            for change in (
                {"depth": 10**9},
                {"width": -1},
                {"width": 2.5},
                {"latent_dim": True},
                {"architecture": "../mlp"},
                {"architecture": ["mlp"]},
                {"activation": "__import__('os')"},
                {"image_shape": [10**6, 10**6, 1]},
                {"image_shape": [28, 28]},
                {"image_shape": [28, 28, 2.0]},
                {"layers": []},
                {"two\nlines": 1},
                {"blocks": 2},
                {"architecture": "resnet"},
                {"architecture": "resnet", "blocks": 10**9},
                {"architecture": "resnet", "blocks": True},
            )
        ),
    ],
    ids=lambda content: content[:150].decode(errors="replace"),
)
def test_what_describes_no_model_is_refused_in_one_line(content):
    with pytest.raises(ValueError) as refusal:
        ModelDescription.from_json(content)

    assert str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_what_older_programs_do_not_know_is_written_only_where_it_is_needed():
    fields = {name: json.loads(description(architecture=name).to_json())["network"] for name in FAMILIES}

    assert [name for name in FAMILIES if "blocks" in fields[name]] == ["resnet"]
