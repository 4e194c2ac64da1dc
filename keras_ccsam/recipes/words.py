"""Pydantic's problems in plain words: those that an option has for itself (options.py)."""

from collections.abc import Sequence
from typing import Any

# By the type of the problem; what is in braces stands in its context.
_WORDS = {
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing_size": "must be a smaller whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be text",
    "string_too_short": "must be text that is not empty",
    "string_pattern_mismatch": "must hold letters, digits, dots, dashes and underscores only",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "sequence_str": "must be a list",
    "too_short": "must be a longer list",
    "too_long": "must be a shorter list",
    "missing": "must be a longer list",
    "none_required": "must be left out",
    "model_type": "must be a table of keys and values",
    "dict_type": "must be a table of keys and values",
    "model_attributes_type": "must be a table of keys and values",
    "is_instance_of": "must be a table of keys and values",
    "literal_error": "must be {expected}",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
}


def requirement(problem: Any) -> str:
    """What would be right, as in "must be at least 0".

    Args:
        problem: one of `ValidationError.errors()`.
    """
    words = "must be a list" if is_of_list(problem) else _WORDS.get(problem["type"])
    if words is None:
        message: str = problem["msg"]
        return message.removeprefix("Value error, ").replace("Input should be", "must be")
    context = problem.get("ctx", {})
    return words.format(**{name: _number(value) for name, value in context.items()})


def is_of_list(problem: Any) -> bool:
    """Whether a problem says that a list would be right."""
    sequence = problem.get("ctx", {}).get("class") == "Sequence"
    return sequence or _WORDS.get(problem["type"]) == "must be a list"


def any_of(requirements: Sequence[str]) -> str:
    """What would be right where one of several types would be, each said once."""
    said = list(dict.fromkeys(requirements))
    if {"must be a number", "must be a whole number"} <= set(said):
        said.remove("must be a whole number")
    first, *others = said
    return " or ".join([first, *(text.removeprefix("must be ") for text in others)])


def _number(value: Any) -> str:
    """A bound as people write it: 1 and not 1.0, 1,000,000 and not 1000000."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"
