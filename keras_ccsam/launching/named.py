"""A launcher by its name."""

from collections.abc import Mapping
from typing import Any

from keras_ccsam.launching import known
from keras_ccsam.launching.launcher import Launcher
from keras_ccsam.launching.local import Local
from keras_ccsam.launching.ray import Ray
from keras_ccsam.launching.slurm import Slurm

_CLASSES: dict[str, type[Launcher]] = {"local": Local, "ray": Ray, "slurm": Slurm}


def named(
    name: str,
    jobs: int | str = "auto",
    options: Mapping[str, Any] | None = None,
    *,
    variables: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Launcher:
    """Return a launcher by its name.

    Args:
        name: of `LAUNCHERS`.
        jobs: how many runs at a time; `"auto"` for as many as there is room for.
        options: of its class; text is read as the command line has it.
        variables, environment: as in `Launcher`.

    Raises:
        ValueError: there is no such launcher, it is not installed, or an option is wrong.
    """
    chosen = known.check_options(known.check(name), options or {})
    count = known.check_jobs(jobs)
    return _CLASSES[name](count, variables=variables, environment=environment, **chosen)
