"""Which weights a step moves, chosen by their paths."""

import re
from collections.abc import Sequence

import keras


def check_pattern(perturb: str) -> str:
    """The pattern, if it is one.

    Raises:
        ValueError: if it is not a regular expression.
    """
    try:
        re.compile(perturb)
    except (re.error, TypeError) as error:
        raise ValueError(
            "`perturb` must be 'head', 'all' or a regular expression: "
            f"{error}. Received: perturb={perturb!r}"
        ) from error
    return perturb


def scalars(variable: keras.Variable) -> int:
    """How many numbers a variable holds."""
    size = 1
    for dimension in variable.shape:
        size *= dimension
    return size


def matching(variables: Sequence[keras.Variable], pattern: str) -> list[int]:
    """The positions of the variables whose path holds `pattern`; all of them for `"all"`.

    Raises:
        ValueError: if there is none.
    """
    if pattern == "all":
        return list(range(len(variables)))
    chosen = [i for i, variable in enumerate(variables) if re.search(pattern, variable.path)]
    if not chosen:
        paths = ", ".join(variable.path for variable in variables[:8])
        raise ValueError(
            "`perturb` must be 'head', 'all' or a regular expression found in the path of a "
            f"trainable variable; none of {len(variables)} matches (the first: {paths}). "
            f"Received: perturb={pattern!r}"
        )
    return chosen
