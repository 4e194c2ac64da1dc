"""`ccsam doctor`: what is installed, and which backend and device would be used and why."""

from __future__ import annotations

import os
import platform
import sys

import click

from ..console import say, table
from ..device_forecast import forecast_device
from ..errors import debug_option
from ..options import runtime_options
from ..runtime import BACKENDS, active_device, choose_backend, parse_device, prepare, version

_PACKAGES = (
    "keras-ccsam",
    "keras",
    *BACKENDS,
    *("numpy", "pydantic", "click", "rich", "pillow", "matplotlib", "scikit-learn"),
    *("plotly", "jinja2"),
)
_EXTRA_OF = {name: name for name in BACKENDS} | {"plotly": "report", "jinja2": "report"}


@click.command()
@runtime_options
@click.option("--full", is_flag=True, help="Start the backend and ask it for its device.")
@debug_option
def command(backend: str | None, device: str | None, full: bool) -> None:
    """Show what is installed, and which backend and device would be used."""
    choice = choose_backend(backend)
    where = forecast_device(choice.value, parse_device(device) if device else None)
    say(f"Python {platform.python_version()} at {sys.executable}")
    say(f"{platform.platform()}, {os.cpu_count()} CPU cores")
    say()
    say(table(("package", "version", ""), [_row(name) for name in _PACKAGES]))
    say()
    say(f"backend  {choice.value}: {choice.reason}")
    say(f"device   {where.value}: {where.reason}")
    if full:
        prepare(backend, device)
        say(f"started  {choice.value} computes on {active_device()}")
    else:
        say("         (nothing was started to find out; --full starts the backend and asks)")


def _row(name: str) -> tuple[str, str, str]:
    found = version(name, f"{name}-cpu")
    extra = _EXTRA_OF.get(name)
    hint = f'pip install "keras-ccsam[{extra}]"' if extra and not found else ""
    return name, found or "-", hint
