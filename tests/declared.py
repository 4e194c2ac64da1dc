"""Every declared part on a toy problem: the suites find methods and losses here by themselves."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keras_ccsam.declare import Part, parts
from tests.support import COUNTS

# What the others of their kind become in the end; they themselves become nothing else.
ROOTS = {"sharpness": "erm", "loss": "cross_entropy"}


@dataclass(frozen=True)
class Trial:
    """A part with options that the suites run over.

    Attributes:
        part: the part.
        options: values of some of its options; the others have their defaults.
    """

    part: Part
    options: Mapping[str, Any]

    @property
    def label(self) -> str:
        """`class_conditional perturb=all`: the part, and what tells it from its other trials."""
        others = [trial for trial in self.part.trials if trial is not self.options]
        own = {
            key: value
            for key, value in self.options.items()
            if any(trial.get(key) != value for trial in others)
        }
        return " ".join([self.part.name, *(f"{key}={value}" for key, value in own.items())])

    @property
    def make(self) -> "Made":
        """Makes the part, when called."""
        return Made(self.part, self.options)

    @property
    def at_limit(self) -> "Made":
        """Makes it where it is the part that it names as its limit."""
        limit = {} if self.part.limit is None else self.part.limit.options
        return Made(self.part, {**self.options, **limit})


@dataclass(frozen=True, eq=False)
class Made:
    """A function without arguments, as the registries have them; equal for equal options."""

    part: Part
    options: Mapping[str, Any]

    def __call__(self) -> Any:
        return self.part.build(self.options, class_counts=COUNTS)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Made) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[Any, ...]:
        defaults = {option.name: option.default for option in self.part.options.values()}
        return self.part.kind, self.part.name, *sorted({**defaults, **self.options}.items())


def trials(kind: str) -> dict[str, Trial]:
    """By label: each declared part with the options that it declares for trials, or its defaults.

    Raises:
        AssertionError: if a part does not say at which limit it becomes another one.
    """
    found = {}
    for part in parts(kind).values():
        assert part.limit is not None or part.name == ROOTS[kind], (
            f"{part.make.__module__}: {part.name!r} does not say at which limit it becomes "
            f"another {kind}: declare it with @part({kind!r}, {part.name!r}, "
            'limit=Limit("the other", option=value))'
        )
        for options in part.trials or ({},):
            trial = Trial(part, options)
            assert trial.label not in found, f"two trials of {part.name!r} are the same"
            found[trial.label] = trial
    return found
