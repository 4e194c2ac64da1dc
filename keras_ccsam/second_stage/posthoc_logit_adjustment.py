"""Logit adjustment of a trained classifier: z_c - tau log pi_c, folded into the head's bias.

    pi_c = n_c / sum_k n_k

For a model trained with cross-entropy, tau = 1 predicts by p(x | c) in place of p(c | x), so that
a frequent class is not preferred for being frequent. No training.

References:
    Menon et al., Long-Tail Learning via Logit Adjustment, ICLR 2021.
"""

from collections.abc import Sequence
from typing import Annotated

import keras
import numpy as np
from keras import ops
from pydantic import Field

from keras_ccsam.checks import check_class_counts, check_counts_of_head
from keras_ccsam.declare import part
from keras_ccsam.options import checked
from keras_ccsam.training.model import SharpnessAwareModel


@part("posthoc", "logit_adjustment", needs=("linear",))
def adjust_bias(
    model: SharpnessAwareModel,
    class_counts: Sequence[int],
    tau: Annotated[float, Field(ge=0, description="of tau log pi (paper: 1)")] = 1.0,
) -> float:
    """Subtracts tau log pi_c from the head's bias, in place.

    It is meant for a model trained with cross-entropy.

    Args:
        model: a trained model with a Dense head that has a bias.
        class_counts: the number of training images of each class (K,).
        tau: at least 0; 1 by default. Applying it twice subtracts twice.

    Returns:
        tau.

    Raises:
        ValueError: for another head, a count below 1, another number of classes or a negative
            `tau`.
    """
    checked(adjust_bias, {"tau": tau})
    counts = np.asarray(check_class_counts(class_counts), "float64")
    head = model.head
    if not isinstance(head, keras.layers.Dense) or not head.use_bias:
        raise ValueError(
            "Post-hoc logit adjustment changes the bias of a Dense head: give the model one with "
            f"use_bias=True. Received: head={head!r}"
        )
    check_counts_of_head(class_counts, model.num_classes)
    bias = np.asarray(ops.convert_to_numpy(head.bias), "float64")
    head.bias.assign(bias - tau * np.log(counts / counts.sum()))
    return tau
