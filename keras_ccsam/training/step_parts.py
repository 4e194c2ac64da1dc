"""What a step does around its gradient: to the batch before it, to gradients and weights after it.

A part is given to a model, or added to one by a callback; the step itself knows none by name. Each
hook does nothing unless a part says otherwise. A part is configuration: one that has state is
copied when it is bound to a model, so one object may serve two models.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

import keras
from keras import ops

from keras_ccsam.checks import require
from keras_ccsam.sharpness.method import Learner
from keras_ccsam.typing import Tensor

P = TypeVar("P", bound="StepPart")


class Network(Learner, Protocol):
    """The model in training, as a part sees it."""

    @property
    def variables(self) -> list[keras.Variable]:
        """All of them, those of the method too."""
        ...

    @property
    def fed(self) -> Any:
        """What the model is fitted on; None outside `fit`."""
        ...

    def __call__(self, inputs: Any, **arguments: Any) -> Any:
        """The outputs (B, K); with `return_features=True`, also the features (B, D)."""
        ...


class Trained(NamedTuple):
    """What a step trains.

    Attributes:
        variables: the trainable ones.
        values: theirs, at the start of the step.
        scale: gives the loss scale of mixed precision.
    """

    variables: Sequence[keras.Variable]
    values: Sequence[Tensor]
    scale: Callable[[], Tensor]


class StepPart:
    """One thing that a step does around its gradient. The base of all of them.

    Attributes:
        saving: `"config"` where `get_config` is enough to make the part again; `"missing"` where
            it is not: a model that was saved with such a part warns when it is loaded and trained
            on; `"remade"` where whoever added the part adds it again.
        variables: the part's own state. The step carries it; it is no part of the saved model.
    """

    saving: Literal["config", "missing", "remade"] = "config"
    variables: Sequence[keras.Variable] = ()

    def bind(self: P, model: Learner) -> P:
        """The part as this model has it: itself, or where it has state a copy with its own."""
        return self

    def check(self, model: Learner, input_shape: Any) -> None:
        """Raises ValueError if the part does not suit the built `model`."""

    def inputs(self, model: Network, x: Any, y: Any) -> Any:
        """The batch's inputs as everything after sees them: loss, gradients and metrics.

        May assign the part's own `variables`, nothing else.

        Args:
            model: the `SharpnessAwareModel` in training.
            x: the inputs, `y` the targets.
        """
        return x

    def targets(self, y: Any, sample_weight: Tensor | None) -> tuple[Any, Tensor | None]:
        """Targets and sample weights as the loss sees them; metrics see the batch's own."""
        return y, sample_weight

    def gradients(self, gradients: list[Tensor], trained: Trained) -> list[Tensor]:
        """The gradients as the optimizer sees them.

        Args:
            gradients: of the (scaled) loss, one for each of the trained variables.
            trained: the variables.
        """
        return gradients

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "StepPart":
        """A part of this class."""
        return cls(**config)


class Projection(StepPart):
    """A part that has a last word on the weights: projected gradient descent."""

    def projected(self, values: list[Tensor], variables: Sequence[keras.Variable]) -> list[Tensor]:
        """The values of the trained variables as the step leaves them; the same where none moves.

        Args:
            values: as the optimizer leaves them.
            variables: the trained ones.
        """
        raise NotImplementedError


