"""The two shells of a training step: one for JAX, one for backends whose variables are mutable.

    batch -> step parts -> the sharpness method's gradient -> step parts -> the user's optimizer
    -> step parts

Momentum, schedules, clipping, accumulation, EMA and loss scaling are Keras' own.
"""

from functools import partial
from typing import Any, NamedTuple

import keras
from keras import ops

from keras_ccsam import backend
from keras_ccsam.sharpness.global_batch import GlobalBatch
from keras_ccsam.sharpness.objective import Evaluation
from keras_ccsam.training.finite_steps import FiniteSteps
from keras_ccsam.training.flat_step import UPDATE, runner
from keras_ccsam.training.method_gradients import method_gradients
from keras_ccsam.training.objective import BatchObjective, side_variables
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
    """One step on TensorFlow and torch, in two parts that may be flat programs on torch."""
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    # TensorFlow traces the step before Keras has built anything.
    if not model.built:
        model.build(keras.tree.map_structure(lambda tensor: tensor.shape, x))
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    run = runner(model)
    formed = run("gradients", partial(_form, model), x, y, sample_weight)
    finite = model.step_parts.find(FiniteSteps)
    if finite is None:
        logs: dict[str, Tensor] = run(UPDATE, partial(_update, model), y, sample_weight, formed)
        return logs
    if not all(getattr(metric, "built", True) for metric in model.metrics):
        with keras.StatelessScope():  # a branch of a graph cannot make the metrics' variables
            model.compute_metrics(formed.x, y, formed.evaluation.predictions, sample_weight)

    def update() -> None:
        run(UPDATE, partial(_update, model), y, sample_weight, formed)

    with backend.no_grad():
        finite.apply(model.trainable_variables, formed.sound, update)
        return model.get_metrics_result()


class _Formed(NamedTuple):
    """A batch, as the step's parts have made it, and what is to be done about it.

    Attributes:
        x: the inputs.
        gradients: as the optimizer sees them.
        evaluation: of the clean pass.
        sound: whether the step counts; None where it does in any case.
        batch: of all replicas; None with one.
    """

    x: Any
    gradients: list[Tensor]
    evaluation: Evaluation
    sound: Tensor | None
    batch: GlobalBatch | None


def _form(model: Trainee, x: Any, y: Any, sample_weight: Tensor | None) -> _Formed:
    """The first part of a step: it changes no variable but those of the step's parts."""
    variables = model.trainable_variables
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
        finite = model.step_parts.find(FiniteSteps)
        sound = None if finite is None else finite.sound(model, evaluation, gradients)
    return _Formed(x, gradients, evaluation, sound, batch)


def _update(
    model: Trainee, y: Any, sample_weight: Tensor | None, formed: _Formed
) -> dict[str, Tensor]:
    """The second part: weights, statistics, seeds and metrics."""
    x, gradients, evaluation, _, batch = formed
    metrics = model.metrics
    with backend.no_grad():
        variables = model.trainable_variables
        model.optimizer.apply(gradients, variables)
        model.step_parts.project(variables)
        side = side_variables(model, metrics)
        for variable, value in zip(side, evaluation.updates, strict=True):
            if value is not None:
                variable.assign(value)
    return _metrics(model, metrics, x, y, evaluation, sample_weight, batch)


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
