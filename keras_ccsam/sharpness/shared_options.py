"""Options that several methods take, declared once."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

Adaptive: TypeAlias = Annotated[
    bool, Field(description="ASAM's scale-invariant ascent: each weight's share by its own size")
]
Sync: TypeAlias = Annotated[
    Literal["global", "replica"],
    Field(description="several replicas: perturb by the global batch, or each by its own rows"),
]
Perturb: TypeAlias = Annotated[
    str,
    Field(min_length=1, description='"head", "all" or a regex on weight paths (paper: head)'),
]
