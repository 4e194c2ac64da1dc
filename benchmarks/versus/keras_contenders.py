"""Keras' side: `fit` of Keras' own model of Keras' own layers, and of ours."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

import keras_ccsam as cc
from benchmarks import networks
from benchmarks.versus import setting as settings
from benchmarks.versus.setting import Setting


def contenders(setting: Setting, methods: list[str]) -> dict[str, Callable[[int], float]]:
    """By method, a function that trains so many steps and returns their mean loss."""
    limit_threads(setting.threads)
    if setting.precision == "bfloat16":
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
    x, y, counts = setting.arrays()

    def trainer(method: str) -> Callable[[int], float]:
        model = compiled(method, setting, counts)

        def train(steps: int) -> float:
            images, labels = x[: steps * setting.batch], y[: steps * setting.batch]
            log = model.fit(images, labels, setting.batch, epochs=1, shuffle=False, verbose=0)
            # Reading a weight waits for the step that computes it.
            keras.ops.convert_to_numpy(model.trainable_variables[-1])
            return float(log.history["loss"][0])

        return train

    return {method: trainer(method) for method in methods}


def limit_threads(threads: int) -> None:
    """TensorFlow's; those of torch and JAX follow the environment."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)


def compiled(method: str, setting: Setting, counts: list[int]) -> Any:
    """A compiled model with the common first weights."""
    features, head = parts(setting)
    load_weights([features, head], setting.weights)
    if method == "keras fit":
        model = keras.Model(features.inputs, head(features.outputs[0]))
    else:
        sharpness = {
            "ce": cc.sharpness.ERM,
            "sam": lambda: cc.sharpness.SAM(settings.SAM_RADIUS),
            "ccsam": lambda: cc.sharpness.ClassConditional(
                counts, settings.RADIUS_SCALE, settings.FLAT_RATIO
            ),
        }[method]()
        model = cc.SharpnessAwareModel(cc.models.accelerate(features), head, sharpness)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(settings.LEARNING_RATE, settings.MOMENTUM), loss)
    return model


def parts(setting: Setting) -> tuple[Any, Any]:
    """Backbone, of Keras' own layers, and head, both built."""
    if setting.network == "vit":
        features = networks.vit()
    elif setting.network in ("resnet8", "resnet32"):
        features = cc.models.plain_backbone(cc.models.build(setting.network, (32, 32, 3)))
    else:
        size = settings.NETWORKS[setting.network].size
        images = keras.Input((size, size, 3))
        scaled = keras.layers.Rescaling(1.0 / 127.5, -1.0, name="normalization")(images)
        features = keras.applications.ResNet50(
            weights=None, include_top=False, input_tensor=scaled, pooling="avg"
        )
    # Logits in float32 under mixed precision, as Keras' guide has it.
    head = keras.layers.Dense(setting.classes, dtype="float32", name="head")
    head.build(features.output_shape)
    return features, head


def save_weights(setting: Setting) -> None:
    """Draws the first weights of a network and writes them under the names of its variables.

    Biases, and the scales of normalisations, are drawn as well: at their initial zeros and ones a
    bias that is missing or a scale that is swapped would not show in the first loss. The residual
    branches of ResNet-50 begin small: at Keras' own first weights float32 leaves an error of some
    per cent in its gradient, and no two frameworks would agree on the second loss.
    """
    keras.utils.set_random_seed(0)
    features, head = parts(setting)
    rng = np.random.default_rng(0)
    values = {}
    for variable in (*features.weights, *head.weights):
        value = np.array(keras.ops.convert_to_numpy(variable))
        if variable.trainable and not variable.path.endswith("kernel"):
            value += rng.normal(0.0, 0.1, value.shape).astype(value.dtype)
        if variable.path.endswith("_3_bn/gamma"):
            value *= 0.1
        values[variable.path] = value
    pixels = features.get_layer("normalization")
    for name in ("scale", "offset"):
        value = np.asarray(getattr(pixels, name), "float32").reshape(-1, 1, 1)
        values[f"normalization/{name}"] = np.broadcast_to(value, (3, 1, 1))
    with Path(setting.weights).open("wb") as file:
        np.savez(file, **values)


def load_weights(layers: list[Any], path: str) -> None:
    """The file's values into the variables of these names."""
    with np.load(path, allow_pickle=False) as values:
        for layer in layers:
            for variable in layer.weights:
                variable.assign(values[variable.path])
