"""The types that several tables of a recipe share."""

from typing import Annotated, TypeAlias

from pydantic import Field

Positive: TypeAlias = Annotated[int, Field(ge=1, lt=2**31)]
Epochs: TypeAlias = Annotated[int, Field(ge=1, le=1_000_000)]
Seed: TypeAlias = Annotated[int, Field(ge=0, lt=2**32)]
