"""Parts from outside the package: of installed packages by name, of any module as "module:Class".

An installed package gives a part a name by an entry point:

    [project.entry-points."keras_ccsam.sharpness"]
    gsam = "my_lab.gsam:GSAM"

Importing a module runs it. A name of the form "module:Class" is therefore imported by
`import_part` alone, which is called for what a user has named: a recipe's file, or an override.
Reading a recipe imports nothing but an installed package's entry point that it names; of the rest
it finds what has been imported before.
"""

import dataclasses
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

import keras

from keras_ccsam.data.batches.views import Views
from keras_ccsam.declare import KINDS, Part, declared, parts, registered
from keras_ccsam.hints import did_you_mean
from keras_ccsam.recipes import known
from keras_ccsam.sharpness.method import SharpnessMethod
from keras_ccsam.terms import Term

# What a class must descend from, and what calling anything else must give.
_BASES: Mapping[str, tuple[type | None, str]] = MappingProxyType(
    {
        "sharpness": (SharpnessMethod, "a keras_ccsam.sharpness.SharpnessMethod"),
        "loss": (keras.losses.Loss, "a keras.losses.Loss"),
        "head": (keras.layers.Layer, "a keras.layers.Layer"),
        "backbone": (keras.Model, "a keras.Model"),
        "tuning": (keras.Model, "a keras.Model, the backbone that it is given"),
        "data": (None, "a keras_ccsam.data.Source"),
        "augmentation": (None, "a function of images and a numpy generator"),
        "views": (Views, "a keras_ccsam.data.views.Views"),
        "term": (Term, "a keras_ccsam.terms.Term"),
        "callback": (keras.callbacks.Callback, "a keras.callbacks.Callback"),
        "posthoc": (None, "nothing, of a trained model"),
    }
)
# What the run gives a part, and it cannot do without.
_GIVEN = {"head": "units", "posthoc": "model", "tuning": "backbone"}

_imported: dict[tuple[str, str], Part] = {}


def found(kind: str, name: str) -> Part | None:
    """The part of that name, if it is declared, installed, or has been imported."""
    part = parts(kind).get(name) or _imported.get((kind, name))
    if part is None and name in known.installed(kind):
        point = known.installed(kind)[name]
        try:
            made = point.load()
        except Exception as error:
            raise ValueError(
                f"the installed {kind} cannot be imported: {_said(error)}. Received: name={name!r}"
            ) from error
        part = _imported[kind, name] = _checked(kind, name, made)
    return part


def names(kind: str) -> tuple[str, ...]:
    """Every name that a part of a kind has without being imported."""
    return tuple(dict.fromkeys([*parts(kind), *known.installed(kind)]))


def import_part(kind: str, name: str, folders: Sequence[Path] = ()) -> Part:
    """Imports a part by its name "module:Class", and so runs the module.

    Args:
        kind: one of `declare.KINDS`.
        name: such as "my_lab.gsam:GSAM".
        folders: where modules may lie beside where Python finds them; the first one goes first.

    Raises:
        ValueError: if there is no such module or class, it cannot be imported, or is of another
            kind.
    """
    module_name, _, attributes = name.partition(":")
    with _importable(folders):
        module = _module(module_name, name, folders)
    _check_is_meant(module, name, folders)
    made: Any = module
    for attribute in attributes.split("."):
        if not hasattr(made, attribute):
            hint = did_you_mean(attribute, vars(made))
            raise ValueError(
                f"the module {module_name!r} has no {attribute!r}{hint}. Received: name={name!r}"
            )
        made = getattr(made, attribute)
    before = _imported.get((kind, name))
    if before is None or before.make is not made:
        _imported[kind, name] = _checked(kind, name, made)
    return _imported[kind, name]


def file_of(name: str) -> Path | None:
    """The file of the module in "module:Class", if it has been imported and has one."""
    file = getattr(sys.modules.get(name.partition(":")[0]), "__file__", None)
    return None if file is None else Path(file)


