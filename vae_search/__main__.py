"""`python -m vae_search`: the command line where no console script is installed, as in a job of a cluster."""

from vae_search.cli.app import main

main()
