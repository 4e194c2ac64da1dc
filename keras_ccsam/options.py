"""The options of a part, read off its constructor: types, ranges, defaults, explanations.

An option is an argument whose annotation carries a pydantic `Field` with a description:

    rho: Annotated[float, Field(ge=0, description="radius (paper: 0.05)"), VARIABLE] = 0.05

`checked` holds values to that; `declare.py` makes the tables of a recipe of it.
"""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from keras_ccsam.hints import did_you_mean
from keras_ccsam.type_words import inner as _inner
from keras_ccsam.type_words import list_of


class _Variable:
    """The mark of an option that a callback may change while a model trains."""

    def __repr__(self) -> str:
        return "VARIABLE"


VARIABLE = _Variable()


@dataclass(frozen=True)
class Option:
    """One option of a part.

    Attributes:
        name: of the constructor's argument.
        kind: its type, the constraints of its range included: an `Annotated` of the constructor.
        default: its default; `inspect.Parameter.empty` where it must be given.
        description: one line.
        variable: whether a callback may change it.
        expected: what is right, in words: "at least 0".
    """

    name: str
    kind: Any
    default: Any
    description: str
    variable: bool
    expected: str

    def checked(self, value: Any) -> Any:
        """The value in the option's own type.

        Raises:
            ValueError: for one outside its range.
        """
        if isinstance(value, np.generic):
            value = value.item()
        try:
            return _adapter(self.kind).validate_python(value)
        except ValidationError:
            hint = did_you_mean(value, _names(self.kind)) if isinstance(value, str) else ""
            # "at least 0" says enough of a number, and too little of anything else.
            bare = _inner(self.kind) is float and not self.expected.startswith("a number")
            kind = "a number, " if bare and not _is_number(value) else ""
            raise ValueError(
                f"`{self.name}` must be {kind}{self.expected}{hint or '.'} "
                f"Received: {self.name}={value!r}"
            ) from None


@functools.cache
def options(make: Callable[..., Any]) -> Mapping[str, Option]:
    """The options that a class or a function declares, by name."""
    function = make.__init__ if inspect.isclass(make) else make
    hints = get_type_hints(function, include_extras=True)
    found = {}
    for name, parameter in inspect.signature(function).parameters.items():
        hint = hints.get(name)
        fields = [m for m in _metadata(hint) if isinstance(m, FieldInfo)]
        if not fields:
            continue
        found[name] = Option(
            name=name,
            kind=hint,
            default=parameter.default,
            # An option that several parts share may be explained anew.
            description=next((f.description for f in fields[::-1] if f.description), ""),
            variable=VARIABLE in _metadata(hint),
            expected=expected(hint),
        )
    return MappingProxyType(found)


def inherited(make: Callable[..., Any]) -> dict[str, Option]:
    """The options that a function, a class or any of its bases declares, by name."""
    if not inspect.isclass(make):
        return dict(options(make))
    found: dict[str, Option] = {}
    for base in reversed(make.__mro__):
        if "__init__" in vars(base):
            found |= options(base)
    return found


def checked(make: Callable[..., Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The values in their options' own types; what is no option stays as it is.

    Args:
        make: a function, or a class, whose options any of its bases may declare.
        values: arguments by name.

    Raises:
        ValueError: for one outside its range.
    """
    known = inherited(make)
    return {k: known[k].checked(v) if k in known else v for k, v in values.items()}


def expected(kind: Any) -> str:
    """What is right for a type and its range, in words."""
    inner = _inner(kind)
    if get_origin(inner) is Literal:
        one_of = "one of " if len(get_args(inner)) > 1 else ""
        return one_of + ", ".join(map(repr, get_args(inner)))
    if get_origin(inner) in (tuple, list, Sequence):
        return list_of(get_args(inner))
    if get_origin(inner) in (Union, UnionType):
        union = [a for a in get_args(inner) if a is not type(None)]
        said = [expected(a) for a in union]
        # A constraint of the whole union belongs to its number.
        bounds = _bounds(kind)
        said = [f"{w} {bounds}" if bounds and w.endswith("number") else w for w in said]
        if type(None) in get_args(inner):
            said.append("absent")
        return " or ".join(said)
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    bounds = _bounds(kind)
    if inner is float and bounds:
        return bounds
    if inner is str and _constraints(kind, "min_length"):
        return "text that is not empty"
    return f"{words.get(inner, 'of another type')} {bounds}".strip()


def _names(kind: Any) -> list[str]:
    """The texts that a type lists by name."""
    if get_origin(kind) is Literal:
        return [name for name in get_args(kind) if isinstance(name, str)]
    return [name for inner in get_args(kind) for name in _names(inner)]


def _bounds(kind: Any) -> str:
    found = _constraints(kind, "ge", "gt", "le", "lt")
    bounds = {
        name: f"{bound:,}" if isinstance(bound, int) else f"{bound:g}"
        for name, bound in found.items()
    }
    if {"ge", "le"} <= set(bounds):
        return f"between {bounds['ge']} and {bounds['le']}"
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    return " and ".join(f"{words[name]} {bound}" for name, bound in bounds.items())


def _constraints(kind: Any, *names: str) -> dict[str, Any]:
    """The constraints of these names that a type carries."""
    found: dict[str, Any] = {}
    for item in _metadata(kind):
        for constraint in item.metadata if isinstance(item, FieldInfo) else [item]:
            for name in names:
                if getattr(constraint, name, None) is not None:
                    found[name] = getattr(constraint, name)
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _metadata(hint: Any) -> tuple[Any, ...]:
    """What `Annotated` adds to a type, nested ones included."""
    if get_origin(hint) is not Annotated:
        return ()
    inner, *added = get_args(hint)
    return (*_metadata(inner), *added)


@functools.cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind, config=ConfigDict(strict=True, allow_inf_nan=False))
