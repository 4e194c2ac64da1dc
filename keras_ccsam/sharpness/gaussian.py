"""Model perturbation: the gradient at weights with Gaussian noise on the classifier.

    eps  = norm z / ||z||,   z ~ N(0, I)       one draw a step, all perturbed tensors jointly
    step = grad L(w + eps)

The control experiment for methods that choose the direction of the step: CC-SAM's appendix C.3,
with norm 0.001 "of a similar scale" as its own perturbation. Whether the clean gradient is used
too is not stated there; here it is not, unless `clean_share` says so:

    step = (1 - s) grad L(w + eps) + s grad L(w)

References:
    Zhou, Zhipeng, et al., Class-Conditional Sharpness-Aware Minimization for Deep Long-Tailed
    Recognition, CVPR 2023 (appendix C.3).
"""

import random
from typing import Any

import keras
from keras import ops

from keras_ccsam.checks import require
from keras_ccsam.sharpness.method import (
    Evaluation,
    Objective,
    SharpnessMethod,
    ascend,
    global_norm,
    hyper_parameter,
)
from keras_ccsam.sharpness.perturbed_weights import check_pattern, positions
from keras_ccsam.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_ccsam")
class GaussianPerturbation(SharpnessMethod):
    """The gradient at weights moved in a random direction.

    Without a clean share there is one pass, the perturbed one: BatchNorm statistics, seeds,
    metrics, regularisers and the loss reported are its own. With one there are two, and all of
    these but the regularisers are of the clean pass. The noise follows the seed that
    `keras.utils.set_random_seed` had set when the model was made. Like every Keras seed its state
    is not saved with the model.

    Args:
        norm: the length of the step, at least 0. A variable. 0.001 by default (appendix C.3). 0 is
            Keras' own step, bit for bit.
        perturb: the weights w: `"head"` (the default), `"all"`, or a regular expression that is
            searched in the paths of the trainable variables.
        clean_share: s in [0, 1), the share of the clean gradient. Above 0 it costs a second pass.
            0 by default.

    Raises:
        ValueError: if `norm` is negative or `clean_share` lies outside [0, 1); when the model is
            compiled, or at the first step of one that is not built by then, if `perturb` matches
            no variable.
    """

    norm: keras.Variable

    def __init__(self, norm: float = 1e-3, perturb: str = "head", clean_share: float = 0.0) -> None:
        require(norm >= 0, "norm", norm, "at least 0")
        require(0 <= clean_share < 1, "clean_share", clean_share, "at least 0 and below 1")
        self._norm = float(norm)
        self.perturb = check_pattern(perturb)
        self.clean_share = float(clean_share)
        self._model: keras.Model
        self._noise: keras.random.SeedGenerator

    def build(self, model: keras.Model) -> None:
        """Creates `norm`, which a callback may assign, and the model's generator of the noise."""
        self._model = model
        self.norm = hyper_parameter(model, "norm", self._norm)
        # The model must own it: on JAX a step carries only the model's variables.
        model.perturbation_noise = keras.random.SeedGenerator(_own_seed())
        self._noise = model.perturbation_noise

    def check(self, model: keras.Model) -> None:
        """Refuses a pattern that matches no trainable variable."""
        positions(model.trainable_variables, self.perturb, model.head)

    def gradients(self, objective: Objective) -> tuple[list[Tensor], Evaluation]:
        """One pass, or two with a clean share."""
        moved = self._moved(objective)
        if not self.clean_share:
            return objective.gradient(moved)
        clean, evaluation = objective.gradient(objective.values)
        objective.replay()
        perturbed, _ = objective.gradient(moved)
        share = self.clean_share
        mixed = [share * c + (1.0 - share) * p for c, p in zip(clean, perturbed, strict=True)]
        return mixed, evaluation

    def _moved(self, objective: Objective) -> list[Tensor]:
        """w + eps."""
        values = list(objective.values)
        chosen = positions(objective.variables, self.perturb, self._model.head)
        noise = [
            keras.random.normal(
                objective.variables[i].shape, dtype=keras.config.floatx(), seed=self._noise
            )
            for i in chosen
        ]
        step = ops.convert_to_tensor(self.norm) / global_norm(noise)
        moved = ascend([values[i] for i in chosen], noise, step)
        for i, value in zip(chosen, moved, strict=True):
            values[i] = value
        return values

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "norm": self._norm,
            "perturb": self.perturb,
            "clean_share": self.clean_share,
        }


def _own_seed() -> int:
    """A seed that follows Keras' global one and leaves its stream where it was.

    Keras seeds its generators from Python's `random`. A draw from there would give every layer
    made later another seed, so that a model with this method started from other weights than its
    rivals. The copied stream's next number would be that of the next layer, hence the second hash.
    """
    stream = random.Random()
    stream.setstate(random.getstate())
    return random.Random(f"perturbation noise {stream.getrandbits(64)}").randint(1, 10**9)
