"""Deferred re-weighting (DRW): class weights that begin when the learning rate first drops.

    u_c = 1                                       before epoch `start`
    u_c ~ (1 - beta) / (1 - beta^n_c), sum_c u_c = K    from it on (losses/class_weights.py)
    L   = sum_i u_{y_i} l_i / sum_i u_{y_i}

References:
    Cao et al., Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss, NeurIPS
    2019.
"""

from collections.abc import Sequence
from typing import Annotated, Any

import keras
import numpy as np
from pydantic import Field

from keras_ccsam.checks import check_class_counts, require
from keras_ccsam.declare import part
from keras_ccsam.losses import class_weights
from keras_ccsam.losses.class_weights import ClassWeights, Power
from keras_ccsam.losses.effective_number import BETA, EffectiveBeta
from keras_ccsam.options import checked
from keras_ccsam.schedules.start import FIRST_DROP, Start, first_epoch
from keras_ccsam.training import ClassWeighting, SharpnessAwareModel


@part("callback", "deferred_reweighting")
class DeferredReweighting(keras.callbacks.Callback):
    """Weights the classes from an epoch on. Works with any loss and sharpness method.

    Args:
        class_counts: the number of training images of each class.
        start: a share of `fit`'s epochs in (0, 1), or an epoch number counted from 0.
        beta: of the effective number of samples; 0 weights all classes alike.
        weights: a name of `losses.CLASS_WEIGHTS`, or u_c themselves, K positive numbers.
        power: of `weights="auto"`, in [0, 1].

    Raises:
        ValueError: at construction, for a `start`, `beta`, `power`, count or weight outside its
            range; when `fit` begins, for a model that is not a `SharpnessAwareModel` or has another
            number of classes, or a `start` that lies beyond the last epoch.

    Example:
        >>> drw = DeferredReweighting(data.class_counts)
        >>> model.compile(optimizer, losses.LDAM(data.class_counts))
        >>> model.fit(data.train, epochs=200, callbacks=[drw])
    """

    def __init__(
        self,
        class_counts: Sequence[int],
        start: Annotated[
            Start, Field(description="share of the epochs, or an epoch (code: 160 of 200)")
        ] = FIRST_DROP,
        beta: EffectiveBeta = BETA,
        weights: Annotated[
            ClassWeights | Annotated[tuple[float, ...], Field(strict=False)],
            Field(description="of the classes: a name, or numbers (code: effective_number)"),
        ] = "effective_number",
        power: Power = 1.0,
    ) -> None:
        super().__init__()
        weights = tuple(map(float, weights)) if _is_sequence(weights) else weights
        given = {"start": start, "beta": beta, "weights": weights, "power": power}
        checked(DeferredReweighting, given)
        self.start = start
        if isinstance(weights, str):
            self.weights = class_weights(class_counts, weights, beta, power)
        else:
            count = len(check_class_counts(class_counts))
            sound = len(weights) == count and all(w > 0 for w in weights)
            require(sound, "weights", list(weights), f"{count} positive numbers, or a name")
            self.weights = weights

    def on_train_begin(self, logs: Any = None) -> None:
        """Makes the model's step weight classes; checks the start."""
        model = self.model
        if not isinstance(model, SharpnessAwareModel) or model.num_classes != len(self.weights):
            classes = f" with {len(self.weights)} classes" if hasattr(model, "num_classes") else ""
            raise ValueError(
                f"DeferredReweighting needs a SharpnessAwareModel (CCSAM is one){classes}. "
                f"Received: model={model!r}"
            )
        self._first = first_epoch(self.start, self.params["epochs"])
        part = model.step_parts.find(ClassWeighting) or model.add_step_part(ClassWeighting())
        self._variable = part.class_weights

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Assigns the weights of this epoch: they depend on its number alone."""
        uniform = np.ones(len(self.weights))
        self._variable.assign(self.weights if epoch >= self._first else uniform)

    def on_train_end(self, logs: Any = None) -> None:
        """Leaves uniform weights behind: a later `fit` without this callback has none."""
        self._variable.assign(np.ones(len(self.weights)))


def _is_sequence(weights: object) -> bool:
    """Whether these are numbers, an array's too, and no name."""
    return hasattr(weights, "__iter__") and not isinstance(weights, str)
