"""One batch's loss as a pure function of explicit weight values.

Every pass runs in one `keras.StatelessScope`: the weights it reads are the values it was given,
what it writes (BatchNorm statistics, seeds) stays in the scope, and no variable is ever mutated.
The loss, the regularisers and the loss scale are computed inside it, so that they see the same
weights.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from keras_ccsam import backend
from keras_ccsam.sharpness.method import Evaluation, Outputs, at_least_float32
from keras_ccsam.training.batch_statistics import clean_pass_with_statistics
from keras_ccsam.training.sample_loss import SampleLoss
from keras_ccsam.training.samples import BatchSamples
from keras_ccsam.training.targets import class_indices
from keras_ccsam.typing import Tensor


class BatchObjective:
    """The `Objective` of one batch. See `keras_ccsam.sharpness.Objective`.

    Args:
        model: the `SharpnessAwareModel`.
        values: of its trainable variables.
        state: pairs of every other variable and its value where a step is stateless (JAX); empty
            elsewhere.
        x: the batch's inputs, `y` its targets, `sample_weight` (B,) or None.
    """

    def __init__(
        self,
        model: Any,
        values: Sequence[Tensor],
        state: Sequence[tuple[keras.Variable, Tensor]],
        x: Any,
        y: Any,
        sample_weight: Tensor | None,
    ) -> None:
        self.model = model
        self.variables = model.trainable_variables
        self.values = list(values)
        self.labels = None if y is None else class_indices(y)
        self.replay = backend.replay_rng()
        self._state = list(state)
        self.x, self.y, self.sample_weight = x, y, sample_weight
        with keras.StatelessScope(self._state):
            one = ops.ones((), keras.config.floatx())
            self.scale = model.optimizer.scale_loss(one) if model.optimizer is not None else one

    def gradient(
        self,
        values: Sequence[Tensor],
        term: Callable[[Outputs], Tensor] | None = None,
        state: Sequence[tuple[keras.Variable, Tensor]] = (),
    ) -> tuple[list[Tensor], Evaluation]:
        """The gradient of the scaled loss plus `term`, and what the pass left behind."""

        def loss_and_evaluation(values: list[Tensor]) -> tuple[Tensor, Evaluation]:
            model = self.model
            with self.scope(values, state) as scope:
                predictions, features = model(self.x, training=True, return_features=True)
                loss = model.compute_loss(
                    self.x, self.y, predictions, self.sample_weight, training=True
                )
                if term is not None:
                    extra = term(self._outputs(features, predictions))
                    loss = loss + ops.cast(extra, loss.dtype)
                scaled = model.optimizer.scale_loss(loss) if model.optimizer is not None else loss
            return scaled, Evaluation(loss, predictions, self.updates(scope))

        (_, evaluation), gradients = backend.value_and_grad(loss_and_evaluation, values)
        return gradients, evaluation

    def gradient_and_statistics(
        self,
        layers: Sequence[keras.layers.BatchNormalization],
        term: Callable[[Outputs], Tensor],
    ) -> tuple[list[Tensor], Evaluation, list[tuple[keras.Variable, Tensor]]]:
        """`gradient` at the step's values, and the batch statistics that `layers` used."""
        return clean_pass_with_statistics(self, layers, term)

    def samples(self, state: Sequence[tuple[keras.Variable, Tensor]] = ()) -> BatchSamples:
        """The batch sample by sample, which is the batch where no layer couples samples.

        Args:
            state: BatchNorm's moving statistics with the values to normalise by. Without them the
                network runs as in training, with them as in inference.
        """
        return BatchSamples(self, state)

    def sample_losses(self, values: Sequence[Tensor]) -> Tensor:
        """(B,) weighted losses at `values`; what the pass writes is dropped."""
        with self.scope(values):
            predictions = self.model(self.x, training=True)
            return self._losses(predictions)

    def reduce(self, sample_losses: Tensor) -> Tensor:
        """The compiled loss's own reduction."""
        return self.sample_loss().reduce(sample_losses, self.sample_weight)

    def scope(
        self, values: Sequence[Tensor], state: Sequence[tuple[keras.Variable, Tensor]] = ()
    ) -> Any:
        """Where the trainable variables are `values`, and those of `state` are what it says."""
        mapping = [*zip(self.variables, values, strict=True), *self._state, *state]
        return keras.StatelessScope(mapping, collect_losses=True)

    def updates(self, scope: Any) -> list[Tensor | None]:
        """What a pass in this scope wrote, as an `Evaluation` has it."""
        side = [*self.model.non_trainable_variables, *self.model.metrics_variables]
        return [scope.get_current_value(variable) for variable in side]

    def _losses(self, predictions: Tensor) -> Tensor:
        return self.sample_loss().values(self.y, predictions, self.sample_weight)

    def sample_loss(self) -> SampleLoss:
        """The compiled loss before its reduction."""
        loss: SampleLoss | None = self.model.sample_loss
        if loss is None or self.y is None:
            raise ValueError(
                f"{type(self.model.sharpness).__name__} perturbs by class: it needs labels, and a "
                f"loss in `compile`. Received: loss={loss and loss.loss}, "
                f"labels={'given' if self.y is not None else None}"
            )
        return loss

    def _outputs(self, features: Tensor, predictions: Tensor) -> Outputs:
        model = self.model
        features = at_least_float32(features)
        logits = at_least_float32(predictions)
        activation = model.activation
        before = None if activation is None else model.head_logits(features)
        if before is not None:
            logits = before

        def losses_of_logits(logits: Tensor) -> Tensor:
            return self._losses(logits if before is None else activation(logits))

        def losses_of_features(features: Tensor) -> Tensor:
            return self._losses(model.head(features, training=True))

        return Outputs(
            features,
            logits,
            self._losses(predictions),
            losses_of_logits,
            losses_of_features,
            self.reduce,
        )
