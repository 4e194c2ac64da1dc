"""`--launcher` and what belongs to it: several runs at a time, in processes of their own."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import click

from . import complete, light
from .runtime import DETERMINISTIC, device_variables, parse_device, prepare

if TYPE_CHECKING:
    from keras_ccsam.launching import Launcher

F = TypeVar("F", bound=Callable[..., Any])


def launcher_options(function: F) -> F:
    """Add `--launcher`, `--jobs` and `--launcher-set`."""
    for option in reversed(
        (
            click.option(
                "--launcher",
                metavar="local|ray|slurm",
                shell_complete=complete.launchers,
                help="Several runs at a time: processes of this machine, a Ray cluster, or jobs of "
                "SLURM. [one after another]",
            ),
            click.option(
                "--jobs",
                metavar="N|auto",
                help="Runs at a time. [auto: as cores, memory and GPUs allow, or the cluster]",
            ),
            click.option(
                "--launcher-set",
                "launcher_settings",
                multiple=True,
                metavar="KEY=VALUE",
                help="An option of the launcher, as in threads=2 of local, gpus=1 of ray, "
                "partition=gpu of slurm (docs/how-to/many-runs.md); may be repeated.",
            ),
        )
    ):
        function = option(function)
    return function


@dataclass(frozen=True)
class Launching:
    """What was chosen of these options, checked before Keras is imported.

    Attributes:
        name: of the launcher; None for runs one after another.
        jobs: the value of `--jobs`.
        options: of the launcher.
        outer: the environment variables as the user has them.
        variables: those that a run needs beside them.
    """

    name: str | None
    jobs: str
    options: dict[str, Any]
    outer: dict[str, str] = field(repr=False)
    variables: dict[str, str] = field(default_factory=dict)

    def prepare(
        self, backend: str | None, device: str | None, *, dry: bool, measures: bool = False
    ) -> None:
        """Settle backend and device, as `runtime.prepare`.

        With a launcher this process trains nothing and takes no accelerator: its memory is for
        the runs. One that `measures` steps before takes no more of it than these need.

        Raises:
            ValueError: as `runtime.prepare`.
        """
        if self.name is None:
            prepare(backend, device, dry=dry)
            return
        elsewhere = self.name != "local"
        if elsewhere and device is not None and ":" in parse_device(device):
            raise ValueError(
                "which GPU a run gets is the launcher's choice: say --device gpu. "
                f"Received: --device={device}"
            )
        if measures:
            os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
            os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
        here = None if elsewhere else device
        chosen = prepare(backend, here, dry=dry or not measures).value
        if device is not None:
            self.variables.update(device_variables(chosen, device))
            if elsewhere and device != "cpu":
                self.options.setdefault("gpus", 1)
        if _deterministic():
            wanted = dict(self.outer)
            light.library("backend.determinism").set_variables(chosen, wanted)
            changed = {key: value for key, value in wanted.items() if self.outer.get(key) != value}
            self.variables.update(changed)

    def launcher(self) -> Launcher | None:
        """Make the launcher; this imports Keras."""
        if self.name is None:
            return None
        from keras_ccsam import backend, launching

        if _deterministic():
            backend.make_deterministic()
        return launching.named(
            self.name,
            self.jobs,
            self.options,
            variables=self.variables,
            environment=self.outer,
        )


def chosen(name: str | None, jobs: str | None, settings: tuple[str, ...]) -> Launching:
    """Check what was typed.

    Raises:
        ValueError: there is no such launcher, it is not installed, or an option is wrong.
    """
    known = light.library("launching.known")
    outer = dict(os.environ)
    if name is None:
        for option, given in (("--jobs", jobs), ("--launcher-set", settings)):
            if given:
                raise ValueError(
                    f"{option} belongs to a launcher: name one, as in --launcher local. "
                    f"Received: {option}={given if option == '--jobs' else given[0]}"
                )
        return Launching(None, "auto", {}, outer)
    known.check(name)
    known.check_jobs(jobs or "auto")
    options = known.typed(settings)
    known.check_options(name, options)
    return Launching(name, jobs or "auto", options, outer)


def _deterministic() -> bool:
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(DETERMINISTIC, False))
