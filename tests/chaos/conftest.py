"""What the campaigns share."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.chaos.storyteller import Storyteller
from tests.support.paths import ROOT


@pytest.fixture(scope="module")
def storyteller() -> Iterator[Storyteller]:
    command = [sys.executable, "-m", "tests.chaos.story"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Storyteller(process.stdin, process.stdout)
        process.stdin.close()
