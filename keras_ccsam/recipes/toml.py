"""TOML in and out for the few types a recipe holds: strings, booleans, numbers, lists, tables.

It imports the standard library alone: the command line asks it before Keras is imported.
"""

import json
import re
import tomllib
from collections.abc import Mapping
from typing import Any

MAX_DEPTH = 32
"""Tables and lists inside each other; a recipe needs five."""

# tomllib takes seconds over such a key, and squares them for one twice as long.
_DEEP_KEY = re.compile(rf"^[ \t]*(?:[A-Za-z0-9_-]+[ \t]*\.[ \t]*){{{MAX_DEPTH},}}", re.MULTILINE)
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def parse(text: str, source: str) -> dict[str, Any]:
    """Parse a document; `source` names it in the error.

    Raises:
        ValueError: `text` is not valid TOML, is nested deeper than `MAX_DEPTH`, or holds a whole
            number of more than 64 bits.
    """
    received = f"source={source!r}"
    if _DEEP_KEY.search(text):
        raise _too_deep(received)
    try:
        values = tomllib.loads(text)
    except RecursionError:
        raise _too_deep(received) from None
    except ValueError as error:  # a TOMLDecodeError, or a number of thousands of digits
        raise ValueError(
            f"{source} is not valid TOML: {error}; a line reads key = value, with strings in "
            f"double quotes. Received: {received}"
        ) from None
    _check(values, received)
    return values


def assignment(text: str) -> tuple[str, Any]:
    """Read an override, `key=value`, into the dotted key and the value.

    What is no TOML value is a string, so that bare words need no quotes. `.5` and `True`, which
    TOML refuses but people type, are a number and a boolean.

    Raises:
        ValueError: it is none; its key or value is nested deeper than `MAX_DEPTH`; or it holds a
            whole number of more than 64 bits.
    """
    key, equals, item = (part.strip() for part in text.partition("="))
    received = f"override={shortened(text)!r}"
    if not equals or not key:
        raise ValueError(
            f"an override reads key=value, as in stage1.epochs=20. Received: {received}"
        )
    if key.count(".") >= MAX_DEPTH:
        raise _too_deep(received)
    try:
        value = _value_of(item)
    except RecursionError:
        raise _too_deep(received) from None
    _check(value, received)
    return key, value


def shortened(text: str) -> str:
    """Return the text, or its beginning where it is long."""
    return text if len(text) <= 200 else f"{text[:40]}... ({len(text)} characters)"


def _value_of(text: str) -> Any:
    try:
        document = tomllib.loads(f"value = {text}")
    except ValueError:
        document = {}
    if document.keys() == {"value"}:
        return document["value"]
    if text in ("True", "False"):
        return text == "True"
    try:
        return float(text)
    except ValueError:
        return text


def _check(values: Any, received: str) -> None:
    """Refuse what lies too deep and numbers that are too large, without recursion."""
    level = [values]
    for _ in range(MAX_DEPTH + 2):
        inner: list[Any] = []
        for item in level:
            if isinstance(item, Mapping):
                inner += item.values()
            elif isinstance(item, list):
                inner += item
            elif isinstance(item, int) and not -(2**63) <= item < 2**63:
                raise ValueError(
                    "a whole number of a recipe has 64 bits, as TOML's have: it is at most "
                    f"{2**63 - 1}. Received: {received}"
                )
        if not inner:
            return
        level = inner
    raise _too_deep(received)


def _too_deep(received: str) -> ValueError:
    return ValueError(
        f"tables and lists may be nested {MAX_DEPTH} deep, no deeper. Received: {received}"
    )


def dump(values: Mapping[str, Any]) -> str:
    """Write a nested mapping; `tomllib.loads` gives an equal one back.

    Raises:
        TypeError: a value is none of the types above.
    """
    return "\n".join(_table(values, ())).lstrip("\n") + "\n"


def written(item: Any) -> str:
    """A value as TOML writes it.

    Raises:
        TypeError: it is none of the types above.
    """
    if isinstance(item, bool):
        return "true" if item else "false"
    if isinstance(item, int | float):
        return repr(item)
    if isinstance(item, str):
        return _string(item)
    if isinstance(item, list | tuple):
        return f"[{', '.join(map(written, item))}]"
    if isinstance(item, Mapping):
        pairs = ", ".join(f"{_key(key)} = {written(value)}" for key, value in item.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    raise TypeError(
        f"TOML here holds text, booleans, numbers, lists and tables. Received: item={item!r}"
    )


def _table(values: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
    plain = {key: item for key, item in values.items() if not isinstance(item, Mapping)}
    tables = {key: item for key, item in values.items() if isinstance(item, Mapping)}
    lines = []
    # The header of a table that only holds tables is implied by theirs.
    if path and (plain or not tables):
        lines += ["", f"[{'.'.join(map(_key, path))}]"]
    lines += [f"{_key(key)} = {written(item)}" for key, item in plain.items()]
    for key, item in tables.items():
        lines += _table(item, (*path, key))
    return lines


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _string(key)


def _string(text: str) -> str:
    if not text.isprintable() and any("\ud800" <= c <= "\udfff" for c in text):
        raise ValueError(
            "a recipe is UTF-8 text, and this name holds other bytes: rename the file or folder. "
            f"Received: {text!r}"
        )
    # JSON's escapes are TOML's, but for DEL, which TOML alone wants escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
