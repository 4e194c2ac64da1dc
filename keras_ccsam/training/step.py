"""The two shells of a training step: one for JAX, one for backends whose variables are mutable.

Both hand the batch to the model's sharpness method and give the gradient to the user's optimizer,
so momentum, schedules, clipping, accumulation, EMA and loss scaling are Keras' own.
"""

from typing import Any

import keras
from keras import ops

from keras_ccsam import backend
from keras_ccsam.sharpness.method import Evaluation
from keras_ccsam.training.class_weighting import reweighted
from keras_ccsam.training.objective import BatchObjective
from keras_ccsam.typing import Tensor


def stateless_train_step(model: Any, state: Any, data: Any) -> tuple[dict[str, Tensor], Any]:
    """One step on JAX: takes and returns the values of all variables."""
    trainable, non_trainable, optimizer_values, metrics_values = state
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    others = [
        *zip(model.non_trainable_variables, non_trainable, strict=True),
        *zip(model.metrics_variables, metrics_values, strict=True),
        *zip(model.optimizer.variables, optimizer_values, strict=True),
    ]
    if model.translation is not None:
        weights = zip(model.trainable_variables, trainable, strict=True)
        with keras.StatelessScope([*weights, *others]) as drawn:
            x = model.translation.translate(model, x, y)
        others = [(variable, drawn.get_current_value(variable)) for variable, _ in others]
    with keras.StatelessScope(others) as outer:
        targets, sample_weights = reweighted(model, y, sample_weight)
        objective = BatchObjective(model, trainable, others, x, targets, sample_weights)
        gradients, evaluation = model.sharpness.gradients(objective)
        gradients = _decay(model, gradients, trainable, objective)
    trainable, optimizer_values = model.optimizer.stateless_apply(
        optimizer_values, gradients, trainable
    )
    # What the pass did not write, the method itself may have: the seed of its own noise.
    updated = [
        outer.get_current_value(variable) if new is None else new
        for variable, new in zip(objective.side_variables, evaluation.updates, strict=True)
    ]
    non_trainable = updated[: len(non_trainable)]
    metrics_values = updated[len(non_trainable) :]
    mapping = list(zip(model.metrics_variables, metrics_values, strict=True))
    with keras.StatelessScope(mapping) as scope:
        logs = _metrics(model, objective.metrics, x, y, evaluation, sample_weight)
    metrics_values = [
        old if (new := scope.get_current_value(variable)) is None else new
        for variable, old in mapping
    ]
    return logs, (trainable, non_trainable, optimizer_values, metrics_values)


def stateful_train_step(model: Any, data: Any) -> dict[str, Tensor]:
    """One step on TensorFlow and torch."""
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    # TensorFlow traces the step before Keras has built anything.
    if not model.built:
        model.build(x.shape)
    variables = model.trainable_variables
    if not model.optimizer.built:
        model.optimizer.build(variables)
    if model.translation is not None:
        x = model.translation.translate(model, x, y)
    values = [variable.value for variable in variables]
    targets, weights = reweighted(model, y, sample_weight)
    objective = BatchObjective(model, values, (), x, targets, weights)
    gradients, evaluation = model.sharpness.gradients(objective)
    with backend.no_grad():
        gradients = _decay(model, gradients, values, objective)
        model.optimizer.apply(gradients, variables)
        for variable, value in zip(objective.side_variables, evaluation.updates, strict=True):
            if value is not None:
                variable.assign(value)
    evaluation = evaluation._replace(loss=evaluation.loss * backend.replica_count())
    return _metrics(model, objective.metrics, x, y, evaluation, sample_weight)


def _decay(
    model: Any, gradients: list[Tensor], values: list[Tensor], objective: BatchObjective
) -> Any:
    """Adds torch's weight decay: to the gradient, so inside momentum and outside the ascent."""
    if model.weight_decay:
        scale = objective.scale
        gradients = [
            gradient + ops.cast(model.weight_decay * scale, gradient.dtype) * value
            for gradient, value in zip(gradients, values, strict=True)
        ]
    return model.scale_gradients(gradients)


def _metrics(
    model: Any,
    metrics: list[keras.Metric],
    x: Any,
    y: Any,
    evaluation: Evaluation,
    sample_weight: Tensor | None,
) -> dict[str, Tensor]:
    tracker = next(metric for metric in metrics if metric.name == "loss")
    tracker.update_state(evaluation.loss, sample_weight=ops.shape(keras.tree.flatten(x)[0])[0])
    logs: dict[str, Tensor] = model.compute_metrics(x, y, evaluation.predictions, sample_weight)
    return logs
