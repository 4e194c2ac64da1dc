"""The layers' kernels on JAX where Keras' own are not the fastest: convolutions on CPUs.

XLA fuses whatever produces a convolution's input or output gradient into the transposed copy that
the kernel's gradient needs. With BatchNorm and residual connections that chain reaches through all
earlier blocks of a stage, so each convolution computes it anew. A barrier around the convolution
has the chain computed once, and costs nothing else: XLA's convolutions for CPUs fuse with nothing.

Two kinds of convolutions are matrix products of the pixels under the kernel here. A kernel wider
than the image, such as 3 x 3 on the 2 x 2 pixels at the end of a network for small images, which
XLA leaves to a loop some eighty times as slow; and a kernel of one pixel, whose gradients are
faster that way.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from keras import ops

from keras_ccsam.backend.padding import same_padding, span
from keras_ccsam.typing import Tensor


def convolution(
    x: Tensor,
    kernel: Tensor,
    strides: Sequence[int],
    padding: str,
    data_format: str,
    dilation: Sequence[int],
) -> Tensor:
    """`keras.ops.conv` of images; on CPUs a matrix product, or between barriers."""
    if jax.default_backend() != "cpu":
        return ops.conv(x, kernel, tuple(strides), padding, data_format, dilation)
    x = jax.lax.optimization_barrier(x)
    if _is_product(x, kernel, data_format, dilation):
        outputs = _product(x, kernel, strides, padding, dilation)
    else:
        outputs = ops.conv(x, kernel, tuple(strides), padding, data_format, dilation)
    return jax.lax.optimization_barrier(outputs)


def _is_product(x: Tensor, kernel: Tensor, data_format: str, dilation: Sequence[int]) -> bool:
    """Whether a matrix product is the faster way: known sizes, and no groups of channels."""
    if data_format != "channels_last" or x.shape[-1] != kernel.shape[2]:
        return False
    sizes = x.shape[1:3]
    if not all(isinstance(size, int) for size in sizes):
        return False
    windows = zip(kernel.shape[:2], dilation, sizes, strict=True)
    wide = any(span(taps, rate) > size for taps, rate, size in windows)
    return wide or kernel.shape[:2] == (1, 1)


def _product(
    x: Tensor, kernel: Tensor, strides: Sequence[int], padding: str, dilation: Sequence[int]
) -> Tensor:
    height, width, channels, filters = kernel.shape
    windows = list(zip(x.shape[1:3], (height, width), strides, dilation, strict=True))
    if padding == "same":
        x = jnp.pad(x, ((0, 0), *(same_padding(*window) for window in windows), (0, 0)))
    (rows, row_step), (columns, column_step) = (
        ((size - span(taps, rate)) // stride * stride + 1, stride)
        for size, (_, taps, stride, rate) in zip(x.shape[1:3], windows, strict=True)
    )
    pixels = [
        x[:, top : top + rows : row_step, left : left + columns : column_step]
        for top in range(0, height * dilation[0], dilation[0])
        for left in range(0, width * dilation[1], dilation[1])
    ]
    below = pixels[0] if len(pixels) == 1 else jnp.concatenate(pixels, axis=-1)
    return jnp.tensordot(below, jnp.reshape(kernel, (height * width * channels, filters)), axes=1)
