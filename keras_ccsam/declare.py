"""How a part declares itself: its options stand once, on its constructor.

A part is whatever a recipe can name: a sharpness method, a loss, a head, a backbone, a source of
data, an augmentation, a callback, what follows training. Its options are the constructor's
arguments that carry a pydantic `Field`:

    @part("sharpness", "gsam", limit=Limit("sam", alpha=0.0))
    class GSAM(SharpnessMethod):
        def __init__(
            self,
            rho: Annotated[float, Field(ge=0, description="radius (paper: 0.05)"), VARIABLE] = 0.05,
            alpha: Annotated[float, Field(ge=0, description="of the gap"), VARIABLE] = 0.2,
        ) -> None:
            super().__init__(rho=rho, alpha=alpha)

From this follow the table of a recipe, its defaults, the checks of the constructor and their
errors, what is saved, and the reference page. An argument without a `Field` is none of the user's:
the run gives it (`class_counts`), or Keras does (`name`, `dtype`).
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, TypeVar

import keras
from pydantic import BaseModel, create_model

from keras_ccsam.closed_table import Table
from keras_ccsam.hints import did_you_mean
from keras_ccsam.options import Option, options

T = TypeVar("T", bound=Callable[..., Any])
B = TypeVar("B", bound="Table")

KINDS = {
    "sharpness": "how a step's gradient is formed",
    "loss": "of a sample",
    "head": "the classifier on the features",
    "backbone": "the network from images to features",
    "tuning": "which of the backbone's weights are trained",
    "data": "which images",
    "augmentation": "what is done to an image before each use",
    "views": "what a batch shows of each image",
    "term": "what is added to the loss of a batch",
    "callback": "what hangs on a stage while it trains",
    "posthoc": "what is done to a trained model without training",
}


@dataclass(frozen=True, eq=False)
class Limit:
    """Where a part becomes another one, which the contract suite holds it to.

    Attributes:
        other: the name of the part that it then equals, with the other's defaults; of views
            and terms, the loss that is then left as it is.
        options: at which values of its own, whatever the others are.
        tolerance: of the weights after some steps.
    """

    other: str
    options: Mapping[str, Any]
    tolerance: float

    def __init__(self, other: str, *, tolerance: float = 1e-6, **options: Any) -> None:
        object.__setattr__(self, "other", other)
        object.__setattr__(self, "options", MappingProxyType(options))
        object.__setattr__(self, "tolerance", tolerance)


@dataclass(frozen=True, eq=False)
class Part:
    """A part as it was declared.

    Attributes:
        kind: one of `KINDS`.
        name: what recipes call it.
        make: its class, or the function that makes it.
        limit: where it becomes another part; None where it says none.
        trials: options with which the suites run over it, each as a mapping; those left out have
            their defaults. Without any trial there is one of the defaults.
        offers: what others may need of it: a head is `"linear"` (h W + b) or puts out `"cosines"`.
        needs: what it needs of others: of the head `"linear"`; of the batches
            `"sample_index"`, or `"views: NAME"`.
    """

    kind: str
    name: str
    make: Callable[..., Any]
    limit: Limit | None = None
    trials: tuple[Mapping[str, Any], ...] = ()
    offers: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()

    @property
    def options(self) -> Mapping[str, Option]:
        """Its options by name, in the constructor's order."""
        return options(self.make)

    @property
    def arguments(self) -> tuple[str, ...]:
        """All of the constructor's arguments, those included that are no options."""
        every = inspect.signature(self.make).parameters.values()
        return tuple(p.name for p in every if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD))

    @property
    def summary(self) -> str:
        """The first line of its docstring."""
        return (inspect.getdoc(self.make) or "").partition("\n")[0]

    def build(self, values: Mapping[str, Any], **given: Any) -> Any:
        """Makes the part.

        Args:
            values: options.
            **given: what the run knows, such as `class_counts`; taken where there is such an
                argument. A Keras class takes its `name` among further keyword arguments.
        """
        known = inspect.signature(self.make).parameters
        further = any(p.kind is p.VAR_KEYWORD for p in known.values())
        taken = {k: v for k, v in given.items() if k in known or (k == "name" and further)}
        return self.make(**taken, **values)


_PARTS: dict[str, dict[str, Part]] = {kind: {} for kind in KINDS}


