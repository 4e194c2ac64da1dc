"""What can be recorded while a run trains, and the options of each recorder.

It imports the standard library alone: the command line asks it before Keras is imported.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from keras_ccsam.hints import did_you_mean

Record: TypeAlias = Sequence[str] | Mapping[str, Mapping[str, Any]]
"""Names of recorders; or their options by their names."""

OPTIONS: dict[str, dict[str, str]] = {
    "bound": {
        "class": "a class, or several as in 0,truck",
        "weights": "head, all or a pattern of weights' paths",
        "delta": "a probability between 0 and 1",
    },
    "radius": {
        "weights": "head, all or a pattern of weights' paths",
        "limit": "a whole number of samples, at least 1",
    },
    "trajectory": {},
}
"""What can be recorded, by name, and what each option must be."""


def check_record(record: Record) -> dict[str, dict[str, Any]]:
    """Return the options of what is to be recorded, by its name.

    Raises:
        ValueError: a name or an option is unknown, or an option is outside its range.
    """
    names = (record,) if isinstance(record, str) else tuple(record)
    for name in names:
        if name not in OPTIONS:
            raise ValueError(
                f"what can be recorded is {', '.join(OPTIONS)}{did_you_mean(name, OPTIONS)}. "
                f"Received: record={list(names)}"
            )
    given = record if isinstance(record, Mapping) else {}
    return {
        name: {key: _value(name, key, value) for key, value in given.get(name, {}).items()}
        for name in names
    }


def with_options(names: Sequence[str], settings: Sequence[str]) -> Record:
    """Add options that were typed, as in `bound.delta=0.01`.

    Raises:
        ValueError: one is not written like that, or belongs to nothing that is recorded.
    """
    found: dict[str, dict[str, Any]] = {name: {} for name in names}
    for text in settings:
        place, equals, value = text.partition("=")
        name, dot, key = place.strip().partition(".")
        if not (equals and dot and key):
            raise ValueError(
                "an option of a recorder is NAME.KEY=VALUE, as in bound.delta=0.01. "
                f"Received: --record-set {text}"
            )
        if name not in found:
            hint = did_you_mean(name, found) or f"; with --record {name} it is."
            raise ValueError(f"{name!r} is not recorded{hint} Received: --record-set {text}")
        found[name][key] = value.strip()
    return found


def _value(name: str, key: str, value: Any) -> Any:
    """An option's value, in its type.

    Raises:
        ValueError: there is no such option, or it cannot be that.
    """
    known = OPTIONS[name]
    if key not in known:
        what = f"has the options {', '.join(known)}" if known else "has no options"
        hint = did_you_mean(key, known) or "."
        raise ValueError(f"{name} {what}{hint} Received: {name}.{key}={value!r}")
    try:
        found = _READ[key](value)
    except (ValueError, TypeError, OverflowError, re.error):
        found = None
    if found is None:
        raise ValueError(
            f"`{name}.{key}` must be {known[key]}. Received: {name}.{key}={value!r}"
        ) from None
    return found


def _classes(value: Any) -> tuple[str, ...] | None:
    parts = value.split(",") if isinstance(value, str) else value
    parts = [parts] if isinstance(parts, int) else parts
    found = tuple(dict.fromkeys(str(part).strip() for part in parts))
    return found if found and all(found) else None


def _pattern(value: Any) -> str | None:
    return value if isinstance(value, str) and value and re.compile(value) else None


def _probability(value: Any) -> float | None:
    found = float(value)
    return found if 0 < found < 1 else None


def _positive(value: Any) -> int | None:
    found = int(value)
    return found if found >= 1 and found == float(value) else None


_READ = {
    "class": _classes,
    "weights": _pattern,
    "delta": _probability,
    "limit": _positive,
}
