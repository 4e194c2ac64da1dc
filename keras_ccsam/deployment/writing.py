"""One function that writes a model in a format, and one that reads it again to run it.

Both run in a process whose Keras backend is that of the format: see `elsewhere.py`.
"""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_ccsam.deployment import onnx_graph
from keras_ccsam.training import saving

Runner = Callable[[np.ndarray], np.ndarray]


def write(model: keras.Model, format_name: str, path: Path) -> None:
    """Write a model; what the frameworks say of themselves while they do it is not passed on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if format_name == "keras":
            saving.save_model(model, path)
        elif format_name == "onnx":
            _write_onnx(model, path)
            onnx_graph.tidy(path, model.layers[-1].name)
        elif format_name == "saved_model":
            model.export(path, format="tf_saved_model", verbose=False)
        elif format_name == "litert":
            model.export(path, format="litert", verbose=False)
        else:
            from keras_ccsam.backend import torch_programs

            torch_programs.save(model, path)


def _write_onnx(model: keras.Model, path: Path) -> None:
    """By the exporter that Keras takes, which is the quick one; by the other where it cannot."""
    from keras_ccsam.backend import torch_programs

    height, width, channels = model.input_shape[1:]
    seen = np.zeros((2, height or 64, width or 66, channels), model.inputs[0].dtype)
    model(seen)  # Keras exports no model that has only been read from a file
    try:
        model.export(path, format="onnx", verbose=False)
    except OSError:
        raise
    except Exception:  # as of layer normalisation and attention with any batch size
        torch_programs.save_onnx(model, seen, path)


def read(format_name: str, path: Path) -> Runner:
    """What runs a written model: images to outputs, both arrays. Nothing of it comes from here."""
    if format_name == "keras":
        model = keras.models.load_model(path, compile=False, safe_mode=True)
        return lambda images: np.asarray(keras.ops.convert_to_numpy(model(images)))
    if format_name == "onnx":
        import onnxruntime

        # One thread: what is compared is small.
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session: Any = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        name = session.get_inputs()[0].name
        return lambda images: np.asarray(session.run(None, {name: images})[0])
    if format_name == "torch":
        from keras_ccsam.backend import torch_programs

        return torch_programs.load(path)
    from keras_ccsam.backend import tensorflow_programs

    if format_name == "saved_model":
        return tensorflow_programs.load_saved_model(path)
    return tensorflow_programs.load_litert(path)


def answers(format_name: str, path: Path, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """What a written model says of several batches."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run = read(format_name, path)
        return [np.asarray(run(images), "float32") for images in inputs]
