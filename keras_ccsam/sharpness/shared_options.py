"""Options that several methods take, declared once."""

from typing import Annotated, TypeAlias

from pydantic import Field

Adaptive: TypeAlias = Annotated[
    bool, Field(description="ASAM's scale-invariant ascent: each weight's share by its own size")
]
SyncPerturbation: TypeAlias = Annotated[
    bool, Field(description="ascend along the global batch's gradient where replicas train")
]
Perturb: TypeAlias = Annotated[
    str,
    Field(min_length=1, description='"head", "all" or a regex on weight paths (paper: head)'),
]
