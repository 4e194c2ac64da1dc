"""JAX's convolution between barriers: every transformation of JAX goes through it."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_ccsam import backend

pytestmark = pytest.mark.skipif(keras.backend.backend() != "jax", reason="of the JAX adapter")


def ours(x, kernel):
    return backend.convolution(x, kernel, (1, 1), "same", "channels_last", (1, 1))


def theirs(x, kernel):
    return ops.conv(x, kernel, (1, 1), "same", "channels_last", (1, 1))


def numbers(*shape):
    return np.random.default_rng(sum(shape)).normal(size=shape).astype("float32")


def test_forward_and_backward_derivatives_and_vmap_are_those_of_keras():
    import jax

    x, kernel = numbers(2, 5, 4, 3), numbers(3, 3, 3, 2)
    kernels = np.stack([kernel, 2 * kernel])

    def found(convolve):
        def loss(x, kernel):
            return (convolve(x, kernel) ** 3).sum()

        gradient = jax.grad(loss, (0, 1))
        hessian_along = jax.jvp(gradient, (x, kernel), (x + 1, kernel - 1))
        each = jax.vmap(gradient, (None, 0))(x, kernels)
        return jax.tree.leaves((jax.jit(gradient)(x, kernel), hessian_along, each))

    for mine, its in zip(found(ours), found(theirs), strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-4, atol=1e-4 * np.abs(its).max())


def test_on_a_cpu_input_and_output_stand_behind_a_barrier():
    import jax

    if jax.default_backend() != "cpu":
        pytest.skip("on a GPU XLA may fuse them")
    program = jax.jit(ours).lower(numbers(2, 5, 4, 3), numbers(3, 3, 3, 2)).as_text()
    assert program.count("optimization_barrier") == 2


@pytest.mark.parametrize(
    ("image", "window", "strides", "padding", "dilation"),
    [
        ((2, 2), (3, 3), (1, 1), "same", (1, 1)),
        ((1, 2), (3, 3), (2, 1), "same", (1, 1)),
        ((4, 5), (3, 2), (1, 1), "same", (2, 2)),
        ((5, 2), (2, 3), (2, 2), "same", (1, 1)),
        ((5, 4), (1, 1), (2, 3), "valid", (1, 1)),
        ((5, 4), (1, 1), (2, 2), "same", (1, 1)),
    ],
)
def test_products_are_the_convolutions_of_keras(image, window, strides, padding, dilation):
    import jax

    x, kernel = numbers(2, *image, 3), numbers(*window, 3, 4)

    def found(convolve):
        def loss(x, kernel):
            outputs = convolve(x, kernel, strides, padding, "channels_last", dilation)
            return (outputs**3).sum(), outputs

        gradients, outputs = jax.jit(jax.grad(loss, (0, 1), has_aux=True))(x, kernel)
        return (outputs, *gradients)

    for mine, its in zip(found(backend.convolution), found(ops.conv), strict=True):
        assert mine.shape == its.shape
        np.testing.assert_allclose(mine, its, rtol=1e-4, atol=1e-4 * np.abs(its).max())
    if jax.default_backend() == "cpu":
        arguments = (strides, padding, "channels_last", dilation)
        program = jax.jit(lambda x, k: backend.convolution(x, k, *arguments)).lower(x, kernel)
        assert "dot_general" in program.as_text() and "convolution" not in program.as_text()
