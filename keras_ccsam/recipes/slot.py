"""The place of a recipe that names a part, whoever knows the parts.

It needs pydantic and no Keras: `slots.py` knows the parts that are declared, `shipped.py` those
that the package has told a file.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError, core_schema

from keras_ccsam.closed_table import OpenTable, Table
from keras_ccsam.hints import did_you_mean


class Slot:
    """Where a recipe names a part; put beside `Table` in an `Annotated`.

    Args:
        kind: one of `declare.KINDS`.
        base: what its tables have beside the part's own options.
        bare: a name alone stays the name, as in a list whose entries mostly have no options.
    """

    def __init__(self, kind: str, base: type[Table] = Table, *, bare: bool = False) -> None:
        self.kind = kind
        self.base = base
        self.bare = bare

    def declared(self) -> tuple[str, ...]:
        """The names of the parts that the package knows by itself."""
        raise NotImplementedError

    def names(self) -> tuple[str, ...]:
        """Those, and the names that installed packages give."""
        raise NotImplementedError

    def table(self, name: object) -> type[Table] | None:
        """The table of a part; an open one where its options are not known; None for no part."""
        raise NotImplementedError

    def takes(self, name: object, argument: str) -> bool:
        """Whether a part's constructor has an argument of that name, declared or not."""
        raise NotImplementedError

    def tables(self) -> Iterator[type[Table]]:
        """The tables of all parts in `declared`."""
        for name in self.declared():
            found = self.table(name)
            if found is not None:
                yield found

    def is_made(self, value: Table) -> bool:
        """Whether a table is that of a part, and not some other one."""
        return isinstance(value, OpenTable)

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        """Pydantic's hook: `validated` on the way in; on the way out, whatever table it is."""
        return core_schema.no_info_plain_validator_function(
            self.validated, serialization=core_schema.simple_ser_schema("any")
        )

    def validated(self, value: Any) -> Any:
        """The table of what a recipe says, or its name where that is kept.

        Raises:
            ValidationError: for another type, name, key or value.
        """
        if self.bare and isinstance(value, str) and value in self.declared():
            return value
        if isinstance(value, str):
            value = {"name": value}
        if isinstance(value, self.base) and self.is_made(value):
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
        names = sorted(self.names())
        more = " or a function of keras.applications" if self.kind == "backbone" else ""
        hint = did_you_mean(name, names)
        if isinstance(name, str) and "." in name and ":" not in name:
            hint = "; code from outside reads module:Class"
        return f"must be one of {', '.join(map(repr, names))}{more}{hint}"


def _message(text: str) -> PydanticCustomError:
    return PydanticCustomError("part", "{text}", {"text": text.rstrip(".")})


def _error(kind: Any, received: Any, place: tuple[str, ...]) -> ValidationError:
    details = InitErrorDetails(type=kind, loc=place, input=received)
    return ValidationError.from_exception_data("part", [details])
