"""Types of options in words. It needs the standard library alone."""

from typing import Annotated, Any, get_args, get_origin

_SEVERAL = {int: "whole numbers", float: "numbers", int | float: "numbers", str: "text"}


def inner(kind: Any) -> Any:
    """A type without what `Annotated` adds."""
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    return kind


def list_of(entries: tuple[Any, ...]) -> str:
    """A list of what: `a list of numbers`, `a list of 2 numbers`.

    Args:
        entries: the arguments of a `tuple`, a `list` or a `Sequence`.
    """
    kinds = [inner(kind) for kind in entries if kind is not ...]
    several = {_SEVERAL.get(kind) for kind in kinds}
    if None in several or len(several) != 1:
        return "a list"
    count = "" if len(entries) == 1 or ... in entries else f"{len(kinds)} "
    return f"a list of {count}{several.pop()}"
