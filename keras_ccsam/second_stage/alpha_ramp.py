"""The share of the adversarial loss, which grows while a second stage runs."""

from collections.abc import Mapping
from typing import Any

import keras


class AlphaRamp(keras.callbacks.Callback):
    """alpha = min(alpha_max, (e + 1) / E2) at epoch e of E2.

    Args:
        epochs: E2.
        alpha_max: its cap, in [0, 1].
    """

    def __init__(self, epochs: int, alpha_max: float) -> None:
        super().__init__()
        self._epochs, self._alpha_max = epochs, alpha_max

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Assigns it."""
        share = min(self._alpha_max, (epoch + 1) / self._epochs)
        self.model.hyper_parameters.alpha.assign(share)