class StepParts:
    """The parts of one model, in the order in which they act.

    Args:
        model: whose parts they are.
        own: those that the model makes itself, whenever it is made.
        given: by the user.
    """

    def __init__(
        self, model: Learner, own: Iterable[StepPart], given: Iterable[StepPart] = ()
    ) -> None:
        self._parts: list[StepPart] = [part.bind(model) for part in own]
        self._given: list[StepPart] = []
        self._missing: list[str] = []
        for part in given:
            self.add(model, part)

    def add(self, model: Learner, part: P) -> P:
        """Binds a part to the model and returns it bound.

        Raises:
            ValueError: if it is no step part.
        """
        if not isinstance(part, StepPart):
            raise ValueError(
                "A step part must be a training.StepPart, such as m2m.MajorToMinor. "
                f"Received: step part={part!r}"
            )
        bound = part.bind(model)
        self._parts.append(bound)
        self._given.append(part)
        self._missing = [name for name in self._missing if name != type(part).__name__]
        return bound

    def remove(self, part: StepPart) -> None:
        """Takes a bound part that is its own configuration away again."""
        self._parts = [each for each in self._parts if each is not part]
        self._given = [each for each in self._given if each is not part]

    def get_config(self) -> dict[str, Any]:
        """What a saved model holds of its parts; empty where there is nothing to hold."""
        saved = [p for p in self._given if p.saving == "config"]
        missing = [type(p).__name__ for p in self._given if p.saving == "missing"] + self._missing
        config = {
            "step_parts": [keras.saving.serialize_keras_object(part) for part in saved],
            "missing_step_parts": missing,
        }
        return {key: value for key, value in config.items() if value}

    def lacks(self, missing: Sequence[str]) -> None:
        """Notes what the saved model was trained with and its file does not hold."""
        self._missing = list(missing)

    def warn_of_missing(self) -> None:
        """Warns, once, where training goes on without a part that was there before."""
        if self._missing:
            names = ", ".join(self._missing)
            warnings.warn(
                f"this model was trained with {names}, which its file does not hold: it trains on "
                "without, unless model.add_step_part(...) gives it again",
                stacklevel=3,
            )
            self._missing = []

    def find(self, kind: type[P]) -> P | None:
        """The first part of a class, None where there is none."""
        return next((part for part in self._parts if isinstance(part, kind)), None)

    def __iter__(self) -> Iterator[StepPart]:
        """The bound parts."""
        return iter(self._parts)

    @property
    def variables(self) -> list[keras.Variable]:
        """The state of all parts."""
        return [variable for part in self._parts for variable in part.variables]

    def check(self, model: Learner, input_shape: Any) -> None:
        """Raises ValueError if one does not suit the built `model`."""
        for part in self._parts:
            part.check(model, input_shape)

    def inputs(self, model: Network, x: Any, y: Any) -> Any:
        """See `StepPart.inputs`."""
        for part in self._parts:
            x = part.inputs(model, x, y)
        return x

    def targets(self, y: Any, sample_weight: Tensor | None) -> tuple[Any, Tensor | None]:
        """See `StepPart.targets`."""
        for part in self._parts:
            y, sample_weight = part.targets(y, sample_weight)
        return y, sample_weight

    def gradients(self, gradients: list[Tensor], trained: Trained) -> list[Tensor]:
        """See `StepPart.gradients`."""
        for part in self._parts:
            gradients = part.gradients(gradients, trained)
        return gradients

    def projected(self, values: list[Tensor], variables: Sequence[keras.Variable]) -> list[Tensor]:
        """See `Projection.projected`."""
        for part in self._parts:
            if isinstance(part, Projection):
                values = part.projected(values, variables)
        return values

    def project(self, variables: Sequence[keras.Variable]) -> None:
        """Assigns what `projected` gives, where a step assigns variables."""
        if self.find(Projection) is None:
            return
        before = [variable.value for variable in variables]
        after = self.projected(list(before), variables)
        for variable, old, new in zip(variables, before, after, strict=True):
            if new is not old:
                variable.assign(new)


@keras.saving.register_keras_serializable(package="keras_ccsam")
class WeightDecay(StepPart):
    """torch's weight decay: wd * w joins the gradient, inside momentum and outside the ascent.

    Args:
        weight_decay: wd, at least 0.

    Raises:
        ValueError: if it is negative.
    """

    def __init__(self, weight_decay: float) -> None:
        require(weight_decay >= 0, "weight_decay", weight_decay, "at least 0")
        self.weight_decay = float(weight_decay)

    def gradients(self, gradients: list[Tensor], trained: Trained) -> list[Tensor]:
        """The gradients with wd * w times the loss scale added."""
        if not self.weight_decay:
            return gradients
        decay = self.weight_decay * trained.scale()
        return [
            gradient + ops.cast(decay, gradient.dtype) * value
            for gradient, value in zip(gradients, trained.values, strict=True)
        ]

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"weight_decay": self.weight_decay}


class LearningRateFactor(StepPart):
    """Some variables learn at a multiple of the rate: their gradients are multiplied by it.

    That is exact for SGD with or without momentum, and only for it.

    Args:
        factor: the multiple.
        of: tells whether a variable is one of them.
    """

    saving = "remade"

    def __init__(self, factor: float, of: Callable[[keras.Variable], bool]) -> None:
        self.factor = float(factor)
        self._of = of

    def gradients(self, gradients: list[Tensor], trained: Trained) -> list[Tensor]:
        """Those of the variables concerned times the factor."""
        return [
            self.factor * gradient if self._of(variable) else gradient
            for gradient, variable in zip(gradients, trained.variables, strict=True)
        ]
