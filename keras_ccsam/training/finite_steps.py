"""Steps that are left out where they would put a number into the weights that is none.

    finite = isfinite(loss, every gradient, every statistic)     decided in the step, on the device
    state  = finite ? state after the step : state before it

The state is all of it: weights, the optimizer's variables, BatchNorm's statistics, seeds, metrics.
Without this part the step is what it would be, operation by operation.

With float16, an overflow of the scaled gradients is the loss scale's own business: the optimizer
leaves out such a step by itself and halves the scale. Gradients are not looked at then.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import keras
from keras import ops

from keras_ccsam.sharpness.objective import Evaluation
from keras_ccsam.training.step_parts import StepPart
from keras_ccsam.typing import Tensor


class Stepping(Protocol):
    """The model whose step it is."""

    optimizer: Any

    @property
    def trainable_variables(self) -> list[keras.Variable]:
        """The weights."""
        ...

    @property
    def non_trainable_variables(self) -> list[keras.Variable]:
        """The variables of the step's parts are among them."""
        ...

    @property
    def metrics_variables(self) -> list[keras.Variable]:
        """Of the compiled metrics."""
        ...

    def get_metrics_result(self) -> dict[str, Tensor]:
        """What is logged."""
        ...


class FiniteSteps(StepPart):
    """Decides whether a step counts, and how far it goes. `callbacks.OnNonfinite` adds it.

    Args:
        skips: leave out the steps whose loss or gradient is not finite.

    Attributes:
        skipped: scalar variable, the steps that were left out.
        factor: each step goes this share of the way that the optimizer goes: of every optimizer the
            same as a learning rate times it, the optimizer's own average of the weights (EMA)
            apart. A number of the compiled step: who changes it makes the step anew.
    """

    saving = "remade"

    def __init__(self, skips: bool) -> None:
        self.skips = skips
        self.factor = 1.0
        self.skipped = keras.Variable(0, dtype="int32", trainable=False, name="skipped_steps")
        self.variables = [self.skipped]

    def sound(self, model: Stepping, evaluation: Evaluation, gradients: Sequence[Tensor]) -> Tensor:
        """Whether a step counts: a boolean tensor, which stays on the device."""
        seen = [evaluation.loss]
        seen += [value for value in evaluation.updates if value is not None and _is_real(value)]
        if not isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer):
            seen += gradients
        return ops.all(ops.stack([ops.all(ops.isfinite(value)) for value in seen]))

    def decided(
        self, model: Stepping, sound: Tensor, before: Sequence[Any], after: Sequence[Any]
    ) -> tuple[dict[str, Tensor], tuple[list[Tensor], ...]]:
        """What is logged, and the state, of a step on JAX.

        Args:
            model: in training.
            sound: from `sound`.
            before, after: trainable, non-trainable, optimizer's and metrics' values.
        """
        trainable, *others = (list(values) for values in after)
        if self.factor != 1.0:
            trainable = [
                _part(*pair, self.factor) for pair in zip(before[0], trainable, strict=True)
            ]
        states = [trainable, *others]
        if self.skips:
            states = [
                [ops.where(sound, new, old) for new, old in zip(news, olds, strict=True)]
                for news, olds in zip(states, before, strict=True)
            ]
            place = next(
                i for i, v in enumerate(model.non_trainable_variables) if v is self.skipped
            )
            left_out = ops.cast(ops.logical_not(sound), "int32")
            states[1][place] = before[1][place] + left_out
        with keras.StatelessScope(list(zip(model.metrics_variables, states[3], strict=True))):
            return model.get_metrics_result(), tuple(states)

    def apply(
        self, variables: Sequence[keras.Variable], sound: Tensor, update: Callable[[], object]
    ) -> None:
        """Lets a step update the variables, or not, on TensorFlow and PyTorch.

        On PyTorch the decision is read by the host, as the loss is at the end of each step.

        Args:
            variables: the trained ones.
            sound: from `sound`.
            update: does all that a step does to variables. Makes none.
        """

        def go() -> Tensor:
            before = [ops.copy(v) for v in variables] if self.factor != 1.0 else []
            update()
            for variable, old in zip(variables, before, strict=False):
                variable.assign(_part(old, ops.convert_to_tensor(variable), self.factor))
            return ops.zeros((), "int32")

        if not self.skips:
            go()
            return
        self.skipped.assign_add(ops.cond(sound, go, lambda: ops.ones((), "int32")))


def _is_real(value: Tensor) -> bool:
    return "float" in keras.backend.standardize_dtype(value.dtype)


def _part(old: Tensor, new: Tensor, factor: float) -> Tensor:
    """The share `factor` of the way from one value to another."""
    return old + ops.cast(factor, old.dtype) * (new - old)
