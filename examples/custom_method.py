"""A sharpness method in one file: the gradient-norm penalty, used in `SharpnessAwareModel`.

    KERAS_BACKEND=jax python examples/custom_method.py [--epochs 20]

    L(w) + penalty ||grad L(w)||   has, to first order, the gradient
    (1 - a) g(w) + a g(w + radius g(w) / ||g(w)||),   a = penalty / radius

(Zhao et al., Penalizing Gradient Norm for Efficiently Improving Generalization, ICML 2022.) At
a = 1 it is SAM.
"""

import argparse

import keras
from keras import ops

import keras_ccsam as cc
from keras_ccsam.sharpness.method import ascend, global_norm, hyper_parameter, require


@keras.saving.register_keras_serializable(package="examples")
class GradientNormPenalty(cc.sharpness.SharpnessMethod):
    """Two passes a step, as SAM; `share` is a above."""

    def __init__(self, radius: float = 0.05, share: float = 0.5) -> None:
        require(radius >= 0, "radius", radius, "at least 0")
        require(0 <= share <= 1, "share", share, "between 0 and 1")
        self._radius, self._share = float(radius), float(share)

    def build(self, model: keras.Model) -> None:
        # Variables, so that a callback may change them: a float would be compiled into the step.
        self.radius = hyper_parameter(model, "radius", self._radius)
        self.share = hyper_parameter(model, "share", self._share)

    def gradients(self, objective):
        clean, evaluation = objective.gradient(objective.values)
        norm = global_norm(clean)
        step = ops.convert_to_tensor(self.radius) / ops.maximum(norm, 1e-30)
        objective.replay()  # the second pass draws the same dropout masks
        sharp, _ = objective.gradient(ascend(objective.values, clean, step))
        mixed = [
            c + ops.cast(self.share, c.dtype) * (s - c) for c, s in zip(clean, sharp, strict=True)
        ]
        # Metrics, BatchNorm and seeds are those of the clean pass alone.
        return mixed, evaluation

    def get_config(self) -> dict:
        return {"radius": self._radius, "share": self._share}


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--epochs", type=int, default=20)
EPOCHS = parser.parse_args().epochs

data = cc.data.load("digits-lt", imbalance_ratio=50)
train = data.batches("train", batch_size=32, mixup=1.0)
print(f"{'method':28}{'loss':>8}{'overall':>9}{'many':>9}{'medium':>9}{'few':>9}")
for method in (
    cc.sharpness.ERM(),
    GradientNormPenalty(0.05, 0.5),
    cc.sharpness.SAM(0.05),
    cc.sharpness.ClassConditional(data.class_counts),
):
    keras.utils.set_random_seed(0)
    head = keras.layers.Dense(data.num_classes)
    model = cc.SharpnessAwareModel(cc.models.SmallCNN(), head, method)
    model.compile(keras.optimizers.SGD(0.05, momentum=0.9), "sparse_categorical_crossentropy")
    history = model.fit(train, epochs=EPOCHS, verbose=0)
    report = cc.evaluate(model, data.test, groups="thirds")
    accuracies = (report.overall, *report.groups.values())
    print(
        f"{type(method).__name__:28}{history.history['loss'][-1]:8.3f}"
        + "".join(f"{100 * accuracy:9.1f}" for accuracy in accuracies)
    )
