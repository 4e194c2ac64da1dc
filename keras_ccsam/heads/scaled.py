"""A linear head with one learnable scale per class.

    z_c = f_c (h v_c + b_c),    f = 1 at first

LWS learns f alone (Kang et al. 2020, "Decoupling representation and classifier for long-tailed
recognition", section 4.1), MiSLAS f, v and b (Zhong et al. 2021, "Improving calibration for
long-tailed recognition", section 3.4). Afterwards `fold` makes a plain linear head of it again.
"""

from typing import Any

import keras
from keras import ops

from keras_ccsam.heads.activated import plain_dense
from keras_ccsam.heads.dense import DenseClosedForm
from keras_ccsam.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_ccsam")
class Scaled(keras.layers.Layer):
    """A `Dense` head whose logits are scaled class by class.

    It shares the layer that it is given: training the one trains the other. The bias is scaled
    with the rest of the logit, and the activation is applied after that.

    Args:
        dense: a `keras.layers.Dense`, neither quantised nor with LoRA, or a `heads.Activated` one.
        **kwargs: of `keras.layers.Layer`. Computes in the type of `dense` by default.

    Raises:
        ValueError: for another layer, of which the logits before the activation are not known.

    Attributes:
        scales: f (K,), ones at first.
    """

    def __init__(self, dense: keras.Layer, **kwargs: Any) -> None:
        if plain_dense(dense) is None:
            raise ValueError(
                "Only a plain keras.layers.Dense, neither quantised nor with LoRA, can be scaled "
                f"class by class. Received: dense={dense!r}"
            )
        kwargs.setdefault("dtype", dense.dtype_policy)
        super().__init__(**kwargs)
        self.dense = dense

    @property
    def units(self) -> int:
        """K."""
        return int(self.dense.units)

    @property
    def activation(self) -> Any:
        """That of the `Dense`."""
        return self.dense.activation

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the scales, and builds the `Dense` where it is not yet."""
        if not self.dense.built:
            self.dense.build(input_shape)
        self.scales = self.add_weight(name="scales", shape=(self.units,), initializer="ones")
        self.built = True

    def call(self, inputs: Tensor) -> Tensor:
        """Outputs (B, K) of features (B, D)."""
        logits = DenseClosedForm(plain_dense(self.dense)).logits(inputs)
        return self.activation(logits * ops.cast(self.scales, logits.dtype))

    def fold(self) -> None:
        """Moves the scales into the `Dense`: v_c <- f_c v_c, b_c <- f_c b_c, f_c <- 1.

        The function is the same, and the `Dense` alone has it then.
        """
        scales = ops.convert_to_tensor(self.scales)
        for variable in DenseClosedForm(plain_dense(self.dense)).perturbed_weights:
            variable.assign(variable * scales)
        self.scales.assign(ops.ones_like(scales))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """(B, K)."""
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "dense": keras.saving.serialize_keras_object(self.dense),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Scaled":
        """A head over a `Dense` of the same config, with fresh weights."""
        return cls(**{**config, "dense": keras.saving.deserialize_keras_object(config["dense"])})
