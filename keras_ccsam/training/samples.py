"""One batch, sample by sample: the `Samples` of its objective.

The network is called on batches of one, so that a framework can vectorise it over samples that
have weights of their own. That gives the batch's losses only where no layer couples samples:
`independence.py`.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from keras_ccsam import backend
from keras_ccsam.heads import DenseClosedForm, closed_form
from keras_ccsam.sharpness.method import Evaluation, Tap
from keras_ccsam.typing import Tensor

if TYPE_CHECKING:
    from keras_ccsam.training.objective import BatchObjective


class BatchSamples:
    """The samples of one batch. See `keras_ccsam.sharpness.Samples`.

    Args:
        objective: the batch's objective.
        state: BatchNorm's moving statistics with the values to normalise by; with them the network
            runs in inference mode.
    """

    def __init__(
        self, objective: "BatchObjective", state: Sequence[tuple[keras.Variable, Tensor]]
    ) -> None:
        self._objective = objective
        self._state = list(state)
        self.prediction_shape = (objective.model.num_classes,)
        positions = {id(variable): i for i, variable in enumerate(objective.variables)}
        self._dense = _dense_layers(objective.model)
        self.taps = [Tap(positions[id(d.kernel)], int(d.units)) for d in self._dense]
        data = {"x": objective.x, "y": objective.y}
        if objective.sample_weight is not None:
            data["sample_weight"] = objective.sample_weight
        self.data: dict[str, Any] = keras.tree.map_structure(ops.convert_to_tensor, data)

    def loss(
        self,
        values: Sequence[Tensor],
        sample: Any,
        shifts: Sequence[Callable[[Tensor], Tensor]],
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """The weighted loss of one row of `data`, the prediction (K,) and the taps' inputs (D,)."""
        batch = keras.tree.map_structure(lambda tensor: tensor[None], sample)
        objective = self._objective
        with objective.scope(values, self._state), _shifted(self._dense, shifts) as inputs:
            predictions = objective.model(batch["x"], training=not self._state)
            losses = objective.sample_loss().values(
                batch["y"], predictions, batch.get("sample_weight")
            )
        return ops.sum(losses), predictions[0], [value[0] for value in inputs]

    def evaluate(self, predictions: Tensor) -> tuple[list[Tensor], Evaluation]:
        """The batch's loss at these predictions, and the gradient of what it adds to them.

        That is the regularisers': they depend on the weights directly.
        """
        objective = self._objective
        model = objective.model
        predictions = ops.cast(predictions, model.head.compute_dtype)

        def scaled_loss(values: list[Tensor]) -> tuple[Tensor, tuple[Tensor, list[Tensor | None]]]:
            with objective.scope(values) as scope:
                before = objective.side(scope)
                loss = model.compute_loss(
                    objective.x, objective.y, predictions, objective.sample_weight, training=True
                )
                scaled = objective.scaled(loss)
            return scaled, (loss, objective.changed(scope, before))

        (_, (loss, updates)), gradients = backend.value_and_grad(scaled_loss, objective.values)
        return gradients, Evaluation(loss, predictions, updates)


@contextlib.contextmanager
def _shifted(
    dense: Sequence[keras.layers.Dense], shifts: Sequence[Callable[[Tensor], Tensor]]
) -> Iterator[list[Tensor]]:
    """While a pass is traced, these layers note their inputs and shift their outputs."""
    seen: list[Any] = [None] * len(dense)

    def call_of(position: int) -> Callable[..., Tensor]:
        layer, shift = dense[position], shifts[position]

        def call(inputs: Tensor, training: bool | None = None) -> Tensor:
            seen[position] = inputs
            outputs = DenseClosedForm(layer).logits(inputs) + shift(inputs)
            return layer.activation(outputs)

        return call

    try:
        for position, layer in enumerate(dense):
            # An instance's attribute stands before its class's method.
            vars(layer)["call"] = call_of(position)
        yield seen
    finally:
        for layer in dense:
            vars(layer).pop("call", None)


def _dense_layers(model: Any) -> list[keras.layers.Dense]:
    """Dense layers called once a pass, on one row a sample, in the type of their weights."""
    found = []
    for part in (model.backbone, model.head):
        for layer in [part] if part is model.head else getattr(part, "layers", []):
            plain = isinstance(closed_form(layer), DenseClosedForm) and layer.kernel.trainable
            if not plain or layer.compute_dtype != layer.variable_dtype:
                continue
            if part is model.head or _sees_rows(layer):
                found.append(layer)
    return found


def _sees_rows(layer: keras.layers.Dense) -> bool:
    """Whether a layer has one input, of shape (B, D)."""
    try:
        return len(layer.input.shape) == 2
    except (AttributeError, ValueError):
        return False  # called several times, or never
