"""The layers' kernels on JAX where Keras' own are not the fastest: convolutions on CPUs.

XLA fuses whatever produces a convolution's input or output gradient into the transposed copy that
the kernel's gradient needs. With BatchNorm and residual connections that chain reaches through all
earlier blocks of a stage, so each convolution computes it anew. A barrier around the convolution
has the chain computed once, and costs nothing else: XLA's convolutions for CPUs fuse with nothing.
"""

from collections.abc import Sequence

import jax
from keras import ops

from keras_ccsam.typing import Tensor


def convolution(
    x: Tensor,
    kernel: Tensor,
    strides: Sequence[int],
    padding: str,
    data_format: str,
    dilation: Sequence[int],
) -> Tensor:
    """`keras.ops.conv` of images, between barriers on CPUs."""
    on_cpu = jax.default_backend() == "cpu"
    if on_cpu:
        x = jax.lax.optimization_barrier(x)
    outputs = ops.conv(x, kernel, tuple(strides), padding, data_format, dilation)
    return jax.lax.optimization_barrier(outputs) if on_cpu else outputs
