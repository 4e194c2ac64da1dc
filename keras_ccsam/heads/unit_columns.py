"""The first weights of a cosine head: columns of random direction and norm 1.

The head itself does not see a column's norm, but SGD does: a step turns a column w by an angle of
about the rate times |gradient| / |w|, and |gradient| falls with |w| as well. So a column twice as
long learns four times as slowly. LDAM-DRW and GCL draw uniformly in (-1, 1) and normalise; without
the last, columns of 64 features are about 4.6 long, and the head would turn a twentieth as fast.
"""

from typing import Any

import keras
from keras import ops

from keras_ccsam.declare import registered
from keras_ccsam.typing import Tensor


@registered
class UnitColumns(keras.initializers.RandomUniform):
    """Uniform in (-1, 1), each column of the (D, K) kernel then divided by its norm.

    Args:
        seed: an integer, or a `keras.random.SeedGenerator`; another draw each time without one.
    """

    def __init__(self, seed: Any = None) -> None:
        super().__init__(-1.0, 1.0, seed)

    def __call__(self, shape: Any, dtype: Any = None) -> Tensor:
        """The kernel."""
        drawn = super().__call__(shape, dtype=dtype)
        return drawn / ops.sqrt(ops.sum(ops.square(drawn), axis=0, keepdims=True))

    def get_config(self) -> dict[str, Any]:
        """The constructor's argument."""
        return {"seed": super().get_config()["seed"]}
