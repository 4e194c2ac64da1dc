"""The head alone perturbed: what it adds to the loss of one pass, without or with a loop.

Both give  flat - clean,  the perturbed loss less the clean one, as a term of the pass over the
whole batch.
"""

import keras
from keras import ops

from keras_ccsam import backend
from keras_ccsam.heads import ClosedForm, TensorForm, averaging, logits_before_activation
from keras_ccsam.sharpness.class_conditional.class_loop import perturbed_passes
from keras_ccsam.sharpness.class_conditional.radius import ClassSteps
from keras_ccsam.sharpness.global_batch import GlobalBatch
from keras_ccsam.sharpness.method import global_norm
from keras_ccsam.sharpness.objective import Objective, Outputs
from keras_ccsam.sharpness.perturbed_weights import scalars
from keras_ccsam.typing import Tensor


def closed_form_term(
    form: ClosedForm,
    objective: Objective,
    outputs: Outputs,
    steps: ClassSteps,
    batch: GlobalBatch | None = None,
) -> Tensor:
    """From the logits of each sample under its class's step: no pass of its own.

    Args:
        form: of the head.
        objective, outputs: of this replica's rows.
        steps: how far each class is moved.
        batch: that whose class means are meant, where it is more than these rows.
    """

    def total(logits: list[Tensor]) -> tuple[Tensor, tuple[()]]:
        return ops.sum(outputs.losses_of_logits(logits[0])), ()

    _, (delta,) = backend.value_and_grad(total, [ops.stop_gradient(outputs.logits)])
    features, logits, labels = outputs.features, outputs.logits, objective.labels
    delta = ops.stop_gradient(delta)
    if batch is not None:
        features, logits, labels, delta = _rows_of_all(batch, objective, outputs, delta)
    rows = (features, logits, delta, averaging(features, logits, labels, objective.num_classes))
    weights = [ops.stop_gradient(ops.convert_to_tensor(v)) for v in form.perturbed_weights]
    size = sum(scalars(v) for v in form.perturbed_weights)

    def length(norm: Tensor) -> Tensor:
        return steps.length(global_norm(weights), ops.stop_gradient(norm), labels, size)

    if steps.per_tensor and isinstance(form, TensorForm) and len(weights) > 1:
        tensors = form.tensor_gradients(*rows)
        after = tensors.logits_after([length(norm) for norm in tensors.norms])
    else:
        classes = form.class_gradients(*rows)
        after = classes.logits_after(length(classes.norm))
    flat = outputs.losses_of_logits(
        after if batch is None else batch.own(after), unmixed=steps.unmixed
    )
    return outputs.reduce(flat) - outputs.reduce(outputs.sample_losses)


def _rows_of_all(
    batch: GlobalBatch, objective: Objective, outputs: Outputs, delta: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Features, logits, labels and logit gradients of the global batch, in one message.

    It has D + K + 1 numbers a row. Gradients flow through this replica's rows only, since only
    their losses are its own; the logits of the others follow from their features.
    """
    sizes = (outputs.features.shape[1], delta.shape[1])
    labels = ops.cast(objective.labels, delta.dtype)[:, None]  # exact below 2^24 classes
    sent = batch.gather(
        ops.concatenate([ops.cast(outputs.features, delta.dtype), delta, labels], axis=1)
    )
    features, delta, labels = ops.split(sent, [sizes[0], sum(sizes)], axis=1)
    features = ops.cast(features, outputs.features.dtype)
    logits = logits_before_activation(objective.head, features)
    if logits is None:
        logits = objective.head(features, training=True)
    logits = batch.put(ops.stop_gradient(ops.cast(logits, outputs.logits.dtype)), outputs.logits)
    labels = ops.cast(labels[:, 0], "int32")
    return batch.put(features, outputs.features), logits, labels, delta


def steps_in_closed_form(form: ClosedForm, steps: ClassSteps) -> bool:
    """Whether a closed form knows the steps: of several tensors apart, few do."""
    apart = steps.per_tensor and len(form.perturbed_weights) > 1
    return not apart or isinstance(form, TensorForm)


def head_loop_term(
    objective: Objective, outputs: Outputs, steps: ClassSteps, sync: str = "global"
) -> Tensor:
    """For a head without a closed form, from one pass of the head per class.

    The loop is not differentiated through: its gradients with respect to the features and the
    head's weights are handed on as constants of a linear term.
    """
    head = objective.head
    variables = [*head.trainable_variables]
    fixed = [(v, ops.stop_gradient(ops.convert_to_tensor(v))) for v in head.variables]
    features = outputs.features
    own = [ops.convert_to_tensor(v) for v in variables]

    def losses(values: list[Tensor], unmixed: bool = False) -> Tensor:
        with keras.StatelessScope([*fixed, *zip(variables, values[1:], strict=True)]):
            return outputs.losses_of_features(values[0], unmixed=unmixed)

    size = sum(scalars(v) for v in variables)
    passes = perturbed_passes(
        losses,
        outputs.reduce,
        [ops.stop_gradient(v) for v in (features, *own)],
        range(1, 1 + len(variables)),
        objective.labels,
        objective.num_classes,
        lambda weight_norm, norm, label: steps.length(weight_norm, norm, label, size),
        objective.replay,
        ops.ones((), features.dtype),
        objective.batch,
        sync,
        per_tensor=steps.per_tensor,
        unmixed=steps.unmixed,
    )
    linear = sum(
        ops.sum(ops.stop_gradient(g) * (v - ops.stop_gradient(v)))
        for g, v in zip(passes.gradients, (features, *own), strict=True)
    )
    flat = ops.stop_gradient(passes.loss) + linear
    return flat - outputs.reduce(outputs.sample_losses)
