"""A failed validation in one line: the key, its value, and what would be right."""

import json
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from keras_ccsam.checks import closest
from keras_ccsam.recipes.slots import Slot, takes


def explain(error: ValidationError, schema: type[BaseModel], values: dict[str, Any]) -> str:
    """Describe the first problem of `error`; further ones are counted.

    Args:
        error: from `schema.model_validate(values)`.
        schema: the top-level model.
        values: what was validated.
    """
    problems = error.errors(include_url=False)
    # What is wrong with an entry says more than that the list is none of the other types.
    inside = tuple(_path(p["loc"], values) for p in problems)
    problems = [
        p
        for p, path in zip(problems, inside, strict=True)
        if not any(_holds(path, other) for other in inside)
    ]
    # A misspelt key explains a missing one, so it goes first.
    problem = min(problems, key=lambda p: p["type"] != "extra_forbidden")
    path = _path(problem["loc"], values)
    received = problem["input"]
    key = ".".join(path)
    if problem["type"] == "extra_forbidden":
        message = f"unknown recipe key {key!r}{suggestion(path, schema, values)}"
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
        same = [p for p in problems if p is not problem and _path(p["loc"], values) == path]
        reasons = [_requirement(problem), *(_requirement(p).removeprefix("must be ") for p in same)]
        message = f"{key} {' or '.join(reasons)}"
    # A value that none of several types takes is one problem.
    more = len({_path(p["loc"], values) for p in problems} - {path})
    if more:
        message += f" (and {more} more)"
    stop = "" if message.endswith(("?", ".")) else "."
    return f"{message}{stop} Received: {key}={_show(received)}"


def suggestion(
    path: tuple[str, ...], schema: type[BaseModel], values: dict[str, Any] | None = None
) -> str:
    """Return "; did you mean ...?" for the closest known key, or a list of what may be there.

    Args:
        path: the unknown key.
        schema: the top-level model.
        values: what was validated, where it is known; then keys of the part that it chooses go
            before those of others.
    """
    known = sorted(set(keys(schema)))
    typed, table = ".".join(path), ".".join(path[:-1])
    chosen = _chosen(path[:-1], schema, values or {})
    own = [f"{table}.{name}" for name in chosen.model_fields] if chosen else []
    siblings = own or [k for k in known if k.rpartition(".")[0] == table]
    near = closest(path[-1], [k.rpartition(".")[2] for k in siblings])
    close = None if near is None else f"{table}.{near}".lstrip(".")
    if close is None and chosen and takes(chosen, path[-1]):
        return (
            ", which is no option because it is not declared: annotate the argument, as in "
            f"{path[-1]}: Annotated[float, Field(ge=0, description=...)]."
        )
    if close is None and typed in known:
        return " here: it belongs to another choice of the same table."
    # The right name in the wrong table: `epochs` for `stage1.epochs`.
    close = close or next((k for k in known if k.rpartition(".")[2] == path[-1]), None)
    close = close or (None if own else closest(typed, known, cutoff=0.7))
    if close:
        return f"; did you mean {close!r}?"
    names = ", ".join(k.rpartition(".")[2] for k in siblings)
    return f"; known here: {names}." if names else "."


def _chosen(
    path: tuple[str, ...], schema: type[BaseModel], values: dict[str, Any]
) -> type[BaseModel] | None:
    """The table of the part that the values name at `path`; None where no part is named."""
    slot = dict(slots(schema)).get(tuple(key.partition("[")[0] for key in path))
    for key in path:
        name, _, place = key.partition("[")
        values = values.get(name, {}) if isinstance(values, dict) else {}
        if place and isinstance(values, list):
            values = values[int(place.rstrip("]"))]
    return slot.table(values.get("name")) if slot and isinstance(values, dict) else None


def slots(schema: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[Any, Slot]]:
    """Yield the place of every slot of `schema`, and the slot."""
    for name, field in schema.model_fields.items():
        for item in (*field.metadata, *_arguments(field.annotation)):
            if isinstance(item, Slot):
                yield (*path, name), item
            elif isinstance(item, type) and issubclass(item, BaseModel):
                yield from slots(item, (*path, name))


def _requirement(problem: Any) -> str:
    reason: str = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "string_pattern_mismatch":
        return "must hold letters, digits, dots, dashes and underscores only"
    if problem["type"] in ("model_type", "dict_type"):
        return "must be a table of keys and values"
    reason = reason.replace("Input should be", "must be").replace("a valid ", "a ")
    reason = reason.replace(" a tuple", " a list")
    # The words that a constructor has for the same option (options.py).
    for theirs, ours in (
        (" a integer", " an integer"),
        ("greater than or equal to", "at least"),
        ("less than or equal to", "at most"),
        ("greater than", "above"),
        ("less than", "below"),
    ):
        reason = reason.replace(theirs, ours)
    return reason


def keys(schema: Any, prefix: str = "") -> Iterator[str]:
    """Yield the dotted name of every key that `schema` knows, tables included."""
    for name, field in schema.model_fields.items():
        yield prefix + name
        for item in (*field.metadata, *_arguments(field.annotation)):
            if isinstance(item, Slot):
                for table in item.tables():
                    yield from keys(table, f"{prefix}{name}.")
            elif isinstance(item, type) and issubclass(item, BaseModel):
                yield from keys(item, f"{prefix}{name}.")


def _arguments(annotation: Any) -> Iterator[Any]:
    """The annotation, and all that it is made of."""
    yield annotation
    for argument in get_args(annotation):
        yield from _arguments(argument)


def _path(location: tuple[int | str, ...], values: Any) -> tuple[str, ...]:
    """Keep the parts of pydantic's location that are keys of the document, not union members."""
    path: list[str] = []
    for position, part in enumerate(location):
        if isinstance(values, dict) and (part in values or position == len(location) - 1):
            values = values.get(part)
            path.append(str(part))
        elif isinstance(values, list) and isinstance(part, int) and path:
            values = values[part]
            path[-1] += f"[{part}]"
    return tuple(path) or tuple(map(str, location))


def _holds(path: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether a list stands at `path`, and `other` is in one of its entries."""
    last = len(path) - 1
    beside = other[:last] == path[:-1] and len(other) > last
    return beside and other[last].startswith(f"{path[-1]}[")


def _show(received: Any) -> str:
    try:
        return json.dumps(received, ensure_ascii=False)
    except (TypeError, ValueError):
        return repr(received)
