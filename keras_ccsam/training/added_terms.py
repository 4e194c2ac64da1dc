"""The terms that a model adds to the loss of a batch."""

from typing import Any

from keras_ccsam.checks import at_least_float32
from keras_ccsam.terms.term import TermBatch
from keras_ccsam.training.sample_loss import SampleLoss
from keras_ccsam.typing import Tensor


def added_terms(
    terms: Any,
    loss: SampleLoss,
    features: Tensor,
    outputs: Tensor,
    y: Any,
    sample_weight: Tensor | None,
) -> Tensor:
    """Their sum, a scalar, at least float32.

    Args:
        terms: of the model, one or more.
        loss: the compiled one.
        features: (R, D) of a training pass, `outputs` (R, K) of the head.
        y, sample_weight: of the batch.
    """
    batch = TermBatch(
        at_least_float32(features),
        at_least_float32(outputs),
        y,
        sample_weight,
        lambda labels, outputs: loss.values(labels, outputs),
    )
    total = terms[0].value(batch)
    for term in terms[1:]:
        total = total + term.value(batch)
    return total