def part(
    kind: str,
    name: str,
    *,
    limit: Limit | None = None,
    trials: tuple[Mapping[str, Any], ...] = (),
    offers: tuple[str, ...] = (),
    needs: tuple[str, ...] = (),
) -> Callable[[T], T]:
    """Declares a class or a function as a part, and registers a class for `keras.saving`.

    Args:
        kind: one of `KINDS`.
        name: what recipes call it.
        limit: where it becomes another part of its kind.
        trials, offers, needs: see `Part`.

    Raises:
        ValueError: for another kind, or a name that another part has.
    """
    if kind not in KINDS:
        raise ValueError(f"`kind` must be one of {', '.join(KINDS)}. Received: kind={kind!r}")

    def declare(made: T) -> T:
        there = _PARTS[kind].get(name)
        if there is not None and not _same(there.make, made):
            raise ValueError(
                f"{_place(there.make)} is the {kind} of that name already. Received: name={name!r}"
            )
        _PARTS[kind][name] = Part(kind, name, registered(made), limit, trials, offers, needs)
        return made

    return declare


def parts(kind: str) -> Mapping[str, Part]:
    """The parts of a kind by name, in the order in which they were declared."""
    return MappingProxyType(_PARTS[kind])


def declared(made: Callable[..., Any]) -> Part | None:
    """The declaration of a class or function; None if it is not declared as it stands here."""
    every = (part for kind in _PARTS.values() for part in kind.values())
    return next((part for part in every if part.make is made), None)


def find(kind: str, name: str) -> Part:
    """A declared part.

    Raises:
        ValueError: if there is none of that name, with the closest one.
    """
    found = _PARTS[kind].get(name)
    if found is None:
        raise ValueError(
            f"There is no {kind} of that name{did_you_mean(name, _PARTS[kind])} "
            f"(known: {', '.join(_PARTS[kind])}). Received: name={name!r}"
        )
    return found


def registered(made: T) -> T:
    """The class or function; a class that can be saved is known to `keras.saving` from now on."""
    saved = inspect.isclass(made) and hasattr(made, "get_config")
    # A name without a package is that of a class that nobody registered.
    if saved and ">" not in keras.saving.get_registered_name(made):
        keras.saving.register_keras_serializable(made.__module__.partition(".")[0])(made)
    return made


def table(made: Part, base: type[B]) -> type[B]:
    """The table of a recipe that chooses a part: its `name` and its options.

    Args:
        made: the part.
        base: what the table has beside the part's own options.
    """
    created: type[B] = _table(made, base)
    return created


@functools.cache
def _table(made: Part, base: type[Table]) -> Any:
    name = getattr(made.make, "__name__", made.name)
    fields: dict[str, Any] = {"name": (Literal[made.name], made.name), **columns(made.make)}
    created = create_model(name, __base__=base, __doc__=made.summary, **fields)
    _CHOSEN[created] = made
    return created


def columns(make: Callable[..., Any]) -> dict[str, Any]:
    """What a class or a function declares, as `pydantic.create_model` takes fields."""
    return {
        option.name: (
            option.kind,
            ... if option.default is inspect.Parameter.empty else option.default,
        )
        for option in options(make).values()
    }


_CHOSEN: dict[type[BaseModel], Part] = {}


def chosen(choice: BaseModel) -> Part | None:
    """The part that a table chooses; None if it is the table of none."""
    return _CHOSEN.get(type(choice))


def choose(kind: str, name: str, **values: Any) -> Table:
    """The table of a declared part with these options, its defaults filled in."""
    return table(find(kind, name), Table).model_validate(values)


def _place(made: Any) -> str:
    return f"{made.__module__}:{getattr(made, '__qualname__', made)}"


def _same(one: Any, other: Any) -> bool:
    """Whether two are one definition: a cell run again, or a script that was imported as well."""
    if _place(one) == _place(other):
        return True
    if getattr(one, "__qualname__", one) != getattr(other, "__qualname__", other):
        return False
    files = [_code_file(made) for made in (one, other)]
    return files[0] is not None and files[0] == files[1]


def _code_file(made: Any) -> str | None:
    """Where the code of a class's constructor, or of a function, was read from."""
    code = getattr(made.__init__ if inspect.isclass(made) else made, "__code__", None)
    return None if code is None else str(code.co_filename)
