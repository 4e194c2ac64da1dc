"""Spectral normalisation against numpy's singular values, and what it must not lose."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_ccsam as cc
from keras_ccsam import backend
from keras_ccsam.layers import SpectralNormalization
from tests.support import float_type, step_gradients, toy_batches


def numpy_of(value):
    return np.array(ops.convert_to_numpy(value))


def dense(units=4, inputs=6, **options):
    layer = SpectralNormalization(keras.layers.Dense(units), **options)
    layer.build((None, inputs))
    return layer


def iterated(kernel, u, rounds):
    """The power iteration in float64: (sigma, u)."""
    kernel, u = kernel.astype("float64"), u.astype("float64")
    for _ in range(rounds):
        v = kernel @ u
        v /= np.linalg.norm(v)
        u = kernel.T @ v
        u /= np.linalg.norm(u)
    return v @ kernel @ u, u


def warm(layer, inputs, passes=20):
    for _ in range(passes):
        layer(inputs, training=True)


@pytest.mark.parametrize(
    ("inner", "shape", "columns"),
    [
        (keras.layers.Dense(5), (2, 7), (-1,)),
        (keras.layers.DepthwiseConv2D(3, depth_multiplier=2), (1, 4, 4, 3), (-2, -1)),
        (keras.layers.Conv2DTranspose(4, 3), (1, 4, 4, 3), (-2,)),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_the_largest_singular_value_is_one(inner, shape, columns):
    layer = SpectralNormalization(inner)
    rng = np.random.default_rng(0)
    x = ops.convert_to_tensor(rng.normal(size=shape).astype("float32"))
    layer.build(shape)
    inner.kernel.assign(3.0 * rng.normal(size=inner.kernel.shape))
    warm(layer, x)
    kernel = numpy_of(layer.normalized_kernel())
    outputs = int(np.prod([kernel.shape[axis] for axis in columns]))
    last = np.moveaxis(kernel, columns, range(-len(columns), 0))
    singular = np.linalg.svd(last.reshape(-1, outputs), compute_uv=False)
    np.testing.assert_allclose(singular[0], 1.0, atol=1e-3)
    raw = numpy_of(inner.kernel)
    # A multiple of the raw kernel, which is not touched.
    np.testing.assert_allclose(kernel * (raw.max() / kernel.max()), raw, rtol=1e-4, atol=1e-6)
    assert raw.max() / kernel.max() > 2.0
    np.testing.assert_allclose(numpy_of(layer(x)), numpy_of(layer.plain()(x)), rtol=1e-5, atol=1e-6)


def test_training_moves_u_by_the_stated_iterations_and_inference_does_not():
    layer = dense(power_iterations=2)
    x = np.random.default_rng(0).normal(size=(3, 6)).astype("float32")
    kernel, u = numpy_of(layer.layer.kernel), numpy_of(layer.u)
    sigma, moved = iterated(kernel, u, 2)
    for training in (False, True):
        np.testing.assert_array_equal(numpy_of(layer.u), u)
        outputs = layer(ops.convert_to_tensor(x), training=training)
        np.testing.assert_allclose(numpy_of(outputs), x @ kernel / sigma, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(numpy_of(layer.u), moved, rtol=1e-5, atol=1e-6)
    layer.trainable = False
    layer(ops.convert_to_tensor(x), training=True)
    np.testing.assert_allclose(numpy_of(layer.u), moved, rtol=1e-5, atol=1e-6)


def test_the_gradient_is_that_of_the_normalised_layer():
    # Keras' operations on torch promote float64 to float32 (its type lattice ends there).
    narrow = keras.backend.backend() == "torch"
    tolerance = 1e-4 if narrow else 1e-7
    rng = np.random.default_rng(0)
    x, target = rng.normal(size=(5, 4)), rng.normal(size=(5, 3))
    kernel = np.linalg.qr(rng.normal(size=(4, 3)))[0] * [3.0, 1.0, 0.5]
    kernel = kernel @ np.linalg.qr(rng.normal(size=(3, 3)))[0]
    with float_type("float32" if narrow else "float64"):
        layer = dense(3, 4, power_iterations=20)
        layer.layer.kernel.assign(kernel)

        def loss_of(values):
            with keras.StatelessScope([(layer.layer.kernel, values[0])]):
                residual = layer(ops.convert_to_tensor(x)) - ops.convert_to_tensor(target)
            return ops.sum(ops.square(residual)), None

        value = ops.convert_to_tensor(layer.layer.kernel.value)
        (loss, _), (gradient,) = backend.value_and_grad(loss_of, [value])
        loss, gradient = float(numpy_of(loss)), numpy_of(gradient)

    def reference(kernel):
        sigma = np.linalg.svd(kernel, compute_uv=False)[0]
        return np.sum((x @ kernel / sigma - target) ** 2)

    np.testing.assert_allclose(loss, reference(kernel), rtol=tolerance)
    expected = np.zeros_like(kernel)
    for index in np.ndindex(kernel.shape):
        shift = np.zeros_like(kernel)
        shift[index] = 1e-5
        expected[index] = (reference(kernel + shift) - reference(kernel - shift)) / 2e-5
    np.testing.assert_allclose(gradient, expected, rtol=tolerance, atol=tolerance)
    # The length of a kernel has no effect; without sigma's gradient this would not be near 0.
    assert abs(np.sum(gradient * kernel)) < tolerance < 1e-2 < np.abs(gradient).max()


def test_a_step_moves_u_by_the_clean_pass_and_counts_the_regulariser_once():
    inputs = keras.Input((6,))
    inner = keras.layers.Dense(4, kernel_regularizer=keras.regularizers.L2(0.1))
    wrapper = SpectralNormalization(inner, power_iterations=1)
    head = keras.layers.Dense(3)
    model = cc.SharpnessAwareModel(
        keras.Model(inputs, wrapper(inputs)), head, cc.sharpness.SAM(5.0)
    )
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, 6)).astype("float32"), np.arange(8) % 3
    kernel, u = numpy_of(inner.kernel), numpy_of(wrapper.u)
    sigma, moved = iterated(kernel, u, 1)

    logits = x @ kernel / sigma @ numpy_of(head.kernel)
    log = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    expected = -log[np.arange(8), y].mean() + 0.1 * np.sum(kernel**2)
    _, loss = step_gradients(model, x, y)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)

    model.train_on_batch(x, y)
    np.testing.assert_allclose(numpy_of(wrapper.u), moved, rtol=1e-4, atol=1e-5)
    assert np.abs(numpy_of(inner.kernel) - kernel).max() > 1e-3


def test_mixed_precision_normalises_the_full_precision_kernel():
    keras.config.set_dtype_policy("mixed_float16")
    layer = dense(4, 6)
    x = np.random.default_rng(0).normal(size=(3, 6)).astype("float32")
    # In half precision the entries of 1e-6 would be 4 % off, and their squares 0.
    small = np.random.default_rng(1).normal(size=(6, 4)).astype("float32") * 1e-6
    layer.layer.kernel.assign(small)
    warm(layer, ops.convert_to_tensor(x))
    outputs = layer(ops.convert_to_tensor(x))
    assert keras.backend.standardize_dtype(outputs.dtype) == "float16"
    assert keras.backend.standardize_dtype(layer.u.dtype) == "float32"
    expected = x @ small / np.linalg.svd(small, compute_uv=False)[0]
    np.testing.assert_allclose(numpy_of(outputs).astype("float32"), expected, atol=5e-3)


@pytest.mark.parametrize(
    "method", [cc.sharpness.SAM(0.05), cc.sharpness.ClassConditional([24, 18, 9, 6, 3])]
)
def test_fit_save_and_load(method, tmp_path):
    x, y = toy_batches(32)
    inputs = keras.Input((6, 6, 2))
    conv = SpectralNormalization(keras.layers.Conv2D(4, 3), name="conv")
    hidden = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(conv(inputs)))
    model = cc.SharpnessAwareModel(keras.Model(inputs, hidden), keras.layers.Dense(5), method)
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    before = numpy_of(conv.u), numpy_of(conv.layer.kernel)
    model.fit(x, y, batch_size=16, epochs=3, verbose=0)
    assert np.abs(numpy_of(conv.u) - before[0]).max() > 1e-3
    assert np.abs(numpy_of(conv.layer.kernel) - before[1]).max() > 1e-4
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    expected = model.predict(x, verbose=0)
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), expected)
    inner = loaded.backbone.get_layer("conv")
    np.testing.assert_array_equal(numpy_of(inner.u), numpy_of(conv.u))


def test_the_state_of_a_wrapped_layer_is_kept():
    @keras.saving.register_keras_serializable(package="tests")
    class Normed(keras.layers.Dense):
        def build(self, input_shape):
            self.norm = keras.layers.BatchNormalization(momentum=0.0)
            self.norm.build((None, self.units))
            super().build(input_shape)

        def call(self, inputs, training=None):
            return self.norm(super().call(inputs), training=training)

    layer = SpectralNormalization(Normed(4))
    x = np.random.default_rng(0).normal(size=(9, 6)).astype("float32")
    layer(ops.convert_to_tensor(x), training=True)
    kernel = numpy_of(layer.layer.kernel)
    # u moved in the pass; what BatchNorm saw was made with the new one.
    sigma = iterated(kernel, numpy_of(layer.u), 50)[0]
    np.testing.assert_allclose(
        numpy_of(layer.layer.norm.moving_mean), (x @ kernel / sigma).mean(0), rtol=0.05, atol=0.02
    )


def test_a_kernel_of_zeros_stays():
    layer = dense()
    layer.layer.kernel.assign(np.zeros((6, 4), "float32"))
    u = numpy_of(layer.u)
    outputs = layer(ops.ones((2, 6)), training=True)
    np.testing.assert_array_equal(numpy_of(outputs), 0.0)
    np.testing.assert_array_equal(numpy_of(layer.u), u)


def test_wrapping_draws_nothing_from_the_global_generator():
    keras.utils.set_random_seed(0)
    keras.layers.Dense(4).build((None, 6))
    expected = numpy_of(keras.random.normal((3,)))
    keras.utils.set_random_seed(0)
    dense()
    np.testing.assert_array_equal(numpy_of(keras.random.normal((3,))), expected)


class Penalised(keras.layers.Dense):
    def call(self, inputs):
        self.add_loss(ops.sum(inputs))
        return super().call(inputs)


def test_layers_that_cannot_be_wrapped():
    with pytest.raises(ValueError, match=r"power_iterations=0"):
        dense(power_iterations=0)
    with pytest.raises(ValueError, match=r"power_iterations=1\.5"):
        dense(power_iterations=1.5)
    with pytest.raises(ValueError, match=r"activity_regularizer=\.\.\..*'own' with L2"):
        SpectralNormalization(keras.layers.Dense(3, activity_regularizer="l2", name="own"))
    with pytest.raises(ValueError, match=r"layer='relu' of ReLU"):
        SpectralNormalization(keras.layers.ReLU(name="relu")).build((None, 3))
    with pytest.raises(ValueError, match=r"must not call `add_loss`.*layer='loss' of Penalised"):
        SpectralNormalization(Penalised(3, name="loss"))(ops.ones((2, 3)))


def test_an_activity_regulariser_of_the_wrapper_counts_once():
    inner = keras.layers.Dense(3)
    layer = SpectralNormalization(inner, activity_regularizer=keras.regularizers.L2(0.5))
    outputs = layer(ops.ones((1, 3)))
    (loss,) = layer.losses
    np.testing.assert_allclose(numpy_of(loss), 0.5 * np.sum(numpy_of(outputs) ** 2), rtol=1e-5)
    assert layer.plain().activity_regularizer is not None
