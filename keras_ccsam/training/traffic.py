"""What the replicas of a model tell each other in one step, in bytes."""

from typing import NamedTuple

from keras_ccsam.sharpness.perturbed_weights import scalars
from keras_ccsam.training.batch_statistics import batch_norms
from keras_ccsam.training.model import SharpnessAwareModel

_FLOAT32 = 4


class Traffic(NamedTuple):
    """Bytes of the messages of one step, as every replica has them in the end.

    What goes over a link depends on the engine: a ring moves 2 (R - 1) / R times the bytes of a
    sum through each link, and (R - 1) / R times those of a gather.

    Attributes:
        gradient: summed, once per step: of the trainable weights.
        perturbation: summed or gathered for the method's own sake; 0 with `sync="replica"`.
        batch_norm: gathered in each forward pass, and summed in each backward pass again; 0 with
            `batch_norm_sync="replica"`. (R is taken to be `replicas`.)
        metrics: gathered on PyTorch, where Keras' metrics see the rows of one process.
    """

    gradient: int
    perturbation: int
    batch_norm: int
    metrics: int


def step_traffic(model: SharpnessAwareModel, rows: int, replicas: int = 2) -> Traffic:
    """The bytes of a step in float32.

    Args:
        model: built.
        rows: of the global batch.
        replicas: R.
    """
    channels = [int(layer.moving_mean.shape[0]) for layer in batch_norms(model)]
    statistics = sum(replicas * (2 * size + 1) for size in channels)
    if model.batch_norm_sync == "replica":
        statistics = 0
    return Traffic(
        _FLOAT32 * sum(scalars(variable) for variable in model.trainable_variables),
        _FLOAT32 * model.sharpness.shared_numbers(model, rows),
        _FLOAT32 * statistics,
        _FLOAT32 * rows * (int(model.head.units) + 1),
    )
