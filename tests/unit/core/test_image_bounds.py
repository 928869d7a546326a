"""Image bounds check themselves."""

import numpy as np
import pytest

from vae_search.core.image_bounds import ImageBounds


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("iwae", np.array([-1.0, np.nan, -2.0]), "iwae: must be finite, but image 1 has nan"),
        ("baseline", np.array([1.0, 2.0]), "baseline: must have 3 values, as distortion has, but has 2"),
        ("rate", np.ones((3, 1)), "one value per image"),
        ("distortion", np.ones(0), "one value per image"),
        ("iwae_k", 0, "iwae_k >= 1"),
    ],
)
def test_bounds_that_are_none_are_refused(field, value, reason):
    good = {name: np.ones(3) for name in ("distortion", "rate", "iwae", "baseline")} | {"iwae_k": 5}

    with pytest.raises(ValueError, match=reason):
        ImageBounds(**(good | {field: value}))


def test_the_standard_error_is_that_of_the_mean_over_images():
    iwae = np.array([-1.0, -2.0, -3.0, -4.0])
    bounds = ImageBounds(distortion=-iwae, rate=iwae * 0, iwae=iwae, baseline=-iwae, iwae_k=5)

    assert bounds.standard_error == pytest.approx(np.sqrt(5 / 3) / 2)
