"""`python -m keras_ccsam_cli` is the same as `ccsam`."""

from .entry import main

main()
