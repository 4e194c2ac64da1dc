"""The base of every table of a recipe. It imports pydantic alone, which takes no second."""

from pydantic import BaseModel, ConfigDict


class Table(BaseModel):
    """A closed table: an unknown key is an error, and a value never changes after validation."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, arbitrary_types_allowed=True
    )


class OpenTable(Table):
    """The table of a part whose options are not known here."""

    model_config = ConfigDict(extra="allow")

    name: str
