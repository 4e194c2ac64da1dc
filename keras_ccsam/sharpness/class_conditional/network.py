"""Any weights perturbed: passes through the whole network, by class or by route.

Both give the gradient of  (1 - mix) clean + mix flat,  and the clean pass's evaluation with that
loss.
"""

from collections.abc import Sequence

from keras import ops

from keras_ccsam.sharpness.class_conditional.class_loop import perturbed_passes
from keras_ccsam.sharpness.class_conditional.class_routes import routed_passes
from keras_ccsam.sharpness.class_conditional.radius import ClassSteps
from keras_ccsam.sharpness.global_batch import GlobalBatch
from keras_ccsam.sharpness.objective import Evaluation, Objective
from keras_ccsam.sharpness.perturbed_weights import scalars
from keras_ccsam.typing import Tensor


def passes_by_class(
    objective: Objective,
    chosen: Sequence[int],
    steps: ClassSteps,
    mix: Tensor,
    sync: str = "global",
) -> tuple[list[Tensor], Evaluation]:
    """One gradient and one full pass for each class of the batch.

    Args:
        objective: the batch.
        chosen: the positions of the perturbed weights among the trainable variables.
        steps: how far each class is moved.
        mix: the share of the perturbed loss.
        sync: whose class gradients, on several replicas.
    """
    gradients, evaluation = objective.gradient(
        objective.values, lambda outputs: -mix * outputs.reduce(outputs.sample_losses)
    )
    size = sum(scalars(objective.variables[i]) for i in chosen)
    passes = perturbed_passes(
        objective.sample_losses,
        objective.reduce,
        objective.values,
        chosen,
        objective.labels,
        objective.num_classes,
        lambda weight_norm, norm, label: steps.length(weight_norm, norm, label, size),
        objective.replay,
        objective.scale,
        objective.batch,
        sync,
        per_tensor=steps.per_tensor,
        unmixed=steps.unmixed,
    )
    gradients = _add(gradients, mix, passes.gradients)
    return gradients, _add_loss(evaluation, mix * passes.loss)


def passes_by_route(
    objective: Objective,
    chosen: Sequence[int],
    steps: ClassSteps,
    mix: Tensor,
    chunk: int | None = None,
    batch: GlobalBatch | None = None,
) -> tuple[list[Tensor], Evaluation]:
    """Every sample in its own class's passes, with BatchNorm's statistics held, if there are any.

    Args:
        objective: the batch, in which nothing but BatchNorm couples samples.
        chosen, steps, mix: see `passes_by_class`.
        chunk: samples at a time.
        batch: that whose class gradients are meant, where it is more than these rows.
    """
    size = sum(scalars(objective.variables[i]) for i in chosen)
    # The reduction weighs all samples alike. Its weight is part of the loss scale: without it
    # the gradients of single samples would overflow half precision.
    ones = ops.ones_like(objective.labels, dtype=objective.scale.dtype)
    share = objective.reduce(ones) / ops.sum(ones)
    coupling = objective.coupling
    layers = coupling.batch_norms
    if layers:
        gradients, evaluation, found = objective.gradient_and_statistics(
            layers, lambda outputs: -mix * outputs.reduce(outputs.sample_losses), chosen
        )
        samples = objective.samples(found, steps.unmixed)
    else:
        samples = objective.samples(unmixed=steps.unmixed)
    passes = routed_passes(
        samples,
        objective.values,
        chosen,
        objective.labels,
        objective.num_classes,
        lambda weight_norm, norm, label: steps.length(weight_norm, norm, label, size),
        objective.scale * share,
        coupling.convolutions,
        chunk,
        clean=not layers,
        batch=batch,
    )
    if not layers:
        gradients, evaluation = samples.evaluate(passes.predictions)
        gradients = _add(gradients, 1.0 - mix, passes.clean)
        evaluation = _add_loss(evaluation, -mix * share * passes.clean_loss)
    gradients = _add(gradients, mix, passes.flat)
    return gradients, _add_loss(evaluation, mix * share * passes.flat_loss)


def _add(gradients: Sequence[Tensor], factor: Tensor, others: Sequence[Tensor]) -> list[Tensor]:
    return [
        g + ops.cast(factor, g.dtype) * ops.cast(other, g.dtype)
        for g, other in zip(gradients, others, strict=True)
    ]


def _add_loss(evaluation: Evaluation, term: Tensor) -> Evaluation:
    loss = evaluation.loss
    return evaluation._replace(loss=loss + ops.cast(term, loss.dtype))
