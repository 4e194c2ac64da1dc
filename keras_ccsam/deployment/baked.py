"""What is exported: the trained network with what was asked to be part of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np

from keras_ccsam.checks import check_class_counts, require
from keras_ccsam.deployment.any_size import centre_view

Outputs = Literal["probabilities", "logits"]


@dataclass(frozen=True)
class Choices:
    """What becomes part of an exported model.

    Attributes:
        outputs: "probabilities", or "logits".
        logit_adjustment: tau; tau log pi_c is subtracted from the logits (Menon et al.,
            arXiv:2007.07314, eq. 9). 0 is none.
        temperature: what the logits are divided by.
        pixels: images of any size, uint8, are resized first; else they come as the network takes
            them.
        resize: of their shorter side, see `any_size.centre_view`.
    """

    outputs: Outputs = "probabilities"
    logit_adjustment: float = 0.0
    temperature: float = 1.0
    pixels: bool = False
    resize: int | None = None

    def __post_init__(self) -> None:
        require(
            self.outputs in ("probabilities", "logits"),
            "outputs",
            self.outputs,
            '"probabilities" or "logits"',
        )
        tau, heat = self.logit_adjustment, self.temperature
        require(_number(tau) and tau >= 0, "logit_adjustment", tau, "a number of at least 0")
        require(_number(heat) and heat > 0, "temperature", heat, 'a number above 0, or "auto"')


def baked(network: keras.Model, class_counts: Sequence[int], choices: Choices) -> keras.Model:
    """A functional model in float32, of the network and what follows from the choices.

    Args:
        network: from one input, images (B, H, W, C), to logits (B, K), or (B, 1) of class 1 of two.
        class_counts: training images of each class (K,).
        choices: what becomes part of it.

    Raises:
        ValueError: the counts are not of the network's classes.
    """
    core = in_float32(network)
    shape = core.input_shape
    if not choices.pixels:
        inputs = keras.Input(shape[1:], dtype="float32", name="images")
        logits = core(inputs)
    else:
        inputs = keras.Input((None, None, shape[-1]), dtype="uint8", name="images")
        logits = core(centre_view(inputs, shape[1:3], choices.resize))
    scale, offset = adjustment(class_counts, core.output_shape[-1], choices)
    if np.any(offset) or scale != 1.0:
        moved = [[float(value) for value in offset]]
        logits = keras.layers.Rescaling(scale, moved, dtype="float32", name="adjusted")(logits)
    outputs = logits
    if choices.outputs == "probabilities":
        last = "sigmoid" if core.output_shape[-1] == 1 else "softmax"
        outputs = keras.layers.Activation(last, dtype="float32", name="probabilities")(logits)
    return keras.Model(inputs, outputs, name="deployed")


def adjustment(
    class_counts: Sequence[int], outputs: int, choices: Choices
) -> tuple[float, np.ndarray]:
    """(scale, offset (K,)): exported logits are scale * z + offset.

    Raises:
        ValueError: the counts are not of so many classes.
    """
    scale = 1.0 / choices.temperature
    if not choices.logit_adjustment:
        return scale, np.zeros(outputs)
    counts = np.asarray(check_class_counts(class_counts, max(outputs, 2)), "float64")
    log_prior = np.log(counts / counts.sum())
    if outputs == 1:  # the logit of class 1 over that of class 0
        log_prior = log_prior[1:] - log_prior[:1]
    return scale, -scale * choices.logit_adjustment * log_prior


def in_float32(network: keras.Model) -> keras.Model:
    """The network itself, or a copy that computes in float32 where it was trained in less."""
    if all(layer.compute_dtype == "float32" for layer in network.layers):
        return network

    def clone(layer: Any) -> Any:
        if not isinstance(layer, keras.Layer):
            return layer
        return type(layer).from_config({**layer.get_config(), "dtype": "float32"})

    copy = keras.models.clone_model(network, clone_function=clone, recursive=True)
    copy.set_weights(network.get_weights())
    return copy


def _number(value: Any) -> bool:
    real = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return real and bool(np.isfinite(value))
