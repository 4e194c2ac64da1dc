"""A recipe checked without Keras, against the schema as the package ships it.

`schema.json` beside this file is what `schema.py` and all declared parts say; `make docs` writes
it, and a test holds that it is current. It says the types and ranges of values. What it cannot
decide is left to the full check: parts from outside the package, and rules of several keys.
"""

import functools
import importlib.util
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union

from pydantic import AfterValidator, BaseModel, Field, ValidationError, create_model

from keras_ccsam.closed_table import OpenTable, Table
from keras_ccsam.hints import plain
from keras_ccsam.recipes import known
from keras_ccsam.recipes.composing import composed, named_parts, several
from keras_ccsam.recipes.errors import explain
from keras_ccsam.recipes.schema_base import RULES
from keras_ccsam.recipes.slot import Slot

FILE = Path(__file__).with_name("schema.json")

_PLAIN: Mapping[str, Any] = {
    "boolean": bool,
    "whole number": int,
    "number": float,
    "text": str,
    "nothing": None,
}


def check(
    recipes: Iterable[tuple[str, str | None, tuple[str, ...]]], overrides: Iterable[str]
) -> None:
    """Refuse what the full check would refuse, in the same words, as far as the file tells.

    Args:
        recipes: of each its name or file, its data and changes of its own, as `library.load` has
            them.
        overrides: of all of them, as `library.load_several` has them.

    Raises:
        ValueError: as `library.load_several`.
    """
    several(
        recipes,
        overrides,
        lambda one, changes: _checked(composed(one[0], one[1], (*one[2], *changes), schema())),
        lambda values: "stage2" in values,
    )


def _checked(values: dict[str, Any]) -> dict[str, Any]:
    for _, slot, name in named_parts(values, schema()):
        from_package = name in slot.names() and name not in slot.declared()
        if known.is_dotted(name) or from_package:
            return values
    try:
        schema().model_validate(values)
    except ValidationError as error:
        raise ValueError(explain(error, schema(), values)) from None
    return values


@functools.cache
def schema() -> type[BaseModel]:
    """What a recipe may say, as the file has it."""
    return _table("Recipe")


class Shipped(Slot):
    """A slot whose parts are those of the file."""

    def declared(self) -> tuple[str, ...]:
        """See `Slot`."""
        return tuple(_parts(self.kind))

    def names(self) -> tuple[str, ...]:
        """See `Slot`."""
        return tuple(dict.fromkeys([*self.declared(), *known.installed(self.kind)]))

    def table(self, name: object) -> type[Table] | None:
        """See `Slot`."""
        if self.kind == "backbone" and isinstance(name, str):
            ours = {plain(own): own for own in self.declared()}
            if plain(name) not in ours:
                return OpenTable if _is_application(name) else None
            name = ours[plain(name)]
        return _part(self.kind, name) if name in self.declared() else None

    def takes(self, name: object, argument: str) -> bool:
        """See `Slot`."""
        return argument in _parts(self.kind).get(str(name), {}).get("arguments", ())


@functools.cache
def _file() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return content


def _parts(kind: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = _file()["parts"][kind]
    return found


@functools.cache
def _table(name: str) -> type[Table]:
    fields: Any = {key: _field(said) for key, said in _file()["tables"][name].items()}
    return create_model(name, __base__=Table, **fields)


@functools.cache
def _part(kind: str, name: str) -> type[Table]:
    fields: Any = {key: _field(said) for key, said in _parts(kind)[name]["options"].items()}
    fields["name"] = (Literal[name], name)
    return create_model(name, __base__=Table, **fields)


def _field(said: Mapping[str, Any]) -> tuple[Any, Any]:
    """A key's type and default: of no interest but for the name of a part, and a list's example."""
    default: Any = tuple(said["example"]) if "example" in said else None
    if "default" in said:
        default = OpenTable.model_validate({"name": said["default"]})
    about = Field(description=said.get("about"))
    return Annotated[_type(said), about], ... if said.get("required") else default


def _type(said: Mapping[str, Any]) -> Any:
    """The type that one entry of the file describes."""
    marks: list[Any] = []
    kind: Any
    if "slot" in said:
        base = _table(said["base"]) if "base" in said else Table
        kind = Table
        marks.append(Shipped(said["slot"], base, bare=said.get("bare", False)))
    elif "one of" in said:
        kind = Literal[tuple(said["one of"])]
    elif "any of" in said:
        kind = Union[tuple(_type(inner) for inner in said["any of"])]  # noqa: UP007
    elif "list of" in said:
        kind = tuple[_type(said["list of"]), ...]  # type: ignore[misc]
    elif "items" in said:
        kind = tuple[tuple(map(_type, said["items"]))]  # type: ignore[misc]
    elif "sequence of" in said:
        kind = Sequence[_type(said["sequence of"])]  # type: ignore[misc]
    elif "table" in said:
        kind = _table(said["table"])
    else:
        kind = _PLAIN[said["type"]]
    if said.get("limits"):
        marks.append(Field(**said["limits"]))
    marks += [AfterValidator(RULES[name]) for name in said.get("rules", ())]
    return Annotated[(kind, *marks)] if marks else kind


@functools.cache
def _applications() -> frozenset[str] | None:
    """The names in keras.applications, read from its file; None where there is none."""
    spec = importlib.util.find_spec("keras")
    for folder in (spec and spec.submodule_search_locations) or ():
        file = Path(folder, "applications", "__init__.py")
        if file.is_file():
            text = file.read_text(encoding="utf-8")
            return frozenset(map(plain, re.findall(r"\bimport ([A-Z]\w*)", text)))
    return None


def _is_application(name: str) -> bool:
    there = _applications()
    return there is None or plain(name) in there
