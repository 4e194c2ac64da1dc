"""Class weights that may change during training, as deferred re-weighting (DRW) needs them.

    L = sum_i u_{y_i} l_i / sum_i u_{y_i}

The sums run over the batch: torch's weighted mean, which the published codes take (Keras'
`class_weight` divides by the batch size instead). A mixed sample counts u of each of its labels in
their shares. The weights are a variable; uniform ones leave every number as it is.
"""

import copy
from typing import Any

import keras
from keras import ops

from keras_ccsam.labels import class_indices, is_mixed
from keras_ccsam.sharpness.method import Learner, constants
from keras_ccsam.training.step_parts import StepPart
from keras_ccsam.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_ccsam")
class ClassWeighting(StepPart):
    """Weights the classes of each batch. `callbacks.DeferredReweighting` adds it to a model.

    Attributes:
        class_weights: (K,) variable, u, of the bound part; ones at first.
    """

    saving = "remade"
    class_weights: keras.Variable

    def bind(self, model: Learner) -> "ClassWeighting":
        """A copy with uniform weights of its own."""
        bound = copy.copy(self)
        bound.class_weights = constants([1.0] * model.num_classes)
        bound.variables = [bound.class_weights]
        return bound

    def targets(self, y: Any, sample_weight: Tensor | None) -> tuple[Any, Tensor | None]:
        """The targets and sample weights that make the loss above of the compiled one.

        Args:
            y: the batch's targets.
            sample_weight: (B,) or None, multiplied with the class's weight.

        Returns:
            Targets, in which the shares of a mixed sample are weighted, and weights (B,).
        """
        if y is None:
            return y, sample_weight
        of_class = ops.convert_to_tensor(self.class_weights)
        weights = ops.take(of_class, class_indices(y))
        if is_mixed(y):
            mix = ops.cast(y["mix"], weights.dtype)
            first = mix * weights
            second = (1.0 - mix) * ops.take(of_class, class_indices(y["second_labels"]))
            weights = first + second
            y = {**y, "mix": first / weights}
        size = ops.cast(ops.shape(weights)[0], weights.dtype)
        weights = weights * (size / ops.sum(weights))
        if sample_weight is not None:
            weights = weights * ops.reshape(ops.cast(sample_weight, weights.dtype), (-1,))
        return y, weights
