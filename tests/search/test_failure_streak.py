"""A sweep is given up after the same failure five times in a row, and not otherwise."""

import pytest

from tests.store.examples import row
from vae_search.errors import SweepFailed
from vae_search.search.failure_streak import SAME_FAILURES_IN_A_ROW, FailureStreak
