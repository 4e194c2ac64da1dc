"""The two shells of a training step: one for JAX, one for backends whose variables are mutable.

    batch -> step parts -> the sharpness method's gradient -> step parts -> the user's optimizer
    -> step parts

Momentum, schedules, clipping, accumulation, EMA and loss scaling are Keras' own.
"""

from typing import Any

import keras
from keras import ops

from keras_ccsam import backend
from keras_ccsam.sharpness.global_batch import GlobalBatch
from keras_ccsam.sharpness.objective import Evaluation
from keras_ccsam.training.finite_steps import FiniteSteps
from keras_ccsam.training.method_gradients import method_gradients
from keras_ccsam.training.objective import BatchObjective
from keras_ccsam.training.replicas import metric_rows, over_all, own_scale
from keras_ccsam.training.step_parts import Trained
from keras_ccsam.training.trainee import Trainee
from keras_ccsam.typing import Tensor


def stateless_train_step(model: Trainee, state: Any, data: Any) -> tuple[dict[str, Tensor], Any]:
    """One step on JAX: takes and returns the values of all variables."""
    trainable, non_trainable, optimizer_values, metrics_values = state
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    others = [
        *zip(model.non_trainable_variables, non_trainable, strict=True),
        *zip(model.metrics_variables, metrics_values, strict=True),
        *zip(model.optimizer.variables, optimizer_values, strict=True),
    ]
    variables = model.trainable_variables
    with keras.StatelessScope([*zip(variables, trainable, strict=True), *others]) as prepared:
        x = model.step_parts.inputs(model, x, y)
    others = [(variable, prepared.get_current_value(variable)) for variable, _ in others]
    with keras.StatelessScope(others) as outer:
        targets, weights = model.step_parts.targets(y, sample_weight)
        objective = BatchObjective(model, trainable, others, x, targets, weights)
        gradients, evaluation = method_gradients(model, objective)
        trained = Trained(variables, trainable, lambda: objective.scale)
        gradients = model.step_parts.gradients(gradients, trained)
    trainable, optimizer_values = model.optimizer.stateless_apply(
        optimizer_values, gradients, trainable
    )
    with keras.StatelessScope(others):
        trainable = model.step_parts.projected(list(trainable), variables)
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
    after = (trainable, non_trainable, optimizer_values, metrics_values)
    finite = model.step_parts.find(FiniteSteps)
    if finite is None:
        return logs, after
    return finite.decided(model, finite.sound(model, evaluation, gradients), state, after)


def stateful_train_step(model: Trainee, data: Any) -> dict[str, Tensor]:
    """One step on TensorFlow and torch."""
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    # TensorFlow traces the step before Keras has built anything.
    if not model.built:
        model.build(keras.tree.map_structure(lambda tensor: tensor.shape, x))
    variables = model.trainable_variables
    if not model.optimizer.built:
        model.optimizer.build(variables)
    x = model.step_parts.inputs(model, x, y)
    values = [variable.value for variable in variables]
    targets, weights = model.step_parts.targets(y, sample_weight)
    objective = BatchObjective(model, values, (), x, targets, weights)
    gradients, evaluation = method_gradients(model, objective)
    with backend.no_grad():
        trained = Trained(variables, values, lambda: own_scale(objective.batch, objective.scale))
        gradients = model.step_parts.gradients(gradients, trained)
        batch = objective.batch
        if batch is not None:
            gradients, evaluation = over_all(model, batch, gradients, evaluation)

    def update() -> dict[str, Tensor]:
        with backend.no_grad():
            model.optimizer.apply(gradients, variables)
            model.step_parts.project(variables)
            for variable, value in zip(objective.side_variables, evaluation.updates, strict=True):
                if value is not None:
                    variable.assign(value)
        return _metrics(model, objective.metrics, x, y, evaluation, sample_weight, batch)

    finite = model.step_parts.find(FiniteSteps)
    if finite is None:
        return update()
    with keras.StatelessScope():  # a branch of a graph cannot make the metrics' variables
        model.compute_metrics(x, y, evaluation.predictions, sample_weight)
    with backend.no_grad():
        finite.apply(variables, finite.sound(model, evaluation, gradients), update)
        return model.get_metrics_result()


def _metrics(
    model: Trainee,
    metrics: list[keras.Metric],
    x: Any,
    y: Any,
    evaluation: Evaluation,
    sample_weight: Tensor | None,
    batch: GlobalBatch | None = None,
) -> dict[str, Tensor]:
    predictions = evaluation.predictions
    rows = ops.shape(keras.tree.flatten(x)[0])[0]
    if batch is not None:
        seen = metric_rows(batch, y, predictions, sample_weight)
        y, predictions, sample_weight = seen
        rows = ops.shape(predictions)[0]
    tracker = next(metric for metric in metrics if metric.name == "loss")
    tracker.update_state(evaluation.loss, sample_weight=rows)
    return model.compute_metrics(x, y, predictions, sample_weight)
