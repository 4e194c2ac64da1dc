"""`ccsam doctor`: what is installed, and which backend and device would be used and why."""

from __future__ import annotations

import os
import platform
import sys
from typing import Any

import click

from ..device_forecast import forecast_device
from ..errors import debug_option
from ..options import runtime_options
from ..output import Output, json_option
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
@json_option
@debug_option
def command(backend: str | None, device: str | None, full: bool, as_json: bool) -> None:
    """Show what is installed, and which backend and device would be used."""
    choice = choose_backend(backend)
    where = forecast_device(choice.value, parse_device(device) if device else None)
    facts: dict[str, Any] = {
        "python": platform.python_version(),
        "executable": sys.executable,
        "platform": platform.platform(),
        "cpu_cores": os.cpu_count(),
        "packages": {name: version(name, f"{name}-cpu") for name in _PACKAGES},
        "backend": {"name": choice.value, "reason": choice.reason},
        "device": {"name": where.value, "reason": where.reason},
        "started": None,
    }
    output = Output(as_json)
    if full:
        with output.working():
            prepare(backend, device)
            facts["started"] = active_device()
    output.result(lambda: _text(facts), lambda: facts)


def _text(facts: dict[str, Any]) -> str:
    backend, device = facts["backend"], facts["device"]
    if facts["started"] is None:
        last = "         (nothing was started to find out; --full starts the backend and asks)"
    else:
        last = f"started  {backend['name']} computes on {facts['started']}"
    lines = [
        f"Python {facts['python']} at {facts['executable']}",
        f"{facts['platform']}, {facts['cpu_cores']} CPU cores",
        "",
        *(_line(name, found) for name, found in facts["packages"].items()),
        "",
        f"backend  {backend['name']}: {backend['reason']}",
        f"device   {device['name']}: {device['reason']}",
        last,
    ]
    return "\n".join(lines)


def _line(name: str, found: str | None) -> str:
    extra = _EXTRA_OF.get(name)
    hint = f'pip install "keras-ccsam[{extra}]"' if extra and not found else ""
    # Not the library's table: it would import Keras, which this command has to do without.
    return f"{name:<{max(map(len, _PACKAGES))}}  {found or '-':<12}  {hint}".rstrip()
