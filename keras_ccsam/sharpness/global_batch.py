"""The batch of all replicas, as one of several sees it.

    B = sum_r b_r,    the rows of replica r stand together, in the order of the replicas

Each replica's loss is its share of the global batch's, so that gradients are summed:

    L = sum_r L_r,    L_r = 1/B sum_{i in r} l_i

whatever numbers of rows the replicas have. What a method needs of the other replicas' rows it
gathers, and only that: see `closed_form_term`.
"""

from collections.abc import Sequence

import keras
from keras import ops

from keras_ccsam import backend
from keras_ccsam.sharpness.perturbed_weights import scalars
from keras_ccsam.typing import Tensor


class GlobalBatch:
    """Where a replica's rows stand in the global batch, and what the others have.

    Every replica must ask the same things in the same order.

    Args:
        rows: b, how many rows this replica has.

    Attributes:
        size: B.
    """

    def __init__(self, rows: Tensor | int) -> None:
        self._own = rows
        self._rows = backend.replica_rows(rows)
        place = backend.replica_index()
        if isinstance(self._rows, list):
            self.size: Tensor | int = sum(self._rows)
            self._start: Tensor | int = sum(self._rows[:place])
        else:
            earlier = ops.arange(backend.replica_count()) < place
            self.size = ops.sum(self._rows)
            self._start = ops.sum(ops.where(earlier, self._rows, ops.zeros_like(self._rows)))

    @property
    def share(self) -> Tensor | float:
        """b / B."""
        if isinstance(self._rows, list):
            return float(self._own) / float(self.size)
        return ops.cast(self._own, "float32") / ops.cast(self.size, "float32")

    @property
    def least(self) -> int | None:
        """The fewest rows that a replica has; None where that is known only as the step runs."""
        return min(self._rows) if isinstance(self._rows, list) else None

    def gather(self, rows: Tensor) -> Tensor:
        """(B, ...): the rows of all replicas, as constants."""
        return backend.all_gather(ops.stop_gradient(ops.convert_to_tensor(rows)), self._rows)

    def own(self, rows: Tensor) -> Tensor:
        """(b, ...): this replica's, of the rows of all."""
        return rows[self._start : self._start + self._own]

    def put(self, rows: Tensor, own: Tensor) -> Tensor:
        """(B, ...): the rows of all replicas, with this one's replaced by `own`."""
        return ops.concatenate([rows[: self._start], own, rows[self._start + self._own :]], axis=0)

    def total(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The sums over the replicas."""
        return backend.all_reduce(tensors)


def synchronised(batch: GlobalBatch | None, sync: str) -> GlobalBatch | None:
    """The global batch, if a method is to look at it.

    Args:
        batch: of the objective; None where there is one replica.
        sync: `"global"` or `"replica"`.

    Raises:
        ValueError: for `"replica"` on JAX, where a step knows no replicas.
    """
    if sync == "replica" and backend.sharded_devices() > 1:
        raise ValueError(
            "On JAX a step sees the global batch, and no replica: its perturbations can only be "
            "those of that batch. Use sync='global'. Received: sync='replica'"
        )
    return batch if sync == "global" else None


def ascent_numbers(variables: Sequence[keras.Variable], sync: str) -> int:
    """The numbers of the ascent gradient of these variables; with "replica" none is sent."""
    return sum(scalars(variable) for variable in variables) if sync == "global" else 0


def summed_ascent(ascent: Sequence[Tensor], batch: GlobalBatch | None, sync: str) -> list[Tensor]:
    """The gradient that a method ascends along: the global batch's, or with "replica" its own."""
    whole = synchronised(batch, sync)
    return list(ascent) if whole is None else whole.total(ascent)
