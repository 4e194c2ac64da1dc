"""What the step and the objective need of the model that they train."""

from typing import Any, Protocol

import keras

from keras_ccsam.backend.flat import FlatFunctions
from keras_ccsam.sharpness.method import Options, SharpnessMethod
from keras_ccsam.terms import Term
from keras_ccsam.training.sample_loss import SampleLoss
from keras_ccsam.training.step_parts import Network, StepParts
from keras_ccsam.typing import Tensor


class Trainee(Network, Protocol):
    """A `SharpnessAwareModel`, as its own step sees it."""

    sharpness: SharpnessMethod
    hyper_parameters: Options
    step_parts: StepParts
    terms: list[Term]
    sample_loss: SampleLoss | None
    optimizer: Any  # Keras' optimizers share no public base with the one for mixed precision
    built: bool
    compiled: bool
    backbone: keras.Layer
    batch_norm_sync: str
    weight_decay: float
    decay_in_loss: bool
    flat_step: bool | str
    flat_functions: FlatFunctions
    run_eagerly: bool
    jit_compile: bool

    @property
    def variables(self) -> list[keras.Variable]:
        """All of them."""
        ...

    @property
    def non_trainable_variables(self) -> list[keras.Variable]:
        """Those of the network and of the step's parts."""
        ...

    @property
    def metrics_variables(self) -> list[keras.Variable]:
        """Of the compiled metrics."""
        ...

    @property
    def losses(self) -> list[Tensor]:
        """What layers and regularisers add to the compiled loss."""
        ...

    @property
    def metrics(self) -> list[keras.Metric]:
        """The compiled ones, the loss's tracker first."""
        ...

    def build(self, input_shape: Any) -> None:
        """Builds backbone and head."""
        ...

    def compute_loss(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any, training: bool
    ) -> Tensor:
        """The compiled loss and the added ones."""
        ...

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any) -> dict[str, Tensor]:
        """The compiled metrics' results, with the batch in them."""
        ...

    def get_metrics_result(self) -> dict[str, Tensor]:
        """The compiled metrics' results."""
        ...
