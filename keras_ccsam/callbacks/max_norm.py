"""MaxNorm: no class's weights grow beyond a bound, by projected gradient descent.

    delta = min_c ||v_c|| + share (max_c ||v_c|| - min_c ||v_c||)      as the stage begins
    v_c  <- min(1, delta / ||v_c||) v_c                                after each step, or epoch

v_c is the column of class c in a linear classifier; its bias is free. The frequent classes, whose
columns stage 1 has left the longest, are held, and the rare ones may grow up to the same length.

References:
    Alshammari et al., Long-Tailed Recognition via Weight Balancing, CVPR 2022.
"""

import math
from typing import Annotated, Any, Literal

import keras
import numpy as np
from keras import ops
from pydantic import Field

from keras_ccsam.declare import part
from keras_ccsam.options import checked
from keras_ccsam.second_stage.fitting_checks import check_plain_dense
from keras_ccsam.training.column_norms import ColumnNorms, capped, column_norms


@part("callback", "max_norm")
class MaxNorm(keras.callbacks.Callback):
    """Holds the norms of the classifier's columns below a bound while `fit` runs.

    Args:
        share: where the bound lies between the least and the largest norm with which `fit` begins:
            0 is the least, 1 the largest. Above every norm that a column reaches, training is
            what it is without this callback, bit for bit.
        every: project after each `"step"`, within its program; or after each `"epoch"`, as the
            released code does, where norms may be larger in between.

    Raises:
        ValueError: for a `share` below 0 or another `every`; when `fit` begins, for a head that is
            not a plain `keras.layers.Dense` with a kernel in training.

    Attributes:
        bound: delta; None before `fit`.

    Example:
        >>> stage2 = Retraining(epochs=10, adversarial=False, weight_decay=0.1)
        >>> stage2.run(model, data.train, callbacks=[MaxNorm(0.1)])
    """

    def __init__(
        self,
        share: Annotated[
            float, Field(ge=0, description="of the way from the least to the largest (code: 0.1)")
        ] = 0.1,
        every: Annotated[
            Literal["step", "epoch"], Field(description="when columns are shortened (code: epoch)")
        ] = "step",
    ) -> None:
        super().__init__()
        given = checked(MaxNorm, {"share": share, "every": every})
        self.share: float = given["share"]
        self.every: str = given["every"]
        self.bound: float | None = None
        self._part: ColumnNorms | None = None

    def on_train_begin(self, logs: Any = None) -> None:
        """Takes the bound from the classifier as it is now."""
        kernel = self._kernel()
        norms = ops.convert_to_numpy(column_norms(ops.convert_to_tensor(kernel)))
        self.bound = float(norms.min() + self.share * (norms.max() - norms.min()))
        if self.every == "step":
            self._part = self.model.step_parts.find(ColumnNorms) or self.model.add_step_part(
                ColumnNorms(kernel)
            )
            self._part.bound.assign(self.bound)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Shortens the columns that are too long."""
        if self.every == "epoch" and self.bound is not None:
            kernel = self._kernel()
            kernel.assign(capped(ops.convert_to_tensor(kernel), np.float32(self.bound)))

    def on_train_end(self, logs: Any = None) -> None:
        """Leaves no bound behind: a later `fit` without this callback has none."""
        if self._part is not None:
            self._part.bound.assign(math.inf)

    def get_state(self) -> dict[str, Any]:
        """What a training that goes on needs: its bound is that of its beginning."""
        return {"bound": self.bound}

    def set_state(self, state: dict[str, Any]) -> None:
        """Takes the bound of the training that is gone on with."""
        self.bound = state["bound"]
        if self._part is not None:
            self._part.bound.assign(self.bound)

    def _kernel(self) -> keras.Variable:
        """The classifier's.

        Raises:
            ValueError: there is none, or it is not trained.
        """
        dense = check_plain_dense(
            self.model, "MaxNorm bounds the columns of a plain keras.layers.Dense."
        )
        kernel: keras.Variable = dense.kernel
        if not any(variable is kernel for variable in self.model.trainable_variables):
            raise ValueError(
                "MaxNorm bounds the classifier's kernel, which this stage does not train. "
                f"Received: head={self.model.head!r}"
            )
        return kernel
