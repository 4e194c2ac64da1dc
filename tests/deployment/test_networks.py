"""Networks other than the runs' small one: exported with any batch size, and compared."""

from pathlib import Path

import keras
import numpy as np
import pytest

import keras_ccsam as cc
from keras_ccsam import deployment

# The formats' own tests run on every backend; what differs by network is PyTorch's exporters.
pytestmark = [pytest.mark.any_backend, pytest.mark.slow]


def answers(path: Path, images: np.ndarray) -> np.ndarray:
    """What ONNX Runtime makes of a file."""
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(str(path))
    assert [value.shape[0] for value in (*session.get_inputs(), *session.get_outputs())] == [
        "batch",
        "batch",
    ]
    return np.asarray(session.run(None, {"images": images})[0])


def with_attention() -> keras.Model:
    """Patches, attention, layer normalisation: Keras' own ONNX fails at any batch size."""
    inputs = keras.Input((8, 8, 3))
    scaled = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(inputs)
    patches = keras.layers.Conv2D(6, 4, strides=4)(scaled)
    tokens = keras.layers.LayerNormalization()(keras.layers.Reshape((4, 6))(patches))
    tokens = tokens + keras.layers.MultiHeadAttention(2, 3)(tokens, tokens)
    pooled = keras.layers.GlobalAveragePooling1D()(keras.layers.LayerNormalization()(tokens))
    return keras.Model(inputs, keras.layers.Dense(3, kernel_initializer="normal")(pooled))


def in_half_precision() -> keras.Model:
    """A residual network with BatchNorm, as a run in mixed precision has it."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = cc.CCSAM(cc.models.ResNet8((16, 16, 3)), num_classes=3, class_counts=[9, 3, 1])
    return model.export_plain()


def with_factors() -> keras.Model:
    """A network of which low-rank factors are trained: a file has their sums with the kernels."""
    backbone = cc.models.build("resnet8", (16, 16, 3), normalization="unit")
    cc.models.train_low_rank(backbone, rank=2)
    model = cc.CCSAM(backbone, num_classes=3, class_counts=[9, 3, 1])
    random = np.random.default_rng(0)
    for weight in backbone.trainable_variables:
        weight.assign(weight + random.normal(scale=0.05, size=weight.shape))
    return model


def of_applications() -> keras.Model:
    """EfficientNet: swish, squeeze and excitation, depthwise convolutions, pixels scaled inside."""
    base = keras.applications.EfficientNetB0(
        include_top=False, weights=None, input_shape=(32, 32, 3), pooling="avg"
    )
    random = np.random.default_rng(0)
    for weight in base.non_trainable_variables:
        if "moving" in weight.path:  # statistics other than 0 and 1
            weight.assign(random.uniform(0.5, 1.5, weight.shape))
    return keras.Model(base.input, keras.layers.Dense(5)(base.output))


@pytest.mark.parametrize("make", [with_attention, in_half_precision, with_factors, of_applications])
def test_a_network_is_itself_in_onnx(make, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    model = make()
    done = deployment.export(model, "onnx", tmp_path / "m.onnx", outputs="logits")
    assert done.difference is not None
    shape = done.facts["input"]["shape"][1:]
    images = np.random.default_rng(1).uniform(0, 255, (4, *shape)).astype("float32")
    wanted = keras.ops.convert_to_numpy(keras.ops.cast(model(images, training=False), "float32"))
    assert np.ptp(wanted) > 1e-3
    near = 0.05 * np.abs(wanted).max() if make is in_half_precision else 1e-4
    np.testing.assert_allclose(answers(done.path, images), wanted, atol=near, rtol=1e-4)
