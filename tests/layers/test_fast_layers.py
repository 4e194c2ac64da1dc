"""The fast layers beside Keras' own: values, gradients, moving statistics, precision."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_ccsam import backend
from keras_ccsam import layers as fast
from keras_ccsam.layers.fast import FAST
from tests.support import float_type, one_program

TORCH = keras.backend.backend() == "torch"
IMAGES = (3, 7, 6, 4)


def numpy_of(value):
    return np.array(ops.convert_to_numpy(value))


def pair(stock, **options):
    """A Keras layer and its twin with the same weights, none of them at its initial value."""
    kind = getattr(layers, stock)
    shape = options.pop("shape", IMAGES)
    both = [kind(**options), FAST[kind](**options)]
    rng = np.random.default_rng(1)
    for layer in both:
        layer.build((None, *shape[1:]))
    for variables in zip(both[0].weights, both[1].weights, strict=True):
        value = rng.uniform(0.5, 1.5, variables[0].shape)
        for variable in variables:
            variable.assign(value)
    x = rng.normal(1.0, 2.0, shape).astype("float32")
    return both, x


def found(layer, x, **call):
    """Outputs, gradients of x and the weights, and what the call wrote."""
    variables = layer.trainable_variables
    state = [(v, v.value) for v in layer.non_trainable_variables]
    weigh = np.random.default_rng(2).normal(size=layer.compute_output_shape(x.shape))

    def loss(values):
        mapping = [*zip(variables, values[1:], strict=True), *state]
        with keras.StatelessScope(mapping) as scope:
            outputs = layer(values[0], **call)
            wide = ops.cast(outputs, keras.config.floatx())
            total = ops.sum(wide * ops.convert_to_tensor(weigh, wide.dtype))
        written = [scope.get_current_value(v) for v, _ in state]
        return total, (
            outputs,
            [old if w is None else w for (_, old), w in zip(state, written, strict=True)],
        )

    values = [ops.convert_to_tensor(x, layer.compute_dtype), *(v.value for v in variables)]
    program = one_program(lambda values: backend.value_and_grad(loss, values))
    (_, (outputs, written)), gradients = program(values)
    return [numpy_of(v).astype("float64") for v in (outputs, *gradients, *written)]


def assert_same(both, x, tolerance=1e-5, **call):
    for stock, own in zip(*(found(layer, x, **call) for layer in both), strict=True):
        assert np.abs(stock - own).max() <= tolerance * max(1.0, np.abs(stock).max())


@pytest.mark.parametrize(
    ("stock", "options"),
    [
        ("Conv2D", {"filters": 5, "kernel_size": 3, "padding": "same"}),
        ("Conv2D", {"filters": 5, "kernel_size": (2, 3), "padding": "same", "strides": 2}),
        ("Conv2D", {"filters": 6, "kernel_size": 3, "groups": 2, "use_bias": False}),
        ("Conv2D", {"filters": 6, "kernel_size": 3, "padding": "same", "dilation_rate": 2}),
        ("Conv2D", {"filters": 6, "kernel_size": 1, "strides": (2, 1), "activation": "relu"}),
        ("DepthwiseConv2D", {"kernel_size": 3, "padding": "same", "depth_multiplier": 2}),
        ("DepthwiseConv2D", {"kernel_size": 3, "strides": 2, "padding": "same"}),
        ("DepthwiseConv2D", {"kernel_size": 3, "use_bias": False, "activation": "tanh"}),
        ("SeparableConv2D", {"filters": 5, "kernel_size": 3, "padding": "same", "strides": 2}),
        ("SeparableConv2D", {"filters": 5, "kernel_size": 3, "depth_multiplier": 2}),
        ("MaxPooling2D", {"pool_size": 3, "strides": 2}),
        ("MaxPooling2D", {"pool_size": 2, "padding": "same"}),
        ("AveragePooling2D", {"pool_size": (2, 3)}),
        ("AveragePooling2D", {"pool_size": 3, "strides": 2, "padding": "same"}),
    ],
)
def test_convolutions_and_poolings_are_those_of_keras(stock, options):
    assert_same(*pair(stock, **options))


@pytest.mark.skipif(keras.backend.backend() == "tensorflow", reason="no such kernels on CPUs there")
@pytest.mark.parametrize(
    ("stock", "options"),
    [
        ("Conv2D", {"filters": 5, "kernel_size": 3, "padding": "same"}),
        ("DepthwiseConv2D", {"kernel_size": 3}),
        ("SeparableConv2D", {"filters": 5, "kernel_size": 3}),
        ("MaxPooling2D", {"pool_size": 2}),
        ("AveragePooling2D", {"pool_size": 2}),
    ],
)
def test_with_the_channels_first_they_are_too(stock, options):
    assert_same(*pair(stock, data_format="channels_first", shape=(3, 4, 7, 6), **options))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"epsilon": 0.5, "center": False},
        {"scale": False, "shape": (5, 4)},
        {"axis": 3},
        {"axis": (2, 3)},  # Keras' own
        {"dtype": "mixed_bfloat16"},
    ],
)
def test_layer_norm_is_that_of_keras(options):
    both, x = pair("LayerNormalization", **options)
    assert_same(both, x, tolerance=0.02 if "dtype" in options else 1e-5)


def test_layer_norm_of_equal_values_is_no_nan():
    both, x = pair("LayerNormalization", shape=(5, 4))
    assert_same(both, np.ones_like(x))


def test_second_derivatives_of_layer_norm_are_those_of_keras():
    """Which are a derivative forwards of one backwards on JAX."""
    both, x = pair("LayerNormalization", shape=(5, 4))
    x = ops.convert_to_tensor(x)
    vector = ops.convert_to_tensor(np.random.default_rng(4).normal(size=(5, 4)).astype("float32"))
    stock, own = (
        backend.hessian_vector_product(
            lambda v, layer=layer: ops.sum(ops.sin(layer(v[0]))), [x], [vector]
        )[0]
        for layer in both
    )
    np.testing.assert_allclose(numpy_of(own), numpy_of(stock), atol=1e-4)


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="JAX has a kernel of its own")
def test_layer_norm_has_a_kernel_on_cpus_alone(monkeypatch):
    import jax

    x = ops.ones((2, 3))
    used = backend.layer_normalization(x, None, None, 1e-3) is not None
    assert (jax.default_backend() == "cpu") == used
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert backend.layer_normalization(x, None, None, 1e-3) is None


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"axis": 1, "momentum": 0.9, "epsilon": 1e-5},
        {"center": False},
        {"scale": False, "shape": (5, 4)},
        {"shape": (2, 3, 4, 5, 4)},
        {"shape": (1, 1, 1, 4)},  # a variance of one value
        {"renorm": True},
        {"trainable": False},
    ],
)
def test_batch_norm_is_that_of_keras(options, training):
    assert_same(*pair("BatchNormalization", **options), training=training)


def test_a_mask_counts():
    both, x = pair("BatchNormalization", shape=(3, 5, 4))
    mask = np.array([[1, 1, 0, 0, 0], [1, 1, 1, 1, 1], [1, 0, 0, 0, 0]], "bool")
    assert_same(both, x, training=True, mask=ops.convert_to_tensor(mask))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("policy", "step"), [("mixed_bfloat16", 2**-8), ("mixed_float16", 2**-11)])
def test_in_mixed_precision_the_statistics_are_those_of_single(policy, step, training):
    for kind, options in (
        ("BatchNormalization", {"momentum": 0.5}),
        ("Conv2D", {"filters": 5, "kernel_size": 3}),
    ):
        call = {"training": training} if kind == "BatchNormalization" else {}
        both, x = pair(kind, dtype=policy, **options)
        assert both[1].compute_dtype == policy.removeprefix("mixed_")
        assert both[1](x, **call).dtype == both[0](x, **call).dtype
        assert_same(both, x, 8 * step, **call)
        if call:
            stock, own = (numpy_of(layer.moving_variance) for layer in both)
            np.testing.assert_allclose(own, stock, rtol=1e-4)


def test_in_double_precision():
    if TORCH:
        pytest.skip("Keras' own operations compute in float32 on torch")
    with float_type("float64"):
        assert_same(*pair("BatchNormalization"), 1e-12, training=True)


@pytest.mark.skipif(not TORCH, reason="of torch's kernels")
def test_on_torch_the_kernels_are_fused_and_nothing_is_copied():
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    seen = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            first = args[0] if args and isinstance(args[0], torch.Tensor) else None
            if first is not None and first.numel() >= 1000:
                seen.append(str(function.overloadpacket))
            return function(*args, **(kwargs or {}))

    images = keras.Input((16, 16, 8))
    x = fast.Conv2D(8, 3, padding="same", use_bias=False)(images)
    x = layers.ReLU()(fast.BatchNormalization()(x))
    x = fast.MaxPooling2D(2)(fast.Conv2D(8, 3, padding="same", use_bias=False)(x))
    network = keras.Model(images, x)
    batch = torch.ones((2, 16, 16, 8)) + torch.rand((2, 16, 16, 8))
    with Watch():
        outputs = network(batch, training=True)
        torch.autograd.grad(outputs.sum(), [v.value for v in network.trainable_variables])
    assert "aten.native_batch_norm_backward" in seen
    assert not [name for name in seen if "clone" in name or "copy" in name or "sub" in name]


def test_a_fast_layer_is_saved_under_its_own_name_and_keeps_its_config(tmp_path):
    for stock, own in FAST.items():
        assert own.__name__ == stock.__name__
        assert keras.saving.get_registered_name(own) == f"keras_ccsam>{stock.__name__}"
    images = keras.Input((8, 8, 2))
    x = fast.BatchNormalization(momentum=0.7)(fast.Conv2D(3, 3, name="first")(images))
    network = keras.Model(images, fast.AveragePooling2D(2)(x))
    network.save(tmp_path / "network.keras")
    loaded = keras.models.load_model(tmp_path / "network.keras")
    assert [type(layer) for layer in loaded.layers] == [type(layer) for layer in network.layers]
    assert loaded.layers[2].momentum == 0.7
