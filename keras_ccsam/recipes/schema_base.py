"""The types that several tables of a recipe share."""

from typing import Annotated, TypeAlias

from pydantic import Field

Positive: TypeAlias = Annotated[int, Field(ge=1)]
Seed: TypeAlias = Annotated[int, Field(ge=0, lt=2**32)]
