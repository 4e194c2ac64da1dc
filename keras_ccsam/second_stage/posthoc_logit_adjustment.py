"""Logit adjustment of a trained classifier: z_c - tau log pi_c, folded into the head's bias.

    pi_c = n_c / sum_k n_k

For a model trained with cross-entropy, tau = 1 predicts by p(x | c) in place of p(c | x), so that
a frequent class is not preferred for being frequent. No training.

References:
    Menon et al., Long-Tail Learning via Logit Adjustment, ICLR 2021.
"""

from collections.abc import Sequence

import numpy as np
from keras import ops

from keras_ccsam.checks import check_class_counts
from keras_ccsam.declare import part
from keras_ccsam.heads import plain_dense
from keras_ccsam.losses.logit_adjustment import TAU, Adjustment
from keras_ccsam.options import checked
from keras_ccsam.training.model import SharpnessAwareModel


@part("posthoc", "logit_adjustment", needs=("linear",))
def adjust_bias(
    model: SharpnessAwareModel,
    class_counts: Sequence[int],
    tau: Adjustment = TAU,
) -> float:
    """Subtracts tau log pi_c from the head's bias, in place.

    It is meant for a model trained with cross-entropy.

    Args:
        model: a trained model with a Dense head that has a bias. With one output, the logit of
            class 1 loses tau (log pi_1 - log pi_0).
        class_counts: the number of training images of each class (K,).
        tau: at least 0. Applying it twice subtracts twice.

    Returns:
        tau.

    Raises:
        ValueError: for another head, a count below 1, another number of classes or a negative
            `tau`.
    """
    checked(adjust_bias, {"tau": tau})
    counts = np.asarray(check_class_counts(class_counts, model.num_classes), "float64")
    head = plain_dense(model.head)
    if head is None or not head.use_bias:
        raise ValueError(
            "Post-hoc logit adjustment changes the bias of a Dense head: give the model one with "
            f"use_bias=True. Received: head={model.head!r}"
        )
    log_prior = np.log(counts / counts.sum())
    # One output is the logit of class 1 over that of class 0.
    shift = log_prior[1:] - log_prior[:1] if head.units == 1 else log_prior
    bias = np.asarray(ops.convert_to_numpy(head.bias), "float64")
    head.bias.assign(bias - tau * shift)
    return tau
