"""The places of a recipe that name a part: validated against what that part declares.

A slot holds the part's table: its `name`, and its options with the defaults filled in. A part from
outside that has not been imported is kept as it stands, unread: to read a recipe runs no code.
"""

import functools
import inspect
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic_core import InitErrorDetails, PydanticCustomError, core_schema

from keras_ccsam import callbacks, heads, losses, models, second_stage, sharpness
from keras_ccsam.checks import did_you_mean
from keras_ccsam.data.batches.augment import Augmentation
from keras_ccsam.declare import Part, Table, chosen, declared_by, parts, table
from keras_ccsam.recipes import known, outside

# Imported for what they declare.
_DECLARING = (callbacks, heads, losses, models, second_stage, sharpness)


class _Open(Table):
    """A table whose options are not known here."""

    model_config = ConfigDict(extra="allow")


class Unread(_Open):
    """The table of a part from outside that has not been imported."""

    name: str


class Slot:
    """Where a recipe names a part; put beside `Table` in an `Annotated`.

    Args:
        kind: one of `declare.KINDS`.
        base: what its tables have beside the part's own options.
    """

    def __init__(self, kind: str, base: type[Table] = Table) -> None:
        self.kind = kind
        self.base = base

    def tables(self) -> Iterator[type[Table]]:
        """The tables of all declared parts."""
        for part in parts(self.kind).values():
            yield table(part, self.base)

    def table(self, name: object) -> type[Table] | None:
        """The table of a name; `Unread` from outside, and None where there is no such part."""
        if not isinstance(name, str):
            return None
        part = outside.found(self.kind, name)
        if part is not None:
            return table(part, self.base)
        if known.is_dotted(name):
            return _unread(self.base)
        return _application(name) if self.kind == "backbone" else None

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        """Pydantic's hook: `validated` on the way in; on the way out, whatever table it is."""
        return core_schema.no_info_plain_validator_function(
            self.validated, serialization=core_schema.simple_ser_schema("any")
        )

    def validated(self, value: Any) -> Table:
        """The table of what a recipe says.

        Raises:
            ValidationError: for another type, name, key or value.
        """
        if isinstance(value, str):
            value = {"name": value}
        if isinstance(value, self.base) and (chosen(value) or isinstance(value, _Open)):
            return value
        if not isinstance(value, Mapping):
            raise PydanticCustomError("part", "must be a table of keys and values")
        if "name" not in value:
            raise _error("missing", value, ("name",))
        name = value["name"]
        try:
            found = self.table(name)
        except ValueError as error:  # of an installed package
            raise _error(_message(str(error).partition(" Received:")[0]), name, ("name",)) from None
        if found is None:
            raise _error(_message(self._choices(name)), name, ("name",))
        # A network's name may be typed in other cases.
        own = found.model_fields["name"].default
        return found.model_validate({**value, "name": own if isinstance(own, str) else name})

    def _choices(self, name: object) -> str:
        names = sorted(outside.names(self.kind))
        more = " or a function of keras.applications" if self.kind == "backbone" else ""
        hint = did_you_mean(name, names)
        if isinstance(name, str) and "." in name and ":" not in name:
            hint = "; code from outside reads module:Class"
        return f"must be one of {', '.join(map(repr, names))}{more}{hint}"


class Entry(Slot):
    """A slot in a list: a name alone stays the name, since most entries have no options."""

    def validated(self, value: Any) -> Any:
        """The name, or the table where there are options or the part is from outside."""
        chosen = super().validated(value)
        return value if isinstance(value, str) and value in parts(self.kind) else chosen


Method: TypeAlias = Annotated[Table, Slot("sharpness")]
Loss: TypeAlias = Annotated[Table, Slot("loss")]
Head: TypeAlias = Annotated[Table, Slot("head")]
Backbone: TypeAlias = Annotated[Table, Slot("backbone")]
Posthoc: TypeAlias = Annotated[Table, Slot("posthoc")]
Callbacks: TypeAlias = Annotated[
    tuple[Annotated[Table, Slot("callback")], ...], Field(strict=False)
]
Augmentations: TypeAlias = (
    Literal["default"]
    | Annotated[tuple[Annotated[str | Table, Entry("augmentation")], ...], Field(strict=False)]
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


def takes(made: type[BaseModel], argument: str) -> bool:
    """Whether the part of a table has an argument of that name, declared or not."""
    part = declared_by(made)
    return part is not None and argument in inspect.signature(part.make).parameters


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
    return create_model(spelled, __base__=_Open, **fields)


def _message(text: str) -> PydanticCustomError:
    return PydanticCustomError("part", "{text}", {"text": text.rstrip(".")})


def _error(kind: Any, received: Any, place: tuple[str, ...]) -> ValidationError:
    details = InitErrorDetails(type=kind, loc=place, input=received)
    return ValidationError.from_exception_data("part", [details])
