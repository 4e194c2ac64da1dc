"""The `ccsam` command line, installed as `keras_ccsam_cli`.

Commands only translate arguments and print; the work is done in `keras_ccsam`. Nothing here is
imported by the library, and nothing heavy is imported before a command has chosen its backend.
"""
