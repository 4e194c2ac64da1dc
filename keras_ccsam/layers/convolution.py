"""Convolutions and poolings that take images as they lie in memory.

On torch, Keras' own copy their inputs into another memory layout and back; see
`keras_ccsam/backend/torch_kernels.py`. On JAX, convolutions for CPUs stand between barriers; see
`keras_ccsam/backend/jax_kernels.py`. Otherwise, and on TensorFlow, these layers are Keras' own.
"""

from typing import Any

import keras
from keras import ops

from keras_ccsam import backend
from keras_ccsam.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_ccsam")
class Conv2D(keras.layers.Conv2D):
    """`keras.layers.Conv2D`: same arguments, variables, config and results."""

    def convolution_op(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        """The convolution before bias and activation."""
        return backend.convolution(
            inputs, kernel, self.strides, self.padding, self.data_format, self.dilation_rate
        )


@keras.saving.register_keras_serializable(package="keras_ccsam")
class DepthwiseConv2D(keras.layers.DepthwiseConv2D):
    """`keras.layers.DepthwiseConv2D`: same arguments, variables, config and results."""

    def call(self, inputs: Tensor) -> Tensor:
        """The convolution of each channel by itself, with bias and activation."""
        outputs = backend.depthwise_convolution(
            inputs, self.kernel, self.strides, self.padding, self.data_format, self.dilation_rate
        )
        return _finished(self, outputs)


@keras.saving.register_keras_serializable(package="keras_ccsam")
class SeparableConv2D(keras.layers.SeparableConv2D):
    """`keras.layers.SeparableConv2D`: same arguments, variables, config and results."""

    def call(self, inputs: Tensor) -> Tensor:
        """A convolution of each channel by itself, then one of each pixel by itself."""
        single = backend.depthwise_convolution(
            inputs,
            self.depthwise_kernel,
            self.strides,
            self.padding,
            self.data_format,
            self.dilation_rate,
        )
        outputs = backend.convolution(
            single, self.pointwise_kernel, (1, 1), "valid", self.data_format, (1, 1)
        )
        return _finished(self, outputs)


@keras.saving.register_keras_serializable(package="keras_ccsam")
class MaxPooling2D(keras.layers.MaxPooling2D):
    """`keras.layers.MaxPooling2D`: same arguments, config and results."""

    def call(self, inputs: Tensor) -> Tensor:
        """The largest value of each window."""
        if _stock(self):
            return super().call(inputs)
        return backend.max_pool(inputs, self.pool_size, self.strides)


@keras.saving.register_keras_serializable(package="keras_ccsam")
class AveragePooling2D(keras.layers.AveragePooling2D):
    """`keras.layers.AveragePooling2D`: same arguments, config and results."""

    def call(self, inputs: Tensor) -> Tensor:
        """The mean of each window."""
        if _stock(self):
            return super().call(inputs)
        return backend.average_pool(inputs, self.pool_size, self.strides)


def _finished(layer: Any, outputs: Tensor) -> Tensor:
    """With bias and activation."""
    if layer.use_bias:
        last = layer.data_format == "channels_last"
        outputs = outputs + (layer.bias if last else ops.reshape(layer.bias, (1, -1, 1, 1)))
    return outputs if layer.activation is None else layer.activation(outputs)


def _stock(layer: Any) -> bool:
    """Whether Keras does it: windows hang over the edge, or channels come first."""
    return layer.padding != "valid" or layer.data_format != "channels_last"
