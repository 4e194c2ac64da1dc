"""Parts that several test files build their models from."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

import keras_ccsam as cc
from keras_ccsam.sharpness.objective import Coupling
from keras_ccsam.training.objective import BatchObjective

VECTORS = Path(__file__).parent / "vectors"

ONE_STEP = {"run_eagerly": keras.backend.backend() == "tensorflow"}
"""For `compile`, where a test takes a step or two: TensorFlow traces it for as long as ten take.
"""


def by_class(model: Any) -> Any:
    """The same model with a pass for each class, as where samples see each other; until `fit`."""
    model._found.coupling = Coupling("a test asks for passes by class", (), False)
    return model


def vector(name: str) -> dict[str, np.ndarray]:
    """One file of reference numbers."""
    with np.load(VECTORS / f"{name}.npz", allow_pickle=False) as file:
        return {key: file[key] for key in file}


@contextlib.contextmanager
def float_type(name: str) -> Iterator[None]:
    """Keras, and JAX below it, computing in `name`."""
    before = keras.config.floatx()
    policy = keras.config.dtype_policy()
    keras.config.set_floatx(name)
    keras.config.set_dtype_policy(name)
    if keras.backend.backend() == "jax":
        import jax

        jax.config.update("jax_enable_x64", name == "float64")
    try:
        yield
    finally:
        keras.config.set_floatx(before)
        keras.config.set_dtype_policy(policy)
        if keras.backend.backend() == "jax":
            jax.config.update("jax_enable_x64", False)


class FixedFeatures(keras.layers.Layer):
    """A backbone whose features are its weights, so that their gradient can be read."""

    def __init__(self, features: np.ndarray) -> None:
        super().__init__()
        self._start = features
        self.build((None, 1))

    def build(self, input_shape: Any) -> None:
        self.features = self.add_weight(
            shape=self._start.shape, initializer="zeros", name="features"
        )
        self.features.assign(self._start)
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        return self.features + 0.0 * inputs

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (input_shape[0], self._start.shape[1])

    @property
    def input_shape(self) -> Any:
        return (None, 1)


def one_program(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function. JAX compiles it far quicker in one than its operations one by one.

    Not for the cosine head in float64, on which XLA's CPU compiler aborts: "Cannot select
    SUBV_BROADCAST_LOAD".
    """
    if keras.backend.backend() != "jax":
        return function
    import jax

    return jax.jit(function)


def step_gradients(model: Any, x: Any, y: Any, sample_weight: Any = None) -> tuple[Any, Any]:
    """The gradients by variable path's last part, and the evaluation, as numpy."""
    model.optimizer.build(model.trainable_variables)
    x, y = (keras.tree.map_structure(ops.convert_to_tensor, part) for part in (x, y))

    def gradients_at(values: Any) -> Any:
        return model.sharpness.gradients(
            BatchObjective(model, values, (), x, y, sample_weight), model.hyper_parameters
        )

    wide_cosine = keras.config.floatx() == "float64" and isinstance(model.head, cc.heads.Cosine)
    if not wide_cosine:
        gradients_at = one_program(gradients_at)
    values = [ops.convert_to_tensor(v.value) for v in model.trainable_variables]
    gradients, evaluation = gradients_at(values)
    named = {
        v.path: ops.convert_to_numpy(g)
        for v, g in zip(model.trainable_variables, gradients, strict=True)
    }
    return named, float(ops.convert_to_numpy(evaluation.loss))


def batch_norm_model(
    sharpness: Any = None,
    seed: int = 0,
    dropout: float = 0.0,
    activity: str | None = "l2",
    **kwargs: Any,
) -> cc.SharpnessAwareModel:
    """A small convolutional network with BatchNorm, regularisers and add_loss terms."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((6, 6, 2))
    x = keras.layers.Conv2D(4, 3, kernel_regularizer="l2", name="conv")(inputs)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.ReLU(name="relu")(x)
    if dropout:
        x = keras.layers.Dropout(dropout, seed=7)(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dense(8, activation="tanh", activity_regularizer=activity, name="hidden")(x)
    backbone = keras.Model(inputs, x)
    head = kwargs.pop("head", None) or keras.layers.Dense(5, name="classifier")
    return cc.SharpnessAwareModel(backbone, head, sharpness, **kwargs)


def batch_norm_inputs(model: Any, x: np.ndarray) -> np.ndarray:
    """What the BatchNorm of `batch_norm_model` is given, by explicit loops in float64."""
    conv = model.backbone.get_layer("conv")
    kernel, bias = (np.asarray(weight, "float64") for weight in conv.get_weights())
    outputs = np.zeros((len(x), 4, 4, kernel.shape[3])) + bias
    for i, j in np.ndindex(4, 4):
        patch = np.asarray(x[:, i : i + 3, j : j + 3], "float64")
        outputs[:, i, j] += np.einsum("bhwc,hwcd->bd", patch, kernel)
    return outputs


def toy_batches(samples: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Learnable images of five long-tailed classes."""
    rng = np.random.default_rng(seed)
    y = rng.choice(5, samples, p=[0.4, 0.3, 0.15, 0.1, 0.05]).astype("int32")
    y[:5] = np.arange(5)
    x = rng.normal(size=(samples, 6, 6, 2)).astype("float32") + y[:, None, None, None] * 0.3
    return x, y


COUNTS = (24, 18, 9, 6, 3)
