"""Model perturbation: the gradient at weights with Gaussian noise on the classifier.

    eps  = norm z / ||z||,   z ~ N(0, I)       one draw per step, all perturbed tensors jointly
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
from typing import Annotated

import keras
from keras import ops
from pydantic import Field

from keras_ccsam.declare import Limit, part
from keras_ccsam.options import VARIABLE
from keras_ccsam.sharpness.method import Learner, Options, SharpnessMethod, ascend, global_norm
from keras_ccsam.sharpness.objective import Evaluation, Objective
from keras_ccsam.sharpness.perturbed_weights import check_pattern, positions
from keras_ccsam.sharpness.shared_options import Perturb
from keras_ccsam.typing import Tensor


@part("sharpness", "gaussian", limit=Limit("erm", norm=0.0), trials=({"norm": 0.1},))
class GaussianPerturbation(SharpnessMethod):
    """The gradient at weights moved in a random direction.

    Without a clean share there is one pass, the perturbed one: BatchNorm statistics, seeds,
    metrics, regularisers and the loss reported are its own. With one there are two, and all of
    these but the regularisers are of the clean pass. The noise follows the seed that
    `keras.utils.set_random_seed` had set when the model was made. Like every Keras seed its state
    is not saved with the model.

    Args:
        norm: the length of the step (appendix C.3). A variable. 0 is Keras' own step, bit for bit.
        perturb: the weights w: `"head"`, `"all"`, or a regular expression that is searched in the
            paths of the trainable variables.
        clean_share: s, the share of the clean gradient. Above 0 it costs a second pass.

    Raises:
        ValueError: if `norm` is negative or `clean_share` lies outside [0, 1); when the model is
            compiled, or at the first step of one that is not built by then, if `perturb` matches
            no variable.
    """

    def __init__(
        self,
        norm: Annotated[
            float,
            Field(ge=0, description="of the noise, in units of the weights (paper C.3: 1e-3)"),
            VARIABLE,
        ] = 1e-3,
        perturb: Perturb = "head",
        clean_share: Annotated[
            float, Field(ge=0, lt=1, description="of the clean gradient (paper: not stated)")
        ] = 0.0,
    ) -> None:
        super().__init__(norm=norm, perturb=perturb, clean_share=clean_share)
        check_pattern(perturb)

    def bind(self, model: Learner) -> Options:
        """As its base, and the model's generator of the noise."""
        options = super().bind(model)
        # The model must own it: on JAX a step carries only the model's variables.
        model.method_seeds = keras.random.SeedGenerator(_own_seed())
        options.noise = model.method_seeds
        return options

    def check(self, model: Learner) -> None:
        """Refuses a pattern that matches no trainable variable."""
        positions(model.trainable_variables, self.get_config()["perturb"], model.head)

    def gradients(self, objective: Objective, options: Options) -> tuple[list[Tensor], Evaluation]:
        """One pass, or two with a clean share."""
        moved = _moved(objective, options)
        share = options.clean_share
        if not share:
            return objective.gradient(moved)
        clean, evaluation = objective.gradient(objective.values)
        objective.replay()
        perturbed, _ = objective.gradient(moved)
        mixed = [share * c + (1.0 - share) * p for c, p in zip(clean, perturbed, strict=True)]
        return mixed, evaluation


def _moved(objective: Objective, options: Options) -> list[Tensor]:
    """w + eps."""
    values = list(objective.values)
    chosen = positions(objective.variables, options.perturb, objective.head)
    noise = [
        keras.random.normal(
            objective.variables[i].shape, dtype=keras.config.floatx(), seed=options.noise
        )
        for i in chosen
    ]
    step = ops.convert_to_tensor(options.norm) / global_norm(noise)
    moved = ascend([values[i] for i in chosen], noise, step)
    for i, value in zip(chosen, moved, strict=True):
        values[i] = value
    return values


def _own_seed() -> int:
    """A seed that follows Keras' global one and leaves its stream where it was.

    Keras seeds its generators from Python's `random`. A draw from there would give every layer
    made later another seed, so that a model with this method started from other weights than its
    rivals. The copied stream's next number would be that of the next layer, hence the second hash.
    """
    stream = random.Random()
    stream.setstate(random.getstate())
    return random.Random(f"perturbation noise {stream.getrandbits(64)}").randint(1, 10**9)
