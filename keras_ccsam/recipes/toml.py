"""TOML in and out for the few types a recipe holds: strings, booleans, numbers, lists, tables."""

import json
import re
import tomllib
from collections.abc import Mapping
from typing import Any

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def parse(text: str, source: str) -> dict[str, Any]:
    """Parse a document; `source` names it in the error.

    Raises:
        ValueError: `text` is not valid TOML.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(
            f"{source} is not valid TOML: {error}; a line reads key = value, with strings in "
            f"double quotes. Received: source={source!r}"
        ) from None


def value(text: str) -> Any:
    """Read one value as TOML; what is no TOML value is a string, so that bare words need no quotes.

    `.5` and `True`, which TOML refuses but people type, are a number and a boolean.
    """
    try:
        document = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        document = {}
    if document.keys() == {"value"}:
        return document["value"]
    if text in ("True", "False"):
        return text == "True"
    try:
        return float(text)
    except ValueError:
        return text


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
    # JSON's escapes are TOML's, but for DEL, which TOML alone wants escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
