"""The types that several tables of a recipe share."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

Names: TypeAlias = Annotated[tuple[str, ...], Field(strict=False)]
Augmentation: TypeAlias = Literal["default"] | Names
Positive: TypeAlias = Annotated[int, Field(ge=1)]
Seed: TypeAlias = Annotated[int, Field(ge=0, lt=2**32)]
