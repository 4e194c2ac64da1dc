"""A sharpness method in one file: GSAM, used in `SharpnessAwareModel` and in a recipe.

    KERAS_BACKEND=jax python examples/custom_method.py [--epochs 20]
    ccsam train examples/custom_method.toml
    ccsam compare examples/custom_method.toml sam ce --seeds 3

    g_p  = grad L(w + rho g / ||g||),   g = grad L(w)
    step = g_p - alpha (g - g_p <g, g_p> / ||g_p||^2)

It follows the gradient of the perturbed loss and lowers its gap to the clean one on the way, by
ascending along the component of g orthogonal to g_p. (Zhuang et al., Surrogate Gap Minimization
Improves Sharpness-Aware Training, ICLR 2022.) At alpha = 0 it is SAM.
"""

import argparse
from typing import Annotated

import keras
from keras import ops
from pydantic import Field

import keras_ccsam as cc
from keras_ccsam.declare import Limit, part
from keras_ccsam.options import VARIABLE
from keras_ccsam.sharpness import ascend, global_norm


@part("sharpness", "gsam", limit=Limit("sam", alpha=0.0))
class GSAM(cc.sharpness.SharpnessMethod):
    """Two passes per step, as SAM."""

    # VARIABLE: a callback may change it while the model trains.
    def __init__(
        self,
        rho: Annotated[float, Field(ge=0, description="radius (paper: 0.05)"), VARIABLE] = 0.05,
        alpha: Annotated[float, Field(ge=0, description="weight of the gap"), VARIABLE] = 0.2,
    ) -> None:
        super().__init__(rho=rho, alpha=alpha)

    def gradients(self, objective, options):
        clean, evaluation = objective.gradient(objective.values)
        step = ops.convert_to_tensor(options.rho) / ops.maximum(global_norm(clean), 1e-30)
        objective.replay()  # the second pass draws the same dropout masks
        sharp, _ = objective.gradient(ascend(objective.values, clean, step))
        # Both carry the loss scale of mixed precision: their ratio does not, and the result does.
        product = sum(ops.sum(c * s) for c, s in zip(clean, sharp, strict=True))
        along = product / ops.maximum(ops.square(global_norm(sharp)), 1e-30)
        orthogonal = ascend(clean, sharp, -along)
        # Metrics, BatchNorm and seeds are those of the clean pass alone.
        return ascend(sharp, orthogonal, -ops.convert_to_tensor(options.alpha)), evaluation


def main(epochs: int) -> None:
    data = cc.data.load("digits-lt", imbalance_ratio=50)
    train = data.batches("train", batch_size=32, mixup=1.0)
    print(f"{'method':28}{'loss':>8}{'overall':>9}{'many':>9}{'medium':>9}{'few':>9}")
    for method in (
        cc.sharpness.ERM(),
        GSAM(0.05, 0.2),
        cc.sharpness.SAM(0.05),
        cc.sharpness.ClassConditional(data.class_counts),
    ):
        keras.utils.set_random_seed(0)
        head = keras.layers.Dense(data.num_classes)
        model = cc.SharpnessAwareModel(cc.models.SmallCNN(), head, method)
        model.compile(keras.optimizers.SGD(0.05, momentum=0.9), "sparse_categorical_crossentropy")
        history = model.fit(train, epochs=epochs, verbose=0)
        report = cc.evaluate(model, data.test, groups="thirds")
        accuracies = (report.overall, *report.groups.values())
        print(
            f"{type(method).__name__:28}{history.history['loss'][-1]:8.3f}"
            + "".join(f"{100 * accuracy:9.1f}" for accuracy in accuracies)
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=20)
    main(parser.parse_args().epochs)
