"""Spectral normalisation: a layer is run with W / sigma(W) in place of W.

With the kernel as a matrix W (rest, out) and `power_iterations` rounds of

    v <- W u / ||W u||,    u <- W^T v / ||W^T v||

from the stored u, sigma = v^T W u, in which u and v are constants. So the gradient with respect to
the raw kernel is

    dL/dW = ( G - <G, W / sigma> v u^T ) / sigma,    G = dL/d(W / sigma)

References:
    Miyato et al., Spectral Normalization for Generative Adversarial Networks, ICLR 2018
    (equations 8 to 12, algorithm 1; one iteration there).
    Zhou et al., Class-Conditional Sharpness-Aware Minimization for Deep Long-Tailed Recognition,
    CVPR 2023 (appendix C.2: 5 iterations).
"""

from typing import Annotated, Any, TypeAlias

import keras
from keras import ops
from pydantic import Field

from keras_ccsam.options import checked
from keras_ccsam.typing import Tensor

PowerIterations: TypeAlias = Annotated[int, Field(ge=1, description="per step (paper C.2: 5)")]
_TINY = 1e-12
_DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
_TRANSPOSED = (
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
)


@keras.saving.register_keras_serializable(package="keras_ccsam")
class SpectralNormalization(keras.layers.Wrapper):
    """Runs a layer with its kernel divided by the kernel's largest singular value.

    The raw kernel stays the trainable variable, and what the optimizer, weight decay and kernel
    regularisers see. `keras.layers.SpectralNormalization` instead *assigns* the normalised kernel
    in each training pass: a projection, whose gradient does not know of sigma, and which writes
    into the weights that a sharpness method evaluates.

    The kernel as a matrix has one column an output channel: the last axis, the last two of a
    depthwise convolution, the last but one of a transposed one. A kernel of zeros stays as it is.

    In training mode u is updated, unless the layer is frozen; in inference mode the same
    iterations start from the stored u and nothing is updated.

    Args:
        layer: a layer with one `kernel`: Dense, EinsumDense, a convolution, or your own.
        power_iterations: rounds a pass, at least 1.
        **kwargs: of `keras.layers.Layer`; the precision is always that of `layer`.

    Raises:
        ValueError: if `power_iterations` is below 1; if the layer has an activity regulariser,
            which belongs on the wrapper; when it is built, if it has no variable `kernel` of at
            least two axes (a quantised layer or one with LoRA has none).

    Example:
        >>> layer = SpectralNormalization(keras.layers.Conv2D(16, 3, use_bias=False))
    """

    def __init__(
        self, layer: keras.Layer, power_iterations: PowerIterations = 5, **kwargs: Any
    ) -> None:
        if isinstance(layer, keras.layers.Layer):
            # Sigma is taken of the full-precision kernel. (A layer without autocast still casts
            # its variables where it is called outside any other and its own policy is mixed.)
            kwargs["dtype"] = layer.variable_dtype
        super().__init__(layer, autocast=False, **kwargs)
        if layer.activity_regularizer is not None:
            raise ValueError(
                "An activity regulariser belongs on the wrapper: "
                "SpectralNormalization(layer, activity_regularizer=...). "
                f"Received: layer={layer.name!r} with {type(layer.activity_regularizer).__name__}"
            )
        declared = {"power_iterations": power_iterations}
        self.power_iterations: int = checked(SpectralNormalization, declared)["power_iterations"]
        self.supports_masking = layer.supports_masking

    def build(self, input_shape: Any = None) -> None:
        """Builds the layer, and creates u."""
        super().build(input_shape)
        kernel = getattr(self.layer, "kernel", None)
        if not isinstance(kernel, keras.Variable) or len(kernel.shape) < 2:
            raise ValueError(
                "Spectral normalisation needs a layer with one variable `kernel` of at least two "
                f"axes. Received: layer={self.layer.name!r} of {type(self.layer).__name__}"
            )
        # A generator of its own: wrapping a layer does not change what others are drawn from.
        self.u = self.add_weight(
            name="u",
            shape=(int(self._matrix(kernel).shape[1]),),
            initializer=keras.initializers.RandomNormal(stddev=1.0, seed=0),
            trainable=False,
            autocast=False,
            dtype="float64" if kernel.dtype == "float64" else "float32",
        )

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """The layer's outputs with the normalised kernel.

        Raises:
            ValueError: if the layer calls `add_loss`, which would be lost.
        """
        kernel, u = self._normalize()
        if training and self.trainable:
            self.u.assign(u)
        # A scope does not ask the one around it: it gets every value that the layer reads.
        variables = self.layer.variables
        values = [kernel if v is self.layer.kernel else v.value for v in variables]
        scope = keras.StatelessScope(zip(variables, values, strict=True), collect_losses=True)
        before = [scope.get_current_value(v) for v in variables]
        with scope:
            outputs = self.layer(inputs)
        if scope.losses:
            raise ValueError(
                "A wrapped layer must not call `add_loss`; let a layer around or behind it do so. "
                f"Received: layer={self.layer.name!r} of {type(self.layer).__name__}"
            )
        for variable, old in zip(variables, before, strict=True):
            new = scope.get_current_value(variable)
            if new is not old:
                variable.assign(new)
        return outputs

    def normalized_kernel(self) -> Tensor:
        """The kernel that the layer runs with in inference mode, in the kernel's shape."""
        return self._normalize()[0]

    def plain(self) -> Any:
        """A layer of the wrapped layer's type and name that holds the normalised kernel."""
        layer = self.layer
        config = layer.get_config()
        if self.activity_regularizer is not None:
            regularizer = keras.regularizers.serialize(self.activity_regularizer)
            config["activity_regularizer"] = regularizer
        plain = type(layer).from_config(config)
        plain.build(layer.get_build_config()["input_shape"])
        plain.set_weights(
            [
                ops.convert_to_numpy(self.normalized_kernel() if v is layer.kernel else v.value)
                for v in layer.weights
            ]
        )
        return plain

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The layer's."""
        return self.layer.compute_output_shape(input_shape)

    def compute_output_spec(self, inputs: Any, training: bool | None = None) -> Any:
        """The layer's: its outputs have its own precision."""
        return self.layer.compute_output_spec(inputs)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "power_iterations": self.power_iterations}

    def _normalize(self) -> tuple[Tensor, Tensor]:
        """The normalised kernel in the kernel's type, and the new u."""
        kernel = ops.cast(self.layer.kernel.value, self.u.dtype)
        matrix = self._matrix(kernel)
        fixed = ops.stop_gradient(matrix)
        u = self.u.value
        for _ in range(self.power_iterations):
            v = _unit(ops.matmul(fixed, u[:, None])[:, 0])
            u = _unit(ops.matmul(v[None, :], fixed)[0])
        u, v = ops.stop_gradient(u), ops.stop_gradient(v)
        sigma = ops.sum(matrix * (v[:, None] * u[None, :]))
        sigma = ops.where(sigma > _TINY, sigma, ops.ones_like(sigma))
        # Of a kernel of zeros nothing can be learned: the old u stays.
        u = ops.where(ops.any(fixed != 0), u, self.u.value)
        return ops.cast(kernel / sigma, self.layer.kernel.dtype), u

    def _matrix(self, kernel: Any) -> Tensor:
        """The kernel as (rest, outputs)."""
        axes = list(range(len(kernel.shape)))
        if isinstance(self.layer, _DEPTHWISE):
            outputs = axes[-2:]
        elif isinstance(self.layer, _TRANSPOSED):
            outputs = axes[-2:-1]
        else:
            outputs = axes[-1:]
        rest = [axis for axis in axes if axis not in outputs]
        columns = 1
        for axis in outputs:
            columns *= int(kernel.shape[axis])
        return ops.reshape(ops.transpose(kernel, [*rest, *outputs]), (-1, columns))


def _unit(vector: Tensor) -> Tensor:
    return vector / ops.maximum(ops.sqrt(ops.sum(ops.square(vector))), _TINY)
