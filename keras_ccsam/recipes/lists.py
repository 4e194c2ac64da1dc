"""What is said where a recipe should have a list: of what, and an example.

It needs pydantic and no Keras: the command line asks it before Keras is imported.
"""

import json
from collections.abc import Sequence
from typing import Any, get_args, get_origin

from pydantic.fields import FieldInfo

from keras_ccsam.hints import closest
from keras_ccsam.recipes.slot import Slot
from keras_ccsam.type_words import list_of as words_of


def list_of(
    received: object, slot: Slot | None, field: FieldInfo | None, kinds: Sequence[Any]
) -> str:
    """What goes on after "must be a list": ` of numbers, as in [0.8, 0.9]`.

    Args:
        received: what is no list.
        slot: whose parts the entries name; None where they name none.
        field: of the option's table; None where it is not known.
        kinds: the option's type, and all that it is made of.
    """
    kind = next((kind for kind in kinds if get_origin(kind) in (tuple, list, Sequence)), None)
    names = sorted(slot.names()) if slot else []
    typed = [entry.strip() for entry in received.split(",")] if isinstance(received, str) else []
    found: list[str | None] = []
    if names:
        found += [name if ":" in name else closest(name, names) for name in typed]
    elif kind is not None and get_args(kind) == (str, ...):
        found += typed
    if found and all(found):
        return f"; did you mean {json.dumps(found)}?"
    if names:
        return f" of {', '.join(map(repr, names))}"
    words = "" if kind is None else words_of(get_args(kind)).removeprefix("a list")
    if field is not None and isinstance(field.default, tuple) and field.default:
        short = [round(each, 3) if isinstance(each, float) else each for each in field.default]
        return f"{words}, as in {json.dumps(short)}"
    said = explained(field)
    return f"{words} ({said})" if said else words


def explained(field: FieldInfo | None) -> str:
    """What an option is, without where its default is from."""
    return (field.description if field is not None and field.description else "").partition(" (")[0]
