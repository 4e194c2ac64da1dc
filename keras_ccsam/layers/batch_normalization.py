"""BatchNorm in one fused kernel where the backend has a faster one than Keras' chain."""

from typing import Any

import keras
from keras import ops

from keras_ccsam import backend
from keras_ccsam.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_ccsam")
class BatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization`: same arguments, variables, config and results.

    In training mode the batch is normalised by the backend's fused kernel, which is several times
    as fast on torch; so it is in inference mode there. TensorFlow has such a kernel for training
    on images (B, height, width, channels) on a CPU. With a mask, batch renormalisation or
    synchronised statistics, for TensorFlow's other cases, and on JAX, the layer *is* Keras' own.

    Example:
        >>> layer = cc.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)
    """

    def call(self, inputs: Tensor, training: bool | None = None, mask: Any = None) -> Tensor:
        """The normalised inputs; in training mode, the moving statistics are updated."""
        learns = bool(training) and self.trainable
        found = None
        if mask is None and not self.renorm and not self.synchronized:
            found = backend.batch_normalization(
                ops.convert_to_tensor(inputs),
                value_of(self.gamma),
                value_of(self.beta),
                None if learns else (value_of(self.moving_mean), value_of(self.moving_variance)),
                self.axis,
                self.epsilon,
            )
        if found is None:
            return super().call(inputs, training=training, mask=mask)
        outputs, mean, variance = found
        if learns:
            for moving, batch in (self.moving_mean, mean), (self.moving_variance, variance):
                old = ops.cast(moving, batch.dtype)
                moving.assign(old * self.momentum + batch * (1.0 - self.momentum))
        return ops.cast(outputs, self.compute_dtype)


def value_of(variable: keras.Variable | None) -> Tensor | None:
    """A variable as a tensor, where there is one."""
    return None if variable is None else ops.convert_to_tensor(variable)
