"""What the tables of a recipe share: closed, frozen, and typed narrowly."""

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

Scalar: TypeAlias = str | bool | int | float
Names: TypeAlias = Annotated[tuple[str, ...], Field(strict=False)]
Augmentation: TypeAlias = Literal["default"] | Names
Positive: TypeAlias = Annotated[int, Field(ge=1, lt=2**31)]
Epochs: TypeAlias = Annotated[int, Field(ge=1, le=1_000_000)]
Seed: TypeAlias = Annotated[int, Field(ge=0, lt=2**32)]


class Table(BaseModel):
    """A closed table: an unknown key is an error, and a value never changes after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
