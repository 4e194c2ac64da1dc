"""The layers' kernels where Keras' own operations are the fastest there are.

That is so for most on JAX and TensorFlow; `jax_kernels`, `jax_attention`, `jax_dense`,
`jax_layer_norm` and `tensorflow_kernels` have the others.
"""

from collections.abc import Sequence

from keras import ops

from keras_ccsam.typing import Tensor


def batch_normalization(
    x: Tensor,
    scale: Tensor | None,
    offset: Tensor | None,
    statistics: tuple[Tensor, Tensor] | None,
    axis: int,
    epsilon: float,
) -> tuple[Tensor, Tensor, Tensor] | None:
    """None: Keras' own chain of operations is compiled into few."""
    return None


def group_normalization(x: Tensor, groups: int, epsilon: float) -> Tensor | None:
    """None: Keras' own chain of operations is compiled into few."""
    return None


def layer_normalization(
    x: Tensor, scale: Tensor | None, offset: Tensor | None, epsilon: float
) -> Tensor | None:
    """None: Keras' own takes the framework's kernel, or is compiled into few operations."""
    return None


def attention(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor | None:
    """None: Keras' own takes the framework's kernel."""
    return None


def dense(x: Tensor, kernel: Tensor) -> Tensor | None:
    """None: Keras' own is the framework's product."""
    return None


def convolution(
    x: Tensor,
    kernel: Tensor,
    strides: Sequence[int],
    padding: str,
    data_format: str,
    dilation: Sequence[int],
) -> Tensor:
    """`keras.ops.conv` of images."""
    return ops.conv(x, kernel, tuple(strides), padding, data_format, dilation)


def depthwise_convolution(
    x: Tensor,
    kernel: Tensor,
    strides: Sequence[int],
    padding: str,
    data_format: str,
    dilation: Sequence[int],
) -> Tensor:
    """`keras.ops.depthwise_conv` of images."""
    return ops.depthwise_conv(x, kernel, tuple(strides), padding, data_format, dilation)


def max_pool(x: Tensor, size: Sequence[int], strides: Sequence[int]) -> Tensor:
    """The largest of each window that lies inside the image, as `keras.ops.max_pool`."""
    return ops.max_pool(x, tuple(size), tuple(strides), "valid", "channels_last")


def average_pool(x: Tensor, size: Sequence[int], strides: Sequence[int]) -> Tensor:
    """The mean of each window that lies inside the image, as `keras.ops.average_pool`."""
    return ops.average_pool(x, tuple(size), tuple(strides), "valid", "channels_last")
