"""One gradient and one pass for each class present: the general form of CC-SAM's first stage.

    g_c = grad mean_{i in B_c} l_i(w),   eps_c = length_c g_c / ||g_c||
    flat = sum_i l_i(w + sg(eps_{y_i})), reduced

for any function of any weights; or with a norm and a length for each tensor of w apart. The loop is
a `while_loop` over the classes present, so a compiled step has one body whatever the number of
classes; the sum does not depend on their order.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from keras import ops

from keras_ccsam import backend
from keras_ccsam.sharpness.global_batch import GlobalBatch, synchronised
from keras_ccsam.sharpness.method import ascend, global_norm
from keras_ccsam.sharpness.objective import SampleLosses
from keras_ccsam.typing import Tensor


class ClassPasses(NamedTuple):
    """What the loop leaves behind.

    Attributes:
        loss: scalar, the reduced loss of each sample under its own class's perturbation.
        gradients: its gradient at each of the values, times `scale`.
    """

    loss: Tensor
    gradients: list[Tensor]


def perturbed_passes(
    losses: SampleLosses,
    reduce: Callable[[Tensor], Tensor],
    values: Sequence[Tensor],
    perturbed: Sequence[int],
    labels: Tensor,
    num_classes: int,
    length: Callable[[Tensor, Tensor, Tensor], Tensor],
    replay: Callable[[], None],
    scale: Tensor,
    batch: GlobalBatch | None = None,
    sync: str = "global",
    *,
    per_tensor: bool = False,
    unmixed: bool = False,
) -> ClassPasses:
    """Runs the classes of a batch, one after the other.

    Args:
        losses: maps values to sample losses (B,).
        reduce: maps sample losses (B,) to a scalar; linear.
        values: what `losses` depends on and is differentiated by.
        perturbed: the positions in `values` of w, the weights that are perturbed.
        labels: (B,) int32.
        num_classes: K.
        length: maps ||w||, ||g_c|| and the class to the length of the step.
        replay: called before each pass, so that all draw the same randomness.
        scale: the loss scale of mixed precision.
        batch: that of all replicas; every one goes through all of its classes.
        sync: whether a class gradient is that of the `"global"` batch or of each `"replica"`.
        per_tensor: whether each tensor of w takes a step of its own, by the norm of its gradient;
            ||w|| stays that of all.
        unmixed: whether the perturbed losses are those of a mixed batch's first labels alone.
    """
    values = list(values)
    whole = synchronised(batch, sync)
    own_counts = ops.sum(ops.one_hot(labels, num_classes, dtype="int32"), axis=0)
    counts = own_counts if batch is None else batch.total([own_counts])[0]
    present = ops.sum(ops.cast(counts > 0, "int32"))
    # The classes present come first; a stable order keeps runs repeatable.
    order = ops.argsort(ops.cast(counts == 0, "int32"))
    weight_norm = global_norm([values[i] for i in perturbed])

    def one_class(index: Tensor, loss: Tensor, *gradients: Tensor) -> tuple[Tensor, ...]:
        label = ops.take(order, index)
        members = ops.equal(labels, label)
        size = ops.cast(ops.take(own_counts if whole is None else counts, label), loss.dtype)
        if batch is not None:  # a class may have no row here
            size = ops.maximum(size, 1.0)

        def mean(ws: list[Tensor]) -> tuple[Tensor, tuple[()]]:
            replay()
            full = list(values)
            for i, w in zip(perturbed, ws, strict=True):
                full[i] = w
            own = ops.where(members, losses(full), 0.0)
            return ops.sum(own) / size * ops.cast(scale, own.dtype), ()

        ws = [values[i] for i in perturbed]
        _, ascent = backend.value_and_grad(mean, ws)
        if whole is not None:
            ascent = whole.total(ascent)
        moved = list(values)
        places = [[n] for n in range(len(ws))] if per_tensor else [list(range(len(ws)))]
        for place in places:
            own = [ascent[n] for n in place]
            # Radii are not invariant to the loss scale.
            scaled_norm = global_norm(own)
            norm = scaled_norm / ops.cast(scale, scaled_norm.dtype)
            step = length(weight_norm, norm, label) / ops.where(scaled_norm > 0, scaled_norm, 1.0)
            for n, w in zip(place, ascend([ws[n] for n in place], own, step), strict=True):
                moved[perturbed[n]] = w

        def flat(vs: list[Tensor]) -> tuple[Tensor, Tensor]:
            replay()
            value = reduce(ops.where(members, losses(vs, unmixed=unmixed), 0.0))
            return value * ops.cast(scale, value.dtype), value

        (_, value), found = backend.value_and_grad(flat, moved)
        sums = [ops.add(total, g) for total, g in zip(gradients, found, strict=True)]
        return (index + 1, loss + ops.cast(value, loss.dtype), *sums)

    start = (
        ops.zeros((), "int32"),
        ops.zeros((), weight_norm.dtype),
        *[ops.zeros_like(value) for value in values],
    )
    _, loss, *gradients = ops.while_loop(lambda index, *_: index < present, one_class, start)
    return ClassPasses(loss, list(gradients))
