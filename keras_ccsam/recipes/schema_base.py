"""The types that several tables of a recipe share, and the rules that a type alone cannot say.

It needs pydantic and no Keras: the command line asks it before Keras is imported.
"""

import itertools
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, Field

Positive: TypeAlias = Annotated[int, Field(ge=1, lt=2**31)]
Epochs: TypeAlias = Annotated[int, Field(ge=1, le=1_000_000)]
Seed: TypeAlias = Annotated[int, Field(ge=0, lt=2**32)]


def increasing(value: tuple[int | float, ...]) -> tuple[int | float, ...]:
    """Refuses boundaries that are no epochs and no shares of them, or do not increase."""
    shares = [isinstance(x, float) for x in value]
    if any(shares) and not all(shares):
        raise ValueError("must be all whole epochs or all shares below 1, not a mixture")
    highest = (1 if share else 1_000_001 for share in shares)
    if any(not 0 < x < limit for x, limit in zip(value, highest, strict=True)):
        raise ValueError("must be whole epochs from 1 to 1,000,000, or shares between 0 and 1")
    if any(b <= a for a, b in itertools.pairwise(value)):
        raise ValueError("must increase")
    return value


RULES = {"increasing": increasing}
"""By their names in `schema.json`."""

Boundaries: TypeAlias = Annotated[
    tuple[int | float, ...], Field(strict=False), AfterValidator(increasing)
]
