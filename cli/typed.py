"""The command line as it may be typed again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

import click


def typed(**others: str) -> str:
    """The running command with what was given and nothing else.

    Args:
        **others: values of options in place of those that were given, by the option's long name.
    """
    context = click.get_current_context()
    words = ["ccsam", context.info_name or ""]
    left: Mapping[str, str] = dict(others)
    for parameter in context.command.params:
        value = context.params.get(parameter.name or "")
        if isinstance(parameter, click.Argument):
            words += [str(one) for one in _several(value)]
        elif isinstance(parameter, click.Option) and _given(context, parameter):
            name = parameter.opts[0]
            if name.removeprefix("--") in left:
                continue
            for one in _several(value):
                words += [_flag(parameter, one)] if parameter.is_flag else [name, str(one)]
    for name, one in left.items():
        words += [f"--{name}", one]
    return shlex.join(words)


def _several(value: Any) -> tuple[Any, ...]:
    if value is None:
        return ()
    return value if isinstance(value, tuple) else (value,)


def _given(context: click.Context, parameter: click.Option) -> bool:
    source = context.get_parameter_source(parameter.name or "")
    return source is click.core.ParameterSource.COMMANDLINE and parameter.expose_value


def _flag(parameter: click.Option, value: bool) -> str:
    return parameter.opts[0] if value else parameter.secondary_opts[0]
