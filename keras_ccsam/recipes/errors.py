"""A failed validation in one line: the key, its value, and what would be right.

It needs pydantic and no Keras: the command line asks it before Keras is imported.
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from keras_ccsam.hints import closest, did_you_mean
from keras_ccsam.recipes.lists import list_of
from keras_ccsam.recipes.slot import Slot
from keras_ccsam.recipes.words import any_of, is_of_list, requirement
from keras_ccsam.text_table import shown

_SYNONYMS = {
    "learning_rate": "lr",
    "initial_learning_rate": "lr",
    "wd": "weight_decay",
    "l2": "weight_decay",
    "bs": "batch_size",
    "n_epochs": "epochs",
    "num_epochs": "epochs",
    "radius": "rho",
}
"""What other programs call a key, and what it is called here."""


def explain(error: ValidationError, schema: type[BaseModel], values: dict[str, Any]) -> str:
    """Describe the first problem of `error`; further ones are counted.

    Args:
        error: from `schema.model_validate(values)`.
        schema: the top-level model.
        values: what was validated.
    """
    problems = error.errors(include_url=False)
    # What is wrong with an entry or a key says more than that the whole is none of the other types.
    inside = tuple(_path(p, values) for p in problems)
    problems = [
        p
        for p, path in zip(problems, inside, strict=True)
        if not any(_holds(path, other) for other in inside)
    ]
    # A misspelt key explains a missing one, so it goes first.
    problem = min(problems, key=lambda p: p["type"] != "extra_forbidden")
    path = _path(problem, values)
    received = problem["input"]
    key = ".".join(path)
    if problem["type"] == "extra_forbidden":
        message = f"unknown recipe key {key!r}{suggestion(path, schema, values)}"
    elif problem["type"] == "missing" and isinstance(problem["loc"][-1], str):
        return shown(f"the recipe lacks {key!r}. Received: keys={sorted(values)}")
    elif problem["type"] in ("union_tag_invalid", "union_tag_not_found"):
        context = problem.get("ctx", {})
        tag = str(context.get("discriminator", "")).strip("'")
        key = f"{key}.{tag}"
        expected = context.get("expected_tags")
        message = f"{key} must be one of {expected}" if expected else f"the recipe lacks {key!r}"
        received = received.get(tag, received) if isinstance(received, dict) else received
    else:
        same = [p for p in problems if p is not problem and _path(p, values) == path]
        message = f"{key} {any_of([requirement(p) for p in (problem, *same)])}"
        hint = _meant((problem, *same), received)
        if not hint and any(is_of_list(p) for p in (problem, *same)):
            hint = _list_of(path, schema, values, received)
        message += hint
    # A value that none of several types takes is one problem.
    more = len({_path(p, values) for p in problems} - {path})
    if more:
        message += f" (and {more} more)"
    stop = "" if message.endswith(("?", ".")) else "."
    return shown(f"{message}{stop} Received: {key}={_show(received)}")


def _meant(problems: Sequence[Any], received: object) -> str:
    """What somebody may have meant who typed text where another word should be."""
    if not isinstance(received, str):
        return ""
    literals = [p["ctx"]["expected"] for p in problems if p["type"] == "literal_error"]
    words = [word for text in literals for word in re.findall("'([^']+)'", text)]
    return did_you_mean(received, words)


def _list_of(
    path: tuple[str, ...], schema: type[BaseModel], values: dict[str, Any], received: object
) -> str:
    """What the list is of that should be at `path`."""
    slot, name = _chosen(path[:-1], schema, values)
    table = slot.table(name) if slot else _table(path[:-1], schema)
    field = table.model_fields.get(path[-1]) if table else None
    kinds = () if field is None else tuple(_arguments(field.annotation))
    return list_of(received, dict(slots(schema)).get(_places(path)), field, kinds)


def _table(path: tuple[str, ...], schema: type[BaseModel]) -> type[BaseModel] | None:
    """The table at `path`, in which no part is chosen."""
    for key in _places(path):
        field = schema.model_fields.get(key)
        kinds = _arguments(field.annotation) if field else ()
        tables = [k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)]
        if not tables:
            return None
        schema = tables[0]
    return schema


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
    table, own_name = ".".join(path[:-1]), path[-1]
    slot, name = _chosen(path[:-1], schema, values or {})
    chosen = slot and slot.table(name)
    own = [f"{table}.{key}" for key in chosen.model_fields] if chosen else []
    *above, _ = _places(path)
    siblings = own or [k for k in known if k.rpartition(".")[0] == ".".join(above)]
    names = [_last(k) for k in siblings]
    # `ratio` is meant for `imbalance_ratio`.
    meant = _SYNONYMS.get(own_name, own_name)
    near = meant if meant in names else closest(own_name, names)
    near = near or next((n for n in names if own_name in n.split("_")), None)
    if near is not None and near != own_name:
        return f"; did you mean {f'{table}.{near}'.lstrip('.')!r}?"
    if slot and slot.takes(name, own_name):
        return (
            ", which is no option because it is not declared: annotate the argument, as in "
            f"{own_name}: Annotated[float, Field(ge=0, description=...)]."
        )
    if ".".join(_places(path)) in known:
        chosen_here = f", and this one is {name!r}" if name else ""
        return f" here: it belongs to another choice of the same table{chosen_here}."
    # The right name in the wrong table, `epochs` for `stage1.epochs`, or nearly that.
    other = closest(meant, [_last(k) for k in known], cutoff=0.8)
    same = [k for k in known if _last(k) == other]
    close = closest(".".join((*above, meant)), same, cutoff=0.0)
    if close and not (own and other != own_name):
        return f"; did you mean {close!r}?"
    return f"; known here: {', '.join(names)}." if names else "."


def _last(key: str) -> str:
    return key.rpartition(".")[2]


def _chosen(
    path: tuple[str, ...], schema: type[BaseModel], values: dict[str, Any]
) -> tuple[Slot | None, object]:
    """The slot at `path` and the part that the values name there; nothing where none is named."""
    slot = dict(slots(schema)).get(_places(path))
    for key in path:
        own, _, place = key.partition("[")
        values = values.get(own, {}) if isinstance(values, dict) else {}
        if place and isinstance(values, list):
            values = values[int(place.rstrip("]"))]
    name = values.get("name") if isinstance(values, dict) else None
    return (slot, name) if slot and isinstance(name, str) else (None, None)


def _places(path: tuple[str, ...]) -> tuple[str, ...]:
    """A path without the numbers of the entries."""
    return tuple(key.partition("[")[0] for key in path)


def slots(schema: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[Any, Slot]]:
    """Yield the place of every slot of `schema`, and the slot."""
    for name, field in schema.model_fields.items():
        for item in (*field.metadata, *_arguments(field.annotation)):
            if isinstance(item, Slot):
                yield (*path, name), item
            elif isinstance(item, type) and issubclass(item, BaseModel):
                yield from slots(item, (*path, name))


def default_part(schema: Any, path: tuple[str, ...]) -> str | None:
    """The name of the part that a slot has where a recipe says nothing; None where it has none."""
    default = None
    for key in path:
        field = schema.model_fields[key]
        default = getattr(field.default, "name", None)
        tables = (item for item in _arguments(field.annotation) if isinstance(item, type))
        schema = next((item for item in tables if issubclass(item, BaseModel)), None)
    return default


def keys(schema: Any, prefix: str = "", *, of_parts: bool = True) -> Iterator[str]:
    """Yield the dotted name of every key that `schema` knows, tables included.

    Args:
        of_parts: with those of the parts that its slots may name.
    """
    for name, field in schema.model_fields.items():
        yield prefix + name
        for item in (*field.metadata, *_arguments(field.annotation)):
            if isinstance(item, Slot):
                for table in item.tables() if of_parts else [item.base]:
                    yield from keys(table, f"{prefix}{name}.")
            elif isinstance(item, type) and issubclass(item, BaseModel):
                yield from keys(item, f"{prefix}{name}.", of_parts=of_parts)


def _arguments(annotation: Any) -> Iterator[Any]:
    """The annotation, and all that it is made of."""
    yield annotation
    for argument in get_args(annotation):
        yield from _arguments(argument)


def _path(problem: Any, values: Any) -> tuple[str, ...]:
    """The key of a problem: pydantic's location without choices of types, entries as `key[0]`."""
    path: list[str] = []
    location = problem["loc"]
    for position, part in enumerate(location, 1):
        lacks = problem["type"] == "missing" and position == len(location)
        if isinstance(values, dict) and (part in values or lacks):
            values = values.get(part)
            path.append(str(part))
        elif isinstance(values, list) and isinstance(part, int) and path and part < len(values):
            values = values[part]
            path[-1] += f"[{part}]"
    return tuple(path) or tuple(map(str, location))


def _holds(path: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether `other` is a key of the table at `path`, or in an entry of the list there."""
    last = len(path) - 1
    if len(other) > len(path) and other[: len(path)] == path:
        return True
    beside = other[:last] == path[:-1] and len(other) > last
    return beside and other[last].startswith(f"{path[-1]}[")


def _show(received: Any) -> str:
    try:
        return json.dumps(received, ensure_ascii=False)
    except (TypeError, ValueError):
        return repr(received)
