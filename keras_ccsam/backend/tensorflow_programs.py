"""Exported TensorFlow models, read again."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf


def load_saved_model(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """What runs a SavedModel that Keras exported."""
    loaded = tf.saved_model.load(str(path))
    return lambda images: np.asarray(loaded.serve(tf.constant(images)))


def load_litert(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """What runs a LiteRT file; its input is resized to each batch."""
    interpreter = tf.lite.Interpreter(str(path))
    into = interpreter.get_input_details()[0]["index"]
    out = interpreter.get_output_details()[0]["index"]

    def run(images: np.ndarray) -> np.ndarray:
        interpreter.resize_tensor_input(into, images.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(into, images)
        interpreter.invoke()
        return np.asarray(interpreter.get_tensor(out))

    return run
