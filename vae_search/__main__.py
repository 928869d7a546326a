"""`python -m vae_search`: the command line where no console script is installed, as in a job of a cluster."""

import sys
from pathlib import Path

# Python looks into the current folder first; there it would find a user's `random.py` in the place of its own.
if not sys.flags.safe_path and Path(sys.path[0]) != Path(__file__).parents[1]:
    del sys.path[0]

from vae_search.cli.app import main

main()
