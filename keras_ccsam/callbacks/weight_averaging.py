"""Stochastic weight averaging: the mean of the weights at the ends of the last epochs.

With w the weights after an epoch and k the number of epochs averaged so far (0 at first),

    w_bar <- w_bar + (w - w_bar) / (k + 1)

from the first averaged epoch on. When `fit` ends the model gets w_bar, and BatchNorm's statistics
are computed anew for it: those of the last epoch belong to other weights.

References:
    Izmailov et al., Averaging Weights Leads to Wider Optima and Better Generalization, UAI 2018
    (algorithm 1).
    Zhou et al., Class-Conditional Sharpness-Aware Minimization for Deep Long-Tailed Recognition,
    CVPR 2023 (appendix C.1: the last quarter of each stage, at a high constant rate).
"""

from typing import Annotated, Any

import keras
import numpy as np
from keras import ops
from pydantic import Field

from keras_ccsam import backend
from keras_ccsam.declare import part
from keras_ccsam.options import checked
from keras_ccsam.schedules.start import Start, first_epoch
from keras_ccsam.training.batch_statistics import batch_norms, recompute_batch_statistics


@part("callback", "weight_averaging")
class WeightAveraging(keras.callbacks.Callback):
    """Averages the trainable weights over the last epochs of `fit`.

    What the epochs log (and a checkpoint of one) is of the weights before the average: evaluate
    after `fit`. A callback that goes on from the average when `fit` ends, such as
    `ClassifierRetraining`, comes after this one in the list. In a second stage (`callbacks=` of
    `second_stage.Retraining.run`) the head alone is trained and so averaged; with a frozen
    backbone there are no statistics to compute.

    Args:
        train: the training data, a `data.BatchSequence`, for BatchNorm's pass: the batches of the
            last epoch, augmented and mixed as in training. May be None where no pass is wanted.
        start: the first averaged epoch: a share of `fit`'s epochs, in (0, 1), or an epoch counted
            from 0.
        recompute_batch_norm: compute BatchNorm's statistics anew, in one pass of training mode.

    Raises:
        ValueError: for a `start` outside its range or a `train` that is no data set; when `fit`
            begins, if it has no epoch `start`, or BatchNorm is of a kind that cannot be computed,
            or several JAX processes would have to compute it.

    Attributes:
        average: the running mean, one float64 array a trainable variable; None before `start`.
        count: the epochs in it. A run that stops before `start` keeps its weights, and 0.

    Example:
        A decaying rate, then the last quarter at a constant 0.05:

        >>> epochs, steps = 200, len(data.train)
        >>> decay = WarmupCosine.from_epochs(steps, peak=0.1, epochs=epochs, warmup=5)
        >>> first = first_epoch(0.75, epochs)
        >>> rate = ConstantTail(decay, start_step=first * steps, value=0.05)
        >>> model.compile(keras.optimizers.SGD(rate, momentum=0.9), loss=...)
        >>> model.fit(data.train, epochs=epochs, callbacks=[WeightAveraging(data.train, first)])
    """

    def __init__(
        self,
        train: Any,
        start: Annotated[
            Start, Field(description="share of the epochs, or an epoch (paper C.1: 75 %)")
        ] = 0.75,
        recompute_batch_norm: bool = True,
    ) -> None:
        super().__init__()
        checked(WeightAveraging, {"start": start})
        if recompute_batch_norm and not isinstance(train, keras.utils.PyDataset):
            raise ValueError(
                "`train` must be the training data, a data.BatchSequence, so that BatchNorm can "
                "be computed anew; or set recompute_batch_norm=False. "
                f"Received: train={type(train).__name__}"
            )
        self.train = train
        self.start = start
        self.recompute_batch_norm = recompute_batch_norm
        self.average: list[np.ndarray] | None = None
        self.count = 0
        self._first = self._last = 0

    def on_train_begin(self, logs: Any = None) -> None:
        """Fixes the first averaged epoch.

        Raises:
            ValueError: if `fit` has no such epoch.
        """
        self._first = first_epoch(self.start, int(self.params["epochs"]))
        if self.recompute_batch_norm and self.model.built:
            found = batch_norms(self.model)
            if found and backend.STATELESS and backend.process_count() > 1:
                raise ValueError(
                    "BatchNorm's pass over the data is made by one process on JAX, which may have "
                    "several devices: train in one, or set recompute_batch_norm=False. "
                    f"Received: {backend.process_count()} processes"
                )

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Takes the epoch's weights into the mean."""
        self._last = epoch
        if epoch <= self._first:  # another `fit` begins anew
            self.average, self.count = None, 0
        if epoch < self._first:
            return
        weights = [
            np.asarray(ops.convert_to_numpy(v), "float64") for v in self.model.trainable_variables
        ]
        if self.average is None:
            self.average = [np.zeros_like(w) for w in weights]
        for mean, w in zip(self.average, weights, strict=True):
            mean += (w - mean) / (self.count + 1)
        self.count += 1

    def on_train_end(self, logs: Any = None) -> None:
        """Gives the model the mean, and BatchNorm the statistics that belong to it."""
        if self.average is None:
            return
        model = self.model
        for variable, mean in zip(model.trainable_variables, self.average, strict=True):
            variable.assign(ops.convert_to_tensor(mean, variable.dtype))
        if self.recompute_batch_norm:
            recompute_batch_statistics(model, self._batches())

    def _batches(self) -> Any:
        """The last epoch's batches; reading them does not move the user's data on."""
        if not hasattr(self.train, "with_options"):
            return self.train
        # On JAX a step sees the whole batch; elsewhere each process makes the whole pass, alike.
        whole: dict[str, Any] = {} if backend.STATELESS else {"process": (0, 1)}
        batches = self.train.with_options(**whole, data_on="host")
        batches.set_epoch(self._last)
        return batches
