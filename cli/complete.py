"""What the shell is offered for an argument; nothing of Keras is imported for it.

Click asks these functions when the shell completes a line (see docs/command-line.md).
"""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from . import light
from .runtime import BACKENDS

Items = list[CompletionItem]


def recipes(_: click.Context, __: click.Parameter, incomplete: str) -> Items:
    """The recipes by name; files, where what was typed may be one."""
    found = _known("methods", incomplete)
    return found or [CompletionItem(incomplete, type="file")]


def settings(_: click.Context, __: click.Parameter, incomplete: str) -> Items:
    """The datasets, as `--data` takes them."""
    return _known("settings", incomplete)


def data(_: click.Context, __: click.Parameter, incomplete: str) -> Items:
    """The datasets by name; files, where what was typed may be one."""
    found = _known("settings", incomplete)
    return found or [CompletionItem(incomplete, type="file")]


def tables(_: click.Context, __: click.Parameter, incomplete: str) -> Items:
    """The tables and figures of the paper."""
    return _known("tables", incomplete)


def scales(_: click.Context, __: click.Parameter, incomplete: str) -> Items:
    """The scales of `ccsam reproduce`."""
    return _starting(light.library("reproduction.scales").SCALES, incomplete)


def records(_: click.Context, __: click.Parameter, incomplete: str) -> Items:
    """What `--record` can name."""
    return _starting(light.library("runs.record_options").OPTIONS, incomplete)


def trackers(_: click.Context, __: click.Parameter, incomplete: str) -> Items:
    """What `--tracker` takes."""
    return _starting(light.library("trackers.known").NAMES, incomplete)


def launchers(_: click.Context, __: click.Parameter, incomplete: str) -> Items:
    """What `--launcher` takes."""
    return _starting(tuple(light.library("launching.known").LAUNCHERS), incomplete)


def profiles(_: click.Context, __: click.Parameter, incomplete: str) -> Items:
    """The shapes of a tail."""
    return _starting(("exponential", "step"), incomplete)


def protocols(_: click.Context, __: click.Parameter, incomplete: str) -> Items:
    """The ways to draw a tail."""
    return _starting(("ldam", "ccsam", "seeded", "first_n"), incomplete)


def paper_protocols(_: click.Context, __: click.Parameter, incomplete: str) -> Items:
    """The protocols of the CC-SAM paper."""
    return _starting(light.library("recipes.known").PROTOCOLS, incomplete)


def backends(_: click.Context, __: click.Parameter, incomplete: str) -> Items:
    """Keras' backends."""
    return _starting(BACKENDS, incomplete)


def devices(_: click.Context, __: click.Parameter, incomplete: str) -> Items:
    """Where to compute."""
    return _starting(("cpu", "gpu", "gpu:0"), incomplete)


def _known(folder: str, incomplete: str) -> Items:
    names: tuple[str, ...] = light.library("recipes.known").stems(folder)
    return _starting(names, incomplete)


def _starting(names: tuple[str, ...], incomplete: str) -> Items:
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]
