"""What the campaigns share."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.storyteller import Storyteller

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def storyteller() -> Iterator[Storyteller]:
    command = [sys.executable, "-m", "tests.chaos.story"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Storyteller(process.stdin, process.stdout)
        process.stdin.close()
