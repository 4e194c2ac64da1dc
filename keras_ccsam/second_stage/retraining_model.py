"""A backbone that is held, and a head of which some weights are trained.

What is held goes through the list of variables that the optimizer gets, not through any layer's
`trainable` flag: the stage-1 model shares these layers, and Keras' BatchNorm runs in inference mode
wherever that flag is off.
"""

from typing import Any

import keras
from keras import ops

from keras_ccsam.heads import Scaled
from keras_ccsam.options import options
from keras_ccsam.second_stage.retraining_rates import (
    BatchNorm,
    Learn,
    RateFactor,
    check_rates,
)
from keras_ccsam.sharpness.method import SharpnessMethod
from keras_ccsam.training.model import SharpnessAwareModel
from keras_ccsam.training.step_parts import LearningRateFactor


@keras.saving.register_keras_serializable(package="keras_ccsam")
class RetrainingModel(SharpnessAwareModel):
    """A backbone that is held, and a head that is trained.

    Args:
        backbone: of the stage-1 model, or an `Identity` layer where features are the inputs.
        head: of the stage-1 model, or a `heads.Scaled` over it.
        sharpness: how the head's gradient is formed; `ERM()` is plain cRT.
        batch_norm: `"frozen"` runs the backbone in inference mode; `"update"` in training mode,
            so that BatchNorm's statistics follow the balanced batches (and dropout is on), as the
            published codes do.
        learn: `"classifier"`, a head as it is; `"scales"`, those of a `Scaled` alone (LWS);
            `"both"`, a `Scaled` with its kernel and bias (MiSLAS).
        lr_factor: with `"both"`, kernel and bias learn at this many times the rate of the scales:
            their gradients, weight decay included, are multiplied by it before the optimizer sees
            them. That is exact for SGD with or without momentum, and only for it.
        **kwargs: of `SharpnessAwareModel`.

    Raises:
        ValueError: for another `batch_norm` or `learn`, a `learn` that does not suit the head, or
            an `lr_factor` that is not positive or has nothing to act on.
    """

    def __init__(
        self,
        backbone: keras.Layer,
        head: keras.Layer,
        sharpness: SharpnessMethod | None = None,
        *,
        batch_norm: BatchNorm = "frozen",
        learn: Learn = "classifier",
        lr_factor: RateFactor = 1.0,
        **kwargs: Any,
    ) -> None:
        declared = options(RetrainingModel)
        self.batch_norm = declared["batch_norm"].checked(batch_norm)
        self.learn = declared["learn"].checked(learn)
        self.lr_factor = declared["lr_factor"].checked(lr_factor)
        check_rates(learn, lr_factor)
        if learn != "classifier" and not isinstance(head, Scaled):
            raise ValueError(
                f"learn={learn!r} trains the scales of a heads.Scaled. Received: head={head!r}"
            )
        super().__init__(backbone, head, sharpness, **kwargs)
        if not self.built and not isinstance(backbone, keras.Model) and backbone.built:
            # The features' layer: TensorFlow would build the model in the first step alone, and a
            # state of the training can be kept before it.
            shape = (backbone.get_build_config() or {}).get("input_shape")
            if shape is not None:
                self.build(tuple(shape))
        if self.lr_factor != 1.0:
            self.step_parts.add(
                self,
                LearningRateFactor(self.lr_factor, lambda variable: variable is not head.scales),
            )

    def compile(
        self, optimizer: Any = "rmsprop", loss: Any = None, *args: Any, **kwargs: Any
    ) -> None:
        """As its base.

        Raises:
            ValueError: as its base; or where `lr_factor` is not 1, for an optimizer in which a
                multiple of the gradient is not a multiple of the rate.
        """
        check_rates(self.learn, self.lr_factor, optimizer)
        super().compile(optimizer, loss, *args, **kwargs)

    def call(self, inputs: Any, training: bool | None = None, return_features: bool = False) -> Any:
        """As its base, with features that carry no gradient."""
        updating = bool(training) and self.batch_norm == "update"
        features = ops.stop_gradient(self.backbone(inputs, training=updating))
        outputs = self.head(features, training=training)
        return (outputs, features) if return_features else outputs

    @property
    def part_in_training(self) -> keras.Layer:
        """What a training step runs in training mode: not a frozen backbone."""
        return self.head if self.batch_norm == "frozen" else self

    @property
    def trainable_variables(self) -> list[keras.Variable]:
        """What `learn` says. No layer's `trainable` is touched: stage 1's model shares these."""
        if self.learn == "scales":
            return [self.head.scales]
        return list(self.head.trainable_variables)

    @property
    def non_trainable_variables(self) -> list[keras.Variable]:
        """Everything else."""
        trained = {id(v) for v in self.trainable_variables}
        own = [v for v in self.variables if id(v) not in trained]
        parts = getattr(self, "step_parts", None)
        return [*own, *([] if parts is None else parts.variables)]

    @property
    def trainable_weights(self) -> list[keras.Variable]:
        """As `trainable_variables`."""
        return self.trainable_variables

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "batch_norm": self.batch_norm,
            "learn": self.learn,
            "lr_factor": self.lr_factor,
        }
