"""A failed validation in one line: the key, its value, and what would be right."""

import difflib
import json
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError


def explain(error: ValidationError, schema: type[BaseModel], values: dict[str, Any]) -> str:
    """Describe the first problem of `error`; further ones are counted.

    Args:
        error: from `schema.model_validate(values)`.
        schema: the top-level model.
        values: what was validated.
    """
    problems = error.errors(include_url=False)
    # A misspelt key explains a missing one, so it goes first.
    problem = min(problems, key=lambda p: p["type"] != "extra_forbidden")
    path = _path(problem["loc"], values)
    received = problem["input"]
    key = ".".join(path)
    if problem["type"] == "extra_forbidden":
        message = f"unknown recipe key {key!r}{suggestion(path, schema)}"
    elif problem["type"] == "missing":
        return f"the recipe lacks {key!r}. Received: keys={sorted(values)}"
    elif problem["type"] in ("union_tag_invalid", "union_tag_not_found"):
        context = problem.get("ctx", {})
        tag = str(context.get("discriminator", "")).strip("'")
        key = f"{key}.{tag}"
        expected = context.get("expected_tags")
        message = f"{key} must be one of {expected}" if expected else f"the recipe lacks {key!r}"
        received = received.get(tag, received) if isinstance(received, dict) else received
    else:
        message = f"{key} {_requirement(problem)}"
    if len(problems) > 1:
        message += f" (and {len(problems) - 1} more)"
    stop = "" if message.endswith(("?", ".")) else "."
    return f"{message}{stop} Received: {key}={_show(received)}"


def suggestion(path: tuple[str, ...], schema: type[BaseModel]) -> str:
    """Return "; did you mean ...?" for the closest known key, or a list of what may be there."""
    known = sorted(set(keys(schema)))
    typed = ".".join(path)
    if typed in known:
        return " here: it belongs to another choice of the same table."
    siblings = [k for k in known if k.rpartition(".")[0] == typed.rpartition(".")[0]]
    close = difflib.get_close_matches(typed, siblings, n=1, cutoff=0.75)
    # The right name in the wrong table: `epochs` for `stage1.epochs`.
    close = close or [k for k in known if k.rpartition(".")[2] == path[-1]][:1]
    close = close or difflib.get_close_matches(typed, known, n=1, cutoff=0.7)
    if close:
        return f"; did you mean {close[0]!r}?"
    names = ", ".join(k.rpartition(".")[2] for k in siblings)
    return f"; known here: {names}." if names else "."


def _requirement(problem: Any) -> str:
    reason: str = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "string_pattern_mismatch":
        return "must hold letters, digits, dots, dashes and underscores only"
    if problem["type"] in ("model_type", "dict_type"):
        return "must be a table of keys and values"
    reason = reason.replace("Input should be", "must be").replace("a valid ", "a ")
    return reason.replace(" a integer", " an integer")


def keys(schema: Any, prefix: str = "") -> Iterator[str]:
    """Yield the dotted name of every key that `schema` knows, tables included."""
    for name, field in schema.model_fields.items():
        yield prefix + name
        for table in _tables(field.annotation):
            yield from keys(table, f"{prefix}{name}.")


def _tables(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _tables(argument)


def _path(location: tuple[int | str, ...], values: Any) -> tuple[str, ...]:
    """Keep the parts of pydantic's location that are keys of the document, not union members."""
    path: list[str] = []
    for position, part in enumerate(location):
        if isinstance(values, dict) and (part in values or position == len(location) - 1):
            values = values.get(part)
            path.append(str(part))
    return tuple(path) or tuple(map(str, location))


def _show(received: Any) -> str:
    try:
        return json.dumps(received, ensure_ascii=False)
    except (TypeError, ValueError):
        return repr(received)
