"""Empirical risk minimisation: the plain gradient, the step that Keras itself takes."""

import keras

from keras_ccsam.sharpness.method import Evaluation, Objective, SharpnessMethod
from keras_ccsam.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_ccsam")
class ERM(SharpnessMethod):
    """The gradient of the loss at the weights themselves."""

    def gradients(self, objective: Objective) -> tuple[list[Tensor], Evaluation]:
        """One pass."""
        return objective.gradient(objective.values)