def files() -> frozenset[str]:
    """The files of all modules from outside that a part was imported from."""
    made = (part.make.__module__ for part in _imported.values())
    found = (getattr(sys.modules.get(module), "__file__", None) for module in made)
    return frozenset(file for file in found if file is not None)


def check_made(part: Part, made: object) -> None:
    """Raises ValueError if a function from outside has made something of another kind."""
    base, expected = _BASES[part.kind]
    if base is not None and not isinstance(made, base):
        raise ValueError(
            f"a {part.kind} from outside must be {expected}. "
            f"Received: name={part.name!r}, which made one of the type {type(made).__name__}"
        )


def _checked(kind: str, name: str, made: Callable[..., Any]) -> Part:
    """The part that a class or function from outside is."""
    base, expected = _BASES[kind]
    if inspect.isclass(made) and base is not None:
        if not issubclass(made, base):
            raise ValueError(
                f"a {kind} ({KINDS[kind]}) from outside must be a subclass of {expected[2:]}, or "
                f"a function that returns one. Received: name={name!r}, which descends from "
                f"{', '.join(b.__name__ for b in made.__bases__)}"
            )
    elif not callable(made) or inspect.ismodule(made):
        raise ValueError(
            f"a {kind} ({KINDS[kind]}) from outside must be a class, or a function that returns "
            f"{expected}. Received: name={name!r}, of the type {type(made).__name__}"
        )
    declaration = declared(made)
    if declaration is not None and declaration.kind != kind:
        raise ValueError(
            f"{made.__name__} is declared as a part of the kind {declaration.kind!r}. "
            f"Received: name={name!r} as a {kind}"
        )
    part = dataclasses.replace(declaration or Part(kind, name, registered(made)), name=name)
    try:
        part.options  # noqa: B018  of its annotations, which may be wrong
        arguments = inspect.signature(made).parameters
    except (TypeError, ValueError, NameError) as error:
        raise ValueError(
            f"the arguments of a part from outside must be readable: {_said(error)}. "
            f"Received: name={name!r}"
        ) from error
    needed = _GIVEN.get(kind)
    if needed is not None and needed not in arguments:
        raise ValueError(
            f"a {kind} from outside is given {needed!r}, which must be one of its arguments. "
            f"Received: name={name!r} with the arguments {', '.join(arguments) or 'none'}"
        )
    return part


def _module(module_name: str, name: str, folders: Sequence[Path]) -> ModuleType:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or module_name
        if module_name == missing or module_name.startswith(f"{missing}."):
            places = ", ".join(dict.fromkeys(str(folder) for folder in folders))
            beside = f", nor in {places}" if places else ""
            raise ValueError(
                f"there is no module {missing!r} among the installed ones{beside}. "
                f"Received: name={name!r}"
            ) from None
        raise ValueError(
            f"the module {module_name!r} cannot be imported: {_said(error)}. "
            f"Received: name={name!r}"
        ) from error
    except Exception as error:
        raise ValueError(
            f"the module {module_name!r} cannot be imported: {_said(error)}. "
            f"Received: name={name!r}"
        ) from error


def _check_is_meant(module: ModuleType, name: str, folders: Sequence[Path]) -> None:
    """Python keeps one module of a name: another file's must not take its place in silence."""
    top = module.__name__.partition(".")[0]
    for folder in folders[:1]:
        for file in (folder / f"{top}.py", folder / top / "__init__.py"):
            there = getattr(sys.modules.get(top), "__file__", None)
            if file.is_file() and (there is None or not Path(there).samefile(file)):
                raise ValueError(
                    f"another module named {top!r} is imported already, from {there}, so that "
                    f"{str(file)!r} cannot be: rename one of them. Received: name={name!r}"
                )


@contextmanager
def _importable(folders: Sequence[Path]) -> Iterator[None]:
    """Modules of these folders can be imported; afterwards the search path is what it was."""
    before = list(sys.path)
    sys.path[:0] = [str(folder) for folder in folders if str(folder) not in before]
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = before


def _said(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
