"""A head of your own: with a closed form CC-SAM costs one pass, without one a pass per class.

    KERAS_BACKEND=jax python examples/custom_head.py [--epochs 20]

The head is linear with a temperature, z = (h W + b) / T. Both versions take the same steps up to
rounding; that is also how to test a closed form.
"""

import argparse
import time

import keras
import numpy as np
from keras import ops

import keras_ccsam as cc

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--epochs", type=int, default=20)
EPOCHS = parser.parse_args().epochs
data = cc.data.load("digits-lt", imbalance_ratio=50)


@keras.saving.register_keras_serializable(package="examples")
class Temperature(keras.layers.Dense):
    """Without a closed form. Any layer from (B, D) to (B, K) with `units` will do."""

    temperature = 2.0

    def call(self, inputs, training=None):
        return super().call(inputs) / self.temperature


@keras.saving.register_keras_serializable(package="examples")
class ClosedTemperature(Temperature):
    """With one: two members more, and CC-SAM finds them."""

    @property
    def perturbed_weights(self):
        return [self.kernel, self.bias]

    def class_gradients(self, features, logits, logit_gradients, by_class):
        # The weights see delta / T. `along` is h_i against the gradient of sample i's class: its
        # products with delta / T, averaged, are that gradient's squared norm, and the step changes
        # the logits by length / norm * along / T. A step is a constant of the second pass, hence
        # stop_gradient: the left features alone are differentiated.
        delta = logit_gradients / self.temperature
        along = by_class.along(features, ops.stop_gradient(features), delta, bias=True)
        inner = ops.sum(delta * ops.stop_gradient(along), axis=1, keepdims=True)
        norm = ops.sqrt(ops.maximum(by_class.mean(inner)[:, 0], 0.0))

        def logits_after(length):
            share = length / ops.maximum(norm, 1e-30)  # the length of a zero gradient's step is 0
            return logits + share[:, None] * along / self.temperature

        return cc.heads.ClassGradients(norm, logits_after)


weights = {}
print(f"{'head':20}{'closed form':>12}{'first loss':>12}{'seconds':>9}")
for head in (ClosedTemperature, Temperature):
    keras.utils.set_random_seed(0)
    layer = head(data.num_classes)
    model = cc.CCSAM(cc.models.SmallCNN(), head=layer, class_counts=data.class_counts)
    model.compile(keras.optimizers.SGD(0.05, momentum=0.9), "sparse_categorical_crossentropy")
    train = data.batches("train", batch_size=32)
    loss = model.fit(train, epochs=1, verbose=0).history["loss"][0]
    weights[head] = ops.convert_to_numpy(layer.kernel)
    started = time.perf_counter()  # the first epoch also compiled the step
    model.fit(train, epochs=1 + EPOCHS, initial_epoch=1, verbose=0)
    seconds = time.perf_counter() - started
    found = "yes" if cc.heads.closed_form(layer) else "no"
    print(f"{head.__name__:20}{found:>12}{loss:12.6f}{seconds:9.1f}")
difference = np.abs(weights[ClosedTemperature] - weights[Temperature]).max()
print(f"largest difference of the kernels after one epoch: {difference:.1e}")
