"""Which weights a method perturbs: the argument `perturb` of several methods."""

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


def positions(
    variables: Sequence[keras.Variable], perturb: str, head: keras.layers.Layer
) -> list[int]:
    """The positions of the variables that `perturb` names.

    Args:
        variables: the trainable variables of the model.
        perturb: `"head"`, `"all"`, or a regular expression that is searched in the paths.
        head: the model's head.

    Raises:
        ValueError: if there are none.
    """
    if perturb == "all":
        return list(range(len(variables)))
    if perturb == "head":
        own = {id(variable) for variable in head.trainable_variables}
        chosen = [i for i, variable in enumerate(variables) if id(variable) in own]
    else:
        chosen = [i for i, variable in enumerate(variables) if re.search(perturb, variable.path)]
    if not chosen:
        paths = ", ".join(variable.path for variable in variables[:8])
        raise ValueError(
            "`perturb` must be 'head', 'all' or a regular expression found in the path of a "
            f"trainable variable; none of {len(variables)} matches (the first: {paths}). "
            f"Received: perturb={perturb!r}"
        )
    return chosen


def scalars(variable: keras.Variable) -> int:
    """How many numbers a variable holds."""
    size = 1
    for dimension in variable.shape:
        size *= dimension
    return size
