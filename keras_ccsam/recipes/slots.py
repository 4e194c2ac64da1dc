"""The places of a recipe that name a part: validated against what that part declares.

A slot holds the part's table: its `name`, and its options with the defaults filled in. A part from
outside that has not been imported is kept as it stands, unread: to read a recipe runs no code.
"""

import functools
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, create_model

from keras_ccsam import callbacks, heads, losses, models, second_stage, sharpness, terms
from keras_ccsam.closed_table import OpenTable, Table
from keras_ccsam.data.batches.augment import Augmentation
from keras_ccsam.declare import Part, chosen, parts, table
from keras_ccsam.recipes import known, outside
from keras_ccsam.recipes.slot import Slot

# Imported for what they declare.
_DECLARING = (callbacks, heads, losses, models, second_stage, sharpness, terms)


class Unread(OpenTable):
    """The table of a part from outside that has not been imported."""


class Declared(Slot):
    """A slot whose parts are those that declare themselves, and those from outside."""

    def declared(self) -> tuple[str, ...]:
        """See `Slot`."""
        return tuple(parts(self.kind))

    def names(self) -> tuple[str, ...]:
        """See `Slot`."""
        return outside.names(self.kind)

    def table(self, name: object) -> type[Table] | None:
        """See `Slot`; `Unread` from outside, where its code has not been imported."""
        if not isinstance(name, str):
            return None
        part = outside.found(self.kind, name)
        if part is not None:
            return table(part, self.base)
        if known.is_dotted(name):
            return _unread(self.base)
        return _application(name) if self.kind == "backbone" else None

    def takes(self, name: object, argument: str) -> bool:
        """See `Slot`."""
        part = outside.found(self.kind, name) if isinstance(name, str) else None
        return part is not None and argument in part.arguments

    def is_made(self, value: Table) -> bool:
        """See `Slot`."""
        return chosen(value) is not None or super().is_made(value)


Method: TypeAlias = Annotated[Table, Declared("sharpness")]
Loss: TypeAlias = Annotated[Table, Declared("loss")]
Head: TypeAlias = Annotated[Table, Declared("head")]
Backbone: TypeAlias = Annotated[Table, Declared("backbone")]
Tuning: TypeAlias = Annotated[Table, Declared("tuning")]
Posthoc: TypeAlias = Annotated[Table, Declared("posthoc")]
Callbacks: TypeAlias = Annotated[
    tuple[Annotated[Table, Declared("callback")], ...], Field(strict=False)
]
Views: TypeAlias = Annotated[Table, Declared("views")]
Terms: TypeAlias = Annotated[tuple[Annotated[Table, Declared("term")], ...], Field(strict=False)]
Augmentations: TypeAlias = (
    Literal["default"]
    | Annotated[
        tuple[Annotated[str | Table, Declared("augmentation", bare=True)], ...], Field(strict=False)
    ]
)


def name_of(choice: Table) -> str:
    """The name of the part that a recipe's table names."""
    return str(getattr(choice, "name", None))


def part_of(choice: Table) -> Part:
    """The part that a recipe's table names.

    Raises:
        ValueError: if it is from outside and its code has not been imported.
    """
    part = chosen(choice)
    if part is None:
        name = getattr(choice, "name", None)
        raise ValueError(
            "the recipe names code from outside the package, and to read a recipe runs none. If "
            "you trust it, say so: trust_code=True (--trust-code on the command line) imports it, "
            f"and so does recipes.load of a file that names it. Received: name={name!r}"
        )
    return part


def values(choice: Table) -> dict[str, Any]:
    """The options of a part, as its table has them."""
    part = chosen(choice)
    names = type(choice).model_fields if part is None else part.options
    found = {name: getattr(choice, name) for name in names if name != "name"}
    return found | (choice.model_extra or {})


def build(choice: Table, **given: Any) -> Any:
    """Makes the part that a recipe's table names; see `declare.Part.build`.

    Raises:
        ValueError: for a part from outside, as `part_of`, or if it makes something else.
    """
    part = part_of(choice)
    made = part.build(values(choice), **given)
    outside.check_made(part, made)
    return made


def augmentations(
    chosen: Literal["default"] | tuple[str | Table, ...],
) -> Literal["default"] | tuple[str | Augmentation, ...]:
    """A recipe's augmentations as batches take them: tables become what they name.

    Raises:
        ValueError: as `build`.
    """
    if isinstance(chosen, str):
        return chosen
    return tuple(build(entry) if isinstance(entry, Table) else entry for entry in chosen)


@functools.cache
def _unread(base: type[Table]) -> type[Table]:
    return Unread if base is Table else create_model("Unread", __base__=(Unread, base))


@functools.cache
def _application(name: str) -> type[Table] | None:
    """The table of a network of keras.applications, whose function checks its own options."""
    try:
        spelled = models.spelled(name)
    except ValueError:
        return None
    if spelled in parts("backbone"):
        return table(parts("backbone")[spelled], Table)
    fields: Any = {"name": (Literal[spelled], spelled)}
    return create_model(spelled, __base__=OpenTable, **fields)
