"""A normalised head, z_ik = s cos(h_i, w_k), and its closed form.

With u_i = h_i / ||h_i||, w^_k = w_k / ||w_k||, d_ik = delta_ik s / ||w_k||, G = U U^T,
M the class averages and P = M (d o cos), the gradient of class c with respect to column k is
g_{c,k} = mean over the class of d_ik (u_i - cos_ik w^_k), so that

    ||g_{c,k}||^2 = ( M (d o ((G o M) d)) )_ik - P_ik^2                 summed over k: ||g_c||^2
    a_i           = 1 / ||g_{y_i}||
    u_i e         = a_i [ (((U U^T) o M) d)_ik - (U W^)_ik P_ik ]        e: the step of length 1
    w_k e         = a_i [ (M (d o (U W)))_ik - P_ik (w^_k w_k) ]         0 in value, not in gradient
    u_i (w_k+eps) = (U W)_ik + length_i u_i e
    ||w_k+eps||^2 = ||w_k||^2 + 2 length_i w_k e + (length_i a_i ||g_{c,k}||)^2
    z'_ik         = s u_i (w_k+eps) / ||w_k+eps||

Everything that belongs to the step (d, P, M, and the second U and W of each product) is a constant
of the second pass. Products with M, that with G o M among them, take the cheaper of two forms
(class_averaging.py).
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import keras
from keras import ops
from pydantic import Field

from keras_ccsam.declare import part
from keras_ccsam.heads.class_averaging import Averaging
from keras_ccsam.heads.closed_form import ClassGradients, safe_divide, safe_sqrt
from keras_ccsam.heads.unit_columns import UnitColumns
from keras_ccsam.options import checked
from keras_ccsam.typing import Tensor

_TINY = 1e-12


def _normalize(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """`x` along unit vectors of `axis`, and its norms; a zero vector stays zero."""
    norm = ops.sqrt(ops.maximum(ops.sum(ops.square(x), axis=axis, keepdims=True), _TINY**2))
    return x / norm, norm


@part("head", "cosine", offers=("cosines",))
class Cosine(keras.layers.Layer):
    """A classifier on the angle between features and class vectors.

    Args:
        units: number of classes, at least 2.
        scale: s, what the cosines are multiplied with to give logits.
        columns: first weights, uniform in (-1, 1): `"unit"` divides each column by its norm, as
            LDAM-DRW and GCL have it; `"uniform"` leaves it about sqrt(D / 3) long. The norm changes
            no logit, and decides how fast SGD turns a column: twice as long, four times as slowly.
        kernel_initializer: of the (D, units) kernel, in place of `columns`.
        kernel_regularizer: optional.
        **kwargs: of `keras.layers.Layer`.

    Raises:
        ValueError: if `units` is below 2, `scale` is not positive or `columns` is unknown.
    """

    # Each sample's logits are its own: see training/coupling.py.
    samples_independent = True

    def __init__(
        self,
        units: int,
        scale: Annotated[
            float, Field(gt=0, description="s, of the cosines; 1 for a loss that has its own")
        ] = 16.0,
        columns: Annotated[
            Literal["unit", "uniform"],
            Field(
                description="first columns: of norm 1 (code), or uniform in (-1, 1), which SGD "
                "turns more slowly"
            ),
        ] = "unit",
        kernel_initializer: Any = None,
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if units < 2:
            raise ValueError(f"`units` must be at least 2. Received: units={units}")
        self.units = int(units)
        given = checked(Cosine, {"scale": scale, "columns": columns})
        self.scale: float = given["scale"]
        self.columns: str = given["columns"]
        if kernel_initializer is None:
            unit = columns == "unit"
            kernel_initializer = UnitColumns() if unit else keras.initializers.RandomUniform(-1, 1)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the (D, units) kernel."""
        self.kernel = self.add_weight(
            name="kernel",
            shape=(input_shape[-1], self.units),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
        )
        self.built = True

    def call(self, inputs: Tensor) -> Tensor:
        """Logits (B, units) of features (B, D)."""
        directions, _ = _normalize(inputs, axis=1)
        columns, _ = _normalize(ops.convert_to_tensor(self.kernel), axis=0)
        return self.scale * ops.matmul(directions, columns)

    @property
    def perturbed_weights(self) -> Sequence[keras.Variable]:
        """The raw kernel: the radius is that of W, not of its normalised columns."""
        return [self.kernel]

    def class_gradients(
        self,
        features: Tensor,
        logits: Tensor,
        logit_gradients: Tensor,
        by_class: Averaging,
    ) -> ClassGradients:
        """The class gradients of a batch; see `closed_form`."""
        fixed = ops.stop_gradient
        kernel = ops.cast(self.kernel, features.dtype)
        u, _ = _normalize(features, axis=1)
        w_hat, w_norm = _normalize(kernel, axis=0)
        u0, w_hat0, w_norm0 = fixed(u), fixed(w_hat), fixed(w_norm)
        d = logit_gradients * (self.scale / w_norm0)

        along = by_class.along(u, u0, d)
        uw = ops.matmul(u, kernel)
        p = by_class.mean(d * ops.matmul(u0, w_hat0))
        norm_k2 = ops.maximum(by_class.mean(d * fixed(along)) - p * p, 0.0)
        norm = safe_sqrt(ops.sum(norm_k2, axis=1))
        # Only the norm of w + eps sees this: its value is 0, its gradient is not.
        from_kernel = by_class.mean(d * ops.matmul(u0, kernel)) - p * ops.sum(
            w_hat0 * kernel, axis=0
        )
        # Divided before the length comes in: the square of length / norm overflows for a tiny norm.
        per_norm = safe_divide(ops.ones_like(norm), norm)[:, None]
        unit_features = (along - ops.matmul(u, w_hat0) * p) * per_norm
        unit_kernel = from_kernel * per_norm
        share = (norm_k2 * per_norm) * per_norm

        def logits_after(length: Tensor) -> Tensor:
            length = length[:, None]
            inner = uw + length * unit_features
            square = ops.square(w_norm) + 2.0 * length * unit_kernel + ops.square(length) * share
            return self.scale * inner / ops.sqrt(ops.maximum(square, _TINY**2))

        return ClassGradients(norm, logits_after)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """(B, units)."""
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "units": self.units,
            "scale": self.scale,
            "columns": self.columns,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }
