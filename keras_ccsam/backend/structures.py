"""Nested lists, tuples and dictionaries, without what `keras.tree` takes for each of them."""

from collections.abc import Callable, Iterator
from typing import Any


def leaves(structure: Any) -> Iterator[Any]:
    """The values of nested lists, tuples and dictionaries, in their order."""
    if isinstance(structure, dict):
        structure = structure.values()
    elif not isinstance(structure, list | tuple):
        yield structure
        return
    for part in structure:
        yield from leaves(part)


def mapped(fn: Callable[[Any], Any], structure: Any) -> Any:
    """The structure with `fn` of each of its values."""
    if isinstance(structure, dict):
        return {key: mapped(fn, part) for key, part in structure.items()}
    if isinstance(structure, list | tuple):
        parts = [mapped(fn, part) for part in structure]
        return type(structure)(*parts) if hasattr(structure, "_fields") else type(structure)(parts)
    return fn(structure)
