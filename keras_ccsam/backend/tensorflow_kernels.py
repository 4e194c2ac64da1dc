"""The layers' kernels on TensorFlow, where Keras' own operations are not the fastest.

Keras' BatchNorm is a chain of operations, each with a pass of its own over the images, forward and
back; TensorFlow has one kernel for each direction (`tf.raw_ops.FusedBatchNormV3`).
"""

import tensorflow as tf

from keras_ccsam.typing import Tensor


def batch_normalization(
    x: Tensor,
    scale: Tensor | None,
    offset: Tensor | None,
    statistics: tuple[Tensor, Tensor] | None,
    axis: int,
    epsilon: float,
) -> tuple[Tensor, Tensor, Tensor] | None:
    """The normalised x, and the mean and variance that normalise it, in one fused kernel.

    None in inference mode, where Keras needs two operations; for inputs that are not images with
    their channels last, which the kernel does not take on CPUs; in double precision; and where
    there is a GPU, on which Keras compiles the chain with XLA.
    """
    channels = x.shape[-1] if x.shape.rank == 4 else None
    if statistics is not None or channels is None or axis % 4 != 3:
        return None
    if x.dtype == tf.float64 or tf.config.list_physical_devices("GPU"):
        return None
    # The kernel computes, and keeps the statistics, in single precision.
    scale = tf.ones([channels]) if scale is None else tf.cast(scale, tf.float32)
    offset = tf.zeros([channels]) if offset is None else tf.cast(offset, tf.float32)
    outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=x,
        scale=scale,
        offset=offset,
        mean=tf.zeros([0]),
        variance=tf.zeros([0]),
        epsilon=epsilon,
        data_format="NHWC",
        is_training=True,
    )
    # The kernel gives the variance without bias. It has no gradient with respect to the statistics.
    count = tf.cast(tf.size(x) // channels, tf.float32)
    return outputs, tf.stop_gradient(mean), tf.stop_gradient(variance * ((count - 1.0) / count))
