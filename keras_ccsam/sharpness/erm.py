"""Empirical risk minimisation: the plain gradient, the step that Keras itself takes."""

from keras_ccsam.declare import part
from keras_ccsam.sharpness.method import Options, SharpnessMethod
from keras_ccsam.sharpness.objective import Evaluation, Objective
from keras_ccsam.typing import Tensor


@part("sharpness", "erm")
class ERM(SharpnessMethod):
    """The gradient of the loss at the weights themselves."""

    def gradients(self, objective: Objective, options: Options) -> tuple[list[Tensor], Evaluation]:
        """One pass."""
        return objective.gradient(objective.values)
