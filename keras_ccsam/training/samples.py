"""One batch, sample by sample: the `Samples` of its objective.

The network is called on batches of one, so that a framework can vectorise it over samples that
have weights of their own; or on all of them together, where each layer that has such weights knows
how (`moved_layers.py`). Both give the batch's losses only where no layer couples samples:
`coupling.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import keras
from keras import ops

from keras_ccsam import backend
from keras_ccsam.heads import plain_dense
from keras_ccsam.labels import first_labels
from keras_ccsam.sharpness.objective import CleanPass, Evaluation, Tap
from keras_ccsam.training.moved_layers import Moves, moved, moved_by
from keras_ccsam.training.sample_loss import SampleLoss
from keras_ccsam.training.tapped_layers import tapped
from keras_ccsam.training.trainee import Trainee
from keras_ccsam.typing import Tensor


class ScopedBatch(Protocol):
    """The objective of a batch, as far as its samples need it."""

    model: Trainee
    variables: list[keras.Variable]
    values: list[Tensor]
    x: Any
    y: Any
    sample_weight: Tensor | None

    def scope(
        self, values: Sequence[Tensor], state: Sequence[tuple[keras.Variable, Tensor]] = ()
    ) -> AbstractContextManager[Any]:
        """Where the trainable variables are `values`, and those of `state` are what it says."""
        ...

    def side(self, scope: Any) -> list[Tensor | None]:
        """What the scope holds for the variables that are not trained."""
        ...

    def changed(self, scope: Any, before: list[Tensor | None]) -> list[Tensor | None]:
        """What was written since."""
        ...

    def scaled(self, loss: Tensor) -> Tensor:
        """The loss times the scale of mixed precision."""
        ...

    def compiled_loss(self, predictions: Tensor) -> Tensor:
        """The compiled loss and the added ones."""
        ...

    def decayed(self, gradients: Sequence[Tensor], values: Sequence[Tensor]) -> list[Tensor]:
        """The gradients, with those of half the weights' square where decay is in the loss."""
        ...

    def sample_loss(self) -> SampleLoss:
        """The compiled loss before its reduction."""
        ...


class BatchSamples:
    """The samples of one batch. See `keras_ccsam.sharpness.Samples`.

    Args:
        objective: the batch's objective.
        clean: of it the network runs in inference mode, if there are statistics.
        unmixed: whether the perturbed losses are those of a mixed batch's first labels alone.
    """

    def __init__(
        self,
        objective: ScopedBatch,
        clean: CleanPass,
        unmixed: bool = False,
    ) -> None:
        self._objective = objective
        self._state = list(clean.statistics)
        self.prediction_shape = (int(objective.model.head.units),)
        positions = {id(variable): i for i, variable in enumerate(objective.variables)}
        self._positions = positions
        self._dense = _dense_layers(objective.model)
        self.taps = [Tap(positions[id(d.kernel)], int(d.units)) for d in self._dense]
        data = {"x": objective.x, "y": objective.y}
        if objective.sample_weight is not None:
            data["sample_weight"] = objective.sample_weight
        self.data: dict[str, Any] = keras.tree.map_structure(ops.convert_to_tensor, data)
        y = first_labels(self.data["y"]) if unmixed else self.data["y"]
        self.flat_data = {**self.data, "y": y}
        self._convolutions = [id(layer) for layer, _ in clean.outputs]
        outputs = [each for _, each in clean.outputs]
        self.clean_data = {**self.data, "outputs": outputs} if outputs else self.data

    def loss(
        self,
        values: Sequence[Tensor],
        sample: Any,
        shifts: Sequence[Callable[[Tensor], Tensor]],
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """The weighted loss of one row of `data`, the prediction (K,) and the taps' inputs (D,)."""
        batch = keras.tree.map_structure(lambda tensor: tensor[None], sample)
        objective = self._objective
        with objective.scope(values, self._state), tapped(self._dense, shifts) as inputs:
            predictions = objective.model(batch["x"], training=not self._state)
            losses = objective.sample_loss().values(
                batch["y"], predictions, batch.get("sample_weight")
            )
        return ops.sum(losses), predictions[0], [value[0] for value in inputs]

    def movable(self, positions: Sequence[int]) -> bool:
        """Whether `losses` can move these of the values."""
        sizes = [tensor.shape[1:] for tensor in keras.tree.flatten(self.data["x"])]
        if any(None in size for size in sizes):
            return False  # the rules reshape, and TensorFlow knows the sizes once it runs
        ruled = self._objective.model.coupling.movable
        known = {id(variable) for layer in ruled for variable in layer.trainable_variables}
        return all(id(self._objective.variables[i]) in known for i in positions)

    def losses(
        self,
        values: Sequence[Tensor],
        data: Any,
        shifts: Sequence[Callable[[Tensor], Tensor]],
        rows: Mapping[int, Tensor],
        lengths: Tensor | None,
        slots: Tensor,
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """The weighted losses (n,) of rows of `data`, their predictions and the taps' inputs."""
        objective = self._objective
        weights = {id(objective.variables[i]): values[i] for i in rows}
        by_variable = {id(objective.variables[i]): each for i, each in rows.items()}
        tapped_ones = {id(layer) for layer in self._dense}
        ruled = [x for x in objective.model.coupling.movable if id(x) not in tapped_ones]
        known = dict(zip(self._convolutions, data.get("outputs", ()), strict=False))
        for n, layer in enumerate(self._dense):
            bias = by_variable.get(id(layer.bias))
            if bias is not None:
                shifts = [
                    *shifts[:n],
                    _with_bias(shifts[n], bias, lengths, slots),
                    *shifts[n + 1 :],
                ]
        with (
            objective.scope(values, self._state),
            tapped(self._dense, shifts) as inputs,
            moved(ruled, Moves(weights, by_variable, lengths, slots, known)),
        ):
            predictions = objective.model(data["x"], training=not self._state)
            losses = objective.sample_loss().values(
                data["y"], predictions, data.get("sample_weight")
            )
        return losses, predictions, inputs

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
                loss = objective.compiled_loss(predictions)
                scaled = objective.scaled(loss)
            return scaled, (loss, objective.changed(scope, before))

        (_, (loss, updates)), gradients = backend.value_and_grad(scaled_loss, objective.values)
        gradients = objective.decayed(gradients, objective.values)
        return gradients, Evaluation(loss, predictions, updates)


def _dense_layers(model: Trainee) -> list[keras.layers.Dense]:
    """Dense layers called once per pass, on one row per sample, in the type of their weights."""
    last = plain_dense(model.head)
    candidates = [*model.coupling.row_layers, *([] if last is None else [last])]
    return [
        layer
        for layer in candidates
        if layer.kernel.trainable and layer.compute_dtype == layer.variable_dtype
    ]


def _with_bias(
    shift: Callable[[Tensor], Tensor], rows: Tensor, lengths: Tensor | None, slots: Tensor
) -> Callable[[Tensor], Tensor]:
    """The shift, and from the layer's bias to each sample's own; see `Samples.losses`."""
    own = ops.take(moved_by(rows, lengths), slots, axis=0)
    return lambda inputs: shift(inputs) + own
